"""Group images of all datasets by film: those that show the same exposure share one number."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from eden_bench.audit.fingerprints import Fingerprints
from eden_bench.audit.hashing import Hashes
from eden_bench.audit.matching import Copy, find_copies
from eden_bench.contracts import DatasetIndex, Item, Progress, no_progress


class AuditImage(NamedTuple):
    """One image of one dataset, as the audit compares it."""

    dataset: str
    item: Item
    sha256: bytes

    def __str__(self) -> str:
        return f"{self.dataset}/{self.item.id}"


@dataclass(frozen=True)
class Films:
    """The images of some datasets, and which of them show the same film."""

    images: tuple[AuditImage, ...]
    film: np.ndarray
    """(N,) int64: equal where two images show the same film."""

    @cached_property
    def datasets(self) -> set[str]:
        """Names of the datasets."""
        return {name for name, _ in self._rows}

    @cached_property
    def _rows(self) -> dict[tuple[str, str], list[int]]:
        found: dict[tuple[str, str], list[int]] = {}
        for row, image in enumerate(self.images):
            found.setdefault((image.dataset, image.item.split), []).append(row)
        return found

    def rows(self, dataset: str, split: str = "") -> list[int]:
        """Return the rows of a dataset, or of one split of it, ascending."""
        wanted = [rows for (name, part), rows in self._rows.items() if name == dataset and split in ("", part)]
        return sorted(row for rows in wanted for row in rows)

    def by_film(self, rows: Iterable[int]) -> dict[int, list[int]]:
        """Group rows by their film."""
        groups: dict[int, list[int]] = {}
        for row in rows:
            groups.setdefault(int(self.film[row]), []).append(row)
        return groups

    def partners(self, rows: Iterable[int], others: Iterable[int]) -> dict[int, int]:
        """Map rows to the row among others that shows the same film, preferring one with the same pixels."""
        there = self.by_film(others)
        shared = {row: there[int(self.film[row])] for row in rows if int(self.film[row]) in there}
        return {row: max(found, key=lambda other: self.same_pixels(row, other)) for row, found in shared.items()}

    def same_pixels(self, one: int, other: int) -> bool:
        """Check whether two rows are equal to the pixel; near copies are not."""
        return self.images[one].sha256 == self.images[other].sha256


def group_by_film(seen: Iterable[tuple[DatasetIndex, Fingerprints]], progress: Progress = no_progress) -> Films:
    """Group images that show the same film; those that cannot be read are films of their own."""
    seen = list(seen)
    images = tuple(
        AuditImage(index.dataset, item, sha)
        for index, looks in seen
        for item, sha in zip(index.items, looks.sha256, strict=True)
    )
    thumbs = np.concatenate([looks.thumbs for _, looks in seen])
    first: dict[bytes, int] = {}
    for row, image in enumerate(images):
        if image.sha256:
            first.setdefault(image.sha256, row)
    exact = [Copy(first[image.sha256], row, 1.0) for row, image in enumerate(images) if image.sha256]
    rows = np.array(list(first.values()), np.int64)
    near = find_copies(Hashes.of(thumbs[rows]), thumbs[rows], progress)
    return Films(images, _joined(len(images), [*exact, *(Copy(int(rows[a]), int(rows[b]), d) for a, b, d in near)]))


def _joined(count: int, copies: Iterable[Copy]) -> np.ndarray:
    """Assign each image the lowest row it is connected to, directly or not."""
    parent = list(range(count))

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    for one, other, _ in copies:
        low, high = sorted((root(one), root(other)))
        parent[high] = low
    return np.array([root(row) for row in range(count)], np.int64)
