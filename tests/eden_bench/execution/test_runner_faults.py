"""Processes that are killed, interrupted or work side by side: nothing lost, nothing done twice, same bytes.

Children are forked, since torch takes seconds to import; each runs a whole ``eden_bench.run`` through the real store.
"""

import os
import random
import shutil
import signal
import time
from collections import Counter

import pytest

from eden_bench import api, records
from tests.eden_bench.execution.test_runner import run, stored

PLAN = {"methods": "fake-random,fake-trained", "tasks": "fake-heart,fake-lung", "seeds": "0-4", "shots": "3,full"}
CELLS = 40


def forked(work):
    """Start work in a child process and return its id; the child ends with what work returns as its exit code."""
    child = os.fork()
    if child == 0:
        code = 99
        try:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            code = work()
        except KeyboardInterrupt:
            code = 130
        finally:
            os._exit(code)
    return child


def ended(child):
    """Wait for a child; return its exit code, negative where a signal ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.fixture
def log(tmp_path, monkeypatch):
    path = tmp_path / "log.txt"
    path.touch()
    monkeypatch.setenv("FAKE_LOG", str(path))
    return lambda: path.read_text().splitlines()


@pytest.fixture
def whole(here, tmp_path):
    """What an uninterrupted run leaves, and how long it took."""
    started = time.monotonic()
    assert run({**here, "out": tmp_path / "whole"}, **PLAN).exit_code == 0
    return stored(tmp_path / "whole"), time.monotonic() - started


def left_aside(out):
    return list(out.rglob(".aside-*"))


@pytest.mark.trap(
    "crashes",
    "kill -9 of a run",
    "nothing stored is lost, repeated or changed; `python -m benchmarks.kills` does it a thousand times",
)
def test_twenty_four_kills_lose_nothing_repeat_nothing_stored_and_change_no_byte(here, whole, log):
    expected, seconds = whole
    draw = random.Random(0)
    kills, plans, done = 0, 1, {}
    while kills < 24:
        child = forked(lambda: run(here, **PLAN).exit_code)
        time.sleep(draw.uniform(0, seconds / 8))
        os.kill(child, signal.SIGKILL)
        kills += ended(child) == -signal.SIGKILL
        now = stored(here["out"])
        assert done.items() <= now.items()
        assert now.items() <= expected.items()
        done = now
        if now == expected:  # begin another plan in an empty folder
            shutil.rmtree(here["out"])
            plans, done = plans + 1, {}
    assert run(here, **PLAN).exit_code == 0
    assert stored(here["out"]) == expected
    assert left_aside(here["out"]) == []
    started = [line for line in log() if not line.startswith("pretrain")]
    assert len(started) <= plans * CELLS + kills  # at most one is cut short by each kill


def test_processes_side_by_side_share_the_work(here, whole, log, monkeypatch):
    expected, _ = whole
    before = len(log())
    monkeypatch.setenv("FAKE_SLEEP_S", "0.01")
    children = [forked(lambda: run(here, **PLAN).exit_code) for _ in range(4)]
    assert [ended(child) for child in children] == [0] * 4
    assert stored(here["out"]) == expected
    lines = log()[before:]
    assert sum(line.startswith("pretrain") for line in lines) == 1
    assert len(lines) == CELLS + 1


@pytest.mark.trap("crashes", "one of several processes stopped (SIGSTOP)", "neither robbed nor doubled")
def test_a_stopped_process_is_neither_robbed_nor_doubled(here, whole, log, monkeypatch):
    expected, _ = whole
    before = len(log())
    monkeypatch.setenv("FAKE_SLEEP_S", "0.02")
    first = forked(lambda: run(here, **PLAN).exit_code)
    while len(log()) < before + 3:
        time.sleep(0.005)
    os.kill(first, signal.SIGSTOP)
    second = forked(lambda: run(here, **PLAN).exit_code)
    while len(records.load(here["out"])) < CELLS // 2 - 1:
        time.sleep(0.02)
    os.kill(first, signal.SIGCONT)
    assert (ended(first), ended(second)) == (0, 0)
    assert stored(here["out"]) == expected
    assert len(log()[before:]) == CELLS + 1


def test_what_a_killed_process_held_is_free_at_once(here, log, monkeypatch):
    monkeypatch.setenv("FAKE_SLEEP_S", "60")
    child = forked(lambda: run(here, "fake-random", seeds="0").exit_code)
    while not log():
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    ended(child)
    monkeypatch.delenv("FAKE_SLEEP_S")
    started = time.monotonic()
    assert run(here, "fake-random", seeds="0").exit_code == 0
    assert time.monotonic() - started < 10


def test_a_failure_in_one_process_is_not_tried_again_by_the_other(here, log, monkeypatch):
    monkeypatch.setenv("FAKE_BREAK", "1")
    monkeypatch.setenv("FAKE_SLEEP_S", "0.05")
    children = [forked(lambda: run(here, "fake-random").exit_code) for _ in range(2)]
    assert [ended(child) for child in children] == [3, 3]
    assert Counter(log()) == {f"fake-heart {seed} None": 1 for seed in range(3)}


def test_ctrl_c_keeps_what_had_finished(here, whole, log, monkeypatch):
    expected, _ = whole
    before = len(log())
    monkeypatch.setenv("FAKE_SLEEP_S", "0.05")
    child = forked(lambda: run(here, **PLAN).exit_code)
    while len(log()) < before + 5:
        time.sleep(0.005)
    os.kill(child, signal.SIGINT)
    assert ended(child) == 130
    kept = stored(here["out"])
    assert 0 < len(kept) < CELLS
    assert left_aside(here["out"]) == []
    assert run(here, **PLAN).plan.count("reused") == len(kept)
    assert stored(here["out"]) == expected


def test_a_plan_that_is_read_while_another_runs_finds_what_came_meanwhile(here, log, monkeypatch):
    monkeypatch.setenv("FAKE_SLEEP_S", "0.05")
    child = forked(lambda: run(here, "fake-random", seeds="0-9").exit_code)
    while len(log()) < 2:
        time.sleep(0.005)
    mine = run(here, "fake-random", seeds="0-9")
    assert ended(child) == 0
    assert mine.plan.count("reused") + mine.plan.count("ran") == 10
    assert len(log()) == 10
    assert len(api.results(here["out"])) == 10
