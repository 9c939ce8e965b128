"""Robustness: the balanced error by plain loops, thresholds by brute force, and a run on a toy network."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score

from eden_bench.contracts import Context
from eden_bench.encoders import build_encoder
from eden_bench.errors import EdenError
from tasks.finetuning import ClassificationTask
from tasks.finetuning.corruptions import CORRUPTIONS, SEVERITIES
from tasks.finetuning.robustness import balanced_error, corruption, youden
from tasks.robustness import RobustnessTask
from tests.tasks.finetuning.toy_anatomy import ToyAnatomy, toy_index

TRAINED = ClassificationTask(name="toy-labels", dataset="toy", title="Toy labels")
TASK = RobustnessTask(name="toy-robustness", dataset="toy", title="Toy robustness", looks_at="toy-labels")
PROTOCOL = replace(TRAINED.quick, size_px=32, source_px=40, max_steps=4, validate_every=2, batch_size=4)


def test_thresholds_have_the_least_balanced_error():
    rng = np.random.default_rng(1)
    probabilities, targets = rng.random((40, 3)).round(1), (rng.random((40, 3)) < 0.3).astype(float)
    targets[:, 2] = 0
    found = youden(probabilities, targets)
    for label in range(2):
        scored = {
            t: balanced_accuracy_score(targets[:, label], probabilities[:, label] >= t)
            for t in sorted(set(probabilities[:, label]))
        }
        assert found[label] == max(t for t in scored if scored[t] == pytest.approx(max(scored.values())))
    assert found[2] == 0.5


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    root = tmp_path_factory.mktemp("robust")
    context = Context(cache=root / "cache", dataset=ToyAnatomy())
    trained = TRAINED.open(toy_index(root), PROTOCOL, context).run(build_encoder("resnet18-w16", 0), 0)
    opened = TASK.open(toy_index(root), PROTOCOL, context)
    return opened, trained.network, opened.run(trained.network, 0)


def test_the_error_is_the_mean_over_conditions_of_one_minus_the_balanced_accuracy(run):
    opened, network, outcome = run
    rows, targets = np.array(opened.splits.test), opened.targets[list(opened.splits.test)]
    thresholds = np.array([outcome.training["thresholds"][label] for label in opened.labels])
    both = [place for place in range(targets.shape[1]) if len(set(targets[:, place])) == 2]

    def error(corrupt):
        called = opened._predicted(network, rows, corrupt) >= thresholds
        return np.mean([1 - balanced_accuracy_score(targets[:, p], called[:, p]) for p in both])

    every = {(n, s): error(corruption(n, s)) for n in CORRUPTIONS for s in range(1, SEVERITIES + 1)}
    scores = outcome.scores
    assert scores["error"] == pytest.approx(np.mean(list(every.values())))
    assert scores["error_clean"] == pytest.approx(error(None))
    assert scores["relative_error"] == pytest.approx(scores["error"] - scores["error_clean"])
    assert scores["error_of_noise"] == pytest.approx(np.mean([e for (n, _), e in every.items() if n == "noise"]))
    assert scores["error_at_5"] == pytest.approx(np.mean([e for (_, s), e in every.items() if s == 5]))


def test_the_cases_give_the_score_and_a_label_of_one_value_is_left_out(run):
    _, _, outcome = run
    columns = {name: np.array(values) for name, values in outcome.cases.items()}
    assert balanced_error(columns, "error") == outcome.scores["error"]
    assert "error_never" in columns
    without = {name: values for name, values in columns.items() if not name.endswith("_never")}
    assert balanced_error(without, "error") == outcome.scores["error"]


def test_it_repeats_and_wants_the_tasks_own_classifier(run):
    opened, network, outcome = run
    assert opened.run(network, 1) == outcome
    with pytest.raises(EdenError, match="expected the classifier of"):
        opened.run(build_encoder("resnet18-w16", 0), 0)
    network.protocol = replace(PROTOCOL, source_px=48)
    with pytest.raises(EdenError, match="source_px is 40 here and was 48"):
        opened.run(network, 0)
    network.protocol = PROTOCOL
