"""Pairs and the comparison over all tasks as JSON, each number with the id of its formula."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from eden_bench.report.findings import Across, Finding, Pair
from eden_bench.statistics.estimates import Estimate
from eden_bench.statistics.t_tests import TTest

_FINDING = {
    "difference": "difference",
    **dict.fromkeys(("low", "high"), "hierarchical-interval"),
    **dict.fromkeys(("df", "p"), "hierarchical-test"),
    **{
        "adjusted_p": "holm",
        "fdr_p": "benjamini-hochberg",
        "equivalence_p": "tost",
        "adjusted_equivalence_p": "holm",
        "margin": "margin",
    },
}
_PAIR = {
    **{"sign_flip_p": "sign-flip", "correlation": "pearson", "cliffs_delta": "cliffs-delta"},
    "bayes": "signed-rank-rope",
}
_AGGREGATES = {"mean": "normalised-mean", "median": "median", "iqm": "iqm", "optimality_gap": "optimality-gap"}


def pair_json(pair: Pair) -> dict[str, Any]:
    """Return a pair; its cells are those of its two rows."""
    return {
        "row": pair.row,
        "other": pair.other,
        "in_family": pair.in_family,
        "checkpoints": _finding(pair.checkpoints),
        "methods": _finding(pair.methods),
        "paper": _test(pair.paper, "pooled-t"),
        "welch": _test(pair.welch, "welch-t"),
        "paired": _test(pair.paired, "paired-t"),
        "sign_flip_p": pair.sign_flip_p,
        "correlation": pair.correlation,
        "hedges_g": _estimate(pair.hedges_g, "hedges-g"),
        "cliffs_delta": pair.cliffs_delta,
        "probability": _estimate(pair.probability, "probability-better"),
        "bayes": pair.bayes,
        "power": {**asdict(pair.power), "formula": "power"} if pair.power else None,
        "formula": _PAIR,
    }


def across_json(found: Across) -> dict[str, Any]:
    """Return the comparison over all tasks; its cells are those of its tables."""
    return {
        "methods": list(found.methods),
        "tables": list(found.tables),
        "aggregates": {label: _aggregates(each) for label, each in found.aggregates.items()},
        "profiles": {
            "thresholds": list(found.thresholds),
            "of": {label: dict(zip(_BAND, map(list, bands), strict=True)) for label, bands in found.profiles.items()},
            "formula": "performance-profile",
        },
        "friedman": _statistic(found.friedman, "chi_squared", "friedman"),
        "iman_davenport": _statistic(found.iman_davenport, "f", "iman-davenport"),
        "mean_ranks": {"values": dict(found.mean_ranks), "formula": "mean-rank"},
        "rank_intervals": {"values": {k: list(v) for k, v in found.rank_intervals.items()}, "formula": "rank-interval"},
        "wilcoxon": [
            {"row": row, "other": other, "adjusted_p": p, "formula": "wilcoxon-holm"}
            for (row, other), p in found.wilcoxon_p.items()
        ],
        "heading": found.heading,
        "target": found.target,
        "improvement": [
            {"row": row, "other": other, **(_estimate(each, "improvement") or {})}
            for (row, other), each in found.improvement.items()
        ],
        "separation": [
            {"row": row, "other": other, "adjusted_p": p, "formula": "separation"}
            for (row, other), p in found.separation_p.items()
        ],
        "tie_scope": found.tie_scope,
        "nemenyi_cliques": [list(group) for group in found.nemenyi_cliques],
        "cliques": [list(group) for group in found.cliques],
        "critical_difference": {"value": found.critical_difference, "formula": "nemenyi"},
        "kendall": _estimate(found.kendall, "kendall"),
        "tie_classes": [list(group) for group in found.tie_classes],
        "left_out": dict(found.left_out),
        "notes": list(found.notes),
    }


_BAND = ("share", "low", "high")


def _aggregates(found: Any) -> dict[str, Any]:  # noqa: ANN401 - of findings.Aggregates, by name
    return {name: _estimate(getattr(found, name), formula) for name, formula in _AGGREGATES.items()}


def _finding(found: Finding) -> dict[str, Any]:
    return {**asdict(found), "formula": _FINDING}


def _test(test: TTest | None, formula: str) -> dict[str, Any] | None:
    return {**asdict(test), "formula": formula} if test else None


def _estimate(found: Estimate | None, formula: str) -> dict[str, Any] | None:
    return {**found._asdict(), "formula": formula} if found else None


def _statistic(found: tuple[float, float] | None, name: str, formula: str) -> Mapping[str, Any] | None:
    return {name: found[0], "p": found[1], "formula": formula} if found else None
