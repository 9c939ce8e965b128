"""The process that reads strangers' files runs nothing but the interpreter, torch, safetensors and one file of ours."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from eden_bench.weights import reading, unpickling
from tests.eden_bench.weights.dialects import weights

SPY = """
import runpy, sys
asked = set()
class Spy:
    def find_spec(self, name, path=None, target=None):
        asked.add(name.partition(".")[0])
sys.meta_path.insert(0, Spy())
child, *sys.argv = sys.argv[1:]
sys.argv.insert(0, child)
try:
    runpy.run_path(child, run_name="__main__")
except SystemExit:
    pass
asked |= {name.partition(".")[0] for name in sys.modules}
print(*sorted(asked), file=sys.stderr)
"""
SHADOW = "import os\nos.close(os.open(os.path.join({folder!r}, 'ran-' + __name__), os.O_CREAT | os.O_WRONLY))\n"


def imported(path, out):
    """Return the top-level name of every module that the reading child has, or looked for."""
    command = [
        sys.executable,
        "-I",
        "-W",
        "ignore",
        "-c",
        SPY,
        unpickling.__file__,
        str(path),
        str(path.stat().st_size),
    ]
    pipe = subprocess.PIPE
    with out.open("wb") as file, subprocess.Popen(command, stdin=pipe, stdout=file, stderr=pipe, text=True) as done:
        told = done.stderr.read()
        done.stdin.close()
        assert done.wait() == 0, told
    return told.split()


@pytest.fixture(scope="module")
def surrounded(tmp_path_factory):
    """A checkpoint, and a folder in which every name that its reading imports is a file that leaves a mark."""
    folder, marks = tmp_path_factory.mktemp("surrounded"), tmp_path_factory.mktemp("marks")
    torch.save(weights(), folder / "model.pth")
    names = imported(folder / "model.pth", folder / "out.safetensors")
    assert {"json", "torch", "safetensors", "zipfile", "resource", "numpy", "os", "threading"} < set(names)
    for name in {*names, "sitecustomize", "usercustomize", "eden_bench"} - {"__main__"}:
        (folder / f"{name}.py").write_text(SHADOW.format(folder=str(marks)))
    (folder / "startup.pth").write_text(f"import os; os.mkdir({str(marks / 'ran-pth')!r})\n")
    return folder, marks


@pytest.mark.trap(
    "attacks",
    "modules lying in the current folder, on `PYTHONPATH`, in the user's site",
    "the reader of foreign weights is isolated",
)
def test_no_module_in_the_current_folder_on_pythonpath_or_in_the_users_site_runs(surrounded, monkeypatch):
    folder, marks = surrounded
    site = folder / "base" / "lib" / f"python3.{sys.version_info[1]}" / "site-packages"
    site.parent.mkdir(parents=True, exist_ok=True)
    site.symlink_to(folder) if not site.exists() else None
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.setenv("PYTHONUSERBASE", str(folder / "base"))
    monkeypatch.setenv("PYTHONSTARTUP", str(folder / "json.py"))
    monkeypatch.setenv("PYTHONINSPECT", "")
    read = reading.read_tensors(Path("model.pth"))
    assert all(value.equal(read[name]) for name, value in weights().items())
    assert sorted(path.name for path in marks.iterdir()) == []


def test_the_shadows_run_where_the_child_is_not_isolated(surrounded):
    """The trap works: it is not the test that is blind."""
    folder, marks = surrounded
    subprocess.run([sys.executable, "-c", "import json"], cwd=folder, capture_output=True)
    found = [path.name for path in marks.iterdir()]
    for path in marks.iterdir():
        path.unlink()
    assert "ran-json" in found


def test_the_whole_command_line_runs_none_either(surrounded):
    folder, marks = surrounded
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    command = [Path(sys.executable).with_name("eden-bench"), "import-weights", "model.pth", "--dry-run"]
    done = subprocess.run(command, cwd=folder, env=kept, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "100 of 100" in done.stdout
    assert [path.name for path in marks.iterdir()] == []


@pytest.mark.trap("attacks", "modules lying in the current folder, on `PYTHONPATH`, in the user's site")
def test_python_m_searches_the_current_folder_no_more_than_the_console_script_does(tmp_path):
    (tmp_path / "typer.py").write_text("raise SystemExit('a stranger ran')\n")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    command = [sys.executable, "-m", "eden_bench", "--version"]
    done = subprocess.run(command, cwd=tmp_path, env=kept, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


PARENT = """
import sys, time
from pathlib import Path
from eden_bench.weights import reading
reading._command = lambda *_: [sys.executable, "-I", "-c", sys.argv[2]]
reading.read_tensors(Path(sys.argv[1]))
"""
SLOW = """
import runpy, sys, time, os
space = runpy.run_path({child!r})
space["threading"].Thread(target=space["_end_with_parent"], daemon=True).start()
open({mark!r}, "w").write(str(os.getpid()))
sys.stdout.buffer.write(bytes(1 << 20))
time.sleep(60)
"""


@pytest.mark.trap("attacks", "SIGTERM or kill -9 during an import", "nothing stays")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_reader_dies_with_its_parent_and_leaves_nothing(tmp_path, how):
    (tmp_path / "model.pth").write_bytes(b"x" * 100)
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    slow = SLOW.format(child=unpickling.__file__, mark=str(tmp_path / "pid"))
    command = [sys.executable, "-c", PARENT, tmp_path / "model.pth", slow]
    parent = subprocess.Popen(command, env={**os.environ, "TMPDIR": str(temporary)})
    pid = _soon(lambda: (tmp_path / "pid").read_text() if (tmp_path / "pid").exists() else "")
    parent.send_signal(how)
    parent.wait()
    assert _soon(lambda: not Path(f"/proc/{pid}/cmdline").exists() or not Path(f"/proc/{pid}/cmdline").read_bytes())
    assert list(temporary.iterdir()) == []


def _soon(what, seconds=60):
    begun = time.monotonic()
    while time.monotonic() - begun < seconds:
        if found := what():
            return found
        time.sleep(0.05)
    return None


@pytest.mark.trap("attacks", "sparse weights that claim gigabytes", "limits follow what is on the disk")
def test_a_sparse_file_is_refused_by_what_it_has_on_the_disk_and_costs_no_memory(tmp_path):
    import json
    import resource
    import struct

    header = json.dumps({"conv1.weight": {"dtype": "F32", "shape": [1 << 29], "data_offsets": [0, 1 << 31]}}).encode()
    with (tmp_path / "lie.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        file.truncate(8 + len(header) + (1 << 31))
    if reading.stored_bytes(tmp_path / "lie.safetensors") > 1 << 30:
        pytest.skip("this file system tells of no holes")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(reading.WeightsRefused, match=r"claims 2,147,\d+,\d+ bytes and has [\d,]+ on the disk, the oth"):
        reading.read_tensors(tmp_path / "lie.safetensors")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KiB


def test_what_is_stored_is_the_size_without_the_holes(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"x" * 300_000)
    assert reading.stored_bytes(path) == 300_000
    with path.open("r+b") as file:
        file.truncate(10_000_000)
    assert reading.stored_bytes(path) in (10_000_000, *range(300_000, 310_000))
