"""Look up which datasets are known to be made of another's images, without reading a pixel or importing torch."""

from __future__ import annotations

from typing import NamedTuple

from eden_bench.errors import EdenError
from eden_bench.registry import datasets


class Origin(NamedTuple):
    """One dataset's images come from another's."""

    dataset: str
    source: str
    text: str


def origins(dataset: str) -> list[Origin]:
    """Return where a dataset's images are known to come from, by its card; nothing if it is not registered."""
    try:
        card = datasets.get(dataset).card
    except EdenError:
        return []
    return [Origin(dataset, source, text) for source, text in card.derived_from.items()]
