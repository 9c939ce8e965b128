"""C7c: exact sign-flip p-values of 90 comparisons at ten seeds, against ``scipy.stats.permutation_test``."""

from __future__ import annotations

import numpy as np
from scipy.stats import permutation_test

from benchmarks.timing import Bar, Equality, Side, arguments, compare, report
from eden_bench.statistics.sign_flip import sign_flips

PAIRS, SEEDS = 90, 10


def by_scipy(table: np.ndarray) -> list[float]:
    """Test each row by SciPy: all signs of paired samples, vectorised over the choices."""
    return [
        permutation_test(
            (row, np.zeros(SEEDS)),
            lambda x, y, axis: (x - y).mean(axis=axis),
            permutation_type="samples",
            n_resamples=np.inf,
            vectorized=True,
        ).pvalue
        for row in table
    ]


def bar(repeats: int) -> Bar:
    """Time ours against SciPy's on the same differences."""
    table = np.random.default_rng(0).normal(0.003, 0.01, (PAIRS, SEEDS))
    error = float(np.abs(sign_flips(table) - by_scipy(table)).max())
    return compare(
        "C7c",
        f"exact sign-flip p of {PAIRS} comparisons at {SEEDS} seeds",
        Side("all pairs at once", lambda: [sign_flips(table) for _ in range(100)], 100),
        Side("permutation_test", lambda: by_scipy(table)),
        target=200,
        equality=Equality(error <= 1e-12, f"largest difference of p {error:.1e} <= 1e-12"),
        repeats=repeats,
    )


if __name__ == "__main__":
    options = arguments(str(__doc__).partition("\n")[0])
    report([bar(options.repeats)], as_json=options.json)
