"""The error of a difference: plain-loop mean squares, the t-tests it becomes, and its coverage on simulated scores."""

import numpy as np
import pytest
import scipy.optimize
import scipy.stats

from eden_bench.statistics.hierarchy import difference

DRAWS = np.random.default_rng(7)


def scores(pretrainings, seeds, patients, shift=0.0):
    return DRAWS.normal(0.8 + shift, 0.05, (pretrainings, seeds, patients))


def one(first, second, **how):
    found = difference(first, second, **how)
    return float(found.value), float(found.error), float(found.df), float(found.p)


def mean_squares(table):
    """Mean squares of a two-way table by loops over its cells: rows, columns, residual."""
    rows, columns = table.shape
    mean = sum(table[i, j] for i in range(rows) for j in range(columns)) / (rows * columns)
    of_row = [sum(table[i, j] for j in range(columns)) / columns for i in range(rows)]
    of_column = [sum(table[i, j] for i in range(rows)) / rows for j in range(columns)]
    ms_rows = columns * sum((each - mean) ** 2 for each in of_row) / (rows - 1)
    ms_columns = rows * sum((each - mean) ** 2 for each in of_column) / (columns - 1)
    left = sum((table[i, j] - of_row[i] - of_column[j] + mean) ** 2 for i in range(rows) for j in range(columns))
    return ms_rows, ms_columns, left / ((rows - 1) * (columns - 1))


def test_shared_seeds_and_patients_are_the_two_way_model_of_the_differences():
    first, second = scores(2, 4, 6), scores(2, 4, 6, 0.02)
    table = (first - second).mean(axis=0)
    rows, columns, residual = mean_squares(table)
    value, error, df, _ = one(first, second, of_methods=False, shared_seeds=True)
    variance = max((rows + columns - residual) / 24, rows / 24, columns / 24)
    assert (value, error) == pytest.approx((table.mean(), variance**0.5), rel=1e-12)
    more = variance + 4 / 3 * rows / 24 + 4 / 5 * columns / 24
    weights = (7 / 3 * rows / 24) ** 2 / 3 + (9 / 5 * columns / 24) ** 2 / 5 + (residual / 24) ** 2 / 15
    assert df == pytest.approx(more**2 / weights, rel=1e-12)


def test_seeds_not_shared_are_taken_of_each_and_patients_of_the_difference():
    first, second = scores(1, 4, 6), scores(1, 3, 6)
    (rows_a, _, rest_a), (rows_b, _, rest_b) = mean_squares(first[0]), mean_squares(second[0])
    patients = np.var((first[0].mean(axis=0) - second[0].mean(axis=0)), ddof=1) / 6
    seeds = rows_a / 24 + rows_b / 18
    expected = max(seeds + patients - rest_a / 24 - rest_b / 18, seeds, patients)
    assert one(first, second, of_methods=False, shared_seeds=False)[1] == pytest.approx(expected**0.5, rel=1e-12)


def test_methods_add_pretrainings_of_each_by_inclusion_and_exclusion():
    """With one seed, by hand: V(pretrainings) of each + V(patients) of the difference - V(both) of each."""
    first, second = scores(3, 1, 6), scores(4, 1, 6)
    (rows_a, _, rest_a), (rows_b, _, rest_b) = mean_squares(first[:, 0]), mean_squares(second[:, 0])
    patients = np.var(first.mean(axis=(0, 1)) - second.mean(axis=(0, 1)), ddof=1) / 6
    groups = rows_a / 18 + rows_b / 24
    expected = max(groups + patients - rest_a / 18 - rest_b / 24, groups, patients)
    assert one(first, second, of_methods=True, shared_seeds=False)[1] == pytest.approx(expected**0.5, rel=1e-12)


def test_three_axes_are_unbiased():
    """Truth by construction: variances 4, 2, 1 of pretrainings, seeds and patients, 3 of their cells, each over n."""
    pre, seed, patient, count = 3, 4, 5, 4000
    shape = (count, pre, seed, patient)

    def effect(sd, *axes):
        return DRAWS.normal(0, sd, [n if axis in axes else 1 for axis, n in enumerate(shape)])

    first, second = (
        effect(2, 0, 1) + effect(2**0.5, 0, 2) + effect(1, 0, 3) + effect(3**0.5, 0, 1, 2, 3) for _ in range(2)
    )
    found = difference(first, second, of_methods=True, shared_seeds=True)
    truth = 2 * (4 / pre + 2 / seed + 1 / patient + 3 / (pre * seed * patient))
    assert found.value.var() == pytest.approx(truth, rel=0.08)
    assert np.mean(found.error**2) == pytest.approx(truth, rel=0.08)


@pytest.mark.parametrize("of_methods", [False, True])
def test_seeds_alone_are_the_paired_t_or_welchs(of_methods):
    first, second, other = scores(1, 8, 1), scores(1, 8, 1), scores(1, 5, 1)
    paired, welch = (
        scipy.stats.ttest_rel(first[0], second[0]),
        scipy.stats.ttest_ind(first[0], other[0], equal_var=False),
    )
    how = {"of_methods": of_methods}
    assert one(first, second, shared_seeds=True, **how)[3] == pytest.approx(paired.pvalue[0], rel=1e-10)
    assert one(first, other, shared_seeds=False, **how)[2:] == pytest.approx((welch.df[0], welch.pvalue[0]), rel=1e-10)


def test_patients_alone_are_the_paired_t_and_pretrainings_alone_are_welchs():
    first, second = scores(1, 1, 9), scores(1, 1, 9)
    expected = scipy.stats.ttest_rel(first[0, 0], second[0, 0])
    assert one(first, second, of_methods=False, shared_seeds=True)[3] == pytest.approx(expected.pvalue, rel=1e-10)
    low, high = expected.confidence_interval()
    found = difference(first, second, of_methods=False, shared_seeds=True)
    ends = (found.value - found.half_width, found.value + found.half_width)
    assert np.array(ends) == pytest.approx((low, high), rel=1e-9)
    first, second = scores(3, 1, 1), scores(5, 1, 1)
    expected = scipy.stats.ttest_ind(first[:, 0, 0], second[:, 0, 0], equal_var=False)
    assert one(first, second, of_methods=True, shared_seeds=True)[2:] == pytest.approx(
        (expected.df, expected.pvalue), rel=1e-10
    )


def test_equivalence_is_the_larger_of_two_one_sided_tests():
    first, second = scores(1, 1, 40), scores(1, 1, 40)
    found = difference(first, second, of_methods=False, shared_seeds=True)
    gaps = (first - second)[0, 0]
    lower = scipy.stats.ttest_1samp(gaps, -0.02, alternative="greater").pvalue
    upper = scipy.stats.ttest_1samp(gaps, 0.02, alternative="less").pvalue
    assert float(found.equivalence_p(0.02)) == pytest.approx(max(lower, upper), rel=1e-10)


def test_identical_rows_have_no_test_and_a_constant_gap_none_of_equivalence_either():
    first = scores(1, 3, 4)
    same = difference(first, first.copy(), of_methods=False, shared_seeds=True)
    assert (float(same.value), float(same.error), float(same.equivalence_p(0.005))) == (0, 0, 0)
    gap = difference(first + 0.1, first, of_methods=False, shared_seeds=True)
    assert float(gap.value) == pytest.approx(0.1)
    assert (float(gap.error), float(gap.half_width)) == (0, 0)
    assert np.isnan([gap.p, gap.df, gap.equivalence_p(0.2), same.p]).all()


def test_one_score_each_is_refused():
    with pytest.raises(ValueError, match="one score each has no variance"):
        difference(scores(2, 1, 1), scores(3, 1, 1), of_methods=False, shared_seeds=True)


def test_many_pairs_at_once_are_each_pair_alone():
    first, second = DRAWS.normal(size=(2, 5, 3, 4, 6))
    together = difference(first, second, of_methods=True, shared_seeds=True)
    for place in range(5):
        alone = one(first[place], second[place], of_methods=True, shared_seeds=True)
        assert alone[:3] == pytest.approx((together.value[place], together.error[place], together.df[place]))


def test_a_familys_p_is_where_the_weighted_quantiles_reach_t():
    """Cochran's: solved by scipy from the plain-loop mean squares; each axis weighs (k + 4) / k times its share."""
    first, second = scores(1, 3, 6), scores(1, 3, 6, 0.05)
    rows, columns, _ = mean_squares((first - second)[0])
    found = difference(first, second, of_methods=False, shared_seeds=True)
    t = abs(float(found.value / found.error))
    seeds, patients = (2 + 4) / 2 * rows, (5 + 4) / 5 * columns

    def gap(p):
        quantiles = scipy.stats.t.isf(p / 2, 2), scipy.stats.t.isf(p / 2, 5)
        return (seeds * quantiles[0] + patients * quantiles[1]) / (seeds + patients) - t

    expected = scipy.optimize.brentq(gap, 1e-12, 1)
    assert float(found.family_p) == pytest.approx(expected, rel=1e-6)
    assert found.family_p > found.p


def test_a_familys_p_of_one_axis_is_p_itself_for_equivalence_too():
    for first, second, shared in ((scores(1, 6, 1), scores(1, 6, 1), True), (scores(1, 6, 1), scores(1, 4, 1), False)):
        found = difference(first, second, of_methods=False, shared_seeds=shared)
        assert float(found.family_p) == pytest.approx(float(found.p), rel=1e-8)
        for margin in (0.001, 0.2):
            assert float(found.family_equivalence_p(margin)) == pytest.approx(
                float(found.equivalence_p(margin)), rel=1e-8
            )
