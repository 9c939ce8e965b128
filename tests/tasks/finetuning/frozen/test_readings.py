"""Logistic regression against scikit-learn, nearest neighbours against the formula in plain loops."""

import math
import warnings

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


FEW = RNG.normal(size=(12, 40))
HARD = {
    "noisy": (TRAIN, TARGETS[:, :1]),
    "separable": (TRAIN, (TRAIN[:, :1] > 2)),
    "collinear": (np.concatenate([TRAIN, TRAIN, 2 * TRAIN[:, :3]], axis=1), TARGETS[:, :1]),
    "fewer images than features": (FEW, (RNG.random((12, 1)) > 0.5)),
}


@pytest.mark.parametrize("name", HARD)
@pytest.mark.parametrize("scale", [1e-6, 1e3, 1e6])
def test_features_times_s_at_c_over_s_squared_have_the_optimum_over_s(name, scale):
    """C/s² Σ loss(s·x, w/s) + ½ ‖w/s‖² is the objective over s²: an identity that rounding must not break."""
    features, targets = HARD[name]
    for fit, other in zip(
        logistic_path(features, targets, STRENGTHS),
        logistic_path(features * scale, targets, [c / scale**2 for c in STRENGTHS]),
        strict=True,
    ):
        assert other.objective[0] * scale**2 == pytest.approx(fit.objective[0], rel=1e-6)
        logits, same = (f.probabilities(x) for f, x in ((fit, features), (other, features * scale)))
        assert same == pytest.approx(logits, abs=1e-4)


@pytest.mark.parametrize("name", HARD)
@pytest.mark.parametrize("scale", [1, 1e3, 1e6, 1e8])
def test_no_scale_of_features_beats_the_optimum_or_stops_it(name, scale):
    features, targets = HARD[name][0] * scale, HARD[name][1]
    for fit in logistic_path(features, targets, STRENGTHS):
        logits = features @ fit.weights[:, 0] + fit.bias[0]
        loss = np.logaddexp(0, np.where(targets[:, 0], -logits, logits)).sum()
        found = fit.strength * loss + 0.5 * fit.weights[:, 0] @ fit.weights[:, 0]
        assert fit.objective[0] == pytest.approx(found, rel=1e-4)
        made = LogisticRegression(C=fit.strength, tol=1e-10, max_iter=2000)
        with warnings.catch_warnings(action="ignore"):
            made.fit(features, targets[:, 0])
        theirs = np.logaddexp(0, np.where(targets[:, 0], -1, 1) * (features @ made.coef_[0] + made.intercept_[0])).sum()
        assert found <= (fit.strength * theirs + 0.5 * made.coef_[0] @ made.coef_[0]) * (1 + 1e-6)


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
