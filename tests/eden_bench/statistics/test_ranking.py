"""Orders and ranks: against NumPy's stable sort and SciPy's ranks, ties and missing numbers included."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from eden_bench.statistics.ranking import auc, auc_of_counts, mean_ranks, stable_order

TIED = arrays(float, st.integers(1, 40), elements=st.sampled_from([0.0, -0.0, 0.25, 0.5, 1.0, np.nan]))


@given(TIED)
def test_the_order_is_that_of_a_stable_sort(values):
    assert stable_order(values).tolist() == np.argsort(values, kind="stable").tolist()


@given(TIED)
def test_ranks_are_scipys_and_missing_numbers_share_the_last(values):
    there = ~np.isnan(values)
    found = mean_ranks(values)
    assert found[there].tolist() == scipy.stats.rankdata(values[there]).tolist()
    assert set(found[~there]) <= {(there.sum() + 1 + len(values)) / 2}
    assert mean_ranks(values, stable_order(values)).tolist() == found.tolist()


@pytest.mark.parametrize("steps", [2, 5, 10**9])
def test_an_auc_by_a_known_order_is_the_auc(steps):
    draw = np.random.default_rng(steps)
    target, probability = draw.integers(0, 2, 300), draw.integers(0, steps, 300) / steps
    order, counts = stable_order(probability), draw.integers(0, 3, (20, 300)).astype(float)
    assert auc(probability, target, order) == auc(probability, target)
    assert (auc_of_counts(probability, target, counts, order) == auc_of_counts(probability, target, counts)).all()
