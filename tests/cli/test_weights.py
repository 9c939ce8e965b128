"""``import-weights`` and ``--methods mine=PATH`` through the command line, on files of the tiny phantom's size."""

import json

import pytest
import torch

from tests.cli.command import one_error
from tests.conftest import records_in
from tests.eden_bench.weights.dialects import weights

ASK = ("--tasks", "scr-heart", "--seeds", "0")


@pytest.fixture(scope="module")
def mine(tmp_path_factory):
    path = tmp_path_factory.mktemp("brought") / "mine.pth"
    torch.save({"state_dict": {f"module.{name}": value for name, value in weights().items()}}, path)
    return path


@pytest.fixture
def run(eden_bench, tiny_protocol):
    return lambda *more: eden_bench("run", "--protocol", tiny_protocol, *more)


def test_a_file_runs_as_a_method_and_its_record_repeats_it(run, eden_bench, mine, tmp_path):
    made = eden_bench("import-weights", mine, "--name", "folder", "--json")
    assert made.returncode == 0, made.stderr
    told = json.loads(made.stdout)
    assert told["coverage"]["share"] == 1.0
    first = run("--methods", f"mine={mine},other={mine},folder={told['written to']}", *ASK)
    assert first.returncode == 0, first.stderr
    records = {record["cell"]["method"]: record for record in records_in(tmp_path / "runs")}
    assert set(records) == {"mine", "other", "folder"}
    assert len({record["cell"]["checkpoint"] for record in records.values()}) == 1
    assert len({json.dumps(record["scores"]) for record in records.values()}) == 1
    checkpoint = records["mine"]["checkpoint"]
    assert checkpoint["file"] == str(mine)
    assert checkpoint["from"] == "a file (resnet18-w16; data-parallel: 100 of 100 entries)"
    assert f"--methods mine={mine}" in records["mine"]["command"]

    words = records["mine"]["command"].split()
    again = eden_bench(*words[1:])
    assert again.returncode == 0, again.stderr
    assert "1 reused" in again.stdout + again.stderr
    replayed = eden_bench("run", "--replay", records["mine"]["id"][:12])
    assert replayed.returncode == 0, replayed.stderr
    assert "identical" in replayed.stdout + replayed.stderr


def test_what_is_wrong_with_a_path_is_one_line(run, mine, tmp_path):
    missing = run("--methods", f"mine={tmp_path / 'absent.pth'}", *ASK)
    assert missing.returncode == 2
    assert "absent.pth does not exist" in one_error(missing)
    clash = run("--methods", f"adam={mine}", *ASK)
    assert clash.returncode == 2
    assert "'adam' is already a method here" in one_error(clash)


def test_a_refused_file_fails_its_cells_and_no_others(run, tmp_path):
    (tmp_path / "page.pth").write_text("<!DOCTYPE html>")
    done = run("--methods", f"mine={tmp_path / 'page.pth'},random", *ASK)
    assert done.returncode == 3
    assert "Traceback" not in done.stderr
    assert "page.pth cannot be read as weights: it starts with b'<!DOCTYPE html>'" in done.stdout + done.stderr
    assert [record["cell"]["method"] for record in records_in(tmp_path / "runs")] == ["random"]


def test_a_dry_run_writes_nothing_and_a_renamed_entry_is_warned_of(eden_bench, tmp_path):
    renamed = {name.replace("layer3.0.conv2", "layer3.0.conv_two"): value for name, value in weights().items()}
    torch.save(renamed, tmp_path / "renamed.pth")
    done = eden_bench("import-weights", tmp_path / "renamed.pth", "--dry-run")
    assert done.returncode == 0, done.stderr
    (warning,) = done.stderr.splitlines()
    assert warning.startswith("warning: renamed.pth: 1 of 100 entries are not in it and stay untrained: layer3.0.conv2")
    assert "not known: layer3.0.conv_two.weight" in warning
    assert "99 of 100 entries (99.0%)" in done.stdout
    assert not (tmp_path / "runs").exists()
