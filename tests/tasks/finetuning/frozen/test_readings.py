"""Logistic regression against scikit-learn, nearest neighbours against the formula in plain loops."""

import math

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from tasks.finetuning.frozen.readings import logistic_path, vote

RNG = np.random.default_rng(3)
TRAIN = RNG.normal(size=(60, 7)) * [1, 5, 0.2, 1, 1, 1, 3] + 2
TARGETS = (TRAIN[:, :2] + RNG.normal(size=(60, 2)) > 2).astype(np.float32)
QUERIES = RNG.normal(size=(9, 7)) + 2
STRENGTHS = [1e-6, 1e-3, 0.1, 1.0, 100.0, 1e5]


def of_sklearn(strength, label):
    made = LogisticRegression(C=strength, tol=1e-12, max_iter=100_000).fit(TRAIN, TARGETS[:, label])
    weights, bias = made.coef_[0], made.intercept_[0]
    logits = TRAIN @ weights + bias
    loss = sum(
        math.log1p(math.exp(-z)) if y else math.log1p(math.exp(z))
        for z, y in zip(logits, TARGETS[:, label], strict=True)
    )
    return strength * loss + 0.5 * weights @ weights, made.predict_proba(QUERIES)[:, 1]


def test_the_objective_is_scikit_learns_at_each_c():
    fits = list(logistic_path(TRAIN, TARGETS, STRENGTHS))
    assert [fit.strength for fit in fits] == STRENGTHS
    for fit in fits:
        for label in range(2):
            objective, probabilities = of_sklearn(fit.strength, label)
            assert fit.objective[label] == pytest.approx(objective, rel=1e-6)
            assert fit.probabilities(QUERIES)[:, label] == pytest.approx(probabilities, abs=1e-4)


def test_a_label_of_one_value_predicts_the_same_for_all():
    targets = np.concatenate([TARGETS, np.zeros((60, 1))], axis=1)
    fit = next(logistic_path(TRAIN, targets, [1.0]))
    assert np.ptp(fit.probabilities(QUERIES)[:, 2]) < 1e-6


def by_loops(k, temperature):
    shares = np.zeros((len(QUERIES), 2))
    for row, query in enumerate(QUERIES):
        cosines = [float(query @ one / np.linalg.norm(query) / np.linalg.norm(one)) for one in TRAIN]
        nearest = sorted(range(len(TRAIN)), key=lambda i: (-cosines[i], i))[:k]
        weights = [math.exp(cosines[i] / temperature) for i in nearest]
        for label in range(2):
            shares[row, label] = sum(w * float(TARGETS[i, label]) for w, i in zip(weights, nearest, strict=True)) / sum(
                weights
            )
    return shares


@pytest.mark.parametrize("temperature", [0.07, 1.0])
def test_votes_are_the_formulas(temperature):
    for k, shares in vote(TRAIN, TARGETS, QUERIES, neighbours=[1, 10, 60], temperature=temperature):
        assert shares == pytest.approx(by_loops(k, temperature), abs=1e-12)


def test_of_equal_neighbours_the_first_counts_and_zeros_break_nothing():
    train, targets = np.array([[1.0, 0], [1, 0], [0, 1], [0, 0]]), np.array([[1], [0], [0], [1]])
    (_, one), (_, every) = vote(train, targets, np.array([[2.0, 0], [0, 0]]), neighbours=[1, 4], temperature=0.07)
    assert one.tolist() == [[1.0], [1.0]]
    assert np.isfinite(every).all()
    assert every[1, 0] == pytest.approx(0.5)
