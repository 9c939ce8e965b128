"""What conformance checks share: the error of a failed check, and the small phantom that they run on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

from eden_bench.contracts import Context, Dataset, DatasetIndex
from eden_bench.data.dataset_folders import reader

_PATIENTS = 16
MORE_PATIENTS = 60
"""Where the few do not show what a task needs, as boxed findings."""

Checks = Iterator[tuple[str, Callable[[], None]]]
"""Pairs of a sentence that holds where the check passes, and what raises where it does not."""


class Broken(Exception):
    """Raised by a check that fails; the message says what was found and what was expected."""


def need(holds: bool, problem: str) -> None:
    """Raise Broken with a problem unless a condition holds."""
    if not holds:
        raise Broken(problem)


def check_card(card: Any) -> None:  # noqa: ANN401 - a card of any kind
    """Validate that every text of a card is filled in."""
    texts = {field.name: getattr(card, field.name) for field in fields(card)}
    empty = [name for name, text in texts.items() if isinstance(text, str) and not text.strip()]
    need(not empty, f"the card's {', '.join(empty)} is empty, expected a sentence each")


def phantom(dataset: str, folder: Path, patients: int = _PATIENTS) -> tuple[Context, DatasetIndex]:
    """Return a dataset's small phantom, written once below a folder."""
    found: Dataset = reader(dataset)
    root = folder / dataset
    if not root.exists():
        found.write_phantom(root, patients=patients, seed=0)
    return Context(cache=folder / "cache", dataset=found), found.index(root)
