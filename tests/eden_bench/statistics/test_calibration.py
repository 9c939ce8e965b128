"""Brier score and calibration error against plain loops and scikit-learn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from eden_bench.statistics.calibration import bins_of, brier, calibration_error, reliability
from eden_bench.statistics.ranking import stable_order

probabilities = arrays(np.float64, 30, elements=st.floats(0, 1))
targets = arrays(np.int64, 30, elements=st.integers(0, 1))


def bins_by_loop(p, t, kind, bins):
    """Cases by bin (low, high], the first with its low end, bins in order of their ends."""
    ends = [i / bins for i in range(bins + 1)]
    if kind == "mass":
        ordered = sorted(p)
        places = [(len(p) - 1) * i / bins for i in range(bins + 1)]
        ends = [
            ordered[int(x)] + (x - int(x)) * (ordered[min(int(x) + 1, len(p) - 1)] - ordered[int(x)]) for x in places
        ]
    found = [[] for _ in range(bins)]
    for pair in zip(p, t, strict=True):
        found[next((i for i in range(bins - 1) if pair[0] <= ends[i + 1]), bins - 1)].append(pair)
    return [pairs for pairs in found if pairs]


def ece_by_loop(p, t, kind, bins):
    total = 0.0
    for pairs in bins_by_loop(p, t, kind, bins):
        confidence, share = (sum(values) / len(pairs) for values in zip(*pairs, strict=True))
        total += len(pairs) * abs(confidence - share)
    return total / len(p)


@given(
    arrays(np.int64, 30, elements=st.integers(0, 97)),
    targets,
    st.sampled_from(["width", "mass"]),
    st.sampled_from([1, 7, 15]),
)
def test_calibration_error_equals_the_plain_loop_ties_included(p, t, kind, bins):
    p = p / 97  # on no end of a bin but 0 and 1, where rounding would decide
    assert calibration_error(reliability(p, t, kind, bins)) == pytest.approx(ece_by_loop(p, t, kind, bins), abs=1e-12)


@given(probabilities, targets)
def test_brier_is_that_of_scikit_learn_and_of_the_plain_loop(p, t):
    assert brier(p, t) == pytest.approx(sum((a - b) ** 2 for a, b in zip(p, t, strict=True)) / 30)
    assert brier(p, t) == pytest.approx(brier_score_loss(t, p, pos_label=1, labels=[0, 1]), abs=1e-8)


@pytest.mark.parametrize(("kind", "strategy"), [("width", "uniform"), ("mass", "quantile")])
def test_the_curve_is_that_of_scikit_learn(kind, strategy):
    draw = np.random.default_rng(0)
    p = np.round(draw.beta(0.6, 3, 3998), 3)  # with ties, and bins that differ in size
    t = (draw.random(3998) < p**1.3).astype(int)
    found = reliability(p, t, kind, 15)
    observed, predicted = calibration_curve(t, p, n_bins=15, strategy=strategy)
    np.testing.assert_allclose(found.predicted, predicted, atol=1e-12)
    np.testing.assert_allclose(found.observed, observed, atol=1e-12)
    theirs = np.average(np.abs(observed - predicted), weights=found.cases)
    assert calibration_error(found) == pytest.approx(theirs, abs=1e-8)
    assert sum(found.cases) == 3998


def test_a_case_at_the_end_of_a_bin_of_equal_mass_lies_below_it():
    """Of 31 cases the 11th ends the fifth of fifteen bins, though 30 · (1 / 3) is less than 10 in some arithmetic."""
    p = np.arange(31) / 31
    assert reliability(p, np.zeros(31, int), "mass", 15).cases == (3, *(2,) * 14)


def test_calibration_error_is_that_of_torchmetrics():
    classification = pytest.importorskip(
        "torchmetrics.functional.classification", reason="torchmetrics is not installed"
    )
    import torch

    draw = np.random.default_rng(1)
    p = draw.random(5000)
    t = (draw.random(5000) < p**2).astype(int)
    theirs = classification.binary_calibration_error(torch.from_numpy(p), torch.from_numpy(t), n_bins=15, norm="l1")
    assert calibration_error(reliability(p, t)) == pytest.approx(theirs.item(), abs=1e-8)


def test_a_sure_and_right_forecast_has_no_error_and_a_sure_and_wrong_one_all_of_it():
    target = np.array([0, 1, 1, 0])
    assert (brier(target, target), calibration_error(reliability(target, target))) == (0, 0)
    assert (brier(1 - target, target), calibration_error(reliability(1 - target, target))) == (1, 1)


def test_predicting_the_share_of_positives_is_calibrated_and_has_its_variance_as_brier_score():
    target = np.array([1, 0, 0, 0])
    assert brier(np.full(4, 0.25), target) == pytest.approx(0.25 * 0.75)
    for kind in ("width", "mass"):
        assert calibration_error(reliability(np.full(4, 0.25), target, kind)) == pytest.approx(0)


def test_bins_say_where_they_begin_and_end_and_empty_ones_are_left_out():
    found = reliability(np.array([0.0, 0.2, 0.7]), np.array([0, 1, 1]), bins=5)
    assert found.cases == (2, 1)
    assert found.low == pytest.approx((0, 0.6))
    assert found.high == pytest.approx((0.2, 0.8))


@pytest.mark.parametrize("kind", ["width", "mass"])
def test_bins_by_order_are_those_that_each_probability_falls_in(kind):
    draw = np.random.default_rng(7)
    p = np.concatenate([draw.integers(0, 16, 60) / 15, draw.random(60), [0.0, 1.0]])
    found = bins_of(p, kind, order=stable_order(p))
    assert found.of.tolist() == [sum(end < each for end in found.ends[1:-1]) for each in p]
