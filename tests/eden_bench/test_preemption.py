"""SIGTERM and SIGUSR1: what is at a safe point stops, and nothing is left behind."""

import os
import signal
import threading
import time

import pytest

from eden_bench import preemption
from eden_bench.errors import Preempted
from eden_bench.files import atomic


@pytest.mark.parametrize("number", preemption.SIGNALS)
def test_a_signal_sets_a_flag_that_a_safe_point_sees(number, capfd):
    before = {each: signal.getsignal(each) for each in preemption.SIGNALS}
    with preemption.heeded():
        preemption.check()
        assert not preemption.requested()
        os.kill(os.getpid(), number)
        assert preemption.requested()
        assert preemption.GRACE_S - 5 < preemption.left_s() <= preemption.GRACE_S
        with pytest.raises(Preempted, match=f"{number.name} asked; requeue: the same command goes on"):
            preemption.check()
    assert capfd.readouterr().err == f"{number.name}: stopping at the next safe point; what has finished is stored\n"
    assert {each: signal.getsignal(each) for each in preemption.SIGNALS} == before
    preemption.check()


def test_the_first_signal_counts_and_is_said_once(capfd):
    with preemption.heeded():
        for number in (signal.SIGUSR1, signal.SIGTERM):
            os.kill(os.getpid(), number)
        with pytest.raises(Preempted, match="SIGUSR1"):
            preemption.check()
    assert capfd.readouterr().err.count("stopping") == 1


def test_the_grace_runs_out(monkeypatch):
    with preemption.heeded():
        os.kill(os.getpid(), signal.SIGTERM)
        now = time.monotonic()
        monkeypatch.setattr(time, "monotonic", lambda: now + 31)
        assert preemption.left_s() == 0


def test_no_failed_cell_is_made_of_it():
    assert not issubclass(Preempted, Exception)
    assert Preempted.exit_code == 75


def test_another_thread_handles_no_signal():
    before, seen = signal.getsignal(signal.SIGTERM), []

    def work():
        with preemption.heeded():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]


def test_a_fork_ends_as_before():
    with preemption.heeded():
        child = os.fork()
        if child == 0:
            time.sleep(30)
            os._exit(0)
        time.sleep(0.1)
        os.kill(child, signal.SIGTERM)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGTERM
        assert not preemption.requested()


def test_who_waits_for_a_lock_stops_too(tmp_path):
    with preemption.heeded(), atomic.locked(tmp_path / "lock"):
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM)).start()
        start = time.monotonic()
        with pytest.raises(Preempted), atomic.locked(tmp_path / "lock"):
            pass
        assert time.monotonic() - start < 5
