"""Workers on this machine: the same records as in this process, deaths survived, no orphan left."""

import json
import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

from eden_bench import preemption, records
from eden_bench.errors import Preempted, UsageError
from eden_bench.execution.launchers import devices
from eden_bench.execution.launchers.launcher import Launch
from tests.eden_bench.conftest import FAKES
from tests.eden_bench.execution.test_jobs import PROBES
from tests.eden_bench.execution.test_runner import run, stored
from tests.eden_bench.execution.test_runner_faults import ended, forked

TWO = Launch(launcher="devices", workers=2)
PLUGINS = [FAKES, PROBES]


@pytest.fixture
def log(tmp_path, monkeypatch):
    path = tmp_path / "log.txt"
    path.touch()
    monkeypatch.setenv("FAKE_LOG", str(path))
    return lambda: path.read_text().splitlines()


def asked(here, **more):
    given = {"methods": "fake-trained", "tasks": "fake-heart,fake-look,fake-probe", "plugins": PLUGINS}
    return run(here, **{**given, **more})


def facts(out):
    """What of the provenance does not follow from times and machines."""
    told = {record.id: dict(record.content["provenance"]) for record in records.load(out)}
    for each in told.values():
        for name in ("started", "seconds", "peak_memory_bytes"):
            del each[name]
    return told


def commands(out):
    return {record.id: record.content["command"].replace(str(out), "OUT") for record in records.load(out)}


def test_two_workers_that_die_leave_what_one_process_leaves(here, tmp_path, log, monkeypatch):
    """Seed 1 costs one worker its life and is tried again; seed 2 costs two, and fails; the rest is as ever."""
    local = asked(here)
    before, said, out = stored(here["out"]), [], tmp_path / "many"
    (tmp_path / "log.txt").write_text("")
    monkeypatch.setenv("FAKE_DIE", "1:1 2:9")
    done = asked({**here, "out": out}, launch=replace(TWO, retries=1), watch=Told(said))
    (failed,) = [slot for slot in done.slots if slot.state == "failed"]
    assert (failed.task, failed.seed, done.exit_code) == ("fake-heart", 2, 3)
    assert failed.problem.text == "its worker was killed by signal 9 (SIGKILL), 2 times"
    (lost,) = [slot.record.id for slot in local.slots if (slot.task, slot.seed) == ("fake-heart", 2)]
    kept = {name: content for name, content in before.items() if name != lost}
    assert stored(out) == kept
    for told in (facts, commands):
        assert told(out) == {name: each for name, each in told(here["out"]).items() if name in kept}
    assert log().count("fake-heart 1 None") == log().count("fake-heart 2 None") == 2
    assert sum("is tried again (1 of 1)" in line for line in said) == 2
    failure = json.loads(next((out / "failures").glob("*.json")).read_text())
    assert failure["command"].startswith("eden-bench run --methods fake-trained --tasks fake-heart --seeds 2")
    monkeypatch.delenv("FAKE_DIE")
    assert asked({**here, "out": out}, only_failed=True).exit_code == 0
    assert stored(out) == before


class Told:
    """A watch that keeps what it is told."""

    def __init__(self, lines):
        self.say = lines.append

    def cell(self, done, total, line):
        pass

    def progress(self, what, done, total):
        pass


def workers_of(process):
    """The worker processes whose parent is a process, by /proc."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == process and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


def is_there(process):
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are listed from /proc")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_no_worker_outlives_the_driver(here, log, monkeypatch, number, code):
    monkeypatch.setenv("FAKE_SLEEP_S", "60")
    driver = forked(lambda: run(here, "fake-random", plugins=[FAKES], launch=replace(TWO, workers=1)).exit_code)
    until = time.monotonic() + 60
    while len(log()) < 1 and time.monotonic() < until:
        time.sleep(0.05)
    workers = workers_of(driver)
    assert len(workers) == 1
    os.kill(driver, number)
    assert ended(driver) == code
    until = time.monotonic() + (10 if number == signal.SIGKILL else 0)
    while any(map(is_there, workers)) and time.monotonic() < until:
        time.sleep(0.02)
    assert not any(map(is_there, workers))
    assert stored(here["out"]) == {}


def test_a_worker_that_cannot_begin_says_why(here, tmp_path):
    (tmp_path / "odd.py").write_text("import os\nif 'OMP_NUM_THREADS' in os.environ and os.getsid(0) == os.getpid():\n"
                                     "    raise RuntimeError('not in a worker')\n")  # fmt: skip
    with pytest.raises(UsageError, match=r"worker on .*: --plugin .*odd.py: RuntimeError: not in a worker"):
        run(here, "fake-random", plugins=[FAKES, tmp_path / "odd.py"], launch=Launch(launcher="devices", workers=1))


def test_each_gpu_gets_its_workers_by_the_names_that_this_process_sees(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,GPU-5e")
    assert devices.visible_gpus(("cuda:1", "cuda:0"), 2) == ["GPU-5e", "GPU-5e", "3", "3"]
    assert devices.visible_gpus((), 1) == ["3", "GPU-5e"]
    with pytest.raises(UsageError, match="device cuda:2 is not on this machine, which has 2 CUDA devices"):
        devices.visible_gpus(("cuda:2",), 1)


def test_a_worker_that_pretrains_is_asked_to_save_before_it_is_ended_and_the_exit_says_requeue(here, log, monkeypatch):
    """The fake engine cannot save, so it is ended by the grace; the cell's worker is not waited for."""
    monkeypatch.setattr(preemption, "GRACE_S", devices._RESERVE_S + 0.5)
    monkeypatch.setenv("FAKE_SLEEP_S", "60")

    def work():
        try:
            with preemption.heeded():
                return run(here, "fake-trained", plugins=[FAKES], launch=replace(TWO, workers=1)).exit_code
        except Preempted as stop:
            return stop.exit_code

    driver = forked(work)
    until = time.monotonic() + 60
    while not log() and time.monotonic() < until:
        time.sleep(0.05)
    workers = workers_of(driver)
    started = time.monotonic()
    os.kill(driver, signal.SIGTERM)
    assert ended(driver) == 75
    assert 0.5 < time.monotonic() - started < 5
    assert not any(map(is_there, workers))
