"""Ridge regression of many targets at once, its penalty chosen by cross-validation over patients.

Minimises ‖Y - X B‖² + λ‖B‖² with both sides centred (Hoerl and Kennard, Technometrics 1970). One eigendecomposition of
the smaller of XᵀX and XXᵀ serves every λ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

FACTORS = tuple(10.0**power for power in range(-8, 4))
"""Penalties tried, in sums of squares of the centred features: the largest all but gives the mean back, so that what
says nothing scores 0."""
FOLDS = 5


@dataclass(frozen=True)
class Ridge:
    """A fitted linear map."""

    mean_x: np.ndarray
    """(P,)"""
    mean_y: np.ndarray
    """(Q,)"""
    coefficients: np.ndarray
    """(P, Q)"""
    penalty: float
    """λ"""

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Map (N, P) to (N, Q)."""
        return (x - self.mean_x) @ self.coefficients + self.mean_y


def fit(x: np.ndarray, y: np.ndarray, penalty: float) -> Ridge:
    """Fit with one penalty, a number above 0.

    Args:
        x: (N, P).
        y: (N, Q).
        penalty: λ.
    """
    return Ridge(x.mean(axis=0), y.mean(axis=0), _Path(x, y).coefficients(penalty), penalty)


def fit_over_patients(x: np.ndarray, y: np.ndarray, patients: Sequence[str] | np.ndarray, folds: int = FOLDS) -> Ridge:
    """Fit with the penalty of ``FACTORS`` that errs least on held-out patients, then on all rows.

    Args:
        x: (N, P) float64.
        y: (N, Q) float64.
        patients: of each row; a patient's rows are held out together.
        folds: number of parts that the patients, in sorted order, are dealt into; at most as many as patients.

    Raises:
        ValueError: there is only one patient, so that nobody can be held out.
    """
    penalties = _penalties(x)
    errors = sum(
        (_errors(x, y, held, penalties) for held in patient_folds(patients, folds)), start=np.zeros(len(penalties))
    )
    return fit(x, y, penalties[len(errors) - 1 - int(np.argmin(errors[::-1]))])  # of equal ones the largest


def patient_folds(patients: Sequence[str] | np.ndarray, folds: int) -> list[np.ndarray]:
    """Deal patients in turn, as sorted, into folds; return each fold's rows as (N,) bool.

    Raises:
        ValueError: there is only one patient.
    """
    names, number = np.unique(np.asarray(patients), return_inverse=True)
    if len(names) < 2:
        raise ValueError(f"{len(names)} training patients, expected at least 2: a ridge is fitted over patients")
    count = min(folds, len(names))
    return [number % count == fold for fold in range(count)]


def _penalties(x: np.ndarray) -> list[float]:
    """Return ``FACTORS`` in the features' own unit; that of features which do not vary is 1."""
    squares = float(((x - x.mean(axis=0)) ** 2).sum())
    return [factor * (squares or 1.0) for factor in FACTORS]


def _errors(x: np.ndarray, y: np.ndarray, held: np.ndarray, penalties: Sequence[float]) -> np.ndarray:
    """Return the squared error on held-out rows of a fit to the others, (len(penalties),)."""
    path = _Path(x[~held], y[~held])
    new = x[held] - x[~held].mean(axis=0)
    wanted = y[held] - y[~held].mean(axis=0)
    return np.array([float(((wanted - path.predict(new, penalty)) ** 2).sum()) for penalty in penalties])


class _Path:
    """The solutions for every penalty: from XᵀX where there are more rows than features, else from XXᵀ."""

    def __init__(self, x: np.ndarray, y: np.ndarray) -> None:
        self._x, y = x - x.mean(axis=0), y - y.mean(axis=0)
        self._dual = len(x) < x.shape[1]
        gram = self._x @ self._x.T if self._dual else self._x.T @ self._x
        values, self._vectors = np.linalg.eigh(gram)
        self._values = np.maximum(values, 0.0)
        self._target = self._vectors.T @ (y if self._dual else self._x.T @ y)

    def coefficients(self, penalty: float) -> np.ndarray:
        """Return (P, Q)."""
        solved = self._solved(penalty)
        return self._x.T @ solved if self._dual else solved

    def predict(self, x: np.ndarray, penalty: float) -> np.ndarray:
        """Map centred (M, P) to centred (M, Q)."""
        return (x @ self._x.T if self._dual else x) @ self._solved(penalty)

    def _solved(self, penalty: float) -> np.ndarray:
        return self._vectors @ (self._target / (self._values + penalty)[:, None])
