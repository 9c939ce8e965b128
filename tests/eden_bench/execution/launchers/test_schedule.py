"""Several jobs at once, in any order of their ends: the same records, each network before what looks at it."""

import random

import pytest

from eden_bench import api, registry
from eden_bench.execution import runner
from eden_bench.execution.launchers.launcher import Launch
from eden_bench.execution.launchers.worker import computed
from tests.eden_bench.execution.test_jobs import PROBES
from tests.eden_bench.execution.test_runner import run, stored

PLAN = {"methods": "fake-random,fake-trained", "tasks": "fake-heart,fake-lung", "seeds": "0-4", "shots": "3,full"}


class Shuffled:
    """Several workers in this process, one of which, drawn, gives the next result."""

    workers = 3

    def __init__(self, inputs, seed):
        self.jobs, self.tickets, self.draw, self.inputs = [], [], random.Random(seed), inputs
        self.open = {}

    @property
    def free(self):
        return len(self.open) < self.workers + 1

    def start(self, ticket, job):
        self.jobs.append(job)
        self.open[ticket] = [len(job.seeds) or 1, computed(job, self.inputs)]

    def wait(self):
        ticket = self.draw.choice(sorted(self.open))
        work = self.open[ticket]
        result = next(work[1])
        work[0] -= 1
        if not work[0]:
            del self.open[ticket]
        return ticket, result

    def close(self):
        self.open.clear()


@pytest.fixture
def shuffled(monkeypatch):
    """A function that makes runs use such workers, and returns the launchers made since."""

    def use(seed):
        made = []

        def make(launch, inputs, **more):
            made.append(Shuffled(inputs, seed))
            return made[-1]

        monkeypatch.setattr(runner, "make_launcher", make)
        return made

    return use


@pytest.mark.parametrize(("seed", "pack"), [(0, 1), (1, 1), (2, 3), (3, 10)])
def test_any_order_and_any_packs_give_the_same_records(here, tmp_path, shuffled, seed, pack):
    run(here, **PLAN)
    made = shuffled(seed)
    done = run({**here, "out": tmp_path / "many"}, **PLAN, launch=Launch(pack=pack))
    assert {slot.state for slot in done.slots} == {"ran"}
    assert stored(tmp_path / "many") == stored(here["out"])
    assert max(len(job.seeds) for job in made[0].jobs) == min(pack, 5)
    assert not list((tmp_path / "many" / "locks").glob("driver-*"))


@pytest.mark.parametrize("pack", [1, 3])
def test_a_network_is_trained_once_and_before_the_look_at_it(here, tmp_path, shuffled, monkeypatch, pack):
    registry.load_plugin_file(PROBES)
    monkeypatch.setenv("FAKE_LOG", str(tmp_path / "log.txt"))
    ask = {"methods": "fake-random,fake-trained", "tasks": "fake-look", "seeds": "0-3"}
    run(here, **ask)
    (tmp_path / "log.txt").unlink()
    shuffled(0)
    done = run({**here, "out": tmp_path / "many"}, **ask, launch=Launch(pack=pack))
    assert {slot.state for slot in done.slots} == {"ran"}
    assert stored(tmp_path / "many") == stored(here["out"])
    lines = (tmp_path / "log.txt").read_text().splitlines()
    assert sum(line.startswith("fake-net") for line in lines) == 8  # none is trained again to be looked at
    assert not list((tmp_path / "many" / "networks").glob("*"))


def test_pretrainings_go_first_and_leave_a_worker_to_the_cells(here, shuffled):
    made = shuffled(0)
    run(here, **{**PLAN, "pretrain_seeds": "0-3"})
    kinds = ["pretraining" if not job.task else "cell" for job in made[0].jobs]
    assert kinds[:4] == ["pretraining", "pretraining", "cell", "cell"]


def test_a_backbone_that_fails_fails_its_looks_too_and_nothing_waits_for_ever(here, shuffled, monkeypatch):
    registry.load_plugin_file(PROBES)
    monkeypatch.setenv("FAKE_LOG", str(here["out"].parent / "log.txt"))
    monkeypatch.setenv("FAKE_BREAK", "fake-trained")
    shuffled(0)
    done = run(here, "fake-trained,fake-random", "fake-look", seeds="0")
    assert sorted(slot.state for slot in done.slots) == ["failed", "failed", "ran", "ran"]


def test_the_first_failure_stops_what_other_workers_compute(here, shuffled, monkeypatch):
    monkeypatch.setenv("FAKE_BREAK", "1")
    shuffled(0)
    done = run(here, "fake-random", seeds="0-30", on_error="stop")
    assert done.plan.count("failed") == 1
    assert done.plan.count("pending") > 10
    assert done.exit_code == 3
    assert api.results(here["out"]).shape[0] == done.plan.count("ran")


def test_a_worker_with_other_data_stores_nothing(here, shuffled, monkeypatch):
    from dataclasses import replace

    made, own = shuffled(0), Shuffled.wait

    def wait(self):
        ticket, result = own(self)
        return ticket, replace(result, cell_id="f" * 64) if result.cell_id else result

    monkeypatch.setattr(Shuffled, "wait", wait)
    done = run(here, "fake-random", seeds="0")
    assert "its worker computed cell ffffffffffff, expected" in done.slots[0].problem.text
    assert stored(here["out"]) == {}
    assert made


def test_seeds_that_are_trained_at_once_are_one_job_by_themselves(here, shuffled, monkeypatch):
    monkeypatch.setenv("EDEN_BENCH_AT_ONCE", "3")
    made = shuffled(0)
    run(here, "fake-random", seeds="0-6")
    assert sorted(len(job.seeds) for job in made[0].jobs) == [1, 3, 3]
