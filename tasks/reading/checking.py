"""The shared part of ``data check``: decode each file once, in threads, and report findings.

An error is what a reader refuses, or what a task does: ``run`` stops there too. What is read but may not be meant is a
note.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np

from eden_bench.contracts import DatasetIndex, Finding, Item, Progress
from eden_bench.data.pixel_store import in_threads
from eden_bench.errors import EdenError
from tasks.reading.film_statistics import Look, film_statistics, seen_of_film
from tasks.reading.noticing import watching
from tasks.reading.pictures import FlatImage

_MOST_LINES = 10


class Reader(Protocol):
    """The members of a dataset's reader that a check calls."""

    @property
    def name(self) -> str:
        """The dataset's name."""
        ...

    def read_image(self, item: Item) -> np.ndarray:
        """Decode an image."""
        ...

    def read_mask(self, item: Item, structure: str) -> np.ndarray:
        """Decode or draw a mask."""
        ...


def look_at_all(
    reader: Reader,
    items: Sequence[Item],
    progress: Progress,
    *,
    structures: Callable[[Item], Iterable[str]] = lambda item: (),
    shares: Callable[[Item, tuple[int, int]], Mapping[str, float]] | None = None,
    look_further: Callable[[Item], Iterable[str]] = lambda item: (),
) -> list[Look]:
    """Decode every item in threads and collect statistics and problems.

    Args:
        reader: of the dataset.
        items: whose files, in this order.
        progress: told of each item.
        structures: whose masks an item has, to be read.
        shares: tells the areas of masks that are drawn, as shares of an image (height, width), without drawing them.
        look_further: yields the problems of what else it has.
    """

    def look(number: int) -> Look:
        item = items[number]
        seen = _look_at_masks(reader, item, structures(item), _look_at_image(reader, item))
        if shares and seen.size_px:
            seen = replace(seen, shares=shares(item, seen.size_px))
        return replace(seen, problems=tuple(dict.fromkeys([*seen.problems, *look_further(item)])))

    what = f"checking {reader.name}"
    return list(in_threads(look, len(items), lambda done: progress(what, done, len(items))))


def _look_at_image(reader: Reader, item: Item) -> Look:
    with watching() as seen:
        try:
            image = reader.read_image(item)
        except EdenError as error:
            return Look(id=item.id, flat=isinstance(error, FlatImage), problems=(str(error),), pictures=tuple(seen))
    bright = air_is_bright(image)
    return Look(id=item.id, size_px=image.shape[:2], air_bright=bright, film=seen_of_film(image), pictures=tuple(seen))


def _look_at_masks(reader: Reader, item: Item, structures: Iterable[str], look: Look) -> Look:
    shares: dict[str, float] = {}
    problems: list[str] = []
    with watching() as seen:
        for structure in structures:
            try:
                mask = reader.read_mask(item, structure)
            except EdenError as error:
                problems.append(str(error))
            else:
                shares[structure] = np.count_nonzero(mask) / mask.size
    return replace(look, shares=shares, problems=(*look.problems, *problems), masks=tuple(seen))


def air_is_bright(image: np.ndarray) -> bool:
    """Return whether a film is inverted: the upper corners, beside the neck, brighter than the middle column."""
    height, width = image.shape[:2]
    rows, columns = max(1, height // 12), max(1, width // 12)
    corners = np.concatenate([image[:rows, :columns].ravel(), image[:rows, -columns:].ravel()])
    middle = image[height // 4 :, width // 2 - columns // 2 : width // 2 + columns // 2 + 1]
    return bool(np.median(corners) > np.median(middle))


def describe(index: DatasetIndex, looks: Sequence[Look]) -> list[Finding]:
    """Report counts, splits, patients, sizes, orientation, grey levels and mask areas, then every problem."""
    return [*_counts(index), *_sizes(looks), *_orientation(looks), *film_statistics(looks), *_problems(looks)]


def _counts(index: DatasetIndex) -> Iterable[Finding]:
    count = len(index.items)
    yield Finding("note" if index.part else "ok", index.part or f"{count:,} images")
    train, test = index.split("train"), index.split("test")
    patients = [{item.patient for item in split} for split in (train, test)]
    shared = patients[0] & patients[1]
    of = f"{len(patients[0]):,} and {len(patients[1]):,} patients"
    text = f"{len(train):,} training and {len(test):,} test images of {of}"
    if shared:
        yield Finding("error", f"{text}; {len(shared)} are in both, for example {min(shared)}: expected none")
    else:
        yield Finding("ok", f"{text}, none in both")
    yield from (Finding("note", note) for note in index.notes)


def _sizes(looks: Sequence[Look]) -> Iterable[Finding]:
    sizes = Counter(look.size_px for look in looks if look.size_px)
    if sizes:
        shown = [f"{count:,} of {w}×{h}" for (h, w), count in sizes.most_common(_MOST_LINES)]
        more = f" and {len(sizes) - _MOST_LINES} sizes more" if len(sizes) > _MOST_LINES else ""
        yield Finding("ok", f"images decoded: {', '.join(shown)} px{more}")


def _orientation(looks: Sequence[Look]) -> Iterable[Finding]:
    decoded, bright = sum(look.size_px is not None for look in looks), sum(look.air_bright for look in looks)
    if decoded and bright > decoded / 2:
        yield Finding(
            "note",
            f"air is bright in {bright:,} of {decoded:,} images, expected dark: where they are radiographs, invert "
            "them and copy them again",
        )


def _problems(looks: Sequence[Look]) -> Iterable[Finding]:
    problems = [problem for look in looks for problem in look.problems]
    yield from (Finding("error", problem) for problem in problems[:_MOST_LINES])
    if len(problems) > _MOST_LINES:
        yield Finding("error", f"and {len(problems) - _MOST_LINES:,} problems more")
