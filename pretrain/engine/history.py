"""History of a pretraining: one entry an epoch, and one summary a stage."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from eden_bench.files import atomic

FILE = "history.jsonl"
EXHAUSTED_FROM = 0.99
"""Share of queries without any negative from which an epoch's loss says nothing."""
_LAST = ("validation_loss", "kept", "without_negatives")


def write(folder: Path, history: Sequence[Mapping[str, Any]]) -> None:
    """Write the history as one JSON line an epoch."""
    atomic.write_text(folder / FILE, "".join(json.dumps(entry) + "\n" for entry in history))


def is_exhausted(entry: Mapping[str, Any]) -> bool:
    """Return whether the pruner left nearly all queries of an epoch without negatives."""
    return bool(entry.get("without_negatives", 0) >= EXHAUSTED_FROM)


def exhaustion(history: Sequence[Mapping[str, Any]], stage: str) -> str:
    """Return a warning if the last epoch is the first of its stage that the pruner left without negatives; else ""."""
    exhausted = [entry for entry in history if entry["stage"] == stage and is_exhausted(entry)]
    if len(exhausted) != 1 or exhausted[0] is not history[-1]:
        return ""
    return (
        f"epoch {history[-1]['epoch'] + 1}: the pruner left {100 * history[-1]['without_negatives']:.0f}% of the "
        "queries without a negative, so there is next to nothing to learn from: lower pruning_threshold, or pretrain "
        "the coarser stage longer"
    )


def of_stages(history: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Summarise each stage: name, epochs, first and last loss, and the last of the other metrics."""
    found = []
    for name, entries in itertools.groupby(history, lambda entry: entry["stage"]):
        epochs = list(entries)
        told = {"name": name, "epochs": len(epochs), "first_loss": epochs[0]["loss"], "last_loss": epochs[-1]["loss"]}
        found.append(told | {key: epochs[-1][key] for key in _LAST if key in epochs[-1]})
    return found
