"""The contract's checks pass on ours and find what is planted."""

import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from baselines.moco_v2 import MoCoV2
from eden_bench import Outcome, ScoreDefinition, registry
from eden_bench.encoders import build_encoder
from eden_bench.errors import EdenError, UsageError
from eden_bench.plugins.conformance import check
from eden_bench.plugins.conformance.findings import Broken
from eden_bench.plugins.conformance.methods import checks_of_method
from eden_bench.plugins.conformance.tasks import TaskTrial
from eden_bench.plugins.template import write_package


class NoTeacher(MoCoV2):
    """The teacher's path calls the student."""

    def losses(self, views, turn="main"):
        teacher, self.moco.teacher = self.moco.teacher, self.moco.student
        try:
            return super().losses(views, turn)
        finally:
            self.moco.teacher = teacher


class GlobalDraws(MoCoV2):
    """It draws from the global generator."""

    def losses(self, views, turn="main"):
        return {key: loss + 0 * torch.rand(()) for key, loss in super().losses(views, turn).items()}


class EnqueuesInValidation(MoCoV2):
    """It moves its queue in eval mode."""

    def losses(self, views, turn="main"):
        found = super().losses(views, turn)
        if not self.training:
            self.moco.queue.push(torch.ones(8, 128))
        return found


class QueueOutsideTheState(MoCoV2):
    """Its queue is not in the checkpoint."""

    def state_dict(self, *given, **named):
        return {k: v for k, v in super().state_dict(*given, **named).items() if "queue" not in k}

    def load_state_dict(self, state, strict=True):
        return super().load_state_dict(state, strict=False)


class NotANumber(MoCoV2):
    """Its loss is NaN."""

    def losses(self, views, turn="main"):
        return {key: loss * float("nan") for key, loss in super().losses(views, turn).items()}


class Untrained(MoCoV2):
    """Its optimiser is given what no gradient reaches."""

    def optimisers(self):
        return {"main": torch.optim.SGD([*self.moco.student.parameters(), *self.moco.teacher.parameters()], 0.1)}


class SeedIgnored(MoCoV2):
    """It draws its encoder from a seed of its own."""

    def __init__(self, config):
        super().__init__(config)
        weights = build_encoder(config.arch, seed=0).state_dict()
        self.encoder.load_state_dict(weights)


class TrainsItsTeacher(MoCoV2):
    """Its teacher is made trainable and given to the optimiser."""

    def optimisers(self):
        self.moco.teacher.requires_grad_(True)
        return {"main": torch.optim.SGD([*self.moco.student.parameters(), *self.moco.teacher.parameters()], 0.1)}


class TakesValidationOver(MoCoV2):
    """What eval mode saw is enqueued by the next step."""

    def losses(self, views, turn="main"):
        found = super().losses(views, turn)
        if not self.training:
            self.moco._keys = torch.ones(8, 128)
        return found


class WeightOfZero(MoCoV2):
    """A head is in the optimiser and has no share in the loss."""

    def __init__(self, config):
        super().__init__(config)
        self.idle = torch.nn.Linear(2, 2)

    def optimisers(self):
        return {"main": torch.optim.SGD([*self.moco.student.parameters(), *self.idle.parameters()], 0.1)}

    def losses(self, views, turn="main"):
        idle = self.idle(torch.ones(2)).sum()
        return {key: loss + 0 * idle for key, loss in super().losses(views, turn).items()}


PLANTED = {
    SeedIgnored: "another seed gives other weights",
    TrainsItsTeacher: "a teacher is not trained, and the loss stands on it",
    TakesValidationOver: "validation changes nothing",
    WeightOfZero: "gradients reach all that its optimisers train, and nothing else",
    NoTeacher: "a teacher is not trained, and the loss stands on it",
    GlobalDraws: "the global random generator is left alone",
    EnqueuesInValidation: "validation changes nothing",
    QueueOutsideTheState: "a reloaded state gives the same next loss",
    NotANumber: "its losses are finite scalars in every stage and turn",
    Untrained: "gradients reach all that its optimisers train, and nothing else",
}


@pytest.fixture
def registered(monkeypatch):
    def add(made):
        monkeypatch.setattr(registry.methods, "_made", {**registry.methods._made, "planted": made})
        return "planted"

    registry.methods.load_all()
    return add


@pytest.mark.parametrize("broken", PLANTED, ids=lambda made: made.__name__)
def test_a_planted_bug_is_found_by_its_check(broken, registered, tmp_path):
    checks = dict(checks_of_method(registered(broken), tmp_path))
    with pytest.raises(Broken, match=r"\w"):
        checks[PLANTED[broken]]()


@pytest.mark.parametrize("name", ["moco-v2", "random"])
def test_ours_pass(name, tmp_path):
    for title, run in checks_of_method(name, tmp_path):
        if "pretrains" not in title:  # the tests of the engine pretrain every method
            run()


ARRAYS = "its arrays can be stored beside its record"
STATISTIC = "its primary score is the statistic of its cases that it names"
SAME = "the same seed gives the same scores, cases and arrays, and another seed others"
LENGTH = ScoreDefinition(name="length", text="Length of the longest line of a film.", bounds=(0, None))


def outcome(**changes):
    cases = {"case": ["a", "b"], "patient": ["a", "b"], "length": [1.0, 3.0]}
    return replace(Outcome({"length": 2.0}, cases, arrays={"lines": np.ones(3)}), **changes)


def checks_of(folder, *, score=LENGTH, outcomes):
    """The checks of a probe that returns one outcome after the other."""
    task, left = SimpleNamespace(looks_at="", score=score, repeats="once", dataset="scr"), iter(outcomes)
    trial = TaskTrial(task, folder)
    trial.opened = SimpleNamespace(run=lambda encoder, seed: next(left))
    return {title: run for title, run in trial.checks() if title in (ARRAYS, STATISTIC, SAME)}


def test_a_probe_passes(tmp_path):
    for run in checks_of(tmp_path, outcomes=[outcome()] * 3).values():
        run()


CASES = outcome().cases
BAD_PROBES = [
    (ARRAYS, LENGTH, [outcome(arrays={"lines": np.array([None])})], r"arrays lines \(object\), expected numbers"),
    (ARRAYS, LENGTH, [outcome(arrays={"lines": np.zeros(9_000_000)})], "72,000,000 bytes, expected at most"),
    (
        ARRAYS,
        LENGTH,
        [outcome(arrays={"../lines": np.zeros(1)})],
        r"named '\.\./lines', expected names that are no paths",
    ),
    (STATISTIC, LENGTH, [outcome(scores={"lenght": 2.0})], "the scores are lenght, expected 'length' among them"),
    (
        STATISTIC,
        LENGTH,
        [outcome(cases={"case": ["a"]})],
        "mean asks for a column 'length' of the cases, which are case",
    ),
    (STATISTIC, LENGTH, [outcome(scores={"length": 1.0})], "mean of its cases is 2.0, not 1.0"),
    (STATISTIC, replace(LENGTH, statistic="maen"), [outcome()], r"'maen' is registered nowhere\. Did you mean 'mean'"),
    (SAME, LENGTH, [outcome(), outcome(scores={"length": 1.0})], "two runs of one seed gave {'length': 2.0} and"),
    (
        SAME,
        LENGTH,
        [outcome(), outcome(cases={**CASES, "length": [2.0, 2.0]})],
        "two runs of one seed gave other cases",
    ),
    (SAME, LENGTH, [outcome(), outcome(arrays={"lines": np.zeros(3)})], "two runs of one seed gave other arrays"),
]


@pytest.mark.parametrize(("title", "score", "outcomes", "said"), BAD_PROBES)
def test_what_a_probe_must_not_return_is_one_sentence(title, score, outcomes, said, tmp_path):
    with pytest.raises((Broken, EdenError), match=said):
        checks_of(tmp_path, score=score, outcomes=outcomes)[title]()


@pytest.mark.parametrize(("kind", "name"), [("task", "scr-heart"), ("dataset", "chestxray14")])
def test_our_tasks_and_datasets_pass(kind, name):
    assert [found for found in check(kind, name) if found.problem] == []


def test_a_new_package_is_complete_and_its_method_keeps_the_contract(tmp_path):
    files = write_package("my-method", tmp_path)
    assert {file.name for file in files} == {"pyproject.toml", "my_method.py", "test_my_method.py", "README.md"}
    command = [sys.executable, "-m", "eden_bench", "plugins", "--plugin", "my_method.py", "--check", "my-method"]
    done = subprocess.run(command, cwd=tmp_path / "my-method", capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(" ok") == 13


def test_a_problem_that_several_checks_meet_is_written_out_once(tmp_path):
    write_package("my-method", tmp_path)
    file = tmp_path / "my-method" / "my_method.py"
    file.write_text(file.read_text().replace("build_encoder(config.arch)", 'build_encoder("resnt50")'))
    command = [sys.executable, "-m", "eden_bench", "plugins", "--plugin", "my_method.py", "--check", "my-method"]
    done = subprocess.run(command, cwd=file.parent, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stdout.count("Did you mean 'resnet50'?") == 1
    assert done.stdout.count("as above") == 10


@pytest.mark.parametrize("name", ["My Method", "../escape", "", "2fast"])
def test_a_name_that_is_none_is_refused(name, tmp_path):
    with pytest.raises(UsageError, match="expected lower-case letters"):
        write_package(name, tmp_path)


def test_an_existing_package_is_left_alone(tmp_path):
    write_package("mine", tmp_path)
    with pytest.raises(UsageError, match="already there"):
        write_package("mine", tmp_path)
