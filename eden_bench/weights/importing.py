"""Import a checkpoint of any dialect as an encoder and validate its coverage, or refuse it in one sentence.

What is matched, missing, unexpected and reshaped is told entry by entry, and an encoder of which less than 95 % is
there is refused: a network that is partly random never gets into a table under a method's name.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from eden_bench import seeds
from eden_bench.digests import file_digest
from eden_bench.encoders import Encoder, build_encoder
from eden_bench.errors import UsageError, WeightsRefused
from eden_bench.weights.architectures import under_our_names
from eden_bench.weights.checkpoints import Checkpoint, write_checkpoint
from eden_bench.weights.find_encoder import FoundEncoder, dialect, find
from eden_bench.weights.fitting import fitted, named_by_timm
from eden_bench.weights.reading import read_tensors
from eden_bench.weights.untrained import is_untrained

Weights = dict[str, torch.Tensor]
LEAST_COVERAGE = 0.95
KNOWN = (
    "resnet18, 34, 50 and 101 of any width, resnet20_cifar and deeper, ViT tiny to large, Swin tiny to large, "
    "tf_efficientnet_lite0, 2 and 3, densenet121 and 169"
)
_PROBE_PX = 64


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """How many of an encoder's entries a file fills, and which not; names are the encoder's own."""

    file: str
    dialect: str
    prefix: str
    """Where in the file the encoder was found."""
    others: tuple[str, ...]
    """Further networks of the file, passed over."""
    arch: str
    matched: int
    expected: int
    missing: tuple[str, ...]
    """Entries of the encoder that the file has not, without the counters of batch norm."""
    unexpected: tuple[str, ...]
    """Entries under the same prefix that the encoder has not: heads, mostly."""
    reshaped: tuple[str, ...]
    """Entries that were adapted, and how."""
    look_alikes: str = ""
    """Other networks that have these names and shapes, which weights cannot tell from this one."""
    untrained: bool = False
    """Whether it was never trained, and taken because that was asked for."""
    left_out: tuple[str, ...] = ()
    """Entries that are no part of the encoder, and why."""
    reads: str = ""
    """How the encoder's own embedding is pooled, and of which layer and norm."""

    @property
    def share(self) -> float:
        """Share of the encoder's entries that the file has, in [0, 1]."""
        return self.matched / self.expected

    @property
    def lack(self) -> str:
        """Warning about entries that the file lacks; "" if the encoder is whole."""
        if not self.missing:
            return ""
        return (
            f"{self.file}: {len(self.missing)} of {self.expected} entries are not in it and stay untrained: "
            f"{shortened(self.missing)}; not known: {shortened(self.unexpected)}"
        )


@dataclass(frozen=True)
class Imported:
    """An imported encoder's weights and their coverage."""

    weights: Weights
    coverage: Coverage
    fingerprint: str
    """Of the activations that these weights give; see ``fingerprint``."""

    def encoder(self) -> Encoder:
        """Build the encoder and load these weights into it."""
        encoder = build_encoder(self.coverage.arch, seed=0)
        encoder.load_state_dict(self.weights)
        return encoder


def import_weights(
    path: Path, *, arch: str | None = None, prefix: str | None = None, untrained: bool = False
) -> Imported:
    """Import a checkpoint of any dialect: read it, find its encoder, rename, validate coverage.

    Args:
        path: the file.
        arch: the architecture, where the file is ambiguous or to make sure.
        prefix: which network of the file, where it holds several.
        untrained: take a network that was never trained, too.

    Raises:
        WeightsMissing: there is no such file.
        WeightsRefused: it cannot be read, holds no known encoder, too little of one, or an untrained one; says what
            was found.
    """
    try:
        is_timms = arch is not None and "@" in arch
        found, others = find(read_tensors(path), prefix, [named_by_timm(arch)] if arch and is_timms else ())
        encoder, weights, coverage = _taken(found, path.name, tuple(others), arch if is_timms else None)
        if arch is not None and arch != encoder.arch:
            raise WeightsRefused(f"the weights are those of {encoder.arch}, expected {arch}: leave --arch out")
        if is_untrained(encoder, weights):
            coverage = _asked_for(coverage, untrained)
        encoder.load_state_dict(weights)
        return Imported(weights, coverage, fingerprint(encoder))
    except WeightsRefused as error:
        text = str(error)
        raise error if str(path) in text else WeightsRefused(f"{path}: {text}") from error


def write(imported: Imported, source: Path, name: str, folder: Path) -> Checkpoint:
    """Save imported weights as a checkpoint folder that ``--methods NAME=FOLDER`` takes."""
    coverage = asdict(imported.coverage)
    told = {
        "file": source.name,
        "sha256": file_digest(source),
        "coverage": coverage,
        "fingerprint": imported.fingerprint,
    }
    card = {"method": name, "arch": imported.coverage.arch, "imported": told}
    checkpoint = _written(folder, imported.weights, card)
    if fingerprint(checkpoint.load_encoder()) != imported.fingerprint:
        raise WeightsRefused(
            f"{folder} gives other activations than {source}: the disk is at fault, write it elsewhere"
        )
    return checkpoint


def _written(folder: Path, weights: Weights, card: dict[str, Any]) -> Checkpoint:
    from safetensors import SafetensorError

    try:
        return write_checkpoint(folder, weights, card)
    except (OSError, SafetensorError) as error:
        raise UsageError(
            f"{folder} cannot be written ({error}): make room, or choose another folder with --out"
        ) from error


def fingerprint(encoder: Encoder) -> str:
    """Hash the embedding of a fixed input, to three digits, to 12 hex digits: detects weights that were not loaded.

    Raises:
        WeightsRefused: it makes nothing finite of it, or the same of any.
    """
    was_training = encoder.training
    size_px = getattr(encoder, "size_px", _PROBE_PX)
    noise = seeds.generator(0, "fingerprint").standard_normal((2, 3, size_px, size_px))
    with torch.inference_mode():
        embedded = encoder.eval().embed(torch.from_numpy(noise).float()).double()
    encoder.train(was_training)
    if not torch.isfinite(embedded).all() or embedded[0].equal(embedded[1]):
        what = "the same for any image" if torch.isfinite(embedded).all() else "not finite"
        raise WeightsRefused(f"its activations are {what}, expected features: the training diverged or collapsed")
    return levels_digest(embedded)


def levels_digest(embedded: torch.Tensor) -> str:
    """Hash features, in 500 levels of the largest, to 12 hex digits: the same on every machine, up to rounding."""
    levels = (embedded / embedded.abs().max() * 500).round().to(torch.int64).tolist()
    return hashlib.sha256(repr(levels).encode()).hexdigest()[:12]


def _taken(
    found: FoundEncoder, file: str, others: tuple[str, ...], arch: str | None
) -> tuple[Encoder, Weights, Coverage]:
    """Build the encoder that was found and take its weights, of a published family wholly or not at all."""
    if not found.known:
        encoder = _built(found)
        weights, coverage = _cover(found, encoder, file, others)
        return encoder, weights, replace(coverage, reads=encoder.reads)
    fit = fitted(found.known, found.weights, arch)
    start = fit.encoder.state_dict()
    weights = {name: _as_numbers(name, fit.weights[name], value) for name, value in start.items()}
    coverage = Coverage(
        file=file, dialect=dialect(found.prefix), prefix=found.prefix, others=others, arch=fit.encoder.arch,
        matched=len(start), expected=len(start), missing=(), unexpected=(), reshaped=(f"names: {fit.layout.name}",),
        look_alikes=found.family.look_alikes, left_out=tuple(f"{n}: {why}" for n, why in fit.left_out.items()),
        reads=fit.encoder.reads,
    )  # fmt: skip
    return fit.encoder, weights, coverage


def _built(found: FoundEncoder) -> Encoder:
    try:
        return build_encoder(found.family.arch(found.weights), seed=0)
    except (ValueError, UsageError) as error:
        raise WeightsRefused(f"it holds {error}; expected one of {KNOWN}") from error


def _cover(found: FoundEncoder, encoder: Encoder, file: str, others: tuple[str, ...]) -> tuple[Weights, Coverage]:
    start, weights = encoder.state_dict(), dict[str, torch.Tensor]()
    offered = under_our_names(found.family, encoder.arch, found.weights)
    reshaped = [found.renamed] if found.renamed else []
    for name in [name for name in start if name in offered]:
        value = offered[name]
        if value.shape != start[name].shape:
            value, how = _reshaped(name, value, start[name])
            reshaped.append(how)
        weights[name] = _as_numbers(name, value, start[name])
    counted = [name for name in start if not name.endswith("num_batches_tracked")]  # absent before 2018, of no effect
    missing = tuple(name for name in counted if name not in weights)
    unexpected = tuple(sorted(set(offered) - set(start)))
    coverage = Coverage(
        file=file, dialect=dialect(found.prefix), prefix=found.prefix, others=others, arch=encoder.arch,
        matched=len(counted) - len(missing), expected=len(counted), missing=missing, unexpected=unexpected,
        reshaped=tuple(reshaped), look_alikes=found.family.look_alikes,
    )  # fmt: skip
    _refuse(coverage, [name for name in unexpected if re.match(found.family.inside, name)])
    return {name: weights.get(name, value.clone()) for name, value in start.items()}, coverage


def _refuse(coverage: Coverage, strange: list[str]) -> None:
    """Refuse low coverage, and a network with more layers than ours, which would load in part."""
    if coverage.share < LEAST_COVERAGE:
        raise WeightsRefused(
            f"{coverage.matched} of {coverage.expected} entries of {coverage.arch} are in it, expected at least "
            f"{LEAST_COVERAGE:.0%}; missing: {shortened(coverage.missing)}; not known: {shortened(coverage.unexpected)}"
        )
    if len(strange) > len(coverage.missing):
        raise WeightsRefused(
            f"it has {len(strange)} entries inside its encoder that {coverage.arch} has not ({shortened(strange)}), "
            f"so it is another network, expected one of {KNOWN}"
        )


def shortened(names: Any, most: int = 4) -> str:  # noqa: ANN401 - a sequence of names
    """Format the first few names and the number of the others, for a message."""
    shown = ", ".join(names[:most]) or "none"
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def _reshaped(name: str, value: torch.Tensor, like: torch.Tensor) -> tuple[torch.Tensor, str]:
    """Adapt a first layer for grey input: its one channel is a third on each of three equal ones."""
    if value.ndim == 4 and value.shape[1] == 1 and like.shape[1] == 3 and value.shape[0] == like.shape[0]:
        told = f"{name}: one grey input channel, spread evenly over three (each a third)"
        return value.float().expand_as(like) / 3, told
    raise WeightsRefused(
        f"its {name} has shape {tuple(value.shape)}, expected {tuple(like.shape)}: it is another network"
    )


def _as_numbers(name: str, value: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Cast weights to the encoder's precision, copied; refuse values that are not finite numbers."""
    if like.is_floating_point() and not value.is_floating_point():
        raise WeightsRefused(f"its {name} holds {str(value.dtype).removeprefix('torch.')}, expected real numbers")
    cast = value.to(like.dtype, copy=True)
    if value.dtype is torch.float16 and torch.isinf(value).any():
        raise WeightsRefused(
            f"its {name} overflowed in half precision, which ends at 65,504: export it in float32 or bfloat16"
        )
    if not torch.isfinite(cast).all():
        raise WeightsRefused(f"its {name} holds values that are not finite, expected numbers: the training diverged")
    return cast


def _asked_for(coverage: Coverage, untrained: bool) -> Coverage:
    if not untrained:
        raise WeightsRefused(
            f"this {coverage.arch} was never trained: all its norms are as they were made (scale 1, shift 0, no "
            "statistics), expected pretrained weights; 'eden-bench import-weights --untrained' takes it all the same"
        )
    return replace(coverage, untrained=True)
