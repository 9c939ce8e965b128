"""Find which network of a family, under which layout, a file's tensors fill wholly, or say what differs.

Nothing is loaded in part: each tensor under the encoder's prefix is used, or left out by a rule that says why.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from eden_bench.encoders import Encoder, build_encoder
from eden_bench.errors import WeightsRefused
from eden_bench.weights.families import Contract, Family, Layout
from eden_bench.weights.layouts import Fit, Tensors, compare_computed, expected_names, fit

_BODY = "body."
"""Before each name of a ``TimmEncoder``."""


@dataclass(frozen=True)
class Fitted:
    """A network that a file fills: the encoder, its weights by its names, and how they came to be."""

    encoder: Encoder
    weights: dict[str, torch.Tensor]
    left_out: dict[str, str]
    layout: Layout


@dataclass(frozen=True)
class _Attempt:
    arch: str
    layout: Layout
    like: Tensors
    fit: Fit


def fitted(families: Sequence[Family], own: Tensors, arch: str | None = None) -> Fitted:
    """Fit tensors to families' networks under their layouts, and build the one that they fill.

    Args:
        families: that the names were noticed as.
        own: tensors by the names after the prefix.
        arch: the only network to try, any of timm's; None for the family's.

    Raises:
        WeightsRefused: they fill none, or say too little to tell which; names what was found and what was expected.
    """
    best: _Attempt | None = None
    for attempt in (one for family in families for one in _attempts(family, own, arch)):
        if attempt.fit.is_whole:
            return _built(attempt, own, named=arch is not None)
        best = attempt if best is None or _nearness(attempt) > _nearness(best) else best
    assert best is not None  # noqa: S101 - a family has layouts and networks
    raise WeightsRefused(_difference(best, own))


def _attempts(family: Family, own: Tensors, arch: str | None) -> Iterator[_Attempt]:
    for layout in family.layouts:
        for one in (arch,) if arch else family.networks:
            named = _at_its_side(one, layout, own)
            if named:
                yield _Attempt(named, layout, shapes(named), fit(layout, own, shapes(named)))


def _nearness(attempt: _Attempt) -> tuple[int, int]:
    """How near a file comes to a network: by the names to change, then by how much there is to fill."""
    fit = attempt.fit
    return -max(len(fit.missing), len(fit.strange)) - len(fit.misshapen), len(attempt.like)


def _at_its_side(arch: str, layout: Layout, own: Tensors) -> str:
    """Return the arch for the side that a file's positions are of; itself where it has none."""
    counts = [value.shape[1] for name, value in own.items() if _is_positions(layout, name, value)]
    if not counts or "@any" in arch:
        return arch
    patch_px = shapes(arch)["patch_embed.proj.weight"].shape[-1]
    return re.sub(r"@\d+", f"@{math.isqrt(counts[0]) * patch_px}", arch)


def _is_positions(layout: Layout, name: str, value: torch.Tensor) -> bool:
    return bool(layout.positions and re.fullmatch(layout.positions, name) and value.ndim == 3)


def named_by_timm(arch: str) -> Family:
    """Return the family of one network of timm's under its own names: what ``--arch NAME@SIDE`` asks for."""
    stored = [name for name in shapes(arch) if not name.startswith("buffer ")]
    layout = Layout(name="timm's names", sign=".+", own="|".join(map(re.escape, stored)))
    contract = Contract(pooling="timm's own", norm="timm's own")
    return Family(file="", title="timm's network", contract=contract, models=(), networks=(arch,), layouts=(layout,))


@functools.lru_cache(maxsize=64)
def shapes(arch: str) -> dict[str, torch.Tensor]:
    """Return a network's tensors without values, by timm's names; those it computes after "buffer "."""
    with torch.device("meta"):
        encoder = build_encoder(arch)
    stored = {name.removeprefix(_BODY): value for name, value in encoder.state_dict().items()}
    tables = {name.removeprefix(_BODY): value for name, value in encoder.named_buffers()}
    return stored | {f"buffer {name}": value for name, value in tables.items() if name not in stored}


def _built(attempt: _Attempt, own: Tensors, *, named: bool) -> Fitted:
    for rule in attempt.layout.left_out:
        if rule.needed and not named and not any(re.fullmatch(rule.names, name) for name in own):
            raise WeightsRefused(
                f"it fits {attempt.arch} and others like it, and has no {rule.names.rpartition('.')[2].strip('()')} "
                f"({rule.needed}): name the network with --arch, for example --arch '{attempt.arch}'"
            )
    encoder = build_encoder(attempt.arch, seed=0)
    compare_computed(attempt.layout, own, {n.removeprefix(_BODY): value for n, value in encoder.named_buffers()})
    weights = {_BODY + name: value for name, value in attempt.fit.weights.items()}
    return Fitted(encoder, weights, attempt.fit.left_out, attempt.layout)


def _difference(best: _Attempt, own: Tensors) -> str:
    """Say in what a file differs from the network that it comes nearest to."""
    missing = [
        one for name in best.fit.missing for one in expected_names(best.layout, name, own, best.like, best.fit.strange)
    ]
    absent = [name for name in dict.fromkeys(missing) if name not in own]
    unknown = [name for name in best.fit.strange if name not in missing]
    shaped = [
        f"{name} has shape {tuple(value.shape)}, expected {tuple(best.like[name].shape)}"
        for name, value in best.fit.misshapen.items()
    ]
    told = [f"unknown: {_few(unknown)}"] * bool(unknown) + [f"expected: {_few(absent)}"] * bool(absent)
    told += [_few(shaped, 1)] * bool(shaped)
    told = told or [f"unknown: {_few(list(best.fit.strange))}, whose shapes do not go together"]
    count, all_of_it = len(best.fit.weights), _stored(best.like)
    if 2 * count < all_of_it:
        return f"it is of no size that is known under {best.layout.name} ({'; '.join(told)}): name yours with --arch"
    return (
        f"it comes nearest to {best.arch} under {best.layout.name}, of which {count} of {all_of_it} entries fit, "
        f"expected all; {'; '.join(told)}"
    )


def _stored(like: Tensors) -> int:
    return sum(not name.startswith("buffer ") for name in like)


def _few(names: list[str], most: int = 3) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
