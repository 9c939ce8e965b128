"""What a probe's rows may claim: the floor, the paired difference, Holm, and the words in every format."""

import csv
import io
import json

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from eden_bench import records
from eden_bench.contracts import ScoreDefinition
from eden_bench.report.build import build
from eden_bench.report.outputs import grid, markdown, table_csv, table_json, text
from eden_bench.statistics.multiplicity import holm
from tests.eden_bench.report.made import as_report
from tests.eden_bench.stored import patients, store

TOP1 = ScoreDefinition(name="top1", text="Share found first.", decimals=1)
ERROR = ScoreDefinition(name="error", text="Mean error.", unit="px", bounds=(0, None), higher_is_better=False)
FLOORS = {"chance": 0.1, "oracle": 1.0}

GOLDEN_TABLE = """\
| method | mean | s.d. | n | 95 % interval | seeds | 95 % over patients | S | claim |
| --- | --: | --: | --: | --: | --- | --: | --: | --- |
| adam | 90.0 | – | 1 | – | 0 | 90.0 to 90.0 | 0.89 | has the property [PHANTOM; QUICK] |
| densecl | 80.0 | – | 1 | – | 0 | 80.0 to 80.0 | 0.78 | not above its floor [PHANTOM; QUICK] |
| pixels | 80.0 | – | 1 | – | 0 | 80.0 to 80.0 | 0.78 | control |
| simsiam | 70.0 | – | 1 | – | 0 | 70.0 to 70.0 | 0.67 | below its floor [PHANTOM; QUICK] |
| random | 50.0 | – | 1 | – | 0 | 50.0 to 50.0 | 0.44 | control |
"""
GOLDEN_SENTENCES = """\
adam against its practical floor, pixels (80.0): difference +10.0, 95 % interval +10.0 to +10.0 over 12 patients, \
p = 0.001, by Holm 0.003: has the property [PHANTOM; QUICK]
densecl against its practical floor, pixels (80.0): difference +0.0, 95 % interval +0.0 to +0.0 over 12 patients, \
p = 1, by Holm 1: not above its floor [PHANTOM; QUICK]
simsiam against its practical floor, pixels (80.0): difference -10.0, 95 % interval -10.0 to -10.0 over 12 patients, \
p = 0.001, by Holm 0.003: below its floor [PHANTOM; QUICK]
"""


def probe(method, values, score=TOP1, seed=0, controls=FLOORS, task="locality", **more):
    """A probe's record whose cases are one a patient."""
    cases = more.pop("columns", {})
    groups = ("controls",) if method in ("pixels", "position", "oracle") else ()
    return store(
        None, method, float(np.nanmean(values)), seed, task=task, kind="probe", score=score, groups=groups,
        controls=controls, cases=patients(values, score.name, **cases), **more,
    )  # fmt: skip


def even(method, value, count=12, **more):
    """A probe's record in which all patients score the same."""
    return probe(method, [value] * count, **more)


def five():
    """Rows whose differences are the same for every patient, so that intervals have no width.

    p of a difference is then 2 / 2001 and of none 1; Holm's over three is 3 · 2 / 2001.
    """
    means = {"adam": 0.9, "densecl": 0.8, "simsiam": 0.7, "pixels": 0.8, "random": 0.5}
    return [even(method, mean) for method, mean in means.items()]


def claims_of(stored):
    return {label: claim for table in build(stored).tables for label, claim in table.claims.items()}


def test_the_table_and_its_sentences_are_the_golden_ones():
    (table,) = build(five()).tables
    shown = markdown.render(as_report(table))
    assert GOLDEN_TABLE in shown
    assert "".join(f"- {line}\n" for line in GOLDEN_SENTENCES.splitlines()) in shown
    assert "correction over the 3 claims tested in this report" in shown
    plain = text.render(as_report(table))
    assert GOLDEN_SENTENCES in plain
    assert "0.89  has the property [PHANTOM; QUICK]" in plain


def test_the_machine_formats_keep_every_digit_and_the_marks():
    tables = build(five()).tables
    rows = {row["label"]: row for row in json.loads(table_json.render(as_report(*tables)))["tables"][0]["rows"]}
    claim = rows["adam"]["claim"]
    assert claim["p"] == 2 / 2001
    assert claim["adjusted_p"] == 3 * 2 / 2001
    assert (claim["verdict"], claim["marks"], claim["floor"]) == ("has the property", "PHANTOM; QUICK", "pixels")
    assert (claim["difference"], claim["low"], claim["skill"]) == pytest.approx((0.1, 0.1, 0.8 / 0.9))
    assert (rows["adam"]["is_control"], rows["pixels"]["is_control"], rows["random"]["is_control"]) == (0, 1, 1)
    assert rows["adam"]["patients"]["n"] == 12
    lines = {line["method"]: line for line in csv.DictReader(io.StringIO(table_csv.render(as_report(*tables))))}
    assert float(lines["adam"]["claim_adjusted_p"]) == claim["adjusted_p"]
    assert lines["simsiam"]["claim_verdict"] == "below its floor"
    assert {line["claim_marks"] for line in lines.values()} == {"PHANTOM; QUICK"}


def test_where_lower_is_better_the_floor_is_the_least_and_below_is_more():
    means = {"adam": 10.0, "densecl": 30.0, "pixels": 20.0, "random": 50.0}
    found = claims_of([even(name, mean, score=ERROR, controls={}) for name, mean in means.items()])
    assert {found[name].floor for name in ("adam", "densecl")} == {"pixels"}
    assert (found["adam"].verdict, found["densecl"].verdict) == ("has the property", "below its floor")


def test_the_skill_of_a_score_where_lower_is_better_is_one_at_the_oracle_too():
    found = claims_of([even("adam", 15.0, score=ERROR, controls={"chance": 50.0, "oracle": 10.0})])
    assert found["adam"].skill == pytest.approx((15 - 50) / (10 - 50))
    assert claims_of([even("adam", 0.5, controls={"chance": 0.1})])["adam"].skill is None
    with_row = claims_of([even("adam", 0.5, controls={"chance": 0.1}), even("oracle", 0.9, controls={"chance": 0.1})])
    assert (with_row["adam"].skill, with_row["oracle"].skill) == pytest.approx((0.5, 1.0))


def test_an_oracle_is_no_floor_whether_row_or_control():
    found = claims_of([*five(), even("oracle", 1.0)])
    assert (found["adam"].floor, found["adam"].verdict) == ("pixels", "has the property")
    grid = {**FLOORS, "grid oracle": 0.95}
    assert claims_of([even("adam", 0.9, controls=grid), even("random", 0.5)])["adam"].floor == "random"


def test_a_control_of_the_task_is_a_floor_too():
    floors = {**FLOORS, "copy the coordinates": 0.95}
    found = claims_of([even("adam", 0.9, controls=floors), even("random", 0.5, controls=floors)])["adam"]
    assert (found.floor, found.floor_value, found.verdict) == ("copy the coordinates", 0.95, "below its floor")


@pytest.mark.parametrize("column", ["copy the coordinates", "top1_of_copy_the_coordinates"])
def test_a_control_with_a_column_in_the_cases_is_paired_with_them(column):
    rng = np.random.default_rng(0)
    hard = rng.normal(0.5, 0.2, 40)
    told = {"copy the coordinates": float(hard.mean())}
    own = hard + 0.01
    paired = probe("adam", own, controls=told, columns={column: hard.tolist()})
    fixed = probe("adam", own, controls=told)
    other = probe("adam", own, controls=told, columns={column: (hard + 0.1).tolist()})  # a column of something else
    assert claims_of([paired])["adam"].low == pytest.approx(0.01)
    assert claims_of([paired])["adam"].verdict == "has the property"
    assert claims_of([fixed])["adam"].verdict == claims_of([other])["adam"].verdict == "not above its floor"


def test_controls_are_tested_against_nothing_by_the_papers_test():
    (table,) = build([even("adam", 0.6), even("densecl", 0.5), even("pixels", 0.8), even("random", 0.7)]).tables
    assert [(each.row.label, each.other.label) for each in table.comparisons] == [("adam", "densecl")]
    (table,) = build([even("pixels", 0.8), even("random", 0.7)]).tables
    assert table.comparisons == ()
    assert {claim.verdict for claim in table.claims.values()} == {"control"}


def test_a_row_alone_or_beside_chance_alone_claims_nothing():
    found = claims_of([even("adam", 0.9)])["adam"]
    assert found.verdict == "no claim"
    assert "run random and the methods of @controls too" in found.note
    assert found.p is None


def test_few_patients_claim_nothing_and_their_number_is_said():
    found = claims_of([even("adam", 0.9, count=9), even("random", 0.5, count=9)])["adam"]
    assert (found.verdict, found.note) == ("no claim", "9 patients are too few, expected at least 10")
    assert claims_of([even("adam", 0.9, count=10), even("random", 0.5, count=10)])["adam"].p == 2 / 2001


def test_rows_of_other_patients_are_not_compared():
    found = claims_of([even("adam", 0.9, count=12), even("random", 0.5, count=13)])["adam"]
    assert (found.verdict, found.note) == ("no claim", "it and random were not scored on the same patients")


def test_cases_that_give_another_score_than_the_record_says_claim_nothing():
    told = store(None, "adam", 0.9, 0, kind="probe", score=TOP1, cases=patients([0.8] * 12, "top1"))
    found = claims_of([told, even("random", 0.5, task="scr-heart")])["adam"]
    assert (found.verdict, found.note) == ("no claim", "its cases give 0.8, its record says top1 0.9")
    (table,) = build([even("adam", 0.9, task="scr-heart"), _other_cases("random", 0.5)]).tables
    assert table.claims["adam"].note == "random: its cases give 0.4, its record says top1 0.5"
    assert table.patients["random"].low is None


def _other_cases(method, value):
    cases = patients([value - 0.1] * 12, "top1")
    return store(None, method, value, 0, kind="probe", score=TOP1, cases=cases)


def test_a_difference_within_what_other_patients_explain_is_no_property():
    rng = np.random.default_rng(1)
    floor = rng.random(50)
    noisy, clear = floor + rng.normal(0.02, 0.2, 50), floor + rng.normal(0.2, 0.2, 50)
    found = claims_of([probe("adam", noisy), probe("densecl", clear), probe("pixels", floor)])
    assert (found["adam"].verdict, found["densecl"].verdict) == ("not above its floor", "has the property")
    assert found["adam"].low < 0 < found["adam"].high
    apart = clear - floor
    half = 1.96 * apart.std() / np.sqrt(50)
    assert (found["densecl"].low, found["densecl"].high) == pytest.approx(
        (apart.mean() - half, apart.mean() + half), abs=0.15 * half
    )


def test_an_encoder_equal_to_its_floor_but_for_the_last_digit_has_nothing():
    values = np.random.default_rng(2).random(30)
    found = claims_of([probe("adam", values + 1e-16), probe("pixels", values)])["adam"]
    assert (found.p, found.verdict) == (1.0, "not above its floor")


def test_untrained_networks_vary_with_their_drawing_too():
    """One drawing says how it differs from a row on other patients; five also how drawings differ."""
    shifts = (-0.2, -0.1, 0.0, 0.1, 0.2)
    drawn = [even("random", 0.5 + shift, seed=seed, count=30) for seed, shift in enumerate(shifts)]
    one = claims_of([even("adam", 0.6, count=30), drawn[2]])["adam"]
    five_drawn = claims_of([even("adam", 0.6, count=30), *drawn])["adam"]
    assert (one.low, one.high) == pytest.approx((0.1, 0.1))
    assert five_drawn.difference == pytest.approx(0.1)
    assert five_drawn.low < -0.03  # a mean of 4 of the 5 has s.e. √(0.025 / 5) = 0.07
    assert (one.verdict, five_drawn.verdict) == ("has the property", "not above its floor")


def test_holm_is_over_all_properties_of_a_report_and_resamples_follow_their_number():
    """p of about 0.02 alone passes; among forty, most of which nobody has, it does not, and a clear one still does."""
    rng = np.random.default_rng(3)
    floor = rng.random(60)
    apart = rng.normal(0, 1, 60)
    weak = floor + 0.1 * (apart - apart.mean()) + 2.3 * 0.1 * apart.std() / np.sqrt(60)
    alone = claims_of([probe("adam", weak), probe("pixels", floor)])["adam"]
    assert 0.005 < alone.p < 0.05
    assert alone.verdict == "has the property"
    means = {f"p{number}": 0.9 if number == 7 else 0.8 for number in range(39)}
    others = [
        even(method, value, 60, task=task)
        for task, mean in means.items()
        for method, value in (("adam", mean), ("pixels", 0.8))
    ]
    tables = build([probe("adam", weak), probe("pixels", floor), *others]).tables
    found = {table.task: table.claims["adam"] for table in tables}
    assert found["locality"].verdict == "not above its floor"
    assert found["locality"].adjusted_p == pytest.approx(39 * found["locality"].p)
    assert found["p7"].p == 2 / 4001
    assert found["p7"].adjusted_p == pytest.approx(40 * 2 / 4001)
    assert found["p7"].verdict == "has the property"


@pytest.mark.parametrize("count", [1, 2, 12, 120])
def test_holm_agrees_with_statsmodels(count):
    p_values = (np.random.default_rng(count).random(count) ** 4).round(3)  # with ties
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1], abs=1e-12)


def test_real_whole_data_carry_no_marks_in_a_claim():
    real = {"phantom": False, "quick": False, "protocol": "paper", "pretrain": {"digest": "d" * 64, "dataset": "x"}}
    (table,) = build([even("adam", 0.9, **real), even("random", 0.5, **real)]).tables
    assert "| has the property |" in markdown.render(as_report(table))


def test_no_other_table_claims_anything():
    (table,) = build([store(None, "adam", 0.8, 0)]).tables
    assert table.claims == {}
    assert grid.columns(table) == grid.COLUMNS
    assert "property" not in markdown.render(as_report(table))


def test_a_control_that_the_task_tells_the_answer_is_no_floor():
    stored = [even("adam", 0.9), even("pixels", 0.8), even("position", 1.0)]
    assert claims_of(stored)["adam"].floor == "position"
    told = [
        records.Record(one.folder, {**one.content, "task": {**one.content["task"], "ceilings": ["position"]}})
        for one in stored
    ]
    assert claims_of(told)["adam"].floor == "pixels"
