"""Forked processes: results in order, what one cannot do is done here, and none outlives whoever listens."""

import os
import signal
import threading
import time

import pytest

from eden_bench import forking
from eden_bench.forking import each_of


def test_results_come_in_order_from_processes_that_are_not_this_one():
    found = list(each_of(range(7), lambda item: (item * item, os.getpid()), 3))
    assert [square for square, _ in found] == [item * item for item in range(7)]
    assert len({process for _, process in found} - {os.getpid()}) == 3


def test_without_processes_and_for_a_single_thing_the_same_comes_out():
    assert list(each_of([2, 3], lambda item: item + 1, 0)) == [3, 4]
    assert list(each_of([2], lambda item: item + 1, 4)) == [3]
    assert list(each_of([], lambda item: item + 1, 4)) == []


def test_what_a_killed_process_leaves_is_done_here():
    here = os.getpid()

    def work(item):
        if item == 3 and os.getpid() != here:
            os.kill(os.getpid(), signal.SIGKILL)
        return item, os.getpid() == here

    assert list(each_of(range(8), work, 2)) == [(item, item in (3, 5, 7)) for item in range(8)]


def test_what_fails_in_a_process_fails_here():
    with pytest.raises(ZeroDivisionError):
        list(each_of([1, 0, 2, 3], lambda item: 1 / item, 2))


def test_processes_end_when_nobody_listens_any_more():
    made = each_of([bytes(1 << 20)] * 40, lambda item: (os.getpid(), item), 2)
    process = next(made)[0]
    start = time.monotonic()
    made.close()
    assert time.monotonic() - start < 10
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


def test_none_are_forked_beside_a_thread_or_pytorch(monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda process: set(range(64)), raising=False)
    monkeypatch.setattr(forking.threading, "active_count", lambda: 1)
    for name in ("ray", "torch"):
        monkeypatch.delitem(forking.sys.modules, name, raising=False)
    monkeypatch.setattr(forking.sys, "platform", "linux")
    assert forking.processes() == 4
    monkeypatch.setitem(forking.sys.modules, "torch", threading)
    assert forking.processes() == 0
    assert forking.processes(beside_torch=True) == 4
    monkeypatch.setitem(forking.sys.modules, "ray", threading)
    assert forking.processes(beside_torch=True) == 0
    monkeypatch.delitem(forking.sys.modules, "ray")
    monkeypatch.delitem(forking.sys.modules, "torch")
    monkeypatch.setattr(forking.threading, "active_count", lambda: 2)
    assert forking.processes() == 0
