"""The comparison over tasks: what may stand beside each other, what is left out and why, and what is said of it."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.stats

from eden_bench.contracts import ScoreDefinition
from eden_bench.report.across import text as across_text
from eden_bench.report.across.groups import groups
from eden_bench.report.across.notes import absence
from eden_bench.report.across.over_tasks import across
from eden_bench.report.build import build
from eden_bench.report.findings import Finding, Pair
from eden_bench.statistics.aggregates import resampled
from eden_bench.statistics.ranks import ranks
from eden_bench.statistics.t_tests import t_quantile
from tests.eden_bench.stored import PRETRAIN, store

TASKS = {"scr-heart": "scr", "scr-clavicle": "scr", "shenzhen": "shenzhen", "vindr-rib": "vindr-rib"}
MEANS = {"adam": 0.8, "dira": 0.79, "densecl": 0.7, "random": 0.5}


def value(task, method, seed):
    """A score that differs by all three, with spread over seeds, on a grid that floats cannot hold exactly."""
    return round(MEANS[method] + 0.03 * list(TASKS).index(task) + 0.01 * ((7 * seed + len(method)) % 5 - 2), 4)


def tables_of(records):
    return build(records).tables


def stored(tasks=tuple(TASKS), methods=tuple(MEANS), seeds=range(5), **more):
    return [
        store(None, method, value(task, method, seed), seed, task=task, dataset=TASKS[task], **more)
        for task in tasks
        for method in methods
        for seed in seeds
    ]


def pretrained(tasks=tuple(TASKS), methods=("adam", "dira"), pretrainings=3, **more):
    """Several pretrainings, of which the n-th is better by n points on every task."""
    return [
        store(
            None, method, value(task, method, seed) + 0.01 * number, seed, task=task, dataset=TASKS[task],
            checkpoint=f"{method}{number}".encode().hex().ljust(64, "0"), card={"seed": number}, **more,
        )
        for task in tasks
        for method in methods
        for number in range(pretrainings)
        for seed in range(2)
    ]  # fmt: skip


def only(records):
    (found,) = across(tables_of(records))
    return found


def test_the_means_and_ranks_are_those_of_the_scores():
    found = only(stored())
    assert found.methods == ("adam", "dira", "densecl", "random")
    assert len(found.tables) == 4
    for name in MEANS:
        scores = [value(task, name, seed) for task in TASKS for seed in range(5)]
        assert found.aggregates[name].mean.value == pytest.approx(np.mean(scores))
        assert found.aggregates[name].iqm.value == pytest.approx(scipy.stats.trim_mean(scores, 0.25))
    means = np.array([[np.mean([value(task, name, seed) for seed in range(5)]) for name in MEANS] for task in TASKS])
    assert found.mean_ranks == pytest.approx(dict(zip(MEANS, ranks(means).mean(axis=0), strict=True)))
    expected = scipy.stats.friedmanchisquare(*means.round(12).T)
    assert found.friedman == pytest.approx((expected.statistic, expected.pvalue), rel=1e-10)
    assert found.left_out == {}


def test_the_order_of_the_records_does_not_matter():
    assert across(tables_of(stored())) == across(tables_of(reversed(stored())))


@pytest.mark.parametrize(
    "other",
    [
        {"phantom": False, "pretrain": {**PRETRAIN, "phantom": False}},
        {"quick": False},
        {"shots": 3},
        {"protocol": "paper"},
        {"pretrain": {**PRETRAIN, "digest": "e" * 64}},
        {"part": "first 40 images"},
    ],
)
def test_tables_that_are_not_alike_never_stand_beside_each_other(other):
    methods = ("adam", "dira", "densecl")  # random has no pretraining, and would stand in both
    here, there = stored(("scr-heart", "scr-clavicle"), methods), stored(("shenzhen", "vindr-rib"), methods, **other)
    found = across(tables_of([*here, *there]))
    assert sorted(len(each.tables) for each in found) == [2, 2]
    tasks = [sorted(table.partition(",")[0] for table in each.tables) for each in found]
    assert sorted(tasks) == [["scr-clavicle", "scr-heart"], ["shenzhen", "vindr-rib"]]
    assert len({each.heading for each in found}) == 2


def test_few_shots_of_each_number_are_compared_among_themselves():
    few = [each for shots in (3, 6) for each in stored(methods=("adam", "dira"), shots=shots)]
    found = across(tables_of(few))
    assert [len(each.tables) for each in found] == [4, 4]
    assert sorted(each.heading.split(", ")[1] for each in found) == ["3 shots", "6 shots"]


def test_one_table_each_of_phantom_and_of_real_data_are_not_compared_and_it_is_said_why():
    real = stored(("shenzhen",), ("adam", "dira"), phantom=False, pretrain={**PRETRAIN, "phantom": False})
    tables = tables_of([*stored(("scr-heart",), ("adam", "dira")), *real])
    assert across(tables) == ()
    first, second = absence(tables)
    assert "needs 2 tasks and 2 methods" in first
    assert "scr-heart, full training set, protocol quick [PHANTOM; QUICK]" in first
    assert "shenzhen" not in first
    assert "shenzhen" in second


def test_a_single_method_is_not_compared():
    tables = tables_of(stored(methods=("adam",)))
    assert across(tables) == ()
    assert len(absence(tables)) == 1


def test_tables_of_two_protocols_that_fine_tune_alike_are_compared_once():
    extra = stored(methods=("densecl",), protocol="ablation")
    found = only([*stored(methods=("adam", "dira", "random")), *extra])
    assert "densecl" in found.methods
    assert len(found.tables) == 4


def test_a_method_without_all_tables_is_left_out_and_named():
    short = [each for each in stored() if (each.cell.method, each.cell.task) != ("densecl", "shenzhen")]
    found = only(short)
    assert found.methods == ("adam", "dira", "random")
    assert found.left_out == {"densecl": "it has no row in shenzhen"}
    assert "left out of the comparison: densecl: it has no row in shenzhen" in across_text.sentences(found)


def test_a_table_with_few_of_the_methods_does_not_cost_the_others_their_comparison():
    short = [each for each in stored() if each.cell.task != "shenzhen" or each.cell.method == "adam"]
    found = only(short)
    assert len(found.methods) == 4
    ((left, reason),) = found.left_out.items()
    assert left.startswith("shenzhen")
    assert reason == "it has fewer than half of the 4 methods"


def test_a_probe_is_left_out():
    probe = stored(("scr-heart",), kind="probe")
    found = only([*stored(("scr-clavicle", "shenzhen", "vindr-rib")), *probe])
    assert len(found.tables) == 3
    assert [reason for table, reason in found.left_out.items() if "scr-heart" in table] == [
        "a probe, which is claimed against its own controls"
    ]


def test_a_task_with_two_tables_does_not_count_twice():
    found = only([*stored(), *stored(("shenzhen",), data="c" * 64)])
    assert sorted(table.partition(",")[0] for table in found.tables) == ["scr-clavicle", "scr-heart", "vindr-rib"]
    assert "shenzhen has several tables" in "".join(found.left_out.values())


ERROR = ScoreDefinition(name="error", text="", unit="px", bounds=(0.0, 20.0), higher_is_better=False, decimals=1)


def test_a_score_that_is_better_lower_is_turned_and_put_between_0_and_1():
    """An error of 20 (1 - x) px stands for the score x, so nothing may change but the note."""
    of = {"task": "shenzhen", "dataset": "shenzhen", "score": ERROR}
    turned = {(name, seed): 20 * (1 - value("shenzhen", name, seed)) for name in MEANS for seed in range(5)}
    as_errors = [store(None, name, error, seed, **of) for (name, seed), error in turned.items()]
    rest = stored(tuple(task for task in TASKS if task != "shenzhen"))
    found, plain = only([*rest, *as_errors]), only(stored())
    assert found.mean_ranks == plain.mean_ranks
    assert found.aggregates["adam"].iqm.value == pytest.approx(plain.aggregates["adam"].iqm.value)
    assert found.tie_classes == plain.tie_classes
    told = "put between 0 and 1 by their bounds: shenzhen (error in px, 0 to 20, lower is better, turned)"
    assert told in found.notes


def test_a_score_without_bounds_is_left_out():
    free = replace(ERROR, bounds=(0.0, None), unit="mm")
    tables = [replace(table, score=free) if table.task == "shenzhen" else table for table in tables_of(stored())]
    (found,) = across(tables)
    assert len(found.tables) == 3
    assert list(found.left_out.values()) == ["its score error in mm has no bounds, so it cannot be put between 0 and 1"]


def test_only_seeds_that_every_table_has_count():
    short = [each for each in stored() if (each.cell.task, each.cell.method, each.cell.seed) != ("shenzhen", "dira", 4)]
    found = only(short)
    expected = np.mean([value(task, "dira", seed) for task in TASKS for seed in range(4)])
    assert found.aggregates["dira"].mean.value == pytest.approx(expected)
    assert "only runs that a method has in every table count; others are left out of dira" in found.notes
    assert "methods were run on unequal seeds: 0-4 (adam, densecl, random); 0-3 (dira)" in found.notes


def test_without_a_seed_or_checkpoint_in_common_a_method_is_left_out():
    rest = [each for each in stored() if each.cell.method not in ("dira", "densecl")]
    seeds = [
        each
        for task, few in zip(TASKS, (range(2), range(2, 4), range(2), range(2)), strict=True)
        for each in stored((task,), ("dira",), few)
    ]
    digests = [
        each for task in TASKS for each in stored((task,), ("densecl",), checkpoint=task.encode().hex().ljust(64, "0"))
    ]
    found = only([*rest, *seeds, *digests])
    assert found.left_out == {
        "dira": "no seed is in every table",
        "densecl": "its checkpoints differ between the tables",
    }


def test_pretrainings_are_what_is_drawn_and_on_all_tasks_together():
    """The n-th pretraining is better on every task: the interval is Student's over three means one point apart."""
    found = only(pretrained()).aggregates["adam"].mean
    expected = scipy.stats.t.interval(0.95, 2, found.value, 0.01 / np.sqrt(3))
    assert (found.low, found.high) == pytest.approx(expected, rel=0.02)


def test_pretrainings_of_two_methods_are_drawn_apart():
    (group,) = groups(tables_of(pretrained()))
    first, second = (next(resampled(runs)) for runs in group.runs.values())
    assert group.runs["adam"].together
    assert not np.allclose(first - first.min(), second - second.min())


def test_a_pretraining_that_one_table_lacks_does_not_count():
    records = [each for each in pretrained() if each.cell.task != "shenzhen" or each.checkpoint.card.seed != 2]
    found = only(records)
    expected = np.mean(
        [value(task, "adam", seed) + 0.01 * number for task in TASKS for seed in (0, 1) for number in (0, 1)]
    )
    assert found.aggregates["adam"].mean.value == pytest.approx(expected)
    assert "few pretrainings, so wide intervals: adam, dira" in found.notes


def test_weights_drawn_from_the_seed_are_pretrainings():
    """Random's seeds are drawn for all tasks together, so its interval is Student's over seeds' means over tasks."""
    found = only(stored()).aggregates["random"].mean
    seeds = [np.mean([value(task, "random", seed) for task in TASKS]) for seed in range(5)]
    expected = scipy.stats.t.interval(0.95, 4, np.mean(seeds), scipy.stats.sem(seeds))
    assert (found.low, found.high) == pytest.approx(expected, abs=0.03 * (expected[1] - expected[0]))


BOTH = "other fine-tuning seeds and other patients"


def finding(difference, error, df=9.0, scope="checkpoints", covers=BOTH):
    half = error * t_quantile(0.975, df)
    ends = {"low": difference - half, "high": difference + half, "df": df}
    return Finding(scope=scope, verdict="undecided", difference=difference, **ends, covers=covers)


NOT_ASKED = Finding(scope="methods", verdict="not asked")


def with_pairs(tables, checkpoints, methods=lambda task: NOT_ASKED):
    """The pair of dira and adam in every table, in this order."""
    pair = lambda task: Pair(row="dira", other="adam", checkpoints=checkpoints(task), methods=methods(task))  # noqa: E731
    return [replace(table, pairs=(pair(table.task),)) for table in tables]


def test_pairs_of_the_tables_give_the_difference_with_its_patients():
    """Errors of heart and clavicle, which share patients, are added; the other tasks' are independent."""
    tables = tables_of(stored(methods=("adam", "dira")))
    (found,) = across(with_pairs(tables, lambda task: finding(-0.02, 0.01)))
    error = 0.01 * np.sqrt(2**2 + 1 + 1) / 4
    df = (4 + 1 + 1) ** 2 / ((4**2 + 1 + 1) / 9)
    expected = 2 * scipy.stats.t.sf(0.02 / error, df)
    assert found.separation_p == pytest.approx({("adam", "dira"): expected})
    assert found.tie_classes == (("adam",), ("dira",))
    assert found.tie_scope == f"these checkpoints on these tasks, under {BOTH}"


def test_a_pair_may_stand_in_either_order():
    tables = tables_of(stored(methods=("adam", "dira")))
    one = with_pairs(tables, lambda task: finding(-0.02, 0.01))
    turned = [
        replace(table, pairs=(replace(pair, row="adam", other="dira", checkpoints=finding(0.02, 0.01)),))
        for table in one[:2]
        for pair in table.pairs
    ]
    assert across([*turned, *one[2:]]) == across(one)


def test_an_interval_of_which_nothing_is_claimed_is_not_used():
    tables = tables_of(stored(methods=("adam", "dira")))
    unclaimed = lambda task: replace(finding(-0.02, 0.01), verdict="no claim")  # noqa: E731
    assert across(with_pairs(tables, unclaimed)) == across(tables)


def test_classes_hold_for_the_methods_only_if_every_pair_does():
    tables = tables_of(stored(methods=("adam", "dira", "densecl")))
    (found,) = across(with_pairs(tables, lambda task: finding(-0.02, 0.01), lambda task: finding(-0.02, 0.02, 4.0)))
    assert found.tie_scope == (
        f"these checkpoints on these tasks, under {BOTH} (1 of 3 pairs); other fine-tuning seeds (of a method with "
        "several pretrainings: other pretrainings), for these patients (2 of 3 pairs)"
    )


def test_the_methods_are_asked_for_where_every_table_tells_of_them():
    """Pretrainings are the same on every task, so all errors are added."""
    tables = tables_of(stored(methods=("adam", "dira")))
    (found,) = across(with_pairs(tables, lambda task: finding(-0.02, 0.01), lambda task: finding(-0.02, 0.02, 4.0)))
    assert found.separation_p["adam", "dira"] == pytest.approx(2 * scipy.stats.t.sf(0.02 / 0.02, 4))
    assert found.tie_scope.startswith("the methods on these tasks")
    some = lambda task: NOT_ASKED if task == "shenzhen" else finding(-0.02, 0.02, 4.0)  # noqa: E731
    (found,) = across(with_pairs(tables, lambda task: finding(-0.02, 0.01), some))
    assert found.tie_scope.startswith(f"these checkpoints on these tasks, under {BOTH}")


def test_tasks_whose_patients_are_not_covered_are_named():
    covers = {"shenzhen": "other fine-tuning seeds, for these patients"}
    tables = tables_of(stored(methods=("adam", "dira")))
    (found,) = across(with_pairs(tables, lambda task: finding(-0.02, 0.01, covers=covers.get(task, BOTH))))
    assert found.tie_scope == (
        f"these checkpoints on these tasks, under {BOTH} (scr-clavicle, scr-heart, vindr-rib); other "
        "fine-tuning seeds, for these patients (shenzhen)"
    )


def test_without_intervals_of_all_tables_the_runs_decide_and_patients_are_named_as_not_covered():
    tables = tables_of(stored(methods=("adam", "dira")))
    bare = across(tables)
    some = lambda task: Finding(scope="checkpoints", verdict="no claim") if task == "shenzhen" else finding(1, 0.01)  # noqa: E731
    (found,) = across(with_pairs(tables, some))
    assert (found,) == bare
    assert found.tie_scope.startswith("these checkpoints on these tasks, under other fine-tuning seeds")
    assert found.tie_scope.endswith("for these patients")
    runs = {
        name: np.array([[value(task, name, seed) for task in TASKS] for seed in range(5)]) for name in ("adam", "dira")
    }
    squares = np.concatenate([each.var(axis=0, ddof=1) / 5 / 16 for each in runs.values()])
    t = (runs["adam"].mean() - runs["dira"].mean()) / np.sqrt(squares.sum())
    df = squares.sum() ** 2 / (squares**2 / 4).sum()
    assert found.separation_p["adam", "dira"] == pytest.approx(2 * scipy.stats.t.sf(abs(t), df))


def test_of_one_seed_each_nothing_is_separated_and_no_interval_is_made_up():
    found = only(stored(seeds=range(1)))
    assert found.separation_p == {}
    assert found.tie_classes == (found.methods,)
    assert found.kendall is None
    assert found.profiles["adam"][1:] == ((), ())
    assert found.aggregates["adam"].iqm.low is None
    text = across_text.sentences(found)
    assert any("no two methods are compared" in line for line in text)
    assert any("no method has several runs" in line for line in text)
    assert not any("nan" in line.lower() for line in text)


def test_a_method_of_one_run_counts_as_a_tie_and_is_said_to():
    single = stored(methods=("densecl",), seeds=range(1))
    found = only([*stored(methods=("adam", "dira")), *single])
    assert "densecl" in found.tie_classes[0]
    assert set(found.separation_p) == {("adam", "dira")}
    assert "1 of 3 pairs" not in across_text.sentences(found)[0]
    assert "2 pairs without an error, for want of runs, count as ties" in across_text.sentences(found)[0]


def test_equal_rankings_in_every_resample_have_a_tau_of_one():
    assert only(stored(methods=("adam", "densecl", "random"))).kendall == (1.0, 1.0, 1.0, "")


def test_where_all_mean_ranks_are_equal_there_is_no_order_to_be_stable():
    """Each of two methods is better on two of four tasks."""
    scores = {"adam": (0.8, 0.6, 0.8, 0.6), "dira": (0.7, 0.7, 0.7, 0.7)}
    found = only(
        store(None, name, scores[name][place] + 0.01 * seed, seed, task=task, dataset=task)
        for place, task in enumerate(TASKS)
        for name in scores
        for seed in range(3)
    )
    assert found.kendall is None
    text = across_text.sentences(found)
    assert "how stable the ranking is cannot be told: all mean ranks are equal" in text
    assert "other tasks like these: by Wilcoxon's signed-rank test with Holm's correction 0 of 1 pair separate" in text


def test_on_nine_tasks_three_methods_separate_and_every_pair_is_named():
    """Better on all of nine tasks: p = 2/2⁹, times 3, 2, 1 by Holm's method, but no less than the one before."""
    found = only(
        store(None, name, 0.8 - 0.1 * place + 0.01 * seed, seed, task=f"task-{task}", dataset=f"set-{task}")
        for task in range(9)
        for place, name in enumerate(("adam", "dira", "densecl"))
        for seed in range(3)
    )
    assert found.wilcoxon_p == pytest.approx(dict.fromkeys(found.wilcoxon_p, 3 * 2 / 2**9))
    assert found.cliques == ()
    text = (
        "other tasks like these: by Wilcoxon's signed-rank test with Holm's correction 3 of 3 pairs separate: "
        "adam from dira (p = 0.012), adam from densecl (p = 0.012), dira from densecl (p = 0.012); "
        "groups that do not separate: none"
    )
    assert text in across_text.sentences(found)
    assert found.nemenyi_cliques == (("adam", "dira"), ("dira", "densecl"))
    assert found.critical_difference == pytest.approx(2.3437 * np.sqrt(3 * 4 / 54), abs=1e-4)


def test_few_tasks_are_said_to_tell_little():
    (note,) = [each for each in only(stored()).notes if "Wilcoxon" in each]
    assert note == (
        "4 tasks cannot tell any two of 4 methods apart by Wilcoxon's test with Holm's correction: one that is better "
        "on every task has p = 0.75; it takes 8 tasks"
    )
    assert 6 * 2 / 2**8 < 0.05 < 6 * 2 / 2**7


def test_tasks_of_the_same_images_are_named():
    assert (
        "tasks of the same images count as tasks of their own: scr-clavicle, scr-heart (of scr)" in only(stored()).notes
    )


def test_the_rows_fit_their_columns_and_names_act_on_nothing():
    tables = tables_of(stored())
    named = [
        replace(table, rows=tuple(replace(row, label=row.label.replace("adam", "ad\u001bam\n")) for row in table.rows))
        for table in tables
    ]
    (found,) = across(named)
    columns, rows = across_text.columns(found), across_text.rows(found)
    assert columns[-1] == "gap to 90"
    assert {len(row) for row in rows} == {len(columns)}
    assert rows[0][0] == "ad\\u001bam\\u000a"
    text = "".join([across_text.title(found), *across_text.sentences(found), *(cell for row in rows for cell in row)])
    assert "\u001b" not in text
    assert "\n" not in text
    assert len(across_text.improvement_rows(found)) == 6
