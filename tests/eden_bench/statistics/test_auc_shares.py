"""Shares in an AUC against its own derivative, and against the bootstrap that computes each resample anew."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from eden_bench.case_statistics import auc, auc_of_counts
from eden_bench.statistics.auc_shares import auc_shares


@given(arrays(np.int64, 12, elements=st.integers(0, 5)), st.integers(1, 11), st.randoms(use_true_random=False))
def test_a_share_is_the_derivative_of_the_auc_by_the_weight_of_its_case(values, positives, random):
    ranked = np.sort(values) / 5
    target = np.array([1] * positives + [0] * (12 - positives))
    random.shuffle(target)
    found = auc_shares(ranked, target == 1)
    assert found.auc == pytest.approx(auc(ranked, target))
    step = 1e-6
    for case in range(12):
        weights = np.ones((1, 12))
        weights[0, case] += step
        moved = (auc_of_counts(ranked, target, weights)[0] - found.auc) / step
        assert found.shares[case] == pytest.approx(moved, abs=1e-4)
    assert found.shares.sum() == pytest.approx(0, abs=1e-12)


def test_resamples_by_shares_have_the_spread_of_those_computed_anew():
    draw = np.random.default_rng(0)
    target = (draw.random(400) < 0.15).astype(int)
    ranked = draw.normal(target * 1.2, 1)
    order = np.argsort(ranked)
    ranked, target = ranked[order], target[order]
    counts = draw.multinomial(400, np.full(400, 1 / 400), 3000).astype(float)
    found = auc_shares(ranked, target == 1)
    fast, anew = found.auc + counts @ found.shares, auc_of_counts(ranked, target, counts)
    assert np.corrcoef(fast, anew)[0, 1] > 0.99
    np.testing.assert_allclose(np.quantile(fast, [0.025, 0.975]), np.quantile(anew, [0.025, 0.975]), atol=0.008)
