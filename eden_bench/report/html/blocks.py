"""Blocks that pages are made of: anchors, and cells with what they say beside their text."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from eden_bench.report.tables import Table


class Cell(NamedTuple):
    """A cell: its text, and a class that the style sheet knows."""

    text: str
    kind: str = ""
    link: str = ""
    """Anchor in this page."""


def anchors(tables: Iterable[Table]) -> dict[str, str]:
    """Return an anchor of its own for each table, by heading."""
    found: dict[str, str] = {}
    for number, table in enumerate(tables, start=1):
        found.setdefault(table.heading, f"t{number}-{slug(table.task)}")
    return found


def slug(text: str) -> str:
    """Return text as letters, digits and hyphens.

    >>> slug("SIIM-ACR <b>")
    'siim-acr-b'
    """
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:40]
