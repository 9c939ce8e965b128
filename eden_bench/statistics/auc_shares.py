"""How much each case moves an AUC: its first-order share, from which all bootstrap resamples follow at once.

AUC is the mean, over positives, of the share of negatives that each outranks, and likewise over negatives; what a case
adds to the one or the other, less the AUC, over the cases of its class, is how far the AUC moves with its weight
(DeLong et al., Biometrics 1988; the infinitesimal jackknife). In a resample that drew case i c_i times the AUC is then
AUC + Σ c_i share_i, but for terms of the order 1 / n.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Shares(NamedTuple):
    """An AUC and the share of each case in it; the shares sum to 0."""

    auc: float
    shares: np.ndarray
    """(N,) in the order of the cases given."""


def auc_shares(ranked: np.ndarray, positive: np.ndarray) -> Shares:
    """Compute an AUC, ties counting half, and each case's share in it.

    Args:
        ranked: (N,) probabilities that rise.
        positive: (N,) bool; both values must occur.

    >>> auc_shares(np.array([0.1, 0.8, 0.8]), np.array([False, False, True])).auc
    0.75
    """
    starts = np.flatnonzero(np.append(True, ranked[1:] != ranked[:-1]))
    sizes = np.diff(np.append(starts, len(ranked)))
    positives = np.add.reduceat(positive.astype(float), starts)
    negatives = sizes - positives
    below = np.cumsum(negatives) - negatives / 2
    above = positives.sum() - np.cumsum(positives) + positives / 2
    outranks = np.where(positive, np.repeat(below, sizes) / negatives.sum(), np.repeat(above, sizes) / positives.sum())
    auc = float(outranks[positive].mean())
    return Shares(auc, (outranks - auc) / np.where(positive, positives.sum(), negatives.sum()))
