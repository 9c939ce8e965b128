"""Diagnostic: who is told to be healthy and is not? Underdiagnosis at thresholds that were fixed on validation images.

A film is called healthy where no label reaches its threshold (of highest F1 on the validation images, stored with the
record); where a label is "No finding", where that one does. Underdiagnosis is the share of films with a finding that
are called healthy: the false-positive rate of "No Finding" (Seyyed-Kalantari et al., Nat Med 2021).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from eden_bench.report.diagnostics.diagnostic import Gap, Value, shown
from eden_bench.report.diagnostics.groups import LEAST_FILMS, LEAST_PATIENTS, NOTE, gap_of, gap_text, groups_of
from eden_bench.report.diagnostics.predicted import Predicted, Unusable, ends

COLUMNS = ("by", "group", "patients", "films with a finding", "missed", "low", "high", "note")
_NO_FINDING = "no finding"

Thresholds = Mapping[str, float] | None
"""Label to threshold, of one record; None of a record from before they were stored."""


class Missed(NamedTuple):
    """Films with a finding, and how often the cells called each healthy."""

    ill: np.ndarray
    """(N,) bool."""
    share: np.ndarray
    """(N,) share of the cells that missed it, 0 where there is nothing to miss."""


class _Asked(NamedTuple):
    """A row that is asked for."""

    by: str
    name: str
    mask: np.ndarray
    what: Missed
    least: int
    """Patients below which it is not shown."""

    def why_not(self, found: Predicted) -> str:
        """Return why it is not shown; "" where it is."""
        if self.least and found.patients_in(self.mask) < self.least:
            return f"fewer than {self.least} patients"
        ill = np.logical_and(self.mask, self.what.ill).sum()
        return f"fewer than {LEAST_FILMS} films with a finding" if ill < LEAST_FILMS else ""


def missed(found: Predicted, thresholds: Sequence[Thresholds]) -> dict[str, Any]:
    """Return the fields of a ``Diagnostic``: all films, each label, each group, and a gap an attribute.

    Raises:
        Unusable: a record has no thresholds.
    """
    known = _known(found, thresholds)
    overall, everyone = _overall(found, thresholds, known), np.ones(len(found.patients), bool)
    asked = [_Asked("all", "all", everyone, overall, 0)]
    asked += [_Asked("label", label, everyone, _of_label(found, thresholds, label), 0) for label in known]
    attributes = groups_of(found)
    for attribute, masks in attributes.items():
        asked += [_Asked(attribute, name, mask, overall, LEAST_PATIENTS) for name, mask in masks.items()]
    rates = _rates(found, [each for each in asked if not each.why_not(found)])
    rows = [_row(found, each, rates) for each in asked]
    gaps = [gap for attribute in attributes for gap in _gaps(attribute, rates)]
    sentences = [_text(found, known, rows[0]), *map(gap_text, gaps)]
    return {
        "title": "Missed findings",
        "formula": "underdiagnosis",
        "columns": COLUMNS,
        "rows": tuple(rows),
        "gaps": tuple(gaps),
        "sentences": (*sentences, NOTE) if gaps else tuple(sentences),
    }


def _known(found: Predicted, thresholds: Sequence[Thresholds]) -> list[str]:
    """Return the labels that every cell has a threshold of."""
    if any(each is None for each in thresholds):
        raise Unusable("its records are from before thresholds were stored: run its cells again with --force")
    known = [label for label in found.labels if all(each and label in each for each in thresholds)]
    if not known:
        raise Unusable("no threshold was fixed: no validation image, or none with both values of a label")
    return known


def _overall(found: Predicted, thresholds: Sequence[Thresholds], known: Sequence[str]) -> Missed:
    healthy = next((label for label in known if label.casefold() == _NO_FINDING), None)
    if healthy is not None:
        ill = np.logical_not(found.targets[:, found.labels.index(healthy)])
        called = np.mean(_above(found, thresholds, [healthy]), axis=0)
    else:
        ill = np.any(found.targets[:, [found.labels.index(label) for label in known]], axis=1)
        called = 1 - np.mean(_above(found, thresholds, known), axis=0)
    return Missed(ill, np.where(ill, called, 0.0))


def _of_label(found: Predicted, thresholds: Sequence[Thresholds], label: str) -> Missed:
    """Return the films with a label, and the share of the cells in which it did not reach its threshold."""
    ill = np.array(found.targets[:, found.labels.index(label)])
    return Missed(ill, np.where(ill, 1 - np.mean(_above(found, thresholds, [label]), axis=0), 0.0))


def _above(found: Predicted, thresholds: Sequence[Thresholds], labels: Sequence[str]) -> np.ndarray:
    """Return whether any of some labels reaches its threshold, in each cell, (K, N) bool."""
    columns = [found.labels.index(label) for label in labels]
    least = np.array([[(each or {})[label] for label in labels] for each in thresholds])
    return np.any(found.probabilities[:, :, columns] >= least[:, None, :], axis=2)


def _rates(found: Predicted, asked: Sequence[_Asked]) -> dict[tuple[str, str], tuple[float, np.ndarray]]:
    """Return the share that is missed of each row's ill films, and in every resample, (R,)."""
    if not asked:
        return {}
    inside = [np.logical_and(each.mask, each.what.ill).astype(float) for each in asked]
    pairs = zip(inside, asked, strict=True)
    count = np.stack([found.per_patient(ill) for ill in inside], axis=1)
    lost = np.stack([found.per_patient(ill * each.what.share) for ill, each in pairs], axis=1)
    drawn_lost, drawn_count = np.split(found.drawn(np.hstack([lost, count])), 2, axis=1)
    draws = np.divide(drawn_lost, drawn_count, out=np.full_like(drawn_lost, np.nan), where=drawn_count > 0)
    values = lost.sum(axis=0) / count.sum(axis=0)
    return {(each.by, each.name): (float(values[place]), draws[:, place]) for place, each in enumerate(asked)}


def _gaps(attribute: str, rates: Mapping[tuple[str, str], tuple[float, np.ndarray]]) -> list[Gap]:
    """Return the gap between the groups of an attribute that are shown; none where fewer than two are."""
    there = {name: rate for (by, name), rate in rates.items() if by == attribute}
    if len(there) < 2:
        return []
    values, draws = (
        np.array([rate[0] for rate in there.values()]),
        np.stack([rate[1] for rate in there.values()], axis=1),
    )
    return [gap_of(attribute, list(there), values, draws, lower_is_worse=False)]


def _row(
    found: Predicted, asked: _Asked, rates: Mapping[tuple[str, str], tuple[float, np.ndarray]]
) -> tuple[Value, ...]:
    if (asked.by, asked.name) not in rates:
        return (asked.by, asked.name, None, None, None, None, None, asked.why_not(found))
    rate, draws = rates[asked.by, asked.name]
    films = int(np.logical_and(asked.mask, asked.what.ill).sum())
    return (asked.by, asked.name, found.patients_in(asked.mask), films, rate, *ends(draws), "")


def _text(found: Predicted, known: Sequence[str], whole: tuple[Value, ...]) -> str:
    left_out = [label for label in found.labels if label not in known]
    without = f" {', '.join(left_out)}: left out, for no threshold was fixed." if left_out else ""
    return (
        f"Underdiagnosis: {shown(whole[4])} of the films with a finding are called healthy, at each label's threshold "
        f"of highest F1 on the validation images.{without}"
    )
