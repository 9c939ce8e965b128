"""Find the encoder in a checkpoint: its prefix, its architecture, and the student among several networks.

A checkpoint's dialect is its nesting (``state_dict/``, ``model/``, ``teacher/``) and its prefixes (``module.``,
``encoder_q.``, ``backbone.``). Both are found by looking for the names that every network of a family has, so a
dialect nobody has listed is read too; where two networks are found, a rule says which is meant, and where no rule
does, nobody guesses.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch

from eden_bench.errors import WeightsRefused
from eden_bench.weights import families, tensor_names
from eden_bench.weights.architectures import FAMILIES, Family, Tensors


@dataclass(frozen=True)
class FoundEncoder:
    """A candidate encoder in a checkpoint: its family, prefix and weights."""

    family: Family
    prefix: str
    """Path and prefix before its names, for example "state_dict/module.encoder_q."."""
    weights: dict[str, torch.Tensor]
    """By its own names."""
    renamed: str = ""
    """How its names were changed to these; "" where they were not."""
    known: tuple[families.Family, ...] = ()
    """Families of published models whose names these may be, with the layouts that were noticed; none for ours."""


DIALECTS = (
    ("OpenSelfSup (DenseCL) query", r"encoder_q\.0\."),
    ("MoCo (also Adam's and DiRA's) query", r"encoder_q\."),
    ("momentum key", r"encoder_k\."),
    ("DINO teacher", r"teacher[/.]"),
    ("DINO student", r"student[/.]"),
    ("averaged copy", r"(ema|momentum|target)[^/]*[/.]"),
    ("BYOL online", r"online[^/]*\."),
    ("smp U-Net or SimMIM encoder", r"^(state_dict/|model/)?(module\.)?encoder\.$"),
    ("backbone of a larger model (VICRegL, mmselfsup, Lightning)", r"(backbone|model|net)\.$"),
    ("model of a training checkpoint (MAE, timm)", r"^(model|model_state|network)/$"),
    ("data-parallel", r"module\.$"),
    ("training checkpoint", r"^state_dict/$"),
    ("bare state dictionary (torchvision, timm)", r"^$"),
)
"""What people call a prefix; the first that fits names it."""

_AVERAGED = re.compile(r"(encoder_k|momentum|(?<![a-z])ema|model_ema|target)")
_TEACHER, _STUDENT = re.compile(r"(^|[/.])teacher[/._]"), re.compile(r"(^|[/.])student[/._]")


def dialect(prefix: str) -> str:
    """Return the name of the library or method that writes a prefix."""
    return next((name for name, pattern in DIALECTS if re.search(pattern, prefix)), f"prefix {prefix!r}")


def find(
    tensors: Tensors, prefix: str | None = None, further: Sequence[families.Family] = ()
) -> tuple[FoundEncoder, list[str]]:
    """Find the encoder in a checkpoint's tensors: the one under a prefix, or the only one that can be meant.

    Args:
        tensors: by path and name.
        prefix: of the encoder, where the user says so.
        further: families to look for beside those that are known.

    Returns:
        The encoder, and the prefixes of other networks of the same file that were passed over.

    Raises:
        WeightsRefused: there is none, or several and no rule which is meant; names them.
    """
    tensors, renamed = tensor_names.translated(tensors)
    candidates = [replace(one, renamed=renamed.get(one.prefix, "")) for one in _candidates(tensors, further)]
    if prefix is not None:
        asked = prefix.rstrip("./")
        named = [one for one in candidates if asked in (one.prefix.rstrip("./"), _last(one.prefix).rstrip("./"))]
        if len(named) != 1:
            raise WeightsRefused(
                f"prefix {prefix!r} is of {len(named)} networks, expected one of: {_listed(candidates)}"
            )
        return named[0], [one.prefix for one in candidates if one is not named[0]]
    _refuse_volumes(tensors)
    if not candidates:
        raise WeightsRefused(_unknown(tensors))
    chosen = _meant(candidates)
    return chosen, [one.prefix for one in candidates if one is not chosen]


def _unknown(tensors: Tensors) -> str:
    shown, what = ", ".join(list(tensors)[:4]), tensor_names.stranger(tensors)
    return (
        f"no encoder that is known here is in its {len(tensors)} tensors ({shown}, …)"
        + (f", they are those of {what}" if what else "")
        + ", expected a ResNet or DenseNet under torchvision's names, a ViT under torchvision's or timm's, a Swin or "
        "EfficientNet-Lite under timm's, or a family of docs/weights.md, each after any prefix; any other of timm's "
        "networks is read under its own names when --arch names it, as in --arch vit_base_patch16_siglip_224@224"
    )


def _last(prefix: str) -> str:
    return prefix.rpartition("/")[2]


def _candidates(tensors: Tensors, further: Sequence[families.Family] = ()) -> list[FoundEncoder]:
    """Return all candidate networks in a checkpoint, one a family and prefix, without copies under another name."""
    found = _published(tensors, (*families.load(), *further))
    published = tuple(one.prefix for one in found)
    for family in FAMILIES:
        for prefix, own in _networks(tensors, family.own.pattern):
            if any(re.match(family.sign, name) for name in own) and not prefix.startswith(published):
                found.append(FoundEncoder(family, prefix, own))
    found.sort(key=lambda one: -len(_own_names(one)))
    whole = [one for one in found if len(_own_names(one)) > len(_own_names(found[0])) // 2]
    return [
        one
        for place, one in enumerate(whole)
        if not any(_same(one, other) or _is_part(one, other) for other in whole[:place])
    ]


def _published(tensors: Tensors, known: Iterable[families.Family]) -> list[FoundEncoder]:
    """Return the networks whose names are of published families, one a prefix; which family is settled by the fit."""
    noticed: dict[str, dict[families.Family, list[families.Layout]]] = {}
    for family in known:
        for layout in family.layouts:
            for prefix, own in _networks(tensors, layout.own):
                if _shows(layout, own):
                    noticed.setdefault(prefix, {}).setdefault(family, []).append(layout)
    return [
        FoundEncoder(
            _as_one([layout for layouts in one.values() for layout in layouts], list(one)),
            prefix,
            _under(tensors, prefix),
            known=tuple(replace(family, layouts=tuple(layouts)) for family, layouts in one.items()),
        )
        for prefix, one in noticed.items()
    ]


def _as_one(layouts: list[families.Layout], known: list[families.Family]) -> Family:
    """Return one family of names for several layouts."""
    return Family(
        name=" or ".join(one.title.partition(" (")[0] for one in known),
        own=re.compile("|".join(f"(?:{one.own})" for one in layouts)),
        sign="",
        inside="",
        arch=_by_fit,
        look_alikes="; ".join(one.look_alikes for one in known),
    )


def _by_fit(weights: Tensors) -> str:
    raise ValueError("a published family, whose network is found by what fits")


def _shows(layout: families.Layout, own: Tensors) -> bool:
    """Check whether a layout's sign is among names, and none that means another network."""
    return any(re.fullmatch(layout.sign, name) for name in own) and not (
        layout.lacks and any(re.fullmatch(layout.lacks, name) for name in own)
    )


def _networks(tensors: Tensors, own: str) -> Iterator[tuple[str, dict[str, torch.Tensor]]]:
    """Yield each prefix under which enough names fit a pattern, and all that is under it."""
    votes = Counter(match["prefix"] for name in tensors if (match := _parts(own, name)))
    for prefix, count in votes.most_common(_MOST_NETWORKS):
        if count >= _LEAST_NAMES:
            yield prefix, _under(tensors, prefix)


def _under(tensors: Tensors, prefix: str) -> dict[str, torch.Tensor]:
    return {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}


_LEAST_NAMES = 8
_MOST_NETWORKS = 16


def _parts(own: str, name: str) -> re.Match[str] | None:
    """Split a name into prefix and own name, the prefix as short as can be."""
    return re.fullmatch(rf"(?P<prefix>(?:.*?[/.])??)(?P<name>{own})", name)


def _own_names(found: FoundEncoder) -> list[str]:
    return [name for name in found.weights if found.family.own.fullmatch(name)]


def _same(one: FoundEncoder, other: FoundEncoder) -> bool:
    """Compare two networks' values: equal ones are an alias, as DenseCL's ``backbone`` is of ``encoder_q.0``."""
    return one.family == other.family and all(
        name in other.weights
        and one.weights[name].shape == other.weights[name].shape
        and torch.equal(one.weights[name], other.weights[name])
        for name in _own_names(one)
    )


def _is_part(one: FoundEncoder, other: FoundEncoder) -> bool:
    """Check whether a network is a piece of a larger one, as the blocks of a Swin's stage are named like a ViT's."""
    return one.prefix.startswith(other.prefix) and all(
        other.family.own.fullmatch(one.prefix[len(other.prefix) :] + name) for name in _own_names(one)
    )


def _meant(candidates: list[FoundEncoder]) -> FoundEncoder:
    """Choose among networks: the student of a queue, the teacher of self-distillation, never an averaged copy."""
    left = [one for one in candidates if not _AVERAGED.search(one.prefix)] or candidates
    if any(_STUDENT.search(one.prefix) for one in left):
        left = [one for one in left if _TEACHER.search(one.prefix)] or left
    if len(left) > 1:
        raise WeightsRefused(f"there are {len(left)} networks in it, expected one: name its --prefix: {_listed(left)}")
    return left[0]


def _listed(candidates: Iterable[FoundEncoder]) -> str:
    return ", ".join(repr(one.prefix) for one in candidates) or "none"


def _refuse_volumes(weights: Tensors) -> None:
    for name, value in weights.items():
        if value.ndim == 5:
            raise WeightsRefused(f"it is a network for volumes ({name} has 3 spatial axes), expected one for images")
