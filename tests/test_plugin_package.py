"""A stranger's package: really installed with pip, listed, and run through the command line beside ours."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

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
