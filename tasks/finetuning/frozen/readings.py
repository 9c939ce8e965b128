"""Logistic regression and nearest neighbours on vectors of features: pure functions of arrays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from scipy.special import expit
from torch import Tensor

_QUERIES = 1024
"""Images whose cosines are held at once."""
_MOST_STEPS = 200
_TOLERANCE = 1e-13
_JITTER = 1e-12
_SHORTEST = 1e-10


class Fit(NamedTuple):
    """Logistic regressions of L labels at one C."""

    strength: float
    """C."""
    weights: np.ndarray
    """(D, L) float64."""
    bias: np.ndarray
    """(L,)."""
    objective: np.ndarray
    """(L,): C Σ log-loss + ½ ‖w‖² of each label."""

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """Return (N, L) float64 probabilities of (N, D) features."""
        found: np.ndarray = expit(features.astype(np.float64) @ self.weights + self.bias)
        return found


def logistic_path(
    features: np.ndarray, targets: np.ndarray, strengths: Sequence[float], device: str = "cpu"
) -> Iterator[Fit]:
    """Fit each label against the rest at each C in rising order, to the optimum, from where the last C ended.

    A label of one value has no finite optimum: its weights are 0, and its bias is that of one more image, half of
    each value.

    Args:
        features: (N, D).
        targets: (N, L) in {0, 1}.
        strengths: C, rising.
        device: where it is computed, in float64.
    """
    images, dim = features.shape
    x = torch.ones(images, dim + 1, dtype=torch.float64, device=device)
    x[:, :-1] = torch.from_numpy(np.array(features, np.float64))
    labels = torch.from_numpy(np.array(targets.T, np.float64)).to(device)
    points = torch.zeros(len(labels), dim + 1, dtype=torch.float64, device=device)
    positive = labels.sum(1)
    points[:, -1] = ((positive + 0.5) / (images - positive + 0.5)).log()
    both = ((positive > 0) & (positive < images)).tolist()
    for strength in strengths:
        found = [
            _optimum(x, label, point, strength) if fits else point
            for label, point, fits in zip(labels, points, both, strict=True)
        ]
        points = torch.stack(found)
        objective = (
            torch.stack([_objective(x, *pair, strength) for pair in zip(labels, points, strict=True)]) * strength
        )
        values = points.cpu().numpy()
        yield Fit(strength, values[:, :-1].T.copy(), values[:, -1].copy(), objective.cpu().numpy())


def _objective(x: Tensor, label: Tensor, point: Tensor, strength: float) -> Tensor:
    """Return Σ log-loss + ½ ‖w‖² / C."""
    logits = x @ point
    return (torch.nn.functional.softplus(logits) - label * logits).sum() + 0.5 * point[:-1].square().sum() / strength


def _optimum(x: Tensor, label: Tensor, point: Tensor, strength: float) -> Tensor:
    """Minimise the objective by Newton's method, each step halved until it goes down enough."""
    ridge = torch.full_like(point, 1 / strength)
    ridge[-1] = 0
    value = _objective(x, label, point, strength)
    for _ in range(_MOST_STEPS):
        p = (x @ point).sigmoid()
        slope = x.T @ (p - label) + ridge * point
        curvature = x.T @ (x * (p * (1 - p))[:, None]) + torch.diag(ridge + _JITTER)
        step = torch.cholesky_solve(slope[:, None], torch.linalg.cholesky(curvature))[:, 0]
        gain = slope @ step
        if gain <= _TOLERANCE * (1 + value.abs()):
            break
        length = 1.0
        while (new := _objective(x, label, point - length * step, strength)) > value - 1e-4 * length * gain:
            length /= 2
            if length < _SHORTEST:  # rounding is all that is left
                return point
        point, value = point - length * step, new
    return point


def vote(
    train: np.ndarray, targets: np.ndarray, queries: np.ndarray, *, neighbours: Sequence[int], temperature: float
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield each k and the (M, L) shares of weight that its neighbours give the labels.

    The weight of a neighbour is exp(cosine / τ), of the k training images of highest cosine; of equal ones the first
    count. A vector of zeros has cosine 0 with all.

    Args:
        train: (N, D) features.
        targets: (N, L) in {0, 1}.
        queries: (M, D) features.
        neighbours: values of k, each at most N.
        temperature: τ.
    """
    most = max(neighbours)
    unit, labels = _unit(train), targets.astype(np.float64)
    found = [
        _nearest(unit, _unit(queries[start : start + _QUERIES]), most) for start in range(0, len(queries), _QUERIES)
    ]
    cosines, rows = (np.concatenate(parts) for parts in zip(*found, strict=True))
    weights = np.exp((cosines - cosines[:, :1]) / temperature)  # the nearest weighs 1: nothing overflows
    for k in neighbours:
        heavy = weights[:, :k]
        yield k, np.einsum("mk,mkl->ml", heavy, labels[rows[:, :k]]) / heavy.sum(axis=1, keepdims=True)


def _nearest(train: np.ndarray, queries: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    cosines, rows = torch.sort(torch.from_numpy(queries @ train.T), dim=1, descending=True, stable=True)
    return cosines[:, :most].numpy().copy(), rows[:, :most].numpy().copy()


def _unit(vectors: np.ndarray) -> np.ndarray:
    each = vectors.astype(np.float64)
    lengths = np.linalg.norm(each, axis=1, keepdims=True)
    return each / np.where(lengths > 0, lengths, 1)
