"""Trackers: they get what is stored, are off unless asked for, and lose nothing where they fail."""

import json
import subprocess
import sys

import pytest

import eden_bench
from eden_bench import records
from eden_bench.errors import PluginError, UsageError
from eden_bench.trackers import Trackers, tracked_cell, tracked_pretraining
from tests.eden_bench.stored import store

SENT = []


def collect(tracked):
    """A tracker."""
    SENT.append(tracked)


def broken(tracked):
    """A tracker whose server is down."""
    SENT.append(tracked)
    raise ConnectionError("no server")


NOT_CALLABLE = 3
HERE = "tests.eden_bench.test_trackers"


@pytest.fixture(autouse=True)
def nothing_sent():
    SENT.clear()


def with_curve(out):
    """Return a record whose training section has a validation curve, and other lists that are none."""
    record = store(out, "adam", 0.8, 3, shots=6)
    path = record.folder / "record.json"
    content = json.loads(path.read_text())
    content["training"] |= {"validation_curve": [[20, 0.9], [40, 0.7]], "empty": [], "names": ["a", "b"], "box": [[1]]}
    path.write_text(records.store.to_json(records.seal(content)))
    return records.read(record.folder)


def test_a_cell_is_its_scores_curves_and_facts(tmp_path):
    record = with_curve(tmp_path)
    found = tracked_cell(record)
    assert found.name == "scr-heart/6-shots/adam/seed-3"
    assert found.out == tmp_path
    assert found.scores == {"dice": 0.8}
    assert found.curves == {"validation_curve": [(20, 0.9), (40, 0.7)]}
    told = {name: found.facts[name] for name in ("id", "method", "task", "shots", "seed", "phantom", "threads")}
    assert told == {
        **{"id": record.id, "method": "adam", "task": "scr-heart"},
        **{"shots": 6, "seed": 3, "phantom": True, "threads": 2},
    }
    assert "value" not in found.facts


def test_a_pretraining_is_its_history_by_epoch(tmp_path):
    folder = tmp_path / "checkpoints" / "adam-1"
    folder.mkdir(parents=True)
    lines = [{"stage": "n0", "epoch": 0, "loss": 4.0}, {"stage": "n2", "epoch": 0, "loss": 3.0, "kept": 0.5}]
    (folder / "history.jsonl").write_text("\n".join(map(json.dumps, lines)))
    found = tracked_pretraining(folder, "adam", 2)
    assert (found.name, found.out, found.scores) == ("pretraining/adam/seed-2", tmp_path, {})
    assert found.curves == {"epoch": [(0, 0), (1, 0)], "loss": [(0, 4.0), (1, 3.0)], "kept": [(1, 0.5)]}
    assert tracked_pretraining(tmp_path / "checkpoints" / "none", "adam", 0).curves == {}


def test_a_tracker_that_fails_is_warned_of_once_and_the_others_go_on(tmp_path):
    said = []
    trackers = Trackers.named(f"{HERE}:broken, {HERE}:collect", said.append)
    for seed in range(3):
        trackers.cell(store(tmp_path, "adam", 0.8, seed))
    assert len(SENT) == 1 + 3
    assert len(said) == 1
    assert f"tracker {HERE}:broken failed at scr-heart/full/adam/seed-0 (ConnectionError: no server)" in said[0]


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("tensorbord", UsageError, "unknown tracker 'tensorbord'. Did you mean 'tensorboard'?"),
        ("no_such_module:send", PluginError, "--track no_such_module:send cannot be loaded: ModuleNotFoundError"),
        (f"{HERE}:nothing", PluginError, "cannot be loaded: AttributeError"),
        (f"{HERE}:NOT_CALLABLE", UsageError, "is a int, expected a function"),
    ],
)
def test_a_tracker_that_is_none_is_refused_before_anything_runs(name, error, words):
    with pytest.raises(error) as raised:
        Trackers.named(name)
    assert words in str(raised.value)


def test_nothing_is_imported_while_off():
    code = (
        "import sys; from eden_bench.trackers import Trackers; Trackers.named(None); Trackers.named('');"
        "print([name for name in sys.modules if name.partition('.')[0] in ('torch', 'tensorboard', 'mlflow', 'wandb')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def run(tiny_protocol, tiny_data, tmp_path, **more):
    return eden_bench.run(
        ["random"],
        ["scr-heart"],
        seeds=[0, 1],
        protocol=str(tiny_protocol),
        data=tiny_data,
        out=tmp_path / "out",
        cache=tiny_data.parent / "cache",
        **more,
    )


def test_a_run_sends_each_cell_once_and_only_those_it_computed(tiny_protocol, tiny_data, tmp_path):
    done = run(tiny_protocol, tiny_data, tmp_path, track=f"{HERE}:collect")
    assert [each.facts["id"] for each in SENT] == [record.id for record in done.records]
    assert all(each.curves["validation_curve"] for each in SENT)
    run(tiny_protocol, tiny_data, tmp_path, track=f"{HERE}:collect")
    assert len(SENT) == 2


def test_a_run_with_a_broken_tracker_stores_everything(tiny_protocol, tiny_data, tmp_path):
    done = run(tiny_protocol, tiny_data, tmp_path, track=f"{HERE}:broken")
    assert done.exit_code == 0
    assert len(SENT) == 1
    assert len(records.load(tmp_path / "out", warn=pytest.fail)) == 2


def test_tensorboard_gets_scores_and_curves(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    Trackers.named("tensorboard", pytest.fail).cell(with_curve(tmp_path))
    events = EventAccumulator(str(tmp_path / "tensorboard/scr-heart/6-shots/adam/seed-3"))
    events.Reload()
    assert [(e.step, round(e.value, 6)) for e in events.Scalars("validation_curve")] == [(20, 0.9), (40, 0.7)]
    assert [round(e.value, 6) for e in events.Scalars("score/dice")] == [0.8]


def test_tensorboard_without_its_package_is_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(PluginError, match="--track tensorboard cannot be loaded: ModuleNotFoundError"):
        Trackers.named("tensorboard")
