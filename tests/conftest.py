"""A small phantom in the real layouts and a protocol of seconds, for tests that run the whole bench."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

# One thread a process: these tensors are a few pixels wide, and the workers of pytest share the processors.
os.environ.setdefault("OMP_NUM_THREADS", "1")

PROTOCOL = """
base = "quick"
[pretrain]
size_px = 32
epochs = 1
batch_size = 8
queue_size = 32
bn_groups = 2
[finetune]
size_px = 32
max_steps = 4
validate_every = 2
"""


@pytest.fixture(autouse=True)
def _no_file_stays_a_method():
    """Forget the weights that a test named on a command line: they are no method of the next test."""
    yield
    from eden_bench.registry import methods

    for name in [name for name, made in methods._made.items() if getattr(made, "file", "")]:
        del methods._made[name], methods._origins[name]


@pytest.fixture(scope="session", autouse=True)
def _fonts_are_listed_once(tmp_path_factory):
    """Let commands, each of which has a cache of its own, share Matplotlib's list of fonts, which takes seconds."""
    os.environ.setdefault("MPLCONFIGDIR", str(tmp_path_factory.mktemp("matplotlib")))


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory):
    """A datasets' root with a phantom of 10 SCR and 24 ChestX-ray14 patients."""
    from eden_bench.data import dataset_folders

    root = tmp_path_factory.mktemp("tiny") / "data"
    dataset_folders.write_phantom("scr", root, patients=10, seed=0)
    dataset_folders.write_phantom("chestxray14", root, patients=24, seed=0)
    return root


@pytest.fixture(scope="session")
def tiny_protocol(tiny_data):
    """A protocol file that trains for a few steps at 32 px."""
    path = tiny_data.parent / "tiny.toml"
    path.write_text(PROTOCOL)
    return path


@pytest.fixture
def eden_bench(tiny_data, tiny_protocol, tmp_path):
    """Run the command line as a user does, on the small phantom, with results in a fresh folder."""

    def run(*arguments: str, **variables: object) -> subprocess.CompletedProcess[str]:
        settings = {
            "EDEN_BENCH_DATA": tiny_data,
            "EDEN_BENCH_CACHE": tiny_data.parent / "cache",
            "EDEN_BENCH_OUT": tmp_path / "runs",
            "EDEN_BENCH_THREADS": 1,
            "OMP_NUM_THREADS": 1,
            **variables,
        }
        environment = {**os.environ, **{name: str(value) for name, value in settings.items()}}
        command = [sys.executable, "-m", "eden_bench", *map(str, arguments)]
        return subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)

    return run


def records_in(folder: Path) -> list[dict]:
    """Read every record under an output folder."""
    import json

    return [json.loads(path.read_text()) for path in sorted(folder.glob("records/*/record.json"))]
