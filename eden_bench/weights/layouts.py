"""Carry out a layout of ``families``: a file's names and values become those of timm's network, all accounted for."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch

from eden_bench.errors import WeightsRefused
from eden_bench.weights.families import Layout, LeftOut, Step

Tensors = Mapping[str, torch.Tensor]
_HEADS = ("head", "decoder", "classifier", "proj", "pred", "fc", "neck", "loss", "queue")
"""In the first part of names of what stands on a network, beside its own."""


class Entry(NamedTuple):
    """A value on its way to one of our names, and the file's names that it came from."""

    value: torch.Tensor
    sources: tuple[str, ...]


Entries = dict[str, Entry]


@dataclass(frozen=True)
class Fit:
    """How a file's tensors fill a network, name by name."""

    weights: dict[str, torch.Tensor]
    """By our names; those alone that the network has, of its shapes."""
    misshapen: dict[str, torch.Tensor]
    """Those of another shape."""
    missing: tuple[str, ...]
    """Our names that the file does not lead to."""
    strange: tuple[str, ...]
    """The file's names that lead to none of ours."""
    left_out: dict[str, str]
    """The file's names that the layout, or being a head, leaves out, and why."""

    @property
    def is_whole(self) -> bool:
        """Whether each tensor of both sides is accounted for."""
        return not (self.misshapen or self.missing or self.strange)


def fit(layout: Layout, own: Tensors, like: Tensors) -> Fit:
    """Translate a network's tensors and compare names and shapes with ours.

    Args:
        layout: the file's.
        own: tensors by the names after the prefix.
        like: our network's, of the right shapes; what it computes (buffers that are not stored) after "buffer ".

    Raises:
        WeightsRefused: values are not what the layout says.
    """
    left = {name: why for name in own if (why := _left_out(layout, name, own))}
    entries = {name: Entry(value, (name,)) for name, value in own.items() if name not in left}
    for step in layout.steps:
        if not step.where or step.where in like:
            entries = _STEPS[step.kind](step, entries, {**own, **like})
    ours = {name: one for name, one in like.items() if not name.startswith("buffer ")}
    found = {name: entry.value for name, entry in entries.items() if name in ours}
    right = {name for name, value in found.items() if value.shape == ours[name].shape}
    strange = sorted(source for name, entry in entries.items() if name not in ours for source in entry.sources)
    return Fit(
        weights={name: found[name] for name in ours if name in right},
        misshapen={name: found[name] for name in found if name not in right},
        missing=tuple(name for name in ours if name not in found),
        strange=(*strange, *_of_another_shape(layout, own, like)),
        left_out=left,
    )


def compare_computed(layout: Layout, own: Tensors, buffers: Tensors) -> None:
    """Compare the tables in a file with those that our network computes.

    Raises:
        WeightsRefused: one differs, so the file's network computes something else; names it.
    """
    for rule in layout.left_out:
        for name, place in _computed(rule, own):
            ours, theirs = buffers[place].double(), own[name].double()
            if float((ours - theirs).abs().max()) > rule.within * float(ours.abs().max()):
                raise WeightsRefused(f"its {name} has other values than {place} has here, so it is another network")


def expected_names(layout: Layout, ours: str, own: Tensors, like: Tensors, strange: Sequence[str]) -> list[str]:
    """Return the names that a file of this layout has for one of ours: the steps backwards where the file goes so."""
    names = [ours]
    for step in reversed(layout.steps):
        if not step.where or step.where in like:
            names = [earlier for name in names for earlier in _before(step, name, own, strange)]
    return names


def _before(step: Step, name: str, own: Tensors, strange: Sequence[str]) -> list[str]:
    """Return the names that a step makes into this one, or the name itself where that is more like the file's."""
    for to in filter(None, step.to):
        target = re.sub(r"\\\\(\d)", r"(?P<g\1>.+?)", re.escape(to))
        if found := re.fullmatch(target, name):
            sources = [_filled(pattern, found) for pattern in step.names]
            if all(re.fullmatch(p, one) for p, one in zip(step.names, sources, strict=True)):
                return max(([name], sources), key=lambda names: _likeness(names[0], own, strange))
    return [name]


def _likeness(name: str, own: Tensors, strange: Sequence[str]) -> tuple[bool, bool, float]:
    """Whether the file has such names in other blocks, others of the same module, or unknown ones that come near."""
    modules = {_numberless(one).rpartition(".")[0] for one in own}
    nearest = max((difflib.SequenceMatcher(None, name, one).ratio() for one in strange), default=0.0)
    return (
        _numberless(name) in {_numberless(one) for one in own},
        _numberless(name).rpartition(".")[0] in modules,
        nearest,
    )


def _filled(pattern: str, found: re.Match[str]) -> str:
    """Write the groups' values into a pattern, in their order."""
    values = [found.groupdict().get(f"g{number}", "") for number in range(1, pattern.count("(") + 1)]
    for value in values:
        pattern = re.sub(r"\([^()]*\)", value, pattern, count=1)
    return pattern.replace("\\.", ".")


def _numberless(name: str) -> str:
    return re.sub(r"\d+", "#", name)


def _left_out(layout: Layout, name: str, own: Tensors) -> str:
    """Return why a name is left out, "" if it is not."""
    for rule in layout.left_out:
        if found := re.fullmatch(rule.names, name):
            if rule.same_as and _differs(own[name], own.get(found.expand(rule.same_as))):
                return ""
            return rule.why
    first, dot, _ = name.partition(".")
    is_head = dot and any(word in first.lower() for word in _HEADS) and not re.fullmatch(layout.own, name)
    return "stands on the network: a head, a loss or a decoder" if is_head else ""


def _differs(value: torch.Tensor, other: torch.Tensor | None) -> bool:
    return other is not None and not (value.shape == other.shape and torch.equal(value, other))


def _computed(rule: LeftOut, own: Tensors) -> list[tuple[str, str]]:
    """Return each name of the file that a rule compares, and the table that it is compared with."""
    if not rule.buffer:
        return []
    found = [(name, re.fullmatch(rule.names, name)) for name in own]
    return [(name, match.expand(rule.buffer)) for name, match in found if match]


def _of_another_shape(layout: Layout, own: Tensors, like: Tensors) -> list[str]:
    """Return the file's tables whose shape is not that of the table that ours computes."""
    pairs = [pair for rule in layout.left_out for pair in _computed(rule, own)]
    return [
        n for n, place in pairs if like.get(f"buffer {place}") is None or own[n].shape != like[f"buffer {place}"].shape
    ]


def _rename(step: Step, entries: Entries, known: Tensors) -> Entries:
    renamed: Entries = {}
    for name, entry in entries.items():
        found = re.fullmatch(step.names[0], name)
        new = found.expand(step.to[0]) if found else name
        renamed[new if new not in renamed else f"{new} once more"] = entry  # no name of ours: it will be strange
    return renamed


def _join(step: Step, entries: Entries, known: Tensors) -> Entries:
    """Put several tensors one below the other, where all of them are there and as wide as each other."""
    parts: dict[str, dict[int, str]] = {}
    for name in entries:
        for place, pattern in enumerate(step.names):
            if found := re.fullmatch(pattern, name):
                parts.setdefault(found.expand(step.to[0]), {})[place] = name
    whole = {new: [one[place] for place in sorted(one)] for new, one in parts.items() if len(one) == len(step.names)}
    whole = {new: names for new, names in whole.items() if len({entries[n].value.shape for n in names}) == 1}
    whole = {new: names for new, names in whole.items() if entries[names[0]].value.ndim}
    used = {name for names in whole.values() for name in names}
    joined = {
        new: Entry(torch.cat([entries[n].value for n in names]), tuple(s for n in names for s in entries[n].sources))
        for new, names in whole.items()
    }
    return {name: entry for name, entry in entries.items() if name not in used} | joined


def _split(step: Step, entries: Entries, known: Tensors) -> Entries:
    """Cut a tensor into equal parts, after its mask if it has one; a part without a name must be zeros."""
    result: Entries = {}
    for name, entry in entries.items():
        found = re.fullmatch(step.names[0], name)
        targets = [found.expand(one) for one in step.to] if found else []
        mask = known.get(found.expand(step.mask)) if found and step.mask else None
        if not any(target in known for target in targets) or not _divides(entry.value, mask, len(targets)):
            result[name] = entry
            continue
        value = entry.value if mask is None else torch.where(mask == 0, 0, entry.value * mask)
        for target, part in zip(targets, value.chunk(len(targets)), strict=True):
            if target:
                result[target] = Entry(part, entry.sources)
            elif part.any():
                raise WeightsRefused(f"its {name} is not zero for the keys, expected zeros: it is another network")
    return result


def _divides(value: torch.Tensor, mask: torch.Tensor | None, parts: int) -> bool:
    """Check whether a tensor has so many equal parts, and its mask its shape."""
    return value.ndim > 0 and len(value) % parts == 0 and (mask is None or mask.shape == value.shape)


def _class_position(step: Step, entries: Entries, known: Tensors) -> Entries:
    """Add the class token's position to it, where our network has positions for the patches alone."""
    token, positions = (entries.get(name) for name in step.names)
    ours = known.get(step.names[1])
    if not (token and positions) or ours is None or positions.value.ndim != 3:
        return entries
    if positions.value.shape[1] != ours.shape[1] + 1 or token.value.shape != positions.value[:, :1].shape:
        return entries
    moved = token.value + positions.value[:, :1]
    patches = Entry(positions.value[:, 1:], positions.sources)
    return entries | {step.names[0]: Entry(moved, token.sources), step.names[1]: patches}


_STEPS = {"rename": _rename, "join": _join, "split": _split, "class-position": _class_position}
