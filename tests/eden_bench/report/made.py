"""A report with everything in it, its findings planted: what outputs must show, whatever computes it."""

from dataclasses import replace
from itertools import combinations

from eden_bench.printable import markdown_text
from eden_bench.report.build import build
from eden_bench.report.findings import Across, Aggregates, Best, Finding, Pair, Power
from eden_bench.report.outputs import markdown
from eden_bench.report.tables import Report
from eden_bench.statistics.estimates import Estimate
from eden_bench.statistics.t_tests import two_sample_t
from tests.eden_bench.stored import store_three

REAL = {"phantom": False, "quick": False, "protocol": "paper", "pretrain": {"digest": "d" * 64, "dataset": "x"}}
COVERS = "other fine-tuning seeds and other patients, for these two checkpoints"
NOT_ASKED = Finding(scope="methods", verdict="not asked", note="1 and 1 pretrainings, 3 each are needed")
VERDICTS = {"densecl": "better", "random": "undecided"}


def as_report(*tables, failures=()):
    """Return a report of some tables alone."""
    return Report(tables=tables, failures=tuple(failures))


def notes_below(table):
    """Return the lines below a table in Markdown: the paper's test, what holds of other patients, notes."""
    lines = markdown.render(as_report(table)).partition("\n## What the numbers mean")[0].splitlines()
    own = lines[lines.index(markdown_text(f"## {table.heading}")) :]
    return [line.removeprefix("- ") for line in own if line.startswith("- ")]


def tables_of(*, stored=None, **more):
    """Return tables of records: adam, densecl and random on two tasks, or those stored."""
    both = (store_three(None, task=task, **more) for task in ("scr-heart", "scr-clavicle"))
    records = stored or [record for several in both for record in several]
    return build(records).tables


def pair(table, row, other, verdict="undecided", **more):
    """Return a pair of two rows' labels with a planted verdict, everything that may be computed filled in."""
    first, second = (next(each for each in table.rows if each.label == label) for label in (row, other))
    test = two_sample_t(first.units, second.units)
    found = Finding(
        scope="checkpoints", verdict=verdict, difference=test.difference, low=-0.002, high=0.016, df=4.0, p=0.03,
        adjusted_p=0.26, fdr_p=0.2, equivalence_p=0.4, margin=0.005, covers=COVERS,
    )  # fmt: skip
    values = {
        "paper": test, "welch": test, "paired": test, "sign_flip_p": 0.25, "correlation": 0.5, "in_family": True,
        "hedges_g": Estimate(0.81, 0.2, 1.41), "cliffs_delta": 0.4, "probability": Estimate(0.7, 0.5, 0.86),
        "bayes": (0.6, 0.3, 0.1), "power": Power(detectable=0.012, seeds=24, patients=310),
    }  # fmt: skip
    return Pair(row=row, other=other, checkpoints=found, methods=NOT_ASKED, **{**values, **more})


def with_pairs(table, **verdicts):
    """Return a table whose first method was compared with each other, and each row with the best of the others."""
    pairs = tuple(pair(table, "adam", other, verdict) for other, verdict in (verdicts or VERDICTS).items())
    best = {
        label: Best(low=low, high=low + 0.02, verdict=verdict)
        for label, low, verdict in (("adam", -0.01, "may be the best"), ("random", -0.3, "not the best"))
    }
    return replace(table, pairs=pairs, best=best)


def across_of(tables, methods=("adam", "densecl", "random")):
    """Return a planted comparison over all tables."""
    every = Estimate(0.6, 0.5, 0.7)
    return Across(
        methods=methods,
        tables=tuple(table.heading for table in tables),
        aggregates={
            method: Aggregates(mean=every, median=every, iqm=every, optimality_gap=every) for method in methods
        },
        thresholds=(0.0, 1.0),
        profiles=dict.fromkeys(methods, ((1.0, 0.0), (0.9, 0.0), (1.0, 0.1))),
        friedman=(4.0, 0.135),
        iman_davenport=(3.0, 0.2),
        mean_ranks={method: float(place) for place, method in enumerate(methods, start=1)},
        rank_intervals=dict.fromkeys(methods, (1, 3)),
        wilcoxon_p={(methods[0], methods[1]): 0.04, (methods[0], methods[2]): 0.5},
        cliques=(methods[:2],),
        critical_difference=1.5,
        kendall=Estimate(0.8, 0.3, 1.0),
        tie_classes=(methods[:2], methods[2:]),
        heading=f"{len(tables)} tasks, full training set, protocol quick [PHANTOM; QUICK]",
        improvement=dict.fromkeys(combinations(methods, 2), every),
        separation_p=dict.fromkeys(combinations(methods, 2), 0.03),
        tie_scope="these checkpoints",
        left_out={"pixels": "it has no score on scr-heart"},
        notes=("two tables share their images",),
    )


def full(**more):
    """Return a report with pairs, a comparison with the best, a comparison over tasks, a family and a failure."""
    tables = tuple(with_pairs(table) for table in tables_of(**more))
    return Report(
        tables=tables,
        family="Family of tests: all pairs with adam, 4 in 2 tables.",
        across=(across_of(tables),),
        failures=("failed: adam · scr-heart · full · seed 3: boom",),
    )
