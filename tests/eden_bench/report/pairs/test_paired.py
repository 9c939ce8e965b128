"""Pairs of rows: verdicts by scope, the family, what is named where nothing is claimed, and text that says it all."""

import zlib

import numpy as np
import pytest
import scipy.stats

from eden_bench.contracts import ScoreDefinition
from eden_bench.report.build import build
from eden_bench.report.pairs.paired import Family, with_pairs
from eden_bench.report.pairs.text import pair_sentence
from tests.eden_bench.stored import DICE, patients, store, store_three

DRAWS = np.random.default_rng(11)
ERROR = ScoreDefinition(name="hd95", text="", unit="px", bounds=(0, None), higher_is_better=False)
PATIENTS = DRAWS.normal(0, 0.05, 40)
OWN = {method: DRAWS.normal(0, 0.005, 40) for method in ("adam", "densecl", "moco-v2", "random")}


def run(method, mean, *, seeds=range(5), pretrainings=(0,), score=DICE, noise=0.004, **more):
    """Records of 40 patients, who differ most; seeds and pretrainings shift all of them."""
    draws = np.random.default_rng(zlib.crc32(f"{method} {mean} {noise} {len(seeds)} {len(pretrainings)}".encode()))
    records = []
    for number in pretrainings:
        shift = draws.normal(0, noise)
        for seed in seeds:
            values = mean + PATIENTS + OWN[method] + shift + draws.normal(0, noise) + draws.normal(0, noise, 40)
            weights = {"checkpoint": f"{method}{number}".ljust(64, "0"), "card": {"seed": number}}
            records.append(
                store(
                    None,
                    method,
                    float(values.mean()),
                    seed,
                    score=score,
                    cases=patients(values, score.name),
                    **weights,
                    **more,
                )
            )
    return records


def pair_of(records, row="adam", other="densecl", **how):
    report = build(records, **how)
    return next(each for table in report.tables for each in table.pairs if (each.row, each.other) == (row, other))


def test_a_clear_difference_of_two_checkpoints_is_one_of_these_checkpoints_alone():
    pair = pair_of([*run("adam", 0.84), *run("densecl", 0.80)])
    found, methods = pair.checkpoints, pair.methods
    assert (found.verdict, found.covers) == ("better", "other fine-tuning seeds and other patients")
    assert found.low < 0.04 < found.high
    assert (methods.verdict, methods.p) == ("not asked", None)
    assert methods.note == "1 and 1 pretrainings, at least 3 each are needed"


def test_the_other_way_round_it_is_worse_and_an_error_is_better_lower():
    assert pair_of([*run("adam", 0.76), *run("densecl", 0.80)]).checkpoints.verdict == "worse"
    low = pair_of([*run("adam", 5.0, score=ERROR), *run("densecl", 6.0, score=ERROR)]).checkpoints
    assert (low.verdict, low.difference < 0) == ("better", True)
    assert (low.margin, low.equivalence_p) == (None, None)
    errors = pair_of([*run("adam", 5.0, score=ERROR), *run("densecl", 6.0, score=ERROR)])
    assert (errors.probability.value, errors.bayes) == (1, None)


def test_methods_are_asked_from_three_pretrainings_each():
    three = pair_of([*run("adam", 0.9, pretrainings=range(3)), *run("densecl", 0.8, pretrainings=range(3))])
    assert three.methods.verdict == "better"
    assert three.methods.covers == "other pretrainings, other fine-tuning seeds and other patients"
    two = pair_of([*run("adam", 0.9, pretrainings=range(3)), *run("densecl", 0.8, pretrainings=range(2))])
    assert (two.methods.verdict, two.checkpoints.verdict) == ("not asked", "better")


def test_weights_drawn_from_the_seed_are_a_pretraining_each():
    pair = pair_of([*run("adam", 0.9, pretrainings=range(3)), *run("random", 0.6)], other="random")
    assert pair.methods.verdict == "better"


def test_two_that_differ_less_than_the_margin_are_equivalent_and_few_that_may_are_undecided():
    close = [*run("adam", 0.8, noise=0.001), *run("densecl", 0.8, noise=0.001)]
    found = pair_of(close).checkpoints
    assert (found.verdict, found.margin) == ("equivalent", 0.005)
    assert -0.005 < found.low < found.high < 0.005
    assert pair_of([*run("adam", 0.8, noise=0.02), *run("densecl", 0.8, noise=0.02)]).checkpoints.verdict == "undecided"


def test_identical_rows_have_no_test_and_are_equivalent():
    same = [
        store(None, method, 0.8, seed, cases=patients([0.7, 0.9])) for method in ("adam", "densecl") for seed in (0, 1)
    ]
    found = pair_of(same).checkpoints
    assert (found.verdict, found.p, found.difference) == ("equivalent", None, 0)
    assert found.note == "the two are identical for every seed and patient: no test"


def test_missing_and_unequal_cells_are_named_and_nothing_is_claimed():
    records = [*run("adam", 0.84), *run("densecl", 0.80, seeds=range(4))]
    found = pair_of(records).checkpoints
    assert (found.verdict, found.p, found.low) == ("no claim", None, None)
    assert found.note == "adam has seeds 0-4, densecl has seeds 0-3: run the missing cells or pass --allow-unequal"
    assert pair_of(records, allow_unequal=True).checkpoints.verdict == "better"


def test_a_network_that_no_seed_changes_has_no_missing_cells_beside_drawn_ones():
    once = run("adam", 0.84, seeds=(0,), repeats="once")
    drawn = run("random", 0.80, repeats="once")
    note = pair_of([*once, *drawn], other="random").checkpoints.note
    assert note.startswith("adam is one network and was done once, since no seed changes it; random is another network")
    assert "seeds 0-4" in note
    assert "run the missing" not in note


def test_a_pretraining_without_a_seed_is_named():
    several = run("adam", 0.84, pretrainings=range(3))
    pair = pair_of([*several[:-1], *run("densecl", 0.8, pretrainings=range(3))])
    assert (pair.methods.verdict, pair.checkpoints.verdict) == ("no claim", "no claim")
    assert (
        pair.methods.note == "adam, pretraining seed 2, has no seeds 4: run the missing cells or pass --allow-unequal"
    )


def test_pretrainings_of_other_seeds_are_named():
    records = [*run("adam", 0.9, pretrainings=range(3)), *run("densecl", 0.8, pretrainings=range(4))]
    assert pair_of(records).methods.note.startswith(
        "adam has pretrainings 0-2, densecl has pretrainings 0-3: give both"
    )
    assert pair_of(records, allow_unequal=True).methods.verdict == "better"


def test_without_usable_cases_seeds_alone_are_paired_and_the_reason_is_said():
    """Equal to scipy's paired t over the seeds."""
    values = {"adam": [0.80, 0.83, 0.81, 0.84], "densecl": [0.78, 0.80, 0.80, 0.79]}
    records = [store(None, method, value, seed) for method, each in values.items() for seed, value in enumerate(each)]
    found = pair_of(records).checkpoints
    assert found.p == pytest.approx(scipy.stats.ttest_rel(*values.values()).pvalue)
    assert found.covers == "other fine-tuning seeds, for these patients"
    assert found.note.startswith("not over patients: adam: resampling needs at least 2 patients, not 1")


def test_other_patients_are_not_paired():
    records = [*run("adam", 0.84), *run("densecl", 0.80)]
    names = [f"q{number}" for number in range(40)]
    other = [
        store(None, "densecl", each.value, each.cell.seed, cases={**each.cases().to_dict("list"), "patient": names})
        for each in records[5:]
    ]
    assert (
        pair_of([*records[:5], *other]).checkpoints.note
        == "not over patients: the two were not scored on the same patients"
    )


def test_one_seed_covers_other_patients_only():
    found = pair_of([*run("adam", 0.84, seeds=[0]), *run("densecl", 0.80, seeds=[0])]).checkpoints
    assert (found.verdict, found.covers) == ("better", "other patients, for this fine-tuning seed")
    bare = pair_of([store(None, "adam", 0.8, 0), store(None, "densecl", 0.7, 0)]).checkpoints
    assert bare.verdict == "no claim"
    assert bare.note.startswith("one fine-tuning seed tells nothing of others, and not over patients")


def test_the_family_is_the_headlines_pairs_over_all_tables_and_the_others_are_exploratory():
    means = {"adam": 0.84, "densecl": 0.8, "moco-v2": 0.7}
    tasks = ("scr-heart", "scr-lung")
    records = [each for task in tasks for method, mean in means.items() for each in run(method, mean, task=task)]
    report = build(records)
    pairs = [pair for table in report.tables for pair in table.pairs]
    assert [pair.in_family for pair in pairs] == [pair.row == "adam" for pair in pairs]
    assert report.family.startswith("Family of tests: all pairs with adam, 4 in 2 tables")
    inside = [pair.checkpoints for pair in pairs if pair.in_family]
    assert min(each.adjusted_p for each in inside) == pytest.approx(4 * min(each.family_p for each in inside))
    assert all(each.p <= each.family_p <= each.adjusted_p for each in inside)
    outside = next(pair.checkpoints for pair in pairs if not pair.in_family)
    assert (outside.adjusted_p, outside.verdict) == (None, "better")
    assert outside.note == "outside the family: by the false discovery rate over all pairs"
    other = build(records, method="moco-v2")
    assert {pair.row for table in other.tables for pair in table.pairs if pair.in_family} == {"moco-v2"}
    assert build([r for r in records if r.cell.method != "adam"]).family.startswith(
        "Family of tests: all pairs of rows, 2"
    )


def test_the_papers_test_stands_beside_and_decides_nothing():
    pair = pair_of([*run("adam", 0.84), *run("densecl", 0.80)])
    assert (pair.paper.df, pair.paired.df) == (8, 4)
    assert (pair.cliffs_delta, pair.probability.value, pair.hedges_g.value > 2) == (1, 1, True)
    assert pair.bayes[0] > 0.95
    assert pair.sign_flip_p == pytest.approx(2 / 2**5)
    assert pair.correlation is not None
    assert pair.welch.p >= pair.paper.p


def test_a_probe_has_no_pairs():
    probes = [store(None, method, 0.8, 0, kind="probe", task="locality") for method in ("adam", "densecl")]
    assert build(probes).tables[0].pairs == ()


def test_a_sentence_says_for_what_the_verdict_holds_with_the_marks():
    (table,) = build([*run("adam", 0.84), *run("densecl", 0.80)]).tables
    text = pair_sentence(table.pairs[0], table)
    assert text.startswith("adam against densecl: difference +")
    assert "; these checkpoints: better [PHANTOM; QUICK] (95 % +" in text
    assert "over other fine-tuning seeds and other patients, p = " in text
    assert text.endswith("; the methods: not asked [PHANTOM; QUICK] (1 and 1 pretrainings, at least 3 each are needed)")


def test_power_says_what_this_study_finds_and_what_would_settle_the_rest():
    """What is detected lies beyond the interval's half width, at the least 2 and not 4 standard errors from 0."""
    pair = pair_of([*run("adam", 0.803), *run("densecl", 0.8)])
    found = pair.checkpoints
    assert found.verdict == "undecided"
    assert pair.power.note == "for these checkpoints, at level 0.05 / 1"
    error = (found.high - found.low) / 2 / scipy.stats.t.ppf(0.975, found.df)
    assert 2 * error < pair.power.detectable < 4 * error
    assert pair.power.seeds > 5
    assert pair.power.pretrainings is None


def test_power_of_methods_counts_pretrainings():
    records = [*run("adam", 0.81, pretrainings=range(3)), *run("densecl", 0.8, pretrainings=range(3))]
    pair = pair_of(records)
    assert pair.power.note == "for the methods, at level 0.05 / 1"
    assert 2 <= pair.power.pretrainings <= 3
    assert pair.power.detectable < pair.methods.difference


def test_the_best_row_is_told_from_the_worse_and_not_from_the_close():
    records = [*run("adam", 0.84), *run("densecl", 0.838), *run("moco-v2", 0.7), *run("random", 0.6, seeds=range(4))]
    (table,) = build(records).tables
    verdicts = {label: best.verdict for label, best in table.best.items()}
    close = {"adam": "may be the best", "densecl": "may be the best"}
    assert verdicts == close | {"moco-v2": "not the best", "random": "no claim"}
    assert table.best["adam"].note == "these checkpoints, other fine-tuning seeds and other patients"
    assert table.best["random"].note == "its seeds are 0-3, most rows' 0-4"


def test_the_best_of_two_agrees_with_their_pair():
    """Of two rows Hsu's interval ends at the one-sided 95 % limits of their difference."""
    (table,) = build([*run("adam", 0.801), *run("densecl", 0.8)]).tables
    found = table.pairs[0].checkpoints
    error = (found.high - found.low) / 2 / scipy.stats.t.ppf(0.975, found.df)
    limit = scipy.stats.t.ppf(0.95, found.df) * error
    assert table.best["adam"].high == pytest.approx(found.difference + limit, rel=0.02)
    assert table.best["adam"].low == pytest.approx(min(0, found.difference - limit), abs=0.02 * limit)


def test_one_score_a_row_has_no_best():
    (table,) = build([store(None, "adam", 0.8, 0), store(None, "densecl", 0.7, 0)]).tables
    assert {best.verdict for best in table.best.values()} == {"no claim"}


@pytest.mark.parametrize("method", ["", "densecl", "absent"])
def test_the_family_is_as_large_as_it_has_pairs(method):
    stored = [*store_three(None), *store_three(None, task="scr-lung"), store(None, "byol", 0.6, 0, task="montgomery")]
    tables = build(stored).tables
    found = with_pairs(tables, family := Family.of(tables, method))
    assert [sum(pair.in_family for pair in table.pairs) for table in found if table.pairs] == list(family.sizes)
