"""Corrected p-values equal statsmodels', and what is no p-value is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from eden_bench.statistics.multiplicity import benjamini_hochberg, holm

FAMILIES = [np.random.default_rng(m).integers(0, 200, m) ** 2 / 200**2 for m in (1, 2, 9, 66)]  # with ties, and zeros


@pytest.mark.parametrize(("ours", "theirs"), [(holm, "holm"), (benjamini_hochberg, "fdr_bh")])
def test_it_agrees_with_statsmodels(ours, theirs):
    for p_values in FAMILIES:  # few: statsmodels collects garbage in every call
        assert ours(p_values) == pytest.approx(multipletests(p_values, method=theirs)[1], abs=1e-12)


@given(st.lists(st.integers(0, 1000).map(lambda k: (k / 1000) ** 3), max_size=30))
def test_it_agrees_with_the_definition(p_values):
    ascending, m = sorted(p_values), len(p_values)
    for p, by_holm, by_rate in zip(p_values, holm(p_values), benjamini_hochberg(p_values), strict=True):
        down = max((m - rank) * q for rank, q in enumerate(ascending) if q <= p)
        up = min(m / rank * q for rank, q in enumerate(ascending, 1) if q >= p)
        assert by_holm == pytest.approx(min(1, down), abs=1e-12)
        assert by_rate == pytest.approx(min(1, up), abs=1e-12)


@pytest.mark.parametrize("correct", [holm, benjamini_hochberg])
def test_one_test_is_left_as_it_is_and_none_are_none(correct):
    assert correct([0.03]) == [0.03]
    assert correct([]) == []


@pytest.mark.parametrize("correct", [holm, benjamini_hochberg])
@pytest.mark.parametrize("bad", [float("nan"), -0.1, 1.1])
def test_what_is_no_p_value_is_refused(correct, bad):
    with pytest.raises(ValueError, match=r"must be in \[0, 1\], not"):
        correct([0.01, bad, 0.02])
