"""Ray actors as workers, on a cluster of our own: the same records, a death survived, nothing left running."""

import os
import platform
import signal
import socket
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from eden_bench import preemption
from eden_bench.errors import Preempted, UsageError
from eden_bench.execution.launchers import ray_cluster, ray_folder
from eden_bench.execution.launchers.launcher import Launch
from eden_bench.execution.launchers.pool import Lost
from eden_bench.execution.launchers.worker import Hello
from tests.eden_bench.conftest import FAKES
from tests.eden_bench.execution.launchers.test_devices import Told, commands, facts
from tests.eden_bench.execution.test_jobs import PROBES
from tests.eden_bench.execution.test_runner import run, stored
from tests.eden_bench.execution.test_runner_faults import ended, forked


def test_without_ray_the_launcher_says_how_to_get_it(monkeypatch):
    def absent(name):
        raise ray_cluster.PackageNotFoundError(name)

    monkeypatch.setattr(ray_cluster, "version", absent)
    with pytest.raises(UsageError, match=r"--launcher ray needs Ray: pip install 'eden-bench\[ray\]'"):
        ray_cluster._library()
    monkeypatch.setattr(ray_cluster, "version", lambda name: "2.55.1")
    with pytest.raises(UsageError, match=r"Ray 2.55.1 is installed, expected 2.56 or later"):
        ray_cluster._library()


def test_two_actors_one_of_which_dies_leave_what_one_process_leaves(here, tmp_path, monkeypatch, capfd):
    """In a process of its own: Ray starts threads, and this one is to stay as it is."""
    pytest.importorskip("ray")
    ask = {"methods": "fake-trained", "tasks": "fake-heart,fake-look,fake-probe", "plugins": [FAKES, PROBES]}
    monkeypatch.setenv("FAKE_LOG", str(tmp_path / "log.txt"))
    run(here, **ask)
    (tmp_path / "log.txt").write_text("")
    monkeypatch.setenv("FAKE_DIE", "1:1")
    monkeypatch.setenv("RAY_ADDRESS", "192.0.2.1:6379")  # another's, which is not to be joined
    out, said, folder = tmp_path / "many", tmp_path / "said.txt", Path(tempfile.mkdtemp(dir="/tmp"))
    monkeypatch.setattr(ray_folder, "_short", lambda: folder)

    def work():
        lines = []
        done = run({**here, "out": out}, **ask, launch=Launch(launcher="ray", workers=2), watch=Told(lines))
        said.write_text("\n".join(lines))
        return done.exit_code

    assert ended(forked(work)) == 0
    assert stored(out) == stored(here["out"])
    assert (facts(out), commands(out)) == (facts(here["out"]), commands(here["out"]))
    assert (tmp_path / "log.txt").read_text().splitlines().count("fake-heart 1 None") == 2
    assert "seed 1 is tried again (1 of 2)" in said.read_text()
    folder.rmdir()  # empty: its cluster has ended and cleared up
    assert "raylet" not in capfd.readouterr().out  # of the death, which would spoil --json


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(ray_cluster, "_REACH_S", 0.2)
    monkeypatch.setattr(ray_cluster, "_LOOK_S", 0.05)


def test_an_address_where_nothing_answers_is_told_soon(impatient):
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = "{}:{}".format(*server.getsockname())
        assert ray_cluster.reached(address) == address
    with pytest.raises(UsageError, match=rf"--ray-address {address}: nothing answers there \(.*refused\)"):
        ray_cluster.reached(address)
    with pytest.raises(UsageError, match=r"--ray-address \[::1\]:99999: nothing answers there"):
        ray_cluster.reached("[::1]:99999")


def test_waiting_for_an_address_ends_when_the_system_asks():
    with preemption.heeded():
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Preempted):
            ray_cluster.reached("127.0.0.1:1")


def test_the_cluster_of_this_machine_is_found_as_ray_finds_it(impatient, monkeypatch):
    """In a process of its own, as above."""
    pytest.importorskip("ray")

    def work():
        from ray._private import services

        with socket.create_server(("", 0)) as server:
            monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{server.getsockname()[1]}")
            assert ray_cluster.reached("auto").endswith(f":{server.getsockname()[1]}")
        with pytest.raises(UsageError, match=r"--ray-address auto, which is .*: nothing answers there"):
            ray_cluster.reached("auto")
        monkeypatch.delenv("RAY_ADDRESS")
        monkeypatch.setattr(services, "find_gcs_addresses", frozenset)
        monkeypatch.setattr(services, "find_bootstrap_address", lambda folder: None)
        with pytest.raises(UsageError, match="--ray-address auto: no Ray cluster runs on this machine"):
            ray_cluster.reached("auto")
        return 0

    assert ended(forked(work)) == 0


def test_a_signal_that_ray_takes_while_it_starts_is_ours():
    """Ray's handler of SIGTERM raises SystemExit."""

    def starts():
        with ray_cluster._own_signals():
            signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(number))
            os.kill(os.getpid(), signal.SIGTERM)

    with preemption.heeded():
        with pytest.raises(Preempted):
            starts()
        assert preemption.requested()
    with pytest.raises(SystemExit), ray_cluster._own_signals():
        sys.exit(1)


class RayError(Exception):
    pass


class FakeRay:
    """What ``Actors`` needs of Ray, its calls answered by the test."""

    exceptions = SimpleNamespace(RayError=RayError)

    def __init__(self, answers):
        self.answers, self.killed = answers, []

    def wait(self, calls, **more):
        return calls[:1], calls[1:]

    def get(self, call):
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def kill(self, actor):
        self.killed.append(actor)


class FakeActor:
    """One that answers by the answers of its Ray."""

    def __init__(self):
        self.begin = SimpleNamespace(remote=object)
        self.answers = SimpleNamespace(options=lambda **more: SimpleNamespace(remote=lambda text: iter(range(9))))


def crew(*answers, size=1):
    made = object.__new__(ray_cluster.Actors)
    made._ray, made._failed_starts, made._actors, made._calls = FakeRay(list(answers)), 0, [None] * size, {}
    made._make, made._ooms, made.size = FakeActor, {}, size
    for number in range(size):
        made._begin(number)
    return made


HELLO = Hello(host=platform.node(), process=1, device="cpu")


def test_an_actor_that_dies_as_it_starts_is_replaced_and_ends_the_run_only_if_all_do():
    died = RayError("gone")
    made = crew(*[died] * 5, HELLO, *[died] * 5, HELLO, size=2)
    assert [made.event()[1] for _ in range(2)] == [HELLO, HELLO]
    assert len(made._ray.killed) == 10
    with pytest.raises(ray_cluster.EdenError, match="workers die as they start, 6 times in a row: the last one died"):
        crew(*[died] * 6, size=2).event()


def test_a_death_is_heard_once_whatever_else_was_asked_of_the_dead():
    """The end of a job's answers may not have been read as its worker gets the next one."""
    made = crew(HELLO, RayError("gone"), HELLO)
    assert made.event() == (0, HELLO)
    for _ in range(2):
        made.send(0, SimpleNamespace(to_json=lambda: "{}"))
    assert [made.event()[1] for _ in range(2)] == [Lost("died (RayError)"), HELLO]
    assert (len(made._ray.killed), made._calls) == (1, {})


def test_an_actor_lost_at_work_is_replaced_and_the_kernels_want_of_memory_is_named(monkeypatch):
    killed = iter([3, 3, 3, 4, 4])
    monkeypatch.setattr(ray_cluster, "kernel_ooms", lambda: next(killed))
    made = crew(HELLO, RayError("gone"), HELLO, RayError("gone"))
    for cause in ("died (RayError)", "died, as the machine ran out of memory"):
        assert made.event() == (0, HELLO)
        made.send(0, SimpleNamespace(to_json=lambda: "{}"))
        assert made.event() == (0, Lost(cause))
    assert len(made._ray.killed) == 2


def test_ray_does_not_take_the_signals_that_ask_to_stop():
    """It installs handlers of its own as it starts, which end the driver without a word to its workers."""
    with preemption.heeded():
        with ray_cluster._own_signals():
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTERM)
        assert preemption.requested()


class OutOfMemoryError(RayError):
    pass


def test_the_cause_of_a_death_is_named():
    """Ray gives this error only of actors that it does not restart itself."""
    error = OutOfMemoryError("1 worker(s) were killed due to the node running low on memory. Memory on the node ...")
    assert ray_cluster.cause_of(error, out_of_memory=False) == "was killed by Ray, as its node ran out of memory"
    node = RayError("The actor died because its node has died. Node Id: 7")
    assert ray_cluster.cause_of(node, out_of_memory=False) == "died with its node"
    raised = RayError("ray::Actor.answers() ...")
    raised.cause = UsageError("2 threads are in effect, expected 1")
    assert ray_cluster.cause_of(raised, out_of_memory=True) == (
        "stopped with UsageError: 2 threads are in effect, expected 1"
    )
