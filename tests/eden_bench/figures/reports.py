"""Reports made up for tests: rows with known scores, pairs with known verdicts."""

from dataclasses import replace

import numpy as np

from eden_bench.report.findings import Across, Aggregates, Finding, Pair
from eden_bench.report.marks import Marks
from eden_bench.report.tables import Backbone, Comparison, Pretraining, Report, Row, Table
from eden_bench.statistics.estimates import Estimate
from eden_bench.statistics.t_tests import two_sample_t
from tests.eden_bench.stored import DICE, store

METHODS = ("adam", "densecl", "dira", "moco-v2", "random", "supervised-imagenet")


def row(label, scores, *, pretrainings=1, groups=(), control=False, config=None):
    """A row of scores: a list of seeds' scores, or one list a pretraining."""
    nested = [scores] if pretrainings == 1 else scores
    made = [Pretraining(f"{label}{k}", k, dict(enumerate(each))) for k, each in enumerate(nested)]
    record = store(None, label, 0.5, 0, groups=groups)
    if config:
        record.content["cell"]["method_config"].update(config)
    return Row(
        backbone=Backbone(label, "c", "d", 1),
        label=label,
        pretrainings=tuple(made),
        origin="made up",
        headline=label == "adam",
        control=control or label == "random",
        cells={("d", 0): record},
    )


def table(rows, *, task="scr-heart", shots=None, marks=Marks(True, True, ""), pairs=(), **more):  # noqa: B008
    ordered = sorted(rows, key=lambda each: -each.summary.mean)
    return Table(
        task=task,
        title=task,
        dataset="scr",
        shots=shots,
        kind=more.pop("kind", "segmentation"),
        once=False,
        ceilings=(),
        protocol=more.pop("protocol", "quick"),
        budget="" if shots is None else "steps",
        steps=(),
        score=more.pop("score", DICE),
        data="a",
        splits="b",
        pretrain_data="p",
        marks=marks,
        counts="",
        rows=tuple(ordered),
        comparisons=compared(ordered),
        pairs=tuple(pairs),
        **more,
    )


def compared(rows):
    tested = [each for each in rows if each.headline]
    others = [each for each in rows if not each.headline]
    if not tested or not others:
        return ()
    test = two_sample_t(tested[0].units, others[0].units)
    verdict = "undecided" if test.p is None or test.p >= 0.05 else "higher" if test.difference > 0 else "lower"
    return (Comparison(row=tested[0], other=others[0], test=test, verdict=verdict),)


def finding(scope, verdict, difference, half, adjusted):
    return Finding(
        scope=scope,
        verdict=verdict,
        difference=difference,
        low=difference - half,
        high=difference + half,
        adjusted_p=adjusted,
        covers="other fine-tuning seeds, for these checkpoints",
    )


def pair(first, other, *, adjusted=0.001, methods=None, half=0.01):
    difference = first.summary.mean - other.summary.mean
    of = "better" if difference > 0 else "worse"
    verdict = of if adjusted < 0.05 else "undecided"
    for_methods = methods or Finding(scope="methods", verdict="not asked")
    found = finding("checkpoints", verdict, difference, half, adjusted)
    return Pair(row=first.label, other=other.label, checkpoints=found, methods=for_methods, in_family=True)


def large(methods=12, tasks=9, seeds=10, shots=(None,)):
    """As many methods, tasks and seeds as a report may have, each pair of the headline's in the family."""
    random = np.random.default_rng(0)
    names = ["adam", "random", "supervised-imagenet", *(f"method-{k}" for k in range(methods - 3))][:methods]
    tables = []
    for number in range(tasks):
        for few in shots:
            hard = 0.0 if few is None else 1.2 / (few + 2)
            means = {name: 0.9 - 0.02 * k - 0.03 * number - hard * (1 + 0.1 * k) for k, name in enumerate(names)}
            rows = [
                row(
                    name,
                    (means[name] + 0.01 * random.standard_normal(seeds)).tolist(),
                    groups=("supervised",) if name.startswith("supervised") else (),
                )
                for name in names
            ]
            pairs = [pair(rows[0], other, adjusted=0.001 if k % 3 else 0.2) for k, other in enumerate(rows[1:])]
            tables.append(table(rows, task=f"task-{number}", shots=few, pairs=pairs))
    headings = tuple(each.heading for each in tables)
    return Report(tables=tuple(tables), family="all of adam's pairs", across=(across(names, headings),))


def across(names, headings):
    thresholds = tuple(np.linspace(0, 1, 51).tolist())
    curve = {k: 1 / (1 + np.exp(12 * (np.array(thresholds) - 0.8 + 0.03 * k))) for k in range(len(names))}
    estimates = {name: Estimate(0.8 - 0.02 * k, 0.78 - 0.02 * k, 0.82 - 0.02 * k) for k, name in enumerate(names)}
    half = len(names) // 2
    return Across(
        methods=tuple(names),
        tables=headings,
        aggregates={
            n: Aggregates(mean=e, median=e, iqm=e, optimality_gap=Estimate(1 - e.value, 1 - e.high, 1 - e.low))
            for n, e in estimates.items()
        },
        thresholds=thresholds,
        profiles={
            n: (tuple(curve[k]), tuple(np.maximum(curve[k] - 0.05, 0)), tuple(np.minimum(curve[k] + 0.05, 1)))
            for k, n in enumerate(names)
        },
        friedman=(40.0, 1e-5),
        iman_davenport=(12.0, 1e-6),
        mean_ranks={n: 1 + k * (len(names) - 1) / max(1, len(names) - 1) * 0.9 for k, n in enumerate(names)},
        rank_intervals=dict.fromkeys(names, (1, 3)),
        wilcoxon_p={},
        cliques=(tuple(names[: half + 1]), tuple(names[half:])) if len(names) > 2 else (),
        critical_difference=2.5,
        kendall=None,
        tie_classes=(),
    )


def without_marks(report):
    return replace(report, tables=tuple(replace(each, marks=Marks(False, False, "")) for each in report.tables))
