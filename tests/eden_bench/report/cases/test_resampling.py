"""The bootstrap over patients: against plain loops, against SciPy, and how often its interval holds the truth."""

import itertools

import numpy as np
import pytest
import scipy.stats

from eden_bench import case_statistics
from eden_bench.report.cases.resampling import (
    Interval,
    Scored,
    differences,
    interval,
    over_pretrainings,
    p_value,
    patient_counts,
    resampled,
)

PATIENTS = ["b", "a", "b", "c", "c", "c", "d"]
VALUES = [0.1, 0.9, 0.3, np.nan, 0.5, 0.6, np.nan]


def scored(values=VALUES, patients=PATIENTS, **more):
    return Scored(np.array(patients, dtype=object), {"dice": np.array(values, dtype=float)}, "dice", **more)


def cases_drawn(each, counts):
    """The cases of one resample, written out: a patient's cases once for each time it was drawn."""
    names = sorted(set(each.patients))
    return [
        case
        for name, count in zip(names, counts, strict=True)
        for case in [row for row, patient in enumerate(each.patients) if patient == name] * int(count)
    ]


def all_counts(patients, resamples):
    return np.concatenate(list(patient_counts(patients, resamples)))


def test_every_resample_draws_as_many_patients_as_there_are_each_as_likely():
    counts = all_counts(5, 4000)
    assert (counts.sum(axis=1) == 5).all()
    # a patient is drawn Binomial(5, 1/5) times: mean 1, variance 0.8
    assert counts.mean(axis=0) == pytest.approx(1, abs=4 * np.sqrt(0.8 / 4000))
    assert counts.var(axis=0) == pytest.approx(0.8, abs=0.1)


def test_the_draws_depend_on_neither_the_parts_they_are_made_in_nor_how_many_follow():
    assert (np.concatenate(list(patient_counts(7, 100, chunk=7 * 9))) == all_counts(7, 500)[:100]).all()


def test_a_mean_is_the_plain_loops_with_cases_without_a_value_left_out():
    each = scored()
    expected = [
        np.mean([VALUES[case] for case in cases_drawn(each, counts) if not np.isnan(VALUES[case])] or [np.nan])
        for counts in all_counts(4, 300)
    ]
    found = resampled([each], 300)[:, 0]
    assert found == pytest.approx(expected, nan_ok=True)
    assert np.isnan(found).any()  # only patient d was drawn, who has no value


def test_any_other_statistic_is_called_with_the_drawn_cases():
    def largest(columns, name):
        return columns[name].max() - columns["case"].min()

    each = scored(np.arange(7.0), statistic=largest)
    each = Scored(each.patients, {**each.columns, "case": np.arange(7) * 0.1}, "dice", largest)
    drawn = [cases_drawn(each, counts) for counts in all_counts(4, 200)]
    assert resampled([each], 200)[:, 0] == pytest.approx([max(cases) - 0.1 * min(cases) for cases in drawn])


def test_a_resample_that_the_statistic_refuses_has_no_value():
    def refusing(columns, name):
        if 0.9 not in columns[name]:
            raise ValueError("no positive case")
        return 1.0

    found = resampled([scored(statistic=refusing)], 200)[:, 0]
    assert np.isnan(found).tolist() == (all_counts(4, 200)[:, 0] == 0).tolist()  # patient a, who has the 0.9


def test_rows_of_a_table_meet_the_same_resamples_whatever_stands_beside_them():
    first, second = scored(np.arange(7.0)), scored(np.arange(7.0) ** 2)
    together = resampled([first, second], 500)
    assert (together[:, 0] == resampled([first], 500)[:, 0]).all()
    assert differences(together[:, 0], resampled([first], 500)[:, 0]).tolist() == [0.0] * 500
    shifted = resampled([first, scored(np.arange(7.0) + 2)], 500)
    assert differences(shifted[:, 1], shifted[:, 0]) == pytest.approx(2)


def test_records_of_other_patients_are_refused():
    with pytest.raises(ValueError, match="different patients share no resamples"):
        resampled([scored(), scored(patients=["b", "a", "b", "c", "c", "c", "e"])], 10)


def test_the_interval_is_scipys_percentile_bootstrap_of_patients():
    rng = np.random.default_rng(0)
    totals, cases = rng.normal(3, 1, 40), rng.integers(1, 6, 40)
    values = np.repeat(totals / cases, cases)
    names = np.repeat([f"p{number:02}" for number in range(40)], cases)
    found = interval(resampled([scored(values, names)], 20_000)[:, 0])
    theirs = scipy.stats.bootstrap(
        (totals, cases), lambda t, c, axis: t.sum(axis) / c.sum(axis), paired=True, method="percentile",
        n_resamples=20_000, rng=np.random.default_rng(1),
    )  # fmt: skip
    low, high = theirs.confidence_interval
    # a percentile of R draws has a standard error of sqrt(q (1 - q) / R) / density, here about 0.02 s.e. of the mean
    assert found == pytest.approx((low, high), abs=0.1 * theirs.standard_error)


def test_the_difference_of_two_rows_is_paired():
    rng = np.random.default_rng(2)
    hard = rng.normal(0, 1, 60)
    first, second = hard + rng.normal(0.1, 0.01, 60), hard + rng.normal(0, 0.01, 60)
    names = [f"{number:02}" for number in range(60)]
    drawn = resampled([scored(first, names), scored(second, names)], 2000)
    apart = first - second
    half = 1.96 * apart.std() / np.sqrt(60)  # the normal interval of the mean of 60 differences
    assert interval(differences(drawn[:, 0], drawn[:, 1])) == pytest.approx(
        (apart.mean() - half, apart.mean() + half), abs=0.1 * half
    )
    assert interval(drawn[:, 0]).low < 0 < interval(drawn[:, 0]).high  # either alone is far from clear


def test_the_interval_holds_the_truth_as_often_as_it_says():
    """2,000 studies of 50 patients with 1 to 3 cases each; a patient's cases are alike, the truth is 0."""
    rng = np.random.default_rng(3)
    cases = rng.integers(1, 4, 50)
    names = np.repeat([f"{number:02}" for number in range(50)], cases)
    studies = np.repeat(rng.normal(0, 1, (2000, 50)), cases, axis=1) + rng.normal(0, 0.3, (2000, cases.sum()))
    drawn = resampled([scored(values, names) for values in studies], 2000)
    held = np.mean([low <= 0 <= high for low, high in (interval(column) for column in drawn.T)])
    assert 0.925 <= held <= 0.96  # 95 % but for what a percentile interval lacks at 50 patients
    apart = [scored(values, [str(case) for case in range(cases.sum())]) for values in studies]
    alone = np.mean([low <= 0 <= high for low, high in (interval(column) for column in resampled(apart, 500).T)])
    assert alone < held - 0.03  # cases drawn as if each were a patient


def test_one_fewer_pretrainings_are_drawn_than_there_are_and_seeds_are_averaged():
    scores = np.tile([1.0, 3.0, 10.0, 20.0, 30.0, 50.0], (6000, 1))  # pretrainings with means 2, 15 and 40
    found = over_pretrainings(scores, [0, 0, 1, 1, 2, 2], "adam")
    means = np.array([2.0, 15.0, 40.0])
    possible = sorted({(a + b) / 2 for a, b in itertools.product(means, means)})
    assert sorted(set(found)) == possible
    assert found.mean() == pytest.approx(means.mean(), abs=0.7)
    assert found.var() == pytest.approx(means.var(ddof=1) / 3, rel=0.06)
    other = over_pretrainings(scores, [0, 0, 1, 1, 2, 2], "densecl")
    assert abs(np.corrcoef(found, other)[0, 1]) < 0.05


def test_one_pretraining_is_the_mean_of_its_seeds():
    scores = np.array([[1.0, 2.0], [3.0, 5.0]])
    assert over_pretrainings(scores, [0, 0], "adam").tolist() == [1.5, 4.0]


def test_few_pretrainings_are_covered_as_well_as_the_documents_say():
    """Two methods of 5 pretrainings each; the truth is that they are equal."""
    rng = np.random.default_rng(4)
    names = [f"{number:02}" for number in range(50)]
    held = 0
    for study in range(300):
        hard = rng.normal(0, 0.05, 50)
        rows = [hard + rng.normal(0, 0.02) + rng.normal(0, 0.05, 50) for _ in range(10)]
        drawn = resampled([scored(row, names) for row in rows], 500)
        sides = [over_pretrainings(drawn[:, start : start + 5], range(5), study, start) for start in (0, 5)]
        low, high = interval(differences(*sides))
        held += low <= 0 <= high
    assert 0.88 <= held / 300 <= 0.98


def test_p_is_below_the_level_where_the_interval_leaves_zero_out():
    rng = np.random.default_rng(5)
    found = [rng.normal(shift, 1, 1999) for shift in np.linspace(-3, 3, 41)]
    clear = [drawn for drawn in found if abs(p_value(drawn) - 0.05) > 0.002]  # an end between two draws is at neither
    assert [p_value(drawn) < 0.05 for drawn in clear] == [interval(drawn).leaves_out_zero for drawn in clear]
    assert len(clear) > 35


def test_p_is_counted_by_hand_and_never_zero():
    assert p_value(np.array([1.0] * 1999)) == 2 / 2000
    assert p_value(np.array([-1.0, 0.0, 0.0, 1.0])) == 1.0
    assert p_value(np.array([-1.0, *[1.0] * 38])) == pytest.approx(2 * 2 / 40)


def test_equal_scores_differ_by_nothing_whatever_the_order_of_additions():
    tenths = np.full(1000, 0.1)
    noisy = np.array([sum([0.1] * 1000) / 1000] * 1000)
    assert (noisy != tenths).all()
    assert p_value(differences(noisy, tenths)) == 1.0
    assert p_value(differences(1e4 * noisy, 1e3)) == 1.0
    assert not interval(differences(noisy, tenths)).leaves_out_zero


def test_too_many_resamples_without_a_value_give_no_interval():
    drawn = np.arange(100.0)
    drawn[:5] = np.nan
    assert interval(drawn) == Interval(7.35, 96.65)  # 5 + 94 · 0.025 and 99 - 94 · 0.025
    drawn[5] = np.nan
    assert interval(drawn) is None
    assert p_value(drawn) is None


@pytest.mark.parametrize("statistic", ["auc", "iou_thresholds", "mean_over_labels"])
def test_the_fast_form_of_a_statistic_is_the_statistic_of_the_drawn_cases(statistic):
    rng = np.random.default_rng(6)
    score = case_statistics.ScoreDefinition(name="score", text="", statistic=statistic)
    function, counted = case_statistics.statistic_of(score), case_statistics.counted_of(score)
    targets = rng.integers(0, 2, (2, 30))
    columns = {f"target_{label}": target for label, target in zip("ab", targets, strict=True)}
    columns |= {f"probability_{label}": rng.integers(0, 6, 30) / 5 for label in "ab"}  # with ties
    columns |= {"target_c": np.zeros(30), "probability_c": rng.random(30)}
    for ending in ("", *(f"_{level}" for level in range(55, 100, 5))):
        columns[f"overlap_px{ending}"] = rng.integers(0, 50, 30)
        columns[f"predicted_px{ending}"] = columns[f"overlap_px{ending}"] + rng.integers(0, 50, 30)
    columns |= {"true_px": columns["overlap_px"] + 30, "pixels": np.full(30, 4096)}
    columns |= {"score": rng.random(30), "label": np.array(["a", "b", *"c" * 28], dtype=object)}  # two may be undrawn
    names = np.array([f"p{number % 12:02}" for number in range(30)], dtype=object)
    slow, fast = (Scored(names, columns, "score", function, each) for each in (None, counted))
    assert resampled([fast], 100) == pytest.approx(resampled([slow], 100), abs=1e-12)
    assert fast.value == pytest.approx(function(columns, "score"), abs=1e-12)


def test_a_fast_auc_without_both_values_is_left_out_as_the_slow_one_is():
    columns = {"target_a": np.array([0, 1]), "probability_a": np.array([0.1, 0.9])}
    counts = np.array([[1.0, 1.0], [2.0, 0.0]])
    found = case_statistics.counted_auc(columns, "auc", counts)
    assert found[0] == 1
    assert np.isnan(found[1])
