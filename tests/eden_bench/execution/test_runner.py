"""The runner: continues, isolates, excuses, redoes, and gives each cell the same scores wherever it runs."""

import errno
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from eden_bench import api, records
from eden_bench.errors import DataMissing, StoreFailed, UsageError, WeightsMissing
from eden_bench.execution.inputs import Inputs
from eden_bench.execution.replay import replay
from eden_bench.files import atomic
from eden_bench.settings import Settings
from tests.eden_bench.execution.test_plan import real_data


def stored(out):
    """All that a run leaves but times, machines, paths and the digest over them: record id to record and cases."""
    found = {}
    for record in records.load(out):
        content = {
            name: value for name, value in record.content.items() if name not in ("provenance", "command", "digest")
        }
        found[record.id] = (json.dumps(content), (record.folder / "cases.csv").read_bytes())
    return found


def run(here, methods="fake-random,fake-trained", tasks="fake-heart", **more):
    return api.run(methods, tasks, **{"seeds": "0-2", **here, **more})


@pytest.fixture
def log(tmp_path, monkeypatch):
    """A function that returns the cells that were started, one line each."""
    path = tmp_path / "log.txt"
    path.touch()
    monkeypatch.setenv("FAKE_LOG", str(path))
    return lambda: path.read_text().splitlines()


def test_what_a_run_has_stored_is_not_read_by_the_next_plan(here, log, monkeypatch):
    monkeypatch.setattr("eden_bench.records.overview._SETTLED_NS", -(10**9))  # else files of 2 s ago are read again
    out = run(here).plan.slots[0].record.folder.parents[1]
    monkeypatch.setattr("eden_bench.records.overview.read", lambda folder, shared: pytest.fail(f"{folder} was read"))
    assert len(records.glance(out, pytest.fail)) == 6


def test_a_run_issued_again_reuses_every_cell(here, log):
    first = run(here)
    assert [slot.state for slot in first.slots] == ["ran"] * 6
    lines = log()
    again = run(here)
    assert [slot.state for slot in again.slots] == ["reused"] * 6
    assert again.results()["reused"].all()
    assert log() == lines
    assert first.exit_code == again.exit_code == 0


def test_a_larger_plan_runs_only_what_is_new(here, log):
    run(here)
    more = run(here, seeds="0-3")
    assert more.plan.count("ran") == 2
    assert sum("pretrain" in line for line in log()) == 1


def test_a_cell_scores_the_same_alone_in_a_plan_and_on_another_folder(here, tmp_path):
    whole = run(here, tasks="fake-heart,fake-lung", shots="3,full")
    alone = run({**here, "out": tmp_path / "alone"}, "fake-trained", "fake-lung", seeds="2", shots="3")
    (cell,) = stored(tmp_path / "alone").items()
    assert cell in stored(here["out"]).items()
    assert len(whole.records) == 24
    assert alone.exit_code == 0


def test_no_seed_sees_what_another_did_to_the_encoder(here, tmp_path):
    run(here, "fake-trained", seeds="0,1")
    run({**here, "out": tmp_path / "b"}, "fake-trained", seeds="1,0")
    assert stored(here["out"]) == stored(tmp_path / "b")


def test_a_failing_cell_is_stored_with_its_traceback_and_the_rest_goes_on(here, monkeypatch):
    monkeypatch.setenv("FAKE_BREAK", "1")
    done = run(here, "fake-random")
    assert [slot.state for slot in done.slots] == ["ran", "failed", "ran"]
    assert done.exit_code == 3
    (name,) = records.failures(here["out"])
    failure = json.loads((here["out"] / "failures" / f"{name}.json").read_text())
    assert failure["cell"]["seed"] == 1
    assert failure["error"] == "RuntimeError: planted fault"
    assert 'raise RuntimeError("planted fault")' in failure["traceback"]
    assert failure["command"].startswith("eden-bench run --methods fake-random --tasks fake-heart --seeds 1 ")


def test_only_what_failed_is_redone_when_asked(here, monkeypatch, log):
    monkeypatch.setenv("FAKE_BREAK", "1")
    run(here, "fake-random")
    monkeypatch.delenv("FAKE_BREAK")
    redone = run(here, "fake-random", seeds="0-5", only_failed=True)
    assert [(slot.seed, slot.state) for slot in redone.slots][:4] == [
        (0, "reused"),
        (1, "ran"),
        (2, "reused"),
        (3, "pending"),
    ]
    assert records.failures(here["out"]) == {}
    assert redone.exit_code == 0


def test_the_first_failure_stops_the_run_when_asked(here, monkeypatch):
    monkeypatch.setenv("FAKE_BREAK", "1")
    done = run(here, "fake-random", on_error="stop")
    assert [slot.state for slot in done.slots] == ["ran", "failed", "pending"]
    assert done.exit_code == 3


def test_a_failing_pretraining_fails_its_cells_once_and_no_others(here, monkeypatch, log):
    monkeypatch.setenv("FAKE_BREAK", "fake-trained")
    done = run(here)
    assert sorted(slot.state for slot in done.slots) == ["failed"] * 3 + ["ran"] * 3
    assert sum("pretrain" in line for line in log()) == 1
    (name,) = records.failures(here["out"])
    assert name.startswith("fake-trained-")
    monkeypatch.delenv("FAKE_BREAK")
    again = run(here, only_failed=True)
    assert again.plan.count("ran") == 3
    assert records.failures(here["out"]) == {}


def test_a_task_that_cannot_be_opened_fails_alone(here, monkeypatch):
    monkeypatch.setenv("FAKE_BREAK", "fake-lung")
    done = run(here, "fake-random", "fake-heart,fake-lung")
    assert [slot.state for slot in done.slots] == ["ran"] * 3 + ["failed"] * 3
    assert list(records.failures(here["out"])) == ["task-fake-lung"]
    monkeypatch.delenv("FAKE_BREAK")
    assert run(here, "fake-random", "fake-heart,fake-lung").exit_code == 0
    assert records.failures(here["out"]) == {}


def test_rotten_weights_fail_and_absent_ones_are_excused(here):
    done = run(here, "fake-random,fake-broken,fake-absent")
    states = {slot.backbone.method: slot.state for slot in done.slots}
    assert states == {"fake-random": "ran", "fake-broken": "failed", "fake-absent": "excused"}
    assert done.exit_code == 3
    assert run(here, "fake-random,fake-absent").exit_code == 0


def test_a_task_without_data_leaves_the_others_running(here, fakes, tmp_path):
    from dataclasses import replace

    from eden_bench import registry

    class Other(fakes.FakeSet):
        name = "fake-other"
        card = replace(fakes.FakeSet.card, folders=("other",))

    registry.register_dataset(Other())
    registry.register_task(fakes.FakeTask("other-heart", dataset="fake-other"))
    done = run({**here, "data": real_data(tmp_path)}, "fake-random", "fake-heart,other-heart")
    assert done.plan.count("ran") == done.plan.count("missing") == 3
    assert done.exit_code == 4


def test_force_runs_anew_and_keeps_the_old_record_aside(here, log):
    run(here, "fake-random")
    before = stored(here["out"])
    done = run(here, "fake-random", force=True)
    assert done.plan.count("ran") == 3
    assert len(log()) == 6
    assert stored(here["out"]) == before
    assert len(list((here["out"] / "superseded").iterdir())) == 3


def test_a_damaged_record_is_run_again(here):
    done = run(here, "fake-random")
    before = stored(here["out"])
    (done.records[1].folder / "record.json").write_text("{")
    assert run(here, "fake-random").plan.count("ran") == 1
    assert stored(here["out"]) == before


def test_a_full_disk_stops_the_run_and_loses_nothing(here, monkeypatch):
    run(here, "fake-random", seeds="0")
    before = stored(here["out"])

    def full(path):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(atomic, "_flush", full)
        with pytest.raises(StoreFailed, match="No space left on device"):
            run(here, "fake-random")
    assert stored(here["out"]) == before
    assert run(here, "fake-random").exit_code == 0


@pytest.mark.trap("attacks", "a store that cannot be written", "the run stops at the first cell")
def test_records_that_cannot_be_written_stop_the_run_at_the_first_cell(here, log, monkeypatch):
    made = atomic._make_parent

    def refuse(path):
        if path.parent.name == "records":
            with atomic.explained(path.parent):
                raise PermissionError(errno.EACCES, "Permission denied")
        made(path)

    with monkeypatch.context() as patch:
        patch.setattr(atomic, "_make_parent", refuse)
        with pytest.raises(StoreFailed, match=r"records cannot be written \(Permission denied\)"):
            run(here, "fake-random", seeds="0-9")
    assert len(log()) == 1
    assert records.failures(here["out"]) == {}
    assert run(here, "fake-random", seeds="0-9").plan.count("ran") == 10


@pytest.mark.parametrize(("name", "begun"), [("superseded", 1), ("failures", 2), ("checkpoints", 4), ("locks", 0)])
def test_any_part_of_the_store_that_cannot_be_written_stops_the_run(here, log, monkeypatch, name, begun):
    """A file stands where a folder is due: each of the system's errors on the way is the store's."""
    run(here, "fake-random", seeds="0-2")
    before, lines = stored(here["out"]), len(log())
    shutil.rmtree(here["out"] / name, ignore_errors=True)
    (here["out"] / name).write_text("")
    monkeypatch.setenv("FAKE_BREAK", "1")
    with pytest.raises(StoreFailed, match="cannot be written"):
        run(here, "fake-random,fake-trained", force=True)
    assert len(log()) - lines == begun
    assert before.items() <= stored(here["out"]).items()


@pytest.mark.trap("attacks", "an edited record or cases file")
def test_an_edited_record_is_run_again_and_kept_aside(here, log):
    (record,) = run(here, "fake-random", seeds="0").records
    before = stored(here["out"])
    path = record.folder / "record.json"
    edited = path.read_text().replace(repr(record.value), "0.99")
    path.write_text(edited)
    (again,) = run(here, "fake-random", seeds="0").slots
    assert (again.state, len(log())) == ("ran", 2)
    assert stored(here["out"]) == before
    (kept,) = (here["out"] / "superseded").iterdir()
    assert (kept / "record.json").read_text() == edited


def test_edited_cases_are_run_again_and_kept_aside(here):
    (record,) = run(here, "fake-random", seeds="0").records
    before = stored(here["out"])
    (record.folder / "cases.csv").write_text("case,patient,dice\n")
    assert run(here, "fake-random", seeds="0").plan.count("ran") == 1
    assert stored(here["out"]) == before
    (kept,) = (here["out"] / "superseded").iterdir()
    assert (kept / "cases.csv").read_text() == "case,patient,dice\n"


@pytest.mark.trap("attacks", "dates in the future", "not believed")
@pytest.mark.parametrize("when", [2**31, 0])
def test_no_date_is_believed(here, monkeypatch, log, when):
    """Neither a failure nor a record from the future keeps a cell from being run, nor one from the past."""
    monkeypatch.setenv("FAKE_BREAK", "1")
    run(here, "fake-random")
    monkeypatch.delenv("FAKE_BREAK")
    for path in [*here["out"].glob("failures/*"), *here["out"].glob("records/*"), *here["out"].glob("records/*/*")]:
        os.utime(path, (when, when))
    lines = len(log())
    assert [slot.state for slot in run(here, "fake-random", only_failed=True).slots] == ["reused", "ran", "reused"]
    for path in here["out"].glob("records/*"):
        os.utime(path, (when, when))
    assert run(here, "fake-random", force=True).plan.count("ran") == 3
    assert len(log()) - lines == 4
    assert len(list((here["out"] / "superseded").iterdir())) == 3


def read_only(monkeypatch):
    """Let no lock be opened, as on a disk or in a cache that may only be read."""

    def refuse(*a, **k):
        raise StoreFailed("locks cannot be written (Read-only file system)")

    monkeypatch.setattr(atomic, "locked", refuse)


@pytest.mark.trap("attacks", "a cache or store that may only be read")
def test_a_store_that_may_only_be_read_serves_where_every_cell_is_in_it(here, log, monkeypatch):
    run(here)
    before, lines = stored(here["out"]), log()
    read_only(monkeypatch)
    again = run(here)
    assert [slot.state for slot in again.slots] == ["reused"] * 6
    assert (again.exit_code, stored(here["out"]), log()) == (0, before, lines)
    for more in ({"seeds": "0-3"}, {"force": True}):
        with pytest.raises(StoreFailed, match="Read-only"):
            run(here, **more)


@pytest.mark.trap("attacks", "pipes and devices in place of files, the cache's and checkpoints' too")
@pytest.mark.parametrize("put", [os.mkfifo, Path.mkdir, lambda path: path.symlink_to("/dev/zero")])
def test_a_lock_that_is_no_file_is_one_sentence(here, put):
    path = here["out"] / "locks" / "run.lock"
    path.parent.mkdir(parents=True)
    put(path)
    with pytest.raises(StoreFailed, match=r"run.lock is no regular file|locks cannot be written \(Is a directory\)"):
        run(here, "fake-random", seeds="0")


def test_an_output_folder_that_cannot_be_written_is_one_sentence(here, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"cannot be written .*--out"):
        run({**here, "out": tmp_path / "file" / "runs"}, "fake-random")


def test_a_record_names_what_it_was_made_from(here):
    done = run(here, seeds="0", shots="3")
    (record,) = [record for record in done.records if record.cell.method == "fake-trained"]
    content = record.content
    assert content["marks"] == {"phantom": True, "quick": True, "part": "", "protocol": "quick", "base": "quick"}
    assert content["checkpoint"]["card"]["data"]["dataset"] == "fake-set"
    assert content["checkpoint"]["digest"] == record.cell.checkpoint
    assert content["training"] == {"steps": 3}
    assert content["provenance"]["versions"]["torch"]
    assert content["provenance"]["threads"] == record.cell.threads == 1
    assert content["command"] == (
        "eden-bench run --methods fake-trained --tasks fake-heart --seeds 0 --shots 3 --protocol quick --threads 1 "
        f"--out {here['out']}"
    )


def test_the_command_names_the_folders_that_were_named(here, tmp_path, monkeypatch):
    data = real_data(tmp_path)
    (record,) = run({**here, "data": data}, "fake-random", seeds="0").records
    assert record.content["command"].endswith(f"--threads 1 --data {data} --out {here['out']}")
    monkeypatch.setenv("EDEN_BENCH_DATA", str(data))
    monkeypatch.setenv("EDEN_BENCH_OUT", str(tmp_path / "other"))
    (record,) = run({**here, "out": None}, "fake-random", seeds="0").records
    assert record.content["command"].endswith("--threads 1")


def test_a_checkpoint_copied_from_another_machine_serves_without_its_data(here, monkeypatch, fakes):
    run(here)
    before = stored(here["out"])
    shutil.rmtree(here["out"] / "records")
    monkeypatch.setattr(fakes.FakeEngine, "open_data", lambda *a, **k: (_ for _ in ()).throw(DataMissing("gone")))
    assert run(here).exit_code == 0
    assert stored(here["out"]) == before


def test_a_replayed_record_is_identical(here):
    done = run(here, seeds="0,1", shots="3")
    inputs = Inputs(Settings(data=None, **here))
    for record in done.records:
        assert replay(record, inputs).identical


def test_a_replay_notices_another_result(here, fakes, monkeypatch):
    (record,) = run(here, "fake-random", seeds="0").records
    monkeypatch.setattr(fakes.seeds, "generator", lambda *address: np.random.default_rng(1))
    replayed = replay(record, Inputs(Settings(data=None, **here)))
    assert not replayed.identical
    assert not replayed.same_cases


def test_a_replay_refuses_other_data_threads_and_weights(here, tmp_path):
    record = run(here, "fake-trained", seeds="0").records[0]
    with pytest.raises(UsageError, match="the CPU with 1 threads"):
        replay(record, Inputs(Settings(data=None, **{**here, "threads": 2})))
    with pytest.raises(DataMissing, match="was made from data"):
        replay(record, Inputs(Settings(data=real_data(tmp_path), **here)))
    shutil.rmtree(here["out"] / "checkpoints")
    with pytest.raises(WeightsMissing, match="no checkpoint in"):
        replay(record, Inputs(Settings(data=None, **here)))


def test_only_the_weights_that_are_asked_for_are_used(here):
    (first,) = run(here, "fake-trained", seeds="0").records
    (other,) = run(here, "fake-trained", seeds="0", pretrain_seeds=1).records
    assert first.cell.checkpoint != other.cell.checkpoint
    assert first.id != other.id


def test_pretraining_alone_makes_the_checkpoint_that_a_run_uses(here, log):
    (made,) = api.pretrain("fake-random,fake-trained", data_name="fake-set", **here)
    assert (made.method, made.seed) == ("fake-trained", 0)
    run(here)
    assert sum("pretrain" in line for line in log()) == 1
    assert Path(made.checkpoint.folder).parent == here["out"] / "checkpoints"
