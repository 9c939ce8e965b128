"""Jobs: plain data there and back, one way to execute them; probes once a checkpoint; networks that are looked at."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from eden_bench import api, records, registry
from eden_bench.errors import DataMissing, UsageError
from eden_bench.execution import networks
from eden_bench.execution.execute import execute
from eden_bench.execution.inputs import Inputs
from eden_bench.execution.job import Job, job_of
from eden_bench.execution.replay import replay
from eden_bench.records import scores_in
from eden_bench.records.shape import Misshapen
from eden_bench.report.build import build
from eden_bench.report.outputs import text
from eden_bench.settings import Settings
from tests.eden_bench.report.made import as_report

PROBES = Path(__file__).parents[1] / "fake_probes.py"


@pytest.fixture
def probing(here, tmp_path, monkeypatch):
    """The settings, with the fake probes loaded and a log of what started."""
    registry.load_plugin_file(PROBES)
    monkeypatch.setenv("FAKE_LOG", str(tmp_path / "log.txt"))
    (tmp_path / "log.txt").touch()
    return here


def started(tmp_path):
    return (tmp_path / "log.txt").read_text().splitlines()


def run(here, methods, tasks, **more):
    return api.run(methods, tasks, **{"seeds": "0-2", **here, **more})


def test_a_job_survives_json_and_gives_the_same_record_elsewhere(here):
    done = run(here, "fake-trained", "fake-heart", seeds="0-1")
    job = done.slots[0].job(done.plan)
    again = Job.from_json(job.to_json())
    assert again == job
    (result,) = execute(again, Inputs(Settings(data=None, **here)))
    assert result.cell_id == done.slots[0].record.id
    assert result.files["cases.csv"] == done.slots[0].record.cases_bytes()


def test_a_pack_of_seeds_gives_what_each_gives_alone_and_a_failing_one_stops_no_other(here, monkeypatch):
    done = run(here, "fake-random", "fake-heart")
    pack = replace(done.slots[0].job(done.plan), seeds=(2, 0, 1))
    monkeypatch.setenv("FAKE_BREAK", "0")
    results = list(execute(pack, Inputs(Settings(data=None, **here))))
    assert [result.seed for result in results] == [2, 0, 1]
    by_seed = {slot.seed: slot.record for slot in done.slots}
    assert [result.problem and result.problem.text for result in results] == [None, "RuntimeError: planted fault", None]
    for result in (results[0], results[2]):
        assert result.cell_id == by_seed[result.seed].id
        assert scores_in(result.files) == by_seed[result.seed].scores


def test_what_no_seed_can_have_is_a_problem_of_each(here):
    done = run(here, "fake-random", "fake-heart", seeds="0")
    job = replace(done.slots[0].job(done.plan), weights="0" * 64, seeds=(0, 1))
    results = list(execute(job, Inputs(Settings(data=None, **here))))
    assert [(each.seed, each.problem.kind) for each in results] == [(0, "excused"), (1, "excused")]
    assert "the weights at hand are seeded, expected 000000000000" in results[0].problem.text


@pytest.mark.parametrize(
    ("entry", "value"), [("seeds", ["0"]), ("seeds", None), ("method", 3), ("shots", "3"), ("looks_at", {"method": 1})]
)
def test_a_job_with_an_odd_entry_is_refused_by_its_name(entry, value):
    import json

    good = json.loads(Job(method="adam", label="adam", config={}).to_json())
    with pytest.raises(Misshapen, match=rf"its {entry}"):
        Job.from_json(json.dumps({**good, entry: value}))


def test_a_probe_is_done_once_a_checkpoint_and_once_a_seed_where_weights_are_drawn(probing):
    done = run(probing, "fake-random,fake-trained", "fake-probe")
    assert [(slot.backbone.label, slot.seed) for slot in done.slots] == [
        ("fake-random", 0),
        ("fake-random", 1),
        ("fake-random", 2),
        ("fake-trained", 0),
    ]
    more = run(probing, "fake-trained", "fake-probe", seeds="5-9")
    assert [slot.state for slot in more.slots] == ["reused"]


def test_arrays_and_controls_are_stored_and_an_edit_is_seen(probing):
    (record,) = run(probing, "fake-trained", "fake-probe").records
    draws = record.arrays()["draws"]
    assert np.allclose(draws * 100, record.cases()["error_px"])
    assert record.controls == {"middle of the film": 50.0}
    assert replay(record, Inputs(Settings(data=None, **probing))).identical
    path = record.folder / "arrays.npz"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(records.RecordDamaged, match=r"arrays.npz is not the file that was written"):
        records.read(record.folder).arrays()


def test_a_score_in_pixels_is_reported_in_pixels_the_lowest_first(probing):
    done = run(probing, "fake-random,fake-trained", "fake-probe", pretrain_seeds="0-2")
    (table,) = build(done.records).tables
    means = [row.summary.mean for row in table.rows]
    assert means == sorted(means)
    assert len(table.rows) == 2
    shown = text.render(as_report(table))
    assert "score error_px, definition 1, in px, lower is better" in shown
    assert f"{means[0]:.1f}" in shown
    assert "Scores in px; " in shown


def test_a_network_is_looked_at_and_let_go(probing, tmp_path):
    done = run(probing, "fake-trained", "fake-look", seeds="0-1")
    assert sorted({slot.task for slot in done.slots}) == ["fake-look", "fake-net"]
    assert [slot.state for slot in done.slots] == ["ran"] * 4
    looked = [slot.record for slot in done.slots if slot.task == "fake-look"]
    nets = {slot.record.cell.seed: slot.record.id for slot in done.slots if slot.task == "fake-net"}
    assert [record.cell.protocol["network_of"] for record in looked] == [nets[0], nets[1]]
    assert len({record.value for record in looked}) == 2
    assert not list((probing["out"] / "networks").glob("*"))
    assert len(started(tmp_path)) == 5  # one pretraining, two fine-tunings, two looks


def test_a_network_that_was_not_kept_is_trained_anew_and_gives_the_same(probing, tmp_path):
    first = run(probing, "fake-trained", "fake-net,fake-look", seeds="0")
    other = {**probing, "out": tmp_path / "other"}
    run(other, "fake-trained", "fake-net", seeds="0")
    later = run(other, "fake-trained", "fake-look", seeds="0")
    values = [{slot.task: slot.record.value for slot in done.slots} for done in (first, later)]
    assert values[0] == values[1]
    record = next(slot.record for slot in later.slots if slot.task == "fake-look")
    assert replay(record, Inputs(Settings(data=None, **other))).identical


def test_each_network_is_looked_at_as_soon_as_it_is_trained(probing, tmp_path):
    run(probing, "fake-random,fake-trained", "fake-look", seeds="0-1")
    tasks = [line.split()[0] for line in started(tmp_path) if line.startswith(("fake-net", "fake-look"))]
    assert tasks == ["fake-net", "fake-look"] * 4


def test_what_looks_at_a_task_that_cannot_be_opened_is_given_no_bare_encoder(probing, tmp_path, monkeypatch):
    def fail(*_):
        raise DataMissing("its labels are gone")

    monkeypatch.setattr(type(registry.tasks.get("fake-net")), "open", fail_for("fake-net", fail))
    done = run(probing, "fake-random", "fake-look,fake-probe", seeds="0")
    looks = [slot for slot in done.slots if slot.task == "fake-look"]
    assert [(slot.state, slot.problem.text) for slot in looks] == [("missing", "its labels are gone")]
    assert not any(line.startswith("fake-look") for line in started(tmp_path))


def test_nothing_is_fine_tuned_for_a_look_that_cannot_be_opened(probing, tmp_path, monkeypatch):
    def fail(*_):
        raise DataMissing("no film has a box")

    monkeypatch.setattr(type(registry.tasks.get("fake-look")), "open", fail_for("fake-look", fail))
    with pytest.raises(DataMissing, match="no film has a box"):
        run(probing, "fake-random", "fake-look", seeds="0")
    assert started(tmp_path) == []
    done = run(probing, "fake-random", "fake-look,fake-net", seeds="0")  # unless it was asked for too
    assert {slot.task: slot.state for slot in done.slots} == {"fake-look": "missing", "fake-net": "ran"}


def fail_for(name, fail):
    """Return FakeTask.open, failing for one task."""
    own = type(registry.tasks.get(name)).open

    def open_or_fail(task, *arguments):
        return fail() if task.name == name else own(task, *arguments)

    return open_or_fail


def test_a_fine_tuning_that_failed_is_not_tried_again_by_what_looks_at_it(probing, tmp_path, monkeypatch):
    kind, tried = type(opened_net(probing)), []
    own = kind.run

    def fail_once(self, encoder, seed, shots=None):
        tried.append(seed)
        if len(tried) == 1:
            raise RuntimeError("planted fault")
        return own(self, encoder, seed, shots)

    monkeypatch.setattr(kind, "run", fail_once)
    done = run(probing, "fake-random", "fake-look", seeds="0")
    assert [slot.state for slot in done.slots] == ["failed", "failed"]
    assert "the fine-tuning whose network it looks at failed" in done.slots[1].problem.text
    assert tried == [0]
    again = run(probing, "fake-random", "fake-look", seeds="0")
    assert [slot.state for slot in again.slots] == ["ran", "ran"]


def opened_net(probing):
    task = registry.tasks.get("fake-net")
    return Inputs(Settings(data=None, **probing)).opened(task, task.protocol("quick")).open


def test_looks_at_networks_of_other_cells_share_a_table(probing):
    done = run(probing, "fake-trained", "fake-look", seeds="0-2")
    table = next(table for table in build(done.records).tables if table.task == "fake-look")
    assert table.rows[0].summary.n == 3


def test_a_look_whose_fine_tuning_is_gone_cannot_be_replayed_in_a_sentence(probing):
    done = run(probing, "fake-trained", "fake-look", seeds="0")
    looked, net = (next(s.record for s in done.slots if s.task == task) for task in ("fake-look", "fake-net"))
    records.supersede(probing["out"], net.id)
    with pytest.raises(DataMissing, match=r"looked at the network of cell .* has no record: run that fine-tuning"):
        replay(looked, Inputs(Settings(data=None, **probing)))


def test_a_kept_network_is_the_one_that_was_trained(probing):
    import torch

    network = torch.nn.Linear(3, 1)
    networks.put(probing["out"], "a", networks.encode(network, "x"))
    again = networks.load(networks.path_of(probing["out"], "a"), torch.nn.Linear(3, 1))
    assert all(one.equal(other) for one, other in zip(again.parameters(), network.parameters(), strict=True))


def test_a_record_of_other_numbers_is_refused_in_a_sentence(here):
    (record,) = run(here, "fake-random", "fake-heart", seeds="0").records
    old = records.Record(record.folder, {**record.content, "cell": {**record.content["cell"], "code": 3}})
    with pytest.raises(UsageError, match="computed by version 3 of the numbers, this is version 4"):
        replay(old, Inputs(Settings(data=None, **here)))


def test_the_job_of_a_record_is_the_job_that_made_it(here):
    done = run(here, "fake-trained", "fake-heart", seeds="1", pretrain_seeds=2)
    job = done.slots[0].job(done.plan)
    told = job_of(done.slots[0].record)
    for name in ("method", "label", "config", "weights", "folder", "pretrain_seed", "task", "shots", "seeds", "base"):
        assert getattr(told, name) == getattr(job, name), name
