"""Statistics of films and masks for ``data check``: depth, orientation, grey levels, areas of structures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import cv2
import numpy as np

from eden_bench.contracts import Finding
from tasks.reading.noticing import Seen

FEW_LEVELS = 32
"""A film of 8 bits has more; 10 bits in a file of 16 leave 4, 12 bits leave 16."""
_ALIKE = 0.99
"""Share of pixels within three neighbouring levels that makes an image nearly flat."""
_BLACK = 2
"""The highest level of the three that count as black."""
_FARTHEST = 6.0
"""Robust standard deviations of the logarithm of an area, beyond which a mask is an odd one out."""
_LEAST_SPREAD = 0.1
"""Of that logarithm: among masks that are all but equal, 80 % larger or 45 % smaller is odd."""
_ENOUGH = 10
"""Masks of a structure, fewer of which have no odd ones."""
_MOST_NAMED = 3
_MOST_STRUCTURES = 6


class Film(NamedTuple):
    """The grey levels of one image."""

    levels: int
    """Of 256, those that it uses."""
    black: bool
    """All but black: 99 % of its pixels are."""
    alike: bool
    """Nearly flat: 99 % of its pixels lie within three neighbouring levels."""


@dataclass(frozen=True)
class Look:
    """Statistics of one decoded item: size, grey levels, mask areas, problems."""

    id: str = ""
    size_px: tuple[int, int] | None = None
    """Height and width, or None where the image could not be decoded."""
    air_bright: bool = False
    flat: bool = False
    """It has one value all over, and was refused for it."""
    film: Film | None = None
    pictures: tuple[Seen, ...] = ()
    masks: tuple[Seen, ...] = ()
    shares: Mapping[str, float] = field(default_factory=dict)
    """Structure to the share of the image that its mask covers."""
    problems: tuple[str, ...] = ()


def seen_of_film(image: np.ndarray) -> Film:
    """Count the grey levels of an image, (H, W) or (H, W, 3) uint8; of colours, the levels of all three together."""
    flat = image.reshape(len(image), -1)
    counts = cv2.calcHist([np.ascontiguousarray(flat)], [0], None, [256], [0, 256]).ravel()
    alike = np.convolve(counts, np.ones(3), "valid") / flat.size
    black = counts[: _BLACK + 1].sum() / flat.size
    return Film(int(np.count_nonzero(counts)), bool(black >= _ALIKE), bool(alike.max() >= _ALIKE))


def film_statistics(looks: Sequence[Look]) -> Iterator[Finding]:
    """Report grey levels, bit depth, EXIF and mask areas; with a note if they look unintended."""
    yield from _depths(looks)
    yield from _turned(looks)
    yield from _transparent(looks)
    yield from _levels(looks)
    yield from _flat(looks)
    yield from _areas(looks)


def _depths(looks: Sequence[Look]) -> Iterator[Finding]:
    pictures = [picture for look in looks for picture in look.pictures]
    counts = dict(sorted(Counter(picture.bits for picture in pictures).items()))
    text = ", ".join(f"{bits} in {count:,}" for bits, count in counts.items())
    numbers = {"bits": {str(bits): count for bits, count in counts.items()}}
    scaled = sum(picture.scaled for picture in pictures)
    if 0 < scaled < len(pictures):
        yield Finding("note", f"bits of a value in the files: {text}: expected one depth, or greys may differ", numbers)
    elif counts:
        yield Finding("ok", f"bits of a value in the files: {text}", numbers)


def _turned(looks: Sequence[Look]) -> Iterator[Finding]:
    for what, seen in (
        ("images", [p for k in looks for p in k.pictures]),
        ("masks", [m for k in looks for m in k.masks]),
    ):
        if turned := [one.path for one in seen if one.turned]:
            yield Finding(
                "note",
                f"EXIF turns {len(turned):,} of {len(seen):,} {what}, for example {turned[0]}: they are read as a "
                f"viewer shows them, and {'masks' if what == 'images' else 'images'} must fit that",
                {f"turned_{what}": len(turned)},
            )


def _transparent(looks: Sequence[Look]) -> Iterator[Finding]:
    if found := [picture.path for look in looks for picture in look.pictures if picture.transparent]:
        text = (
            f"{len(found):,} images have transparent pixels, for example {found[0]}: they are read as if they were not"
        )
        yield Finding("note", text, {"transparent_images": len(found)})


def _levels(looks: Sequence[Look]) -> Iterator[Finding]:
    levels = {look.id: look.film.levels for look in looks if look.film}
    if not levels:
        return
    low, middle, high = min(levels.values()), int(np.median(list(levels.values()))), max(levels.values())
    text, numbers = f"grey levels used by an image: {low} to {high}, median {middle}", {"levels": [low, middle, high]}
    if few := [name for name, count in levels.items() if count < FEW_LEVELS]:
        text += f"; {len(few):,} use fewer than {FEW_LEVELS}, for example {few[0]} ({levels[few[0]]})"
    yield Finding("note" if few else "ok", text, {**numbers, "images_of_few_levels": len(few)})


def _flat(looks: Sequence[Look]) -> Iterator[Finding]:
    flat = [look.id for look in looks if look.flat]
    black, alike = (
        _named(looks, kind) for kind in (lambda film: film.black, lambda film: film.alike and not film.black)
    )
    numbers = {"flat_images": len(flat), "black_images": len(black), "nearly_flat_images": len(alike), "of": len(looks)}
    kinds = [(flat, "flat"), (black, "all but black"), (alike, "nearly flat")]
    said = [f"{len(names):,} are {kind}, for example {names[0]}" for names, kind in kinds if names]
    text = f"of {len(looks):,} images " + ("; ".join(said) or "none is flat, nearly flat or black")
    yield Finding("note" if said else "ok", text, numbers)


def _named(looks: Sequence[Look], kind: Callable[[Film], bool]) -> list[str]:
    return [look.id for look in looks if look.film and kind(look.film)]


def _areas(looks: Sequence[Look]) -> Iterator[Finding]:
    structures = dict.fromkeys(structure for look in looks for structure in look.shares)
    told = [_area(name, {look.id: look.shares[name] for look in looks if name in look.shares}) for name in structures]
    odd = [finding for finding in told if finding.level != "ok"]
    if len(told) <= _MOST_STRUCTURES:
        yield from told
        return
    shares = [share for look in looks for share in look.shares.values()]
    text = f"{len(shares):,} masks of {len(told)} structures, of which {shares.count(0):,} are empty; the others cover "
    text += f"{min(filter(None, shares), default=0):.2%} to {max(shares):.2%} of the image"
    yield Finding("ok", text, {"areas": {str(found.numbers["structure"]): found.numbers for found in told}})
    yield from odd


def _area(structure: str, shares: Mapping[str, float]) -> Finding:
    """Report the share of the image that a structure covers, and masks whose area is an outlier."""
    there = {name: share for name, share in shares.items() if share > 0}
    full = [name for name, share in there.items() if share == 1]
    numbers: dict[str, object] = {
        "structure": structure, "masks": len(shares), "empty": len(shares) - len(there), "full": len(full)
    }  # fmt: skip
    if not there:
        text = f"masks of {structure}: all {len(shares):,} are empty, expected some that are not"
        return Finding("error", f"{text}: put the masks there (check mask_value in a task of your own)", numbers)
    area = [float(np.quantile(list(there.values()), q)) for q in (0, 0.5, 1)]
    text = (
        f"masks of {structure}: {len(there):,} cover {area[0]:.2%} to {area[2]:.2%} of the image, median {area[1]:.2%}"
    )
    text += f"; {len(shares) - len(there):,} are empty" if len(there) < len(shares) else ""
    odd = odd_ones_out(there)
    numbers |= {"area": area, "odd": odd}
    if len(full) == len(shares):
        return Finding(
            "error",
            f"masks of {structure}: all {len(shares):,} cover their whole image: nothing is to be told apart",
            numbers,
        )
    if full:
        text += f"; {len(full):,} cover it whole, for example {full[0]}"
    if odd:
        named = ", ".join(f"{name} ({there[name]:.2%})" for name in odd[:_MOST_NAMED])
        text += f"; {len(odd):,} unlike the others: {named}"
    return Finding("note" if odd or full else "ok", text, numbers)


def odd_ones_out(areas: Mapping[str, float]) -> list[str]:
    """Return the names whose area is far from the median, farthest first; areas are above 0.

    Far is beyond 6 robust standard deviations (1.4826 times the median absolute deviation, at least 0.1) of the
    logarithm: structures differ by factors.
    """
    if len(areas) < _ENOUGH:
        return []
    logs = np.log(list(areas.values()))
    away = np.abs(logs - np.median(logs))
    far = away > _FARTHEST * max(1.4826 * float(np.median(away)), _LEAST_SPREAD)
    names = list(areas)
    return [names[k] for k in np.argsort(-away) if far[k]]
