"""Ranks, separation and aggregates of a published table: Adam's Fig. 3 (arXiv:2309.15358), as read off the figure."""

from itertools import combinations

import numpy as np
import pytest
import scipy.stats

from eden_bench.statistics.ranks import (
    cliques,
    critical_difference,
    friedman,
    iman_davenport,
    least_p,
    ranks,
    wilcoxon_holm,
)
from eden_bench.statistics.separation import Means, separable, separated

SEEDS = 10
TASKS = ("clavicle", "heart", "chestx-det", "siim-acr", "vindr-rib", "chestxray14", "vindr-cxr", "shenzhen")
FIGURE_3 = {
    "random": "80.68±3.02 91.09±1.74 70.42±1.73 67.55±.57 63.87±2.46 80.32±.08 73.53±1.59 89.04±1.78",
    "sup. ImageNet": "86.96±1.98 93.58±1.01 73.01±.67 67.94±1.42 70.38±1.37 81.71±.12 88.76±1.76 95.62±.60",
    "MoCo-v2": "82.90±3.81 92.45±.89 70.84±1.27 67.90±.12 69.62±.71 80.37±.24 85.24±1.97 91.58±1.55",
    "TransVW": "84.56±1.68 91.22±1.51 71.29±.56 67.97±.95 66.79±1.68 80.06±.09 83.41±.55 89.73±0",
    "VICRegL": "80.01±3.97 92.49±1.43 72.80±.41 67.87±1.05 67.17±1.87 80.89±.18 81.99±1.00 91.69±2.78",
    "DenseCL": "87.08±.55 93.00±1.31 70.99±2.65 68.49±.73 67.75±.46 80.74±.10 88.04±2.38 93.30±.89",
    "PCRL": "84.12±3.67 93.50±.97 71.46±.56 68.02±1.25 67.19±1.44 80.57±.06 84.27±1.21 93.19±1.34",
    "DiRA": "88.67±.46 94.17±.90 71.92±.92 69.24±.38 69.62±.45 81.13±.15 88.18±1.31 92.96±.93",
    "SimMIM": "81.40±.88 93.19±.19 70.42±1.02 68.52±.80 65.44±.15 79.10±.55 79.57±.62 92.96±.40",
    "Medical-MAE": "85.41±.80 94.05±.30 71.55±.72 69.16±1.17 65.85±.41 80.85±.02 89.59±.03 93.21±.16",
    "Adam": "90.72±.85 94.99±.07 74.18±.54 69.59±.53 70.98±1.27 81.72±.41 90.08±1.62 94.61±.84",
}
"""Percent, mean ± half error bar (taken for the s.d.). Supervised ChestX-ray14 has no bar on ChestX-ray14: left out."""
NAMES = tuple(FIGURE_3)
MEANS, SDS = np.array(
    [[[*map(float, cell.split("±"))] for cell in row.split()] for row in FIGURE_3.values()]
).transpose(2, 1, 0)


def by_rank():
    """Return name to mean rank over the eight tasks, the best first."""
    found = dict(zip(NAMES, ranks(MEANS).mean(axis=0).tolist(), strict=True))
    return dict(sorted(found.items(), key=lambda each: each[1]))


def test_adam_is_first_on_seven_of_eight_tasks_and_second_on_shenzhen():
    adam = ranks(MEANS)[:, NAMES.index("Adam")]
    assert dict(zip(TASKS, adam.tolist(), strict=True)) == {task: 2 if task == "shenzhen" else 1 for task in TASKS}
    assert by_rank()["Adam"] == 1.125
    assert list(by_rank())[:3] == ["Adam", "sup. ImageNet", "DiRA"]
    assert list(by_rank())[-1] == "random"


def test_the_ranking_is_no_chance_and_the_test_is_scipys():
    expected = scipy.stats.friedmanchisquare(*MEANS.T)
    found = friedman(MEANS)
    assert (found.statistic, found.p) == pytest.approx((expected.statistic, expected.pvalue), rel=1e-10)
    assert found.p < 1e-5
    assert iman_davenport(MEANS).p < 1e-8


def test_eight_tasks_tell_no_two_of_eleven_methods_apart_by_wilcoxon_and_holm():
    """Adam is above each self-supervised method on all eight tasks: p = 2/2⁸ = 0.0078, times 55 pairs 0.43."""
    assert least_p(8, 11) == pytest.approx(55 / 128)
    found = wilcoxon_holm(MEANS)
    assert min(found.values()) == pytest.approx(least_p(8, 11))
    apart = {frozenset(NAMES[each] for each in pair) for pair in separated(found)}
    assert cliques(NAMES, apart) == (NAMES,)


def test_nemenyi_separates_adam_from_the_lower_five_and_from_none_of_the_next():
    critical, found = critical_difference(8, 11), by_rank()
    assert critical == pytest.approx(3.219 * np.sqrt(11 * 12 / 48), abs=1e-3)
    below = [name for name, rank in found.items() if rank - found["Adam"] > critical]
    assert below == ["VICRegL", "MoCo-v2", "TransVW", "SimMIM", "random"]
    apart = {(a, b) for a, b in combinations(found, 2) if found[b] - found[a] > critical}
    names = list(found)
    assert cliques(names, apart) == (tuple(names[:6]), tuple(names[1:10]), tuple(names[4:]))


def test_on_these_tasks_under_other_seeds_adam_is_a_class_of_its_own():
    """Over the eight tasks together; the error is that of ten fine-tuning seeds, and covers no patients."""
    freedom = np.full(len(TASKS), SEEDS - 1.0)
    squares = SDS**2 / SEEDS
    of = {name: Means(MEANS[:, place], squares[:, place], freedom) for place, name in enumerate(NAMES)}
    classes, apart = separable(of)
    assert classes == (
        ("Adam",),
        ("sup. ImageNet", "DiRA"),
        ("Medical-MAE", "DenseCL"),
        ("PCRL", "MoCo-v2"),
        ("TransVW", "VICRegL"),
        ("SimMIM",),
        ("random",),
    )
    assert len(apart) == 49
    adam, dira = (NAMES.index(name) for name in ("Adam", "DiRA"))
    difference = (MEANS[:, adam] - MEANS[:, dira]).mean()
    error = np.sqrt((squares[:, adam] + squares[:, dira]).sum()) / len(TASKS)
    assert difference == pytest.approx((2.05 + 0.82 + 2.26 + 0.35 + 1.36 + 0.59 + 1.90 + 1.65) / 8)
    assert difference / error > 9
