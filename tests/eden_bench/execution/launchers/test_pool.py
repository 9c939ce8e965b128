"""The pool: whoever is free takes the next job, a lost worker's cells are tried again a bounded number of times."""

from collections import deque
from dataclasses import replace

import pytest

from eden_bench.errors import CellsFailed, DataMissing, EdenError, StoreFailed, UsageError
from eden_bench.execution.backbones import Problem
from eden_bench.execution.execute import Result
from eden_bench.execution.job import Job
from eden_bench.execution.launchers.devices import cause_of
from eden_bench.execution.launchers.launcher import Launch
from eden_bench.execution.launchers.pool import Lost, Pool
from eden_bench.execution.launchers.worker import Begun, Hello, Unstorable, portable

JOB = Job(method="adam", label="adam", config={}, task="scr-heart", seeds=(0,))
HELLO, BEGUN = Hello(host="here", process=1, device="cpu"), Begun()


class Crew:
    """Workers whose every word the test says."""

    def __init__(self, size=2):
        self.size, self.sent, self.said, self.closed = size, [], deque(), False

    def send(self, worker, job):
        self.sent.append((worker, job.seeds))

    def event(self):
        return self.said.popleft()

    def close(self):
        self.closed = True


def pool(*said, size=2, retries=2):
    crew, lines = Crew(size), []
    crew.said += said
    return Pool(crew, retries=retries, say=lines.append), crew, lines


def test_a_job_goes_to_whoever_is_free_and_the_next_waits_for_the_first_that_is():
    made, crew, _ = pool((1, HELLO), (0, HELLO), (0, Result(1)), (0, Result(2)), (1, Result(0)))
    for ticket in range(3):
        assert made.free
        made.start(ticket, JOB.of_seeds([ticket]))
    assert not made.free
    assert [made.wait() for _ in range(3)] == [(1, Result(1)), (2, Result(2)), (0, Result(0))]
    assert crew.sent == [(1, (0,)), (0, (1,)), (0, (2,))]


def test_a_pack_is_one_job_and_ends_with_its_last_seed():
    made, crew, _ = pool((0, HELLO), (0, Result(4)), (0, Result(5)), (0, Result(0)), size=1)
    made.start(7, JOB.of_seeds([4, 5]))
    made.start(8, JOB)
    assert [made.wait()[0] for _ in range(3)] == [7, 7, 8]
    assert crew.sent == [(0, (4, 5)), (0, (0,))]


def test_what_a_lost_worker_had_is_tried_again_seed_by_seed():
    lost = Lost("was killed by signal 9 (SIGKILL)")
    made, crew, lines = pool(
        (0, HELLO), (0, BEGUN), (0, Result(0)), (0, lost), (0, HELLO), (0, Result(1)), (0, Result(2)), size=1
    )
    made.start(7, JOB.of_seeds([0, 1, 2]))
    assert [made.wait() for _ in range(3)] == [(7, Result(0)), (7, Result(1)), (7, Result(2))]
    assert crew.sent == [(0, (0, 1, 2)), (0, (1,)), (0, (2,))]
    assert sorted(lines) == [
        f"a worker was killed by signal 9 (SIGKILL): adam · scr-heart · full · seed {seed} is tried again (1 of 2)"
        for seed in (1, 2)
    ]


def test_a_cell_that_costs_every_worker_its_life_fails_with_the_cause_and_others_go_on():
    lost = Lost("was killed by signal 11 (SIGSEGV)")
    made, crew, _ = pool(*[(0, HELLO), (0, BEGUN), (0, lost)] * 3, (0, HELLO), (0, Result(1)), size=1)
    made.start(0, JOB)
    made.start(1, JOB.of_seeds([1]))
    ticket, result = made.wait()
    assert (ticket, result.seed, result.problem.kind) == (0, 0, "failed")
    assert result.problem.text == "its worker was killed by signal 11 (SIGSEGV), 3 times"
    assert made.wait() == (1, Result(1))
    assert len(crew.sent) == 4


def test_no_retries_is_one_try():
    made, crew, _ = pool((0, HELLO), (0, BEGUN), (0, Lost("ended with exit code 1")), size=1, retries=0)
    made.start(0, JOB)
    assert made.wait()[1].problem.text == "its worker ended with exit code 1"
    assert len(crew.sent) == 1


def test_a_worker_taken_before_it_began_does_not_count_against_the_cell():
    taken, died = [(0, HELLO), (0, Lost("was taken"))], [(0, HELLO), (0, BEGUN), (0, Lost("died"))]
    made, crew, lines = pool(*taken * 5, *died, *taken * 5, *died, *taken * 5, *died, size=1)
    made.start(0, JOB)
    assert made.wait()[1].problem.text.startswith("its worker died")
    assert len(crew.sent) == 18
    assert lines[4:7] == [
        "a worker was taken: adam · scr-heart · full · seed 0 is tried by another; it had not begun",
        "a worker died: adam · scr-heart · full · seed 0 is tried again (1 of 2)",
        lines[0],
    ]


def test_a_cell_whose_workers_never_say_that_they_began_fails_in_the_end():
    made, _, _ = pool(*[(0, HELLO), (0, Lost("died"))] * 99, size=1)
    made.start(0, JOB)
    assert made.wait()[1].problem.text == "its worker died, 21 times"


def test_a_pretraining_is_tried_again_and_fails_as_a_whole():
    made, _, lines = pool(*[(0, HELLO), (0, BEGUN), (0, Lost("was killed"))] * 2, size=1, retries=1)
    made.start(0, replace(JOB, task="", seeds=()))
    assert made.wait()[1].seed is None
    assert lines == ["a worker was killed: pretraining adam is tried again (1 of 1)"]


def test_an_idle_worker_that_is_lost_gets_nothing_more():
    made, crew, _ = pool((0, HELLO), (1, HELLO), (1, Lost("died")), (0, Result(0)))
    made.start(0, JOB.of_seeds([0]))
    made.wait()
    made.start(1, JOB.of_seeds([1]))
    assert crew.sent == [(0, (0,)), (0, (1,))]


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (Unstorable("no room"), StoreFailed),
        (replace(HELLO, error=DataMissing("no room")), DataMissing),
        (replace(HELLO, error=UsageError("no room")), UsageError),
    ],
)
def test_what_no_other_worker_would_survive_ends_the_run(said, kind):
    made, _, _ = pool((0, HELLO), (0, said))
    made.start(0, JOB)
    with pytest.raises(kind, match="no room"):
        made.wait()


def test_a_machine_without_the_cache_is_told_of_once():
    lonely = replace(HELLO, has_cache=False)
    made, _, lines = pool((0, lonely), (1, lonely), (0, Result(0)))
    made.start(0, JOB)
    made.wait()
    assert lines == ["here does not see the cache: its first worker decodes the images there"]


def test_the_cause_of_an_end_names_the_signal_and_the_want_of_memory():
    assert cause_of(-9, out_of_memory=False) == "was killed by signal 9 (SIGKILL)"
    assert cause_of(-9, out_of_memory=True).endswith(", as the machine ran out of memory")
    assert cause_of(-11, out_of_memory=True) == "was killed by signal 11 (SIGSEGV)"


def test_an_error_class_of_a_plugin_reaches_the_driver_as_one_of_ours():
    class Theirs(DataMissing):
        pass

    found = portable(Result(0, problem=Problem.of(Theirs("gone"))))
    assert (found.problem.error, found.problem.text) == (DataMissing, "gone")
    assert portable(Result(0, problem=Problem.of(RuntimeError("x")))).problem.error is CellsFailed
    assert issubclass(DataMissing, EdenError)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"launcher": "slurm"}, "--launcher slurm: expected local, devices, ray"),
        ({"launcher": "ray", "workers": 0}, "--workers is 0, expected at least 1"),
        ({"pack": 0}, "--pack is 0, expected at least 1"),
        ({"retries": -1}, "--retries is -1, expected at least 0"),
        ({"workers": 2}, "--workers, --per-gpu and several devices need --launcher"),
        ({"launcher": "devices", "ray_address": "a:1"}, "--ray-address needs --launcher ray"),
        (
            {"launcher": "ray", "ray_address": "local"},
            "--ray-address local: expected HOST:PORT of the cluster's head, or auto",
        ),
        (
            {"launcher": "ray", "ray_address": "head"},
            "--ray-address head: expected HOST:PORT of the cluster's head, or auto",
        ),
        (
            {"launcher": "ray", "ray_address": "ray://head:10001"},
            "--ray-address ray://head:10001: expected HOST:PORT of the cluster's head, not Ray Client's",
        ),
    ],
)
def test_a_launch_that_means_nothing_is_one_sentence(wrong, said):
    with pytest.raises(UsageError, match=said):
        Launch(**wrong)
