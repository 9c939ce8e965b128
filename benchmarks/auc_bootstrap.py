"""C7b: a bootstrap of the macro AUC over 25,596 films and 14 labels, against scikit-learn once a resample.

    python -m benchmarks.auc_bootstrap

One repeat is a hundred resamples of ours and five of scikit-learn's, which sorts each anew; times are per resample, as
they are in a bootstrap of a thousand. Equality: the AUC of every
resample is scikit-learn's of the drawn films to 1e-6. Labels, prevalences and scores are synthetic.
"""

from __future__ import annotations

import numpy as np

from benchmarks.timing import Bar, Equality, Side, arguments, compare, report, wanted
from eden_bench.case_statistics import Columns, counted_auc

FILMS = 25_596
SHARES = (0.1, 0.02, 0.11, 0.17, 0.05, 0.05, 0.01, 0.05, 0.04, 0.02, 0.02, 0.015, 0.03, 0.002)
"""Prevalence of each label, as in ChestX-ray14's test films."""
OURS, THEIRS = 100, 5
"""Resamples in one repeat."""
TITLE = f"a resample of the macro AUC of {FILMS:,} films and {len(SHARES)} labels"


def columns(films: int = FILMS, seed: int = 1) -> Columns:
    """Draw targets and probabilities in float32, as a network gives them."""
    draws = np.random.default_rng(seed)
    found: dict[str, np.ndarray] = {}
    for place, share in enumerate(SHARES):
        target = (draws.random(films) < share).astype(np.int8)
        target[:2] = 0, 1
        found |= {f"target_{place}": target, f"probability_{place}": draws.normal(target, 1).astype(np.float32)}
    return found


def resamples(films: int, count: int, seed: int = 2) -> np.ndarray:
    """Draw which films each resample takes, (count, films)."""
    return np.random.default_rng(seed).integers(0, films, (count, films))


def ours(cases: Columns, drawn: np.ndarray) -> np.ndarray:
    """Compute the macro AUC of each resample from how often it drew each film."""
    counts = np.stack([np.bincount(each, minlength=drawn.shape[1]) for each in drawn]).astype(float)
    return counted_auc(cases, "auc", counts)


def sklearns(cases: Columns, drawn: np.ndarray) -> np.ndarray:
    """Compute the same by one call of scikit-learn a resample."""
    from sklearn.metrics import roc_auc_score

    labels = range(len(SHARES))
    target = np.stack([cases[f"target_{label}"] for label in labels], axis=1)
    probability = np.stack([cases[f"probability_{label}"] for label in labels], axis=1)
    return np.array([roc_auc_score(target[each], probability[each], average="macro") for each in drawn])


def bar(repeats: int) -> Bar:
    """Time ours against scikit-learn."""
    cases, drawn = columns(), resamples(FILMS, OURS)
    few = drawn[:THEIRS]
    error = np.abs(ours(cases, few) - sklearns(cases, few)).max()
    clause = Equality(bool(error <= 1e-6), f"largest difference of an AUC {error:.1e} <= 1e-06")
    sides = (
        Side("sorted once, counted", lambda: ours(cases, drawn), OURS),
        Side("roc_auc_score", lambda: sklearns(cases, few), THEIRS),
    )
    return compare("C7b", TITLE, *sides, target=12, equality=clause, repeats=repeats)


def main() -> None:
    """Run the bar."""
    options = arguments(__doc__)
    report([bar(options.repeats)] if wanted(options, "C7b") else [], as_json=options.json)


if __name__ == "__main__":
    main()
