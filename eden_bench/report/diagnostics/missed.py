"""Diagnostic: who is told to be healthy and is not? Underdiagnosis at thresholds that were fixed on validation images.

A film is called healthy where no label reaches its threshold (of highest F1 on the validation images, stored with the
record); where a label is "No finding", where that one does. Underdiagnosis is the share of films with a finding that
are called healthy: the false-positive rate of "No Finding" (Seyyed-Kalantari et al., Nat Med 2021).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from eden_bench.report.diagnostics.diagnostic import Value
from eden_bench.report.diagnostics.groups import LEAST_FILMS, LEAST_PATIENTS, NOTE, Masks, gap_of, gap_text, groups_of
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


def missed(found: Predicted, thresholds: Sequence[Thresholds]) -> dict[str, Any]:
    """Return the fields of a ``Diagnostic``: all films, each label, each group, and a gap an attribute.

    Raises:
        Unusable: a record has no thresholds.
    """
    known = _known(found, thresholds)
    overall = _overall(found, thresholds, known)
    everyone = np.ones(len(found.patients), bool)
    rows = [_row(found, "all", "all", everyone, overall, 0)]
    rows += [_row(found, "label", label, everyone, _of_label(found, thresholds, label), 0) for label in known]
    gaps, sentences = [], [_text(found, known, rows[0])]
    for attribute, masks in groups_of(found).items():
        rows += [_row(found, attribute, name, mask, overall) for name, mask in masks.items()]
        large = {name: mask for name, mask in masks.items() if not _why_not(found, mask, overall)}
        if len(large) > 1:
            gaps.append(gap_of(attribute, list(large), *_rates(found, large, overall), lower_is_worse=False))
            sentences.append(gap_text(gaps[-1]))
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


def _rates(found: Predicted, masks: Masks, what: Missed) -> tuple[np.ndarray, np.ndarray]:
    """Return the share that is missed of each group's ill films, (G,), and in every resample, (R, G)."""
    inside = [np.logical_and(mask, what.ill) for mask in masks.values()]
    count = np.stack([found.per_patient(each.astype(float)) for each in inside], axis=1)
    lost = np.stack([found.per_patient(each * what.share) for each in inside], axis=1)
    drawn_count, drawn_lost = found.drawn(count), found.drawn(lost)
    draws = np.divide(drawn_lost, drawn_count, out=np.full_like(drawn_lost, np.nan), where=drawn_count > 0)
    return lost.sum(axis=0) / count.sum(axis=0), draws


def _why_not(found: Predicted, mask: np.ndarray, what: Missed, least: int = LEAST_PATIENTS) -> str:
    if found.patients_in(mask) < least:
        return f"fewer than {least} patients"
    return f"fewer than {LEAST_FILMS} films with a finding" if (mask & what.ill).sum() < LEAST_FILMS else ""


def _row(
    found: Predicted, by: str, name: str, mask: np.ndarray, what: Missed, least: int = LEAST_PATIENTS
) -> tuple[Value, ...]:
    note = _why_not(found, mask, what, least)
    if note:
        return (by, name, None, None, None, None, None, note)
    (rate,), draws = _rates(found, {name: mask}, what)
    return (by, name, found.patients_in(mask), int((mask & what.ill).sum()), float(rate), *ends(draws[:, 0]), "")


def _text(found: Predicted, known: Sequence[str], whole: tuple[Value, ...]) -> str:
    share = "–" if whole[4] is None else f"{whole[4]:.4f}"
    left_out = [label for label in found.labels if label not in known]
    without = f" {', '.join(left_out)}: left out, for no threshold was fixed." if left_out else ""
    return (
        f"Underdiagnosis: {share} of the films with a finding are called healthy, at each label's threshold of highest "
        f"F1 on the validation images.{without}"
    )
