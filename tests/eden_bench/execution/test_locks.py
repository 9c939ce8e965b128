"""What killed processes left in OUT is removed by the next one that is alone there, and by no other."""

import os
import signal

import pytest

from eden_bench import records
from eden_bench.execution import locks, networks
from eden_bench.files import atomic
from eden_bench.records.overview import INDEX
from eden_bench.weights.checkpoints import CARD, STATE
from tests.eden_bench.execution.test_jobs import probing, run  # noqa: F401 - a fixture
from tests.eden_bench.execution.test_runner import stored
from tests.eden_bench.execution.test_runner_faults import ended, forked, left_aside

WRITTEN = {
    "a record": lambda out: atomic.folder(records.store.folder_of(out, "a")),
    "a failure": lambda out: atomic.aside(out / "failures" / "a.json"),
    "a network": lambda out: atomic.aside(networks.path_of(out, "a")),
    "a checkpoint": lambda out: atomic.aside(out / "checkpoints" / "a" / "encoder.safetensors"),
    "the index": lambda out: atomic.aside(out / INDEX),
    "a report": lambda out: atomic.aside(out / "report" / "report.html"),
    "a figure": lambda out: atomic.aside(out / "report" / "figures" / "forest.pdf"),
    "an audit": lambda out: atomic.aside(out / "audit" / "scr.json"),
}


def killed_within(writing):
    """Begin to write in a process that is killed then."""

    def work():
        with writing as temporary:
            (temporary / "record.json" if temporary.is_dir() else temporary).write_text("half")
            os.kill(os.getpid(), signal.SIGKILL)

    assert ended(forked(work)) == -signal.SIGKILL


@pytest.mark.trap("crashes", "what a kill leaves half written", "removed by the next run that is alone in the folder")
@pytest.mark.parametrize("what", WRITTEN)
def test_what_a_kill_left_aside_is_swept_by_the_next_run(tmp_path, what):
    killed_within(WRITTEN[what](tmp_path))
    assert len(left_aside(tmp_path)) == 1
    with locks.presence(tmp_path):
        assert left_aside(tmp_path) == []


@pytest.mark.parametrize("held", [locks.presence, locks.writing])
def test_nothing_is_swept_while_a_run_or_another_command_writes_there(tmp_path, held):
    with locks.presence(tmp_path):
        pass
    with held(tmp_path):
        killed_within(WRITTEN["a report"](tmp_path))
        with locks.presence(tmp_path):
            assert len(left_aside(tmp_path)) == 1


def test_a_folder_that_is_not_ours_is_left_alone(tmp_path):
    """OUT may be a folder in which another one, the cache, is written by whoever shares that."""
    killed_within(atomic.aside(tmp_path / "cache" / "pixels.npy"))
    with locks.presence(tmp_path):
        assert len(left_aside(tmp_path)) == 1


def test_a_state_beside_a_finished_checkpoint_is_swept_and_one_without_goes_on(tmp_path):
    for name in ("finished", "halfway"):
        atomic.write_text(tmp_path / "checkpoints" / name / STATE, "state")
    atomic.write_text(tmp_path / "checkpoints" / "finished" / CARD, "{}")
    with locks.presence(tmp_path):
        assert [path.parent.name for path in tmp_path.rglob(STATE)] == ["halfway"]


def test_a_network_whose_look_is_stored_is_let_go_by_the_next_run(probing, tmp_path, monkeypatch):  # noqa: F811
    """The driver was killed between storing the look and deleting the network."""

    def look():
        return run(probing, "fake-trained", "fake-net,fake-look", seeds="0")

    with monkeypatch.context() as patched:
        patched.setattr(networks, "discard", lambda out, cell_id: os.kill(os.getpid(), signal.SIGKILL))
        assert ended(forked(lambda: look().exit_code)) == -signal.SIGKILL
    before = stored(probing["out"])
    assert (len(before), len(networks.names(probing["out"]))) == (2, 1)
    assert look().exit_code == 0
    assert (stored(probing["out"]), networks.names(probing["out"])) == (before, set())
