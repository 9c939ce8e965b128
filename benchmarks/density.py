"""C7e: the density of 100,000 cosines at 512 points, against ``scipy.stats.gaussian_kde``."""

from __future__ import annotations

import numpy as np
from scipy.stats import gaussian_kde

from benchmarks.timing import Bar, Equality, Side, arguments, compare, report
from eden_bench.statistics.density import density

VALUES, POINTS, LOW, HIGH = 100_000, 512, 0.5, 1.0


def bar(repeats: int) -> Bar:
    """Time ours against SciPy's on the same values and points."""
    values = np.random.default_rng(0).normal(0.8, 0.05, VALUES)
    at, found = density(values, LOW, HIGH, POINTS)
    wanted = gaussian_kde(values)(at)
    error = float(np.abs(found - wanted).max() / wanted.max())
    return compare(
        "C7e",
        f"density of {VALUES:,} values at {POINTS} points",
        Side("binned, one FFT", lambda: density(values, LOW, HIGH, POINTS)),
        Side("gaussian_kde", lambda: gaussian_kde(values)(at)),
        target=100,
        equality=Equality(error <= 1e-4, f"largest error {error:.1e} of the peak <= 1e-04"),
        repeats=repeats,
    )


if __name__ == "__main__":
    options = arguments(str(__doc__).partition("\n")[0])
    report([bar(options.repeats)], as_json=options.json)
