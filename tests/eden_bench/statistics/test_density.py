"""The binned density against SciPy's and against the sum of kernels, written out."""

import math

import numpy as np
import pytest
from scipy.stats import gaussian_kde

from eden_bench.statistics.density import density


@pytest.mark.parametrize("count", [2, 7, 300, 20_000])
@pytest.mark.parametrize("kind", ["normal", "skewed", "two peaks"])
def test_it_is_scipys_to_a_ten_thousandth_of_the_peak(count, kind):
    random = np.random.default_rng(count)
    values = {
        "normal": random.normal(0.8, 0.05, count),
        "skewed": 1 - random.exponential(0.01, count),
        "two peaks": np.concatenate([random.normal(-1, 0.1, count // 2), random.normal(2, 0.3, count - count // 2)]),
    }[kind]
    at, found = density(values, values.min() - 0.2, values.max() + 0.1, 512)
    wanted = gaussian_kde(values)(at)
    assert np.abs(found - wanted).max() <= 1e-4 * wanted.max()


def test_values_outside_the_points_still_count():
    values = np.random.default_rng(0).normal(size=400)
    at, found = density(values, -0.3, 0.9, 64)
    wanted = gaussian_kde(values)(at)
    assert np.abs(found - wanted).max() <= 1e-4 * wanted.max()


def test_it_is_the_mean_of_the_kernels():
    values = np.array([0.1, 0.4, 0.5])
    width = values.std(ddof=1) * 3**-0.2
    at, found = density(values, 0.0, 1.0, 5)
    assert at.tolist() == [0, 0.25, 0.5, 0.75, 1]
    by_hand = [
        sum(math.exp(-((x - v) ** 2) / (2 * width**2)) for v in values) / (3 * width * math.sqrt(2 * math.pi))
        for x in at
    ]
    assert np.abs(found - by_hand).max() <= 1e-4 * max(by_hand)


def test_it_integrates_to_one():
    at, found = density(np.random.default_rng(0).normal(size=50), -9, 9, 2001)
    assert found.sum() * (at[1] - at[0]) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("values", [[], [0.3], [1.0] * 9, [0.1] * 7])
def test_values_that_do_not_vary_have_none(values):
    with pytest.raises(ValueError, match="values that do not vary have no density"):
        density(np.array(values), 0, 1, 10)
