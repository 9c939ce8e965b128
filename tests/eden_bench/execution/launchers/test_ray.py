"""Ray actors as workers, on a cluster of our own: the same records, a death survived, nothing left running."""

import os
import signal
from pathlib import Path
from types import SimpleNamespace

import pytest

from eden_bench import preemption
from eden_bench.errors import UsageError
from eden_bench.execution.launchers import ray_cluster
from eden_bench.execution.launchers.launcher import Launch
from eden_bench.execution.launchers.worker import Hello, Setup
from eden_bench.settings import Settings
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


def test_two_actors_one_of_which_dies_leave_what_one_process_leaves(here, tmp_path, monkeypatch):
    """In a process of its own: Ray starts threads, and this one is to stay as it is."""
    pytest.importorskip("ray")
    ask = {"methods": "fake-trained", "tasks": "fake-heart,fake-look,fake-probe", "plugins": [FAKES, PROBES]}
    monkeypatch.setenv("FAKE_LOG", str(tmp_path / "log.txt"))
    run(here, **ask)
    (tmp_path / "log.txt").write_text("")
    monkeypatch.setenv("FAKE_DIE", "1:1")
    monkeypatch.setenv("RAY_ADDRESS", "192.0.2.1:6379")  # another's, which is not to be joined
    out, said, folders = tmp_path / "many", tmp_path / "said.txt", set(Path("/tmp").glob("eb-*"))

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
    assert set(Path("/tmp").glob("eb-*")) == folders  # its cluster has ended and cleared up


def test_ray_client_is_refused_in_a_sentence(here):
    pytest.importorskip("ray")
    setup = Setup(settings=Settings(data=None, **here), token="x")
    with pytest.raises(UsageError, match="ray://head:10001: expected HOST:PORT of the cluster, not Ray Client's"):
        ray_cluster.Actors(setup, Launch(launcher="ray", ray_address="ray://head:10001"), print)


class RayError(Exception):
    pass


class ActorDiedError(RayError):
    pass


class FakeRay:
    """What ``Actors`` needs of Ray, its calls answered by the test."""

    exceptions = SimpleNamespace(RayError=RayError, ActorDiedError=ActorDiedError)

    def __init__(self, answers):
        self.answers = answers

    def wait(self, calls, **more):
        return calls[:1], calls[1:]

    def get(self, call):
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


class Begin:
    def __init__(self):
        self.calls = 0

    @property
    def begin(self):
        return self

    def remote(self):
        self.calls += 1
        return f"call {self.calls}"


def crew(*answers):
    made = object.__new__(ray_cluster.Actors)
    made._ray, made._later, made._failed_starts, made._actors = FakeRay(list(answers)), [], {}, [Begin()]
    made._calls, made.size = {made._actors[0].remote(): 0}, 1
    return made


def test_an_actor_that_is_still_being_started_is_asked_again_and_one_that_cannot_ends_the_run(monkeypatch):
    monkeypatch.setattr(ray_cluster, "_AGAIN_S", 0)
    hello = Hello(host="here", process=1, device="cpu")
    died = ActorDiedError("gone")
    made = crew(RayError("not yet"), died, RayError("not yet"), hello)
    assert made.event() == (0, hello)
    made = crew(died, died, died)
    with pytest.raises(ray_cluster.EdenError, match="as it started, 3 times"):
        made.event()


def test_ray_does_not_take_the_signals_that_ask_to_stop():
    """It installs handlers of its own as it starts, which end the driver without a word to its workers."""
    with preemption.heeded():
        with ray_cluster._own_signals():
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTERM)
        assert preemption.requested()


def test_a_death_by_ray_for_want_of_memory_is_named():
    error = RuntimeError("Task was killed due to the node running low on memory.\nMemory on the node was 9 GB")
    assert ray_cluster._cause(error) == "was killed by Ray, as its node ran out of memory"
    assert ray_cluster._cause(RuntimeError("the worker\nleft")) == "died, or its node did (RuntimeError)"
