"""Several pretrainings of a method: one row of two levels, tested over pretrainings."""

import math

import numpy as np
import pytest
import scipy.stats

from eden_bench.report.build import build
from eden_bench.report.outputs import markdown, table_csv, table_json, text
from tests.eden_bench.report.made import as_report
from tests.eden_bench.stored import store

SHIFTS = {0: -0.02, 1: 0.0, 2: 0.03}


def pretrainings(method, mean, shifts=SHIFTS, seeds=range(3), **more):
    """Records of a method pretrained with several seeds."""
    return [
        store(None, method, mean + shift + 0.01 * seed, seed, checkpoint=f"{method}{number}".ljust(64, "0"),
              card={"seed": number}, **more)
        for number, shift in shifts.items()
        for seed in seeds
    ]  # fmt: skip


def test_the_row_is_over_the_means_of_the_pretrainings():
    (table,) = build(pretrainings("adam", 0.8)).tables
    (row,) = table.rows
    means = [0.8 + shift + 0.01 for shift in SHIFTS.values()]
    assert row.units == pytest.approx(means)
    assert (row.levels, row.summary.n) == (2, 3)
    assert row.summary.mean == pytest.approx(np.mean(means))
    assert row.summary.sd == pytest.approx(np.std(means, ddof=1))
    low, high = scipy.stats.t.interval(0.95, 2, np.mean(means), scipy.stats.sem(means))
    assert (row.summary.low, row.summary.high) == pytest.approx((low, high))
    assert row.sd_within == pytest.approx(0.01)
    assert "3 pretrainings, seeds 0-2" in row.origin


def test_the_test_is_scipys_over_pretrainings():
    (table,) = build([*pretrainings("adam", 0.8), *pretrainings("densecl", 0.75, {0: 0.0, 1: 0.01, 2: -0.02})]).tables
    (comparison,) = table.comparisons
    expected = scipy.stats.ttest_ind(table.rows[0].units, table.rows[1].units)
    assert (comparison.test.t, comparison.test.p, comparison.test.df) == pytest.approx(
        (expected.statistic, expected.pvalue, 4)
    )
    assert comparison.over == "pretrainings"
    assert "over pretrainings" in text.render(as_report(table))


def test_drawn_weights_are_a_pretraining_each():
    drawn = [store(None, "random", 0.5 + 0.01 * seed, seed) for seed in range(5)]
    (table,) = build([*pretrainings("adam", 0.8), *drawn]).tables
    (comparison,) = table.comparisons
    expected = scipy.stats.ttest_ind(table.rows[0].units, [0.5 + 0.01 * seed for seed in range(5)])
    assert comparison.test.p == pytest.approx(expected.pvalue)


def test_one_checkpoint_is_not_tested_against_several_pretrainings():
    (table,) = build([*pretrainings("adam", 0.8), *pretrainings("densecl", 0.7, {0: 0.0})]).tables
    (comparison,) = table.comparisons
    assert comparison.test is None
    assert "no test: adam has 3 pretrainings and densecl one" in comparison.note


def test_what_differs_beside_the_seed_makes_rows_of_its_own():
    other = pretrainings("adam", 0.8, {0: 0.0})
    same_seed = [store(None, "adam", 0.7, 0, checkpoint="f" * 64, card={"seed": 0})]
    (table,) = build([*other, *same_seed]).tables
    assert len(table.rows) == 2
    precise = (
        pretrainings("adam", 0.8, {0: 0.0}),
        [store(None, "adam", 0.7, 0, checkpoint="e" * 64, card={"seed": 1, "precision": "bfloat16"})],
    )
    (table,) = build([*precise[0], *precise[1]]).tables
    assert len(table.rows) == 2


def test_only_seeds_that_all_pretrainings_have_weigh_and_the_lack_is_said():
    stored = [
        record for record in pretrainings("adam", 0.8) if (record.checkpoint.card.seed, record.cell.seed) != (2, 2)
    ]
    (table,) = build(stored).tables
    assert table.rows[0].units == pytest.approx([0.8 + shift + 0.005 for shift in SHIFTS.values()])
    assert any("adam has no record of seeds 2" in note for note in table.notes)


def test_every_format_tells_both_levels():
    import json

    tables = build([*pretrainings("adam", 0.8), *pretrainings("densecl", 0.7)]).tables
    assert "3 × 3" in text.render(as_report(*tables))
    assert "A row whose n is for example 3 × 10" in markdown.render(as_report(*tables))
    row = json.loads(table_json.render(as_report(*tables)))["tables"][0]["rows"][0]
    assert [each["seed"] for each in row["by_pretraining"]] == [0, 1, 2]
    assert all(len(each["scores"]) == 3 for each in row["by_pretraining"])
    assert math.isclose(row["sd_within"], 0.01)
    assert "pretrainings" in table_csv.render(as_report(*tables)).splitlines()[0]
