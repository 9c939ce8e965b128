"""A stranger's package: really installed with pip, listed, and run through the command line beside ours."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from eden_bench import records, results

PACKAGE = Path(__file__).parent / "example_plugin"


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The folder that pip installed the example package into."""
    target = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    source = target.parent / "source"
    import shutil

    shutil.copytree(PACKAGE, source)
    subprocess.run([*command, "--target", str(target), str(source)], check=True, capture_output=True, text=True)
    return target


def eden_bench(installed, *arguments, **variables):
    environment = {**os.environ, "PYTHONPATH": str(installed), **{k: str(v) for k, v in variables.items()}}
    return subprocess.run(
        [sys.executable, "-m", "eden_bench", *arguments], env=environment, capture_output=True, text=True
    )


def test_the_installed_plugin_is_listed_with_its_summary(installed):
    done = eden_bench(installed, "list", "methods", "--json")
    assert done.returncode == 0, done.stderr
    rows = {row["name"]: row for row in json.loads(done.stdout)["methods"]}
    assert rows["plain-siam"]["summary"].startswith("Plain Siam: two views predict each other")
    assert {"adam", "densecl", "moco-v2", "random"} <= set(rows)


def test_the_installed_plugin_runs_beside_ours(installed, tiny_data, tiny_protocol, tmp_path):
    out = tmp_path / "runs"
    arguments = ["run", "--methods", "plain-siam,random", "--tasks", "scr-heart", "--seeds", "0,1"]
    done = eden_bench(
        installed,
        *arguments,
        "--protocol",
        str(tiny_protocol),
        EDEN_BENCH_DATA=tiny_data,
        EDEN_BENCH_OUT=out,
        EDEN_BENCH_CACHE=tiny_data.parent / "cache",
    )
    assert done.returncode == 0, done.stderr
    records = [json.loads(path.read_text()) for path in out.glob("records/*/record.json")]
    assert sorted((r["cell"]["method"], r["cell"]["seed"]) for r in records) == [
        ("plain-siam", 0),
        ("plain-siam", 1),
        ("random", 0),
        ("random", 1),
    ]
    assert "plain-siam" in done.stdout
    assert "PHANTOM" in done.stdout.upper()


@pytest.fixture(scope="module")
def ran(installed, tiny_data, tiny_protocol, tmp_path_factory):
    """Folder, environment and output of a run of the package's method on its two tasks."""
    data, out = tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("ran") / "runs"
    (data / "chestxray14").symlink_to(tiny_data / "chestxray14")
    where = {"EDEN_BENCH_DATA": data, "EDEN_BENCH_OUT": out, "EDEN_BENCH_CACHE": tiny_data.parent / "cache"}
    wrote = eden_bench(installed, "data", "phantom", "--datasets", "lab-lungs", "--patients", "12", "--out", str(data))
    assert wrote.returncode == 0, wrote.stderr
    names = ("--methods", "barlow-twins,random", "--tasks", "lab-lungs,lab-area", "--protocol", str(tiny_protocol))
    done = eden_bench(installed, "run", *names, "--pretrain-seeds", "0-1", "--seeds", "0-1", **where)
    assert done.returncode == 0, done.stderr
    return out, where, done.stdout


def test_all_four_kinds_of_plugin_run_together(ran):
    out, _, shown = ran
    counts = results(out).groupby(["task", "method"]).size().to_dict()
    assert counts == {
        ("lab-lungs", "barlow-twins"): 4,  # two pretrainings, two seeds
        ("lab-lungs", "random"): 2,
        ("lab-area", "barlow-twins"): 2,  # once a checkpoint
        ("lab-area", "random"): 2,
    }
    assert "2 × 2" in shown
    assert "2 × 1" in shown
    assert "in points, lower is better" in shown


def test_quick_values_of_a_methods_own_reach_its_checkpoint(ran):
    out, _, _ = ran
    configs = [json.loads(card.read_text())["config"] for card in out.glob("checkpoints/*/card.json")]
    assert [(config["width"], config["lr"]) for config in configs] == [(64, 0.02)] * 2


def test_what_the_probe_stored_gives_its_score_again(ran):
    out, _, _ = ran
    probed = [record for record in records.load(out) if record.cell.task == "lab-area"]
    for record in probed:
        area, nearest = (record.arrays()[name] for name in ("area", "nearest"))
        assert record.value == 100 * float(np.median(np.abs(area - area[nearest])))
    assert len({record.arrays()["features"].tobytes() for record in probed}) == 4


def test_a_probe_that_stored_arrays_is_replayed(ran, installed):
    out, where, _ = ran
    record = next(r for r in records.load(out) if (r.cell.task, r.cell.method) == ("lab-area", "barlow-twins"))
    done = eden_bench(installed, "run", "--replay", record.id[:12], **where)
    cases = len(record.cases())
    assert done.stdout == f"{record.id[:12]} identical: 1 score and {cases} cases, and the arrays\n", done.stderr


@pytest.mark.parametrize("name", ["lab-lungs", "lab-area"])
def test_the_package_keeps_the_contract(name, installed):
    done = eden_bench(installed, "plugins", "--check", name)
    assert done.returncode == 0, done.stdout


def test_a_broken_plugin_is_one_warning_line(tmp_path):
    broken = tmp_path / "site" / "broken_plugin-1.dist-info"
    broken.mkdir(parents=True)
    (broken / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-plugin\nVersion: 1\n")
    (broken / "entry_points.txt").write_text("[eden_bench.tasks]\nbad = broken_plugin\n")
    (tmp_path / "site" / "broken_plugin.py").write_text("raise RuntimeError('half\\nbaked')\n")
    done = eden_bench(tmp_path / "site", "list", "tasks")
    assert done.returncode == 0
    assert "scr-heart" in done.stdout
    warnings = [line for line in done.stderr.splitlines() if line]
    assert len(warnings) == 1, done.stderr
    assert "broken-plugin: bad = broken_plugin" in warnings[0]
    assert "half" in warnings[0]
