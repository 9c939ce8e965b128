"""What every dataset's ``data check`` does: decode each file in threads, and say what was found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from eden_bench.contracts import DatasetIndex, Finding, Item, Progress
from eden_bench.errors import EdenError
from eden_bench.pixelstore import in_threads

_MOST_LINES = 10


@dataclass(frozen=True)
class Look:
    """What was seen of one item."""

    size_px: tuple[int, int] | None = None
    """Height and width, or None where the image could not be decoded."""
    air_bright: bool = False
    problems: tuple[str, ...] = ()


def look_at_all(
    items: Sequence[Item],
    read_image: Callable[[Item], np.ndarray],
    look_further: Callable[[Item], Iterable[str]],
    progress: Progress,
    what: str,
) -> list[Look]:
    """Decode every item in threads; look_further yields the problems of what else it has."""

    def look(number: int) -> Look:
        item = items[number]
        try:
            image = read_image(item)
        except EdenError as error:
            return Look(problems=tuple(dict.fromkeys([str(error), *look_further(item)])))
        return Look(image.shape[:2], air_is_bright(image), tuple(look_further(item)))

    return list(in_threads(look, len(items), lambda done: progress(what, done, len(items))))


def air_is_bright(image: np.ndarray) -> bool:
    """Tell whether the upper corners, beside the neck, are brighter than the middle column: an inverted radiograph."""
    height, width = image.shape[:2]
    rows, columns = max(1, height // 12), max(1, width // 12)
    corners = np.concatenate([image[:rows, :columns].ravel(), image[:rows, -columns:].ravel()])
    middle = image[height // 4 :, width // 2 - columns // 2 : width // 2 + columns // 2 + 1]
    return bool(np.median(corners) > np.median(middle))


def describe(index: DatasetIndex, looks: Sequence[Look]) -> list[Finding]:
    """Say counts, sizes, splits, patients and orientation, then every problem."""
    return [*_counts(index), *_sizes(looks), *_orientation(looks), *_problems(looks)]


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
            "error",
            f"air is bright in {bright:,} of {decoded:,} images, expected dark: invert them and copy them again",
        )


def _problems(looks: Sequence[Look]) -> Iterable[Finding]:
    problems = [problem for look in looks for problem in look.problems]
    yield from (Finding("error", problem) for problem in problems[:_MOST_LINES])
    if len(problems) > _MOST_LINES:
        yield Finding("error", f"and {len(problems) - _MOST_LINES:,} problems more")
