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
_DAMPINGS = (0.0, *(10.0**exponent for exponent in range(-15, 1)))
"""Added to the unit diagonal of a scaled curvature that rounding left indefinite, the least that suffices."""
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
    images = len(features)
    reduced, basis = _in_span(torch.from_numpy(np.array(features, np.float64)).to(device))
    x = torch.cat([reduced, torch.ones_like(reduced[:, :1])], dim=1)
    labels = torch.from_numpy(np.array(targets.T, np.float64)).to(device)
    points = torch.zeros(len(labels), x.shape[1], dtype=torch.float64, device=device)
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
        weights = points[:, :-1].T if basis is None else basis @ points[:, :-1].T
        yield Fit(strength, weights.cpu().numpy(), points[:, -1].cpu().numpy(), objective.cpu().numpy())


def _in_span(features: Tensor) -> tuple[Tensor, Tensor | None]:
    """Return features in an orthonormal basis of what the images span, and the basis (D, N), where images are fewer.

    The weights lie in it, and lengths stay: the optimum is the same, of N unknowns in place of D.
    """
    if len(features) > features.shape[1]:
        return features, None
    basis, coordinates = torch.linalg.qr(features.T)
    return coordinates.T, basis


def _objective(x: Tensor, label: Tensor, point: Tensor, strength: float) -> Tensor:
    """Return Σ log-loss + ½ ‖w‖² / C."""
    margins = (2 * label - 1) * (x @ point)  # signed, since 1 − p of a sure p has no digits left
    return 0.5 * point[:-1].square().sum() / strength - torch.nn.functional.logsigmoid(margins).sum()


def _optimum(x: Tensor, label: Tensor, point: Tensor, strength: float) -> Tensor:
    """Minimise the objective by Newton's method, each step halved until it goes down enough."""
    ridge = torch.full_like(point, 1 / strength)
    ridge[-1] = 0
    value, signs = _objective(x, label, point, strength), 2 * label - 1
    for _ in range(_MOST_STEPS):
        wrong = (-signs * (x @ point)).sigmoid()
        slope = ridge * point - x.T @ (signs * wrong)
        step = _newton_step(x.T @ (x * (wrong * (1 - wrong))[:, None]) + torch.diag(ridge), slope)
        gain = slope @ step
        if gain <= _TOLERANCE * value:
            break
        length = 1.0
        while (new := _objective(x, label, point - length * step, strength)) > value - 1e-4 * length * gain:
            length /= 2
            if length < _SHORTEST:  # rounding is all that is left
                return point
        point, value = point - length * step, new
    return point


def _newton_step(curvature: Tensor, slope: Tensor) -> Tensor:
    """Solve curvature · step = slope, scaled to a unit diagonal so that no feature's scale matters.

    A damped step is still downhill: what is approached is the same optimum.
    """
    scale = curvature.diagonal().clamp_min(torch.finfo(curvature.dtype).tiny).rsqrt()
    scaled, unit = curvature * scale[:, None] * scale, torch.eye(len(slope), dtype=slope.dtype, device=slope.device)
    for damping in _DAMPINGS:
        factor, failed = torch.linalg.cholesky_ex(scaled + damping * unit)
        if not failed:
            break
    return scale * torch.cholesky_solve((scale * slope)[:, None], factor)[:, 0]


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
