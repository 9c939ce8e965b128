"""How often the report's claims are false and its intervals hold the truth, on simulated matrices.

    python -m benchmarks.calibration                    # 2,000 matrices, minutes on one core
    python -m benchmarks.calibration --matrices 200

Every matrix is 12 methods × 9 tasks (``null_matrices``) and goes through the functions that decide a report's verdicts:
``hierarchy.difference`` of the first method against each other one, ``verdicts.described`` and ``verdicts.decided``
over the family of all its pairs in all tasks. The paper's own test is counted on the same matrices.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from benchmarks.null_matrices import WORLDS, Design, World, drawn_in_parts
from eden_bench.contracts.scores import MARGIN
from eden_bench.report.findings import Finding, Scope
from eden_bench.report.pairs.verdicts import decided, described
from eden_bench.statistics.hierarchy import Difference, difference
from eden_bench.statistics.t_tests import LEVEL

MATRICES = 2000
MOST_FALSE = 0.06
COVERAGE = (0.93, 0.97)
OF_FEW = (0.90, 0.98)
"""Bounds of coverage below 49 patients."""


class Study(NamedTuple):
    """One scope and design over all tasks."""

    name: str
    scope: Scope
    design: Design


STUDIES = (
    Study("checkpoints, 1 pretraining", "checkpoints", Design(equal_checkpoints=True)),
    Study("methods, 3 pretrainings", "methods", Design(pretrainings=3)),
    Study("methods, 5 pretrainings", "methods", Design(pretrainings=5)),
)
FEW = (
    Study("checkpoints, 5 seeds", "checkpoints", Design(equal_checkpoints=True, seeds=5)),
    Study("checkpoints, 3 seeds", "checkpoints", Design(equal_checkpoints=True, seeds=3)),
    Study("checkpoints, 2 seeds", "checkpoints", Design(equal_checkpoints=True, seeds=2)),
    Study("methods, 3 pretrainings of 3 seeds", "methods", Design(pretrainings=3, seeds=3)),
)
"""Smaller studies than the bars ask for, shown to say how far the report is right there."""
CONFUSED = Study("1 pretraining, read as the methods'", "checkpoints", Design())
"""What a verdict on checkpoints is worth as one on methods: pretrainings differ, and there is one of each."""


@dataclass(frozen=True)
class Outcome:
    """What the report said of a study's matrices."""

    study: Study
    false_claims: float
    """Share of matrices with any false claim of better or worse in the family."""
    coverage: dict[str, float]
    """World to the share of 95 % intervals that hold the truth."""
    equal_at_margin: float
    """Share of matrices called equivalent anywhere, were every true difference just the margin."""
    paper: float
    """Share of the paper's tests, the first method against one other over the seeds, that find a difference."""
    paper_any: float
    """Share of matrices in which the paper's test against the best of the others finds a difference in any task."""

    @property
    def holds(self) -> bool:
        """Whether the bars hold."""
        bounds = {world.name: OF_FEW if world.patients < 49 else COVERAGE for world in WORLDS}
        within = all(
            low <= self.coverage[name] <= high for name, (low, high) in bounds.items() if name in self.coverage
        )
        return within and self.false_claims <= MOST_FALSE


class _Task(NamedTuple):
    """A task's results: arrays (matrices, pairs)."""

    found: Difference
    paper: np.ndarray
    paper_best: np.ndarray
    """(matrices,)."""


def simulate(study: Study, matrices: int = MATRICES, worlds: Sequence[World] = WORLDS, seed: int = 1) -> Outcome:
    """Draw null matrices and count what the report says of them."""
    tasks = [_task(world, study, matrices, seed) for world in worlds]
    together = Difference(*(np.concatenate([getattr(t.found, f) for t in tasks], axis=1) for f in Difference._fields))
    shifted = together._replace(value=together.value + MARGIN)
    return Outcome(
        study=study,
        false_claims=_share_with(together, study.scope, ("better", "worse")),
        coverage={w.name: _covered(t.found) for w, t in zip(worlds, tasks, strict=True)},
        equal_at_margin=_share_with(shifted, study.scope, ("equivalent",)),
        paper=float(np.mean([task.paper < LEVEL for task in tasks])),
        paper_any=float(np.any([task.paper_best < LEVEL for task in tasks], axis=0).mean()),
    )


def planted(found: int, matrices: int, seed: int = 2) -> list[int]:
    """Count the pairs claimed in matrices where so many of the family's 99 differ by eight standard errors in truth."""
    study = STUDIES[0]
    tasks = [_task(world, study, matrices, seed) for world in WORLDS]
    together = Difference(*(np.concatenate([getattr(t.found, f) for t in tasks], axis=1) for f in Difference._fields))
    gaps = np.zeros(together.value.shape[1])
    gaps[np.random.default_rng(seed).permutation(len(gaps))[:found]] = 8
    moved = together._replace(value=together.value + gaps * np.sqrt(np.mean(together.error**2, axis=0)))
    return [sum(each.verdict in ("better", "worse") for each in row) for row in _verdicts(moved, study.scope)]


def _task(world: World, study: Study, matrices: int, seed: int) -> _Task:
    parts = [_part(scores, study) for scores in drawn_in_parts(world, study.design, matrices, seed)]
    found = Difference(*(np.concatenate([getattr(part.found, name) for part in parts]) for name in Difference._fields))
    return _Task(found, *(np.concatenate([part[place] for part in parts]) for place in (1, 2)))


def _part(scores: np.ndarray, study: Study) -> _Task:
    others = range(1, scores.shape[1])
    found = [
        difference(scores[:, 0], scores[:, other], of_methods=study.scope == "methods", shared_seeds=True)
        for other in others
    ]
    stacked = Difference(*(np.stack([getattr(each, name) for each in found], axis=1) for name in Difference._fields))
    paper, best = _paper(scores)
    return _Task(stacked, paper, best)


def _paper(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute the pooled t-test's p over the first pretraining's seeds, against each other method and the best."""
    from scipy.stats import ttest_ind

    runs = scores[:, :, 0].mean(axis=-1)
    p = ttest_ind(runs[:, :1], runs[:, 1:], axis=-1).pvalue
    best = runs[:, 1:].mean(axis=-1).argmax(axis=1)
    return p, np.take_along_axis(p, best[:, None], axis=1)[:, 0]


def _verdicts(found: Difference, scope: Scope) -> list[list[Finding]]:
    rows = [Difference(*(getattr(found, name)[row] for name in Difference._fields)) for row in range(len(found.value))]
    pairs = found.value.shape[1]
    yes, words = [True] * pairs, [("", "")] * pairs
    return [decided(described(scope, row, MARGIN, words), yes, yes) for row in rows]


def _share_with(found: Difference, scope: Scope, claims: Sequence[str]) -> float:
    """Return the share of matrices with any of these verdicts."""
    return float(np.mean([any(each.verdict in claims for each in row) for row in _verdicts(found, scope)]))


def _covered(found: Difference) -> float:
    return float((np.abs(found.value) <= found.half_width).mean())


def lines(outcome: Outcome) -> list[str]:
    """Describe a study's outcome."""
    coverage = ", ".join(f"{name} {100 * share:.1f}" for name, share in outcome.coverage.items())
    return [
        f"{outcome.study.name}: false claims in {100 * outcome.false_claims:.1f} % of families of "
        f"{(outcome.study.design.methods - 1) * len(outcome.coverage)} tests; called equivalent at the margin "
        f"{100 * outcome.equal_at_margin:.1f} %",
        f"  95 % intervals that hold the truth, %: {coverage}",
        f"  the paper's t-test over seeds: {100 * outcome.paper:.0f} % of tests false, against the best of the others "
        f"in some task {100 * outcome.paper_any:.0f} % of families",
    ]


def main() -> None:
    """Print every study, those of the bars with their result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--matrices", type=int, default=MATRICES, help="of the bars' studies; others take a quarter")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    start = time.perf_counter()
    for study in (*STUDIES, *FEW, CONFUSED):
        count = options.matrices if study in STUDIES else max(1, options.matrices // 4)
        outcome = simulate(study, count, seed=options.seed)
        verdict = [f"  bars: {'hold' if outcome.holds else 'missed'}"] if study in STUDIES else []
        print(*lines(outcome), *verdict, sep="\n", flush=True)
    found = planted(20, 50, options.seed)
    print(f"20 planted pairs of 99: found {min(found)} to {max(found)}, mean {np.mean(found):.2f}, in 50 matrices")
    print(f"{options.matrices:,} matrices, {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
