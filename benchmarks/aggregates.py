"""C7: 50,000 resamples of four aggregates, 11 methods x 9 tasks x 10 runs, against a loop over resamples.

    python -m benchmarks.aggregates

The peer is written after rliable 1.2.0 (which does not run beside current arch and pandas): a loop that draws runs in
tasks and computes mean, median, interquartile mean (SciPy's trimmed mean) and optimality gap of each resample. A repeat
of the peer is of fewer resamples; times are per resample of all methods. Both draw as many runs as there are.

Equality: every end of the 95 % intervals within 0.1 of the resamples' s.d. of the peer's, from 20,000 of its resamples
(ends of two loops of that size differ by up to 0.07).
"""

from __future__ import annotations

import numpy as np
import scipy.stats

from benchmarks.timing import Bar, Equality, Side, arguments, compare, report, wanted
from eden_bench.statistics.aggregates import TARGET, Aggregated, Runs, aggregates

METHODS, TASKS, RUNS = 11, 9, 10
RESAMPLES, PEER_RESAMPLES, CHECKED_RESAMPLES = 50_000, 500, 20_000
TITLE = f"{RESAMPLES:,} resamples of 4 aggregates, {METHODS} x {TASKS} x {RUNS}"


def scores() -> np.ndarray:
    """Draw scores (11, 10, 9) whose means differ by method and task."""
    draw = np.random.default_rng(0)
    mean = draw.uniform(0.6, 0.95, TASKS) + 0.01 * np.arange(METHODS)[:, None, None]
    return np.clip(mean + draw.normal(0, 0.02, (METHODS, RUNS, TASKS)), 0, 1)


def loop(table: np.ndarray, resamples: int) -> np.ndarray:
    """Compute the aggregates of each method's resamples one after another, (11, resamples, 4)."""
    draw, columns = np.random.RandomState(0), np.arange(TASKS)
    return np.array(
        [[_four(runs[draw.choice(RUNS, (RUNS, TASKS)), columns]) for _ in range(resamples)] for runs in table]
    )


def _four(sample: np.ndarray) -> list[float]:
    tasks = sample.mean(axis=0)
    middle = scipy.stats.trim_mean(sample, proportiontocut=0.25, axis=None)
    return [tasks.mean(), np.median(tasks), middle, TARGET - np.minimum(sample, TARGET).mean()]


def equality(table: np.ndarray, ours: list[Aggregated]) -> Equality:
    """Compare the interval ends."""
    drawn = loop(table, CHECKED_RESAMPLES)
    theirs = np.percentile(drawn, [2.5, 97.5], axis=1)
    mine = np.array([[[each.low for each in found], [each.high for each in found]] for found in ours]).transpose(
        1, 0, 2
    )
    apart = (np.abs(mine - theirs) / drawn.std(axis=1)).max()
    return Equality(bool(apart < 0.1), f"interval ends differ by at most {apart:.3f} s.d. < 0.1")


def bar(repeats: int) -> Bar:
    """Time ours against the loop."""
    table = scores()

    def ours() -> list[Aggregated]:
        return [aggregates(Runs(runs), resamples=RESAMPLES, fewer=0) for runs in table]

    sides = (
        Side("vectorised, sorted in the cache", ours, RESAMPLES),
        Side("rliable's loop", lambda: loop(table, PEER_RESAMPLES), PEER_RESAMPLES),
    )
    return compare("C7", TITLE, *sides, target=50, equality=equality(table, ours()), repeats=repeats)


def main() -> None:
    """Run the bar."""
    options = arguments(__doc__)
    report([bar(options.repeats)] if wanted(options, "C7") else [], as_json=options.json)


if __name__ == "__main__":
    main()
