"""C7d: Bayesian signed-rank test of all 55 pairs of 11 methods over 9 tasks, against autorank's Bayesian approach."""

from __future__ import annotations

import importlib.util
import io
from contextlib import redirect_stdout
from itertools import combinations

import numpy as np

from benchmarks.timing import Bar, Equality, Side, arguments, compare, report, skipped
from eden_bench.statistics.signed_rank import signed_rank

METHODS, TASKS, ROPE = 11, 9, 0.005
ID, TITLE = "C7d", f"Bayesian signed-rank test of all {METHODS * (METHODS - 1) // 2} pairs over {TASKS} tasks"
PAIRS = tuple(combinations(range(METHODS), 2))


def by_autorank(scores: np.ndarray) -> dict[tuple[int, int], tuple[float, float, float]]:
    """Return autorank's (higher, within, lower) of the first minus the second, for pairs in its own order."""
    import pandas as pd
    from autorank import autorank

    with redirect_stdout(io.StringIO()):  # it prints its table
        found = autorank(pd.DataFrame(scores), approach="bayesian", rope=ROPE, rope_mode="absolute", random_state=0)
    order = list(found.posterior_matrix.index)
    return {(i, j): found.posterior_matrix.loc[i, j] for i, j in combinations(order, 2)}


def error(scores: np.ndarray) -> float:
    """Return the largest difference of a probability between ours and autorank's."""
    ours = dict(zip(PAIRS, pairs(scores), strict=True))
    return max(
        np.abs(np.subtract(ours[i, j] if i < j else ours[j, i][::-1], theirs)).max()
        for (i, j), theirs in by_autorank(scores).items()
    )


def pairs(scores: np.ndarray) -> list[tuple[float, float, float]]:
    """Compute ours for all pairs: (higher, within, lower) of the first minus the second."""
    return list(signed_rank([scores[:, i] - scores[:, j] for i, j in PAIRS], ROPE))


def bar(repeats: int) -> Bar:
    """Time ours against autorank's on the same scores."""
    missing = [peer for peer in ("autorank", "baycomp") if importlib.util.find_spec(peer) is None]
    if missing:
        return skipped(ID, TITLE, f"the peer is not installed: pip install --no-deps {' '.join(missing)}")
    random = np.random.default_rng(0)
    scores = random.normal(0.8, 0.05, (TASKS, 1)) + random.normal(0, 0.01, (TASKS, METHODS))
    found = error(scores)
    return compare(
        ID,
        TITLE,
        Side("all pairs over the same draws", lambda: pairs(scores)),
        Side("autorank", lambda: by_autorank(scores)),
        target=10,
        equality=Equality(found <= 0.01, f"largest difference of a probability {found:.4f} <= 0.01"),
        repeats=repeats,
    )


if __name__ == "__main__":
    options = arguments(str(__doc__).partition("\n")[0])
    report([bar(options.repeats)], as_json=options.json)
