"""The main job, small: real methods, tasks and readers, through the command line, on a phantom of few patients."""

import json
from dataclasses import fields

import pytest

from eden_bench.contracts import Cell
from tests.conftest import records_in

ASK = ("--methods", "adam,densecl,moco-v2,random", "--tasks", "scr-heart,chestxray14", "--seeds", "0,1")


@pytest.fixture
def run(eden_bench, tiny_protocol):
    def issue(*more, **variables):
        return eden_bench("run", "--protocol", tiny_protocol, *more, **variables)

    return issue


def scores(folder):
    return {json.dumps(r["cell"], sort_keys=True): r["scores"] for r in records_in(folder)}


def test_the_main_job_ends_with_a_marked_table_and_continues(run, eden_bench, tmp_path):
    first = run(*ASK)
    assert first.returncode == 0, first.stderr
    made = records_in(tmp_path / "runs")
    assert len(made) == 16
    assert all(r["marks"]["phantom"] and r["marks"]["quick"] for r in made)
    assert "PHANTOM" in first.stdout
    assert "QUICK" in first.stdout
    kept = {path: path.read_bytes() for path in (tmp_path / "runs" / "records").rglob("*.*")}

    second = run(*ASK)
    assert second.returncode == 0, second.stderr
    assert "16 reused" in second.stderr + second.stdout
    assert {path: path.read_bytes() for path in kept} == kept

    report = eden_bench("report", "--format", "csv")
    assert report.returncode == 0, report.stderr
    assert report.stdout.count("phantom") + report.stdout.count("PHANTOM") > 0
    assert (tmp_path / "runs" / "report" / "report.md").is_file()


def test_a_cell_scores_the_same_alone_and_in_a_larger_plan(run, tmp_path):
    together, alone = tmp_path / "together", tmp_path / "alone"
    assert run(*ASK[:2], "--tasks", "scr-heart", "--seeds", "0-2", EDEN_BENCH_OUT=together).returncode == 0
    one = run("--methods", "adam", "--tasks", "scr-heart", "--seeds", "2", EDEN_BENCH_OUT=alone)
    assert one.returncode == 0, one.stderr
    ((cell, values),) = scores(alone).items()
    assert scores(together)[cell] == values


def test_a_record_holds_the_command_that_repeats_it_and_replay_agrees(run, eden_bench, tmp_path):
    assert run("--methods", "moco-v2", "--tasks", "scr-clavicle", "--seeds", "3").returncode == 0
    (record,) = records_in(tmp_path / "runs")
    assert "--seeds 3" in record["command"]
    assert {f.name for f in fields(Cell)} == set(record["cell"])
    replayed = eden_bench("run", "--replay", record["id"][:12])
    assert replayed.returncode == 0, replayed.stderr
    assert "identical" in replayed.stdout + replayed.stderr


def test_few_shots_take_the_full_sets_steps_unless_epochs_are_counted(run, tiny_protocol, tmp_path):
    epochs = tmp_path / "epochs.toml"
    epochs.write_text(tiny_protocol.read_text() + 'few_shot_budget = "epochs"\nepochs = 2\n')
    assert run("--methods", "random", "--tasks", "scr-heart", "--seeds", "0", "--shots", "2,full").returncode == 0
    done = run(
        *("--methods", "random", "--tasks", "scr-heart", "--seeds", "0", "--shots", "2", "--protocol", epochs),
        EDEN_BENCH_OUT=tmp_path / "epochs",
    )
    assert done.returncode == 0, done.stderr
    steps = [r["training"]["steps_taken"] for r in records_in(tmp_path / "runs")]
    assert steps == [4, 4]
    (counted,) = records_in(tmp_path / "epochs")
    assert counted["training"]["steps_taken"] == 2
    assert counted["training"]["budget"] == "epochs"
