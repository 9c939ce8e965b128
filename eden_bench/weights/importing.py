"""From a checkpoint of any dialect to an encoder, or to one sentence why not.

What is matched, missing, unexpected and reshaped is told entry by entry, and an encoder of which less than 95 % is
there is refused: a network that is partly random never gets into a table under a method's name.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from eden_bench import seeds
from eden_bench.checkpoints import Checkpoint, write_checkpoint
from eden_bench.digests import file_digest
from eden_bench.encoders import Encoder, build_encoder
from eden_bench.errors import UsageError, WeightsRefused
from eden_bench.weights.reading import read_tensors
from eden_bench.weights.recognition import Found, dialect, find, under_our_names

LEAST_COVERAGE = 0.95
KNOWN = (
    "resnet18, 34, 50 and 101 of any width, resnet20_cifar and deeper, ViT tiny to large, Swin tiny to large, "
    "tf_efficientnet_lite0, 2 and 3, densenet121 and 169"
)
_PROBE_PX = 64


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """How a file's weights cover an encoder; names are the encoder's own."""

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

    @property
    def share(self) -> float:
        """Share of the encoder's entries that the file has, in [0, 1]."""
        return self.matched / self.expected


@dataclass(frozen=True)
class Imported:
    """An encoder's weights, and how they were found."""

    weights: dict[str, torch.Tensor]
    coverage: Coverage
    fingerprint: str
    """Of the activations that these weights give; see ``fingerprint``."""

    def encoder(self) -> Encoder:
        """Return the encoder with these weights."""
        encoder = build_encoder(self.coverage.arch, seed=0)
        encoder.load_state_dict(self.weights)
        return encoder


def import_weights(path: Path, *, arch: str | None = None, prefix: str | None = None) -> Imported:
    """Read a checkpoint of any dialect.

    Args:
        path: the file.
        arch: the architecture, where the file is ambiguous or to make sure.
        prefix: which network of the file, where it holds several.

    Raises:
        WeightsMissing: there is no such file.
        WeightsRefused: it cannot be read, holds no known encoder, or too little of one; says what was found.
    """
    try:
        found, others = find(read_tensors(path), prefix)
        detected = _arch(found)
        if arch is not None and arch != detected:
            raise WeightsRefused(f"the weights are those of {detected}, expected {arch}")
        weights, coverage = _cover(found, detected, path.name, tuple(others))
        return _proven(Imported(weights, coverage, ""))
    except WeightsRefused as error:
        text = str(error)
        raise error if str(path) in text else WeightsRefused(f"{path}: {text}") from error


def write(imported: Imported, source: Path, name: str, folder: Path) -> Checkpoint:
    """Write imported weights as a checkpoint folder that ``--methods NAME=FOLDER`` takes."""
    coverage = asdict(imported.coverage)
    told = {
        "file": source.name,
        "sha256": file_digest(source),
        "coverage": coverage,
        "fingerprint": imported.fingerprint,
    }
    card = {"method": name, "arch": imported.coverage.arch, "imported": told}
    checkpoint = write_checkpoint(folder, imported.weights, card)
    if fingerprint(checkpoint.load_encoder()) != imported.fingerprint:
        raise WeightsRefused(
            f"{folder} gives other activations than {source}: the disk is at fault, write it elsewhere"
        )
    return checkpoint


def fingerprint(encoder: Encoder) -> str:
    """Return 12 hex digits of what an encoder makes of a fixed input, to three digits: equal for equal weights."""
    was_training = encoder.training
    size_px = getattr(encoder, "size_px", _PROBE_PX)
    noise = seeds.generator(0, "fingerprint").standard_normal((2, 3, size_px, size_px))
    with torch.inference_mode():
        embedded = encoder.eval().embed(torch.from_numpy(noise).float()).double()
    encoder.train(was_training)
    scale = embedded.abs().max().clamp_min(1e-12)
    levels = (embedded / scale * 500).round().to(torch.int64).tolist()
    return hashlib.sha256(repr(levels).encode()).hexdigest()[:12]


def _arch(found: Found) -> str:
    try:
        arch = found.family.arch(found.weights)
        build_encoder(arch, seed=0)
    except (ValueError, KeyError, StopIteration, UsageError) as error:
        what = error if isinstance(error, ValueError) else f"no whole {found.family.name} ({error} is not in it)"
        raise WeightsRefused(f"it holds {what}, expected one of {KNOWN}") from error
    return arch


def _cover(found: Found, arch: str, file: str, others: tuple[str, ...]) -> tuple[dict[str, torch.Tensor], Coverage]:
    expected = build_encoder(arch, seed=0).state_dict()
    offered = under_our_names(found.family, arch, found.weights)
    weights: dict[str, torch.Tensor] = {}
    reshaped: list[str] = []
    wrong: list[str] = []
    for name, like in expected.items():
        value = offered.get(name)
        if value is None and name.endswith("num_batches_tracked"):
            weights[name] = torch.zeros_like(like)  # absent from files before 2018, and of no effect
            continue
        if value is not None and value.shape != like.shape:
            value, how = _reshaped(name, value, like)
            (reshaped if value is not None else wrong).append(how)
        if value is not None:
            weights[name] = _finite(name, value).to(like.dtype)
    counted = [name for name in expected if not name.endswith("num_batches_tracked")]
    missing = tuple(name for name in counted if name not in weights)
    unexpected = tuple(sorted(set(offered) - set(expected)))
    coverage = Coverage(
        file=file, dialect=dialect(found.prefix), prefix=found.prefix, others=others, arch=arch,
        matched=len(counted) - len(missing), expected=len(counted), missing=missing, unexpected=unexpected,
        reshaped=tuple(reshaped),
    )  # fmt: skip
    _refuse(coverage, [name for name in unexpected if found.family.own.fullmatch(name)], wrong)
    start = build_encoder(arch, seed=0).state_dict()
    return {name: weights.get(name, start[name]) for name in expected}, coverage


def _refuse(coverage: Coverage, strange: list[str], wrong: list[str]) -> None:
    if coverage.share < LEAST_COVERAGE:
        because = f"; of another shape: {wrong[0]}" if wrong else ""
        raise WeightsRefused(
            f"{coverage.matched} of {coverage.expected} entries of {coverage.arch} are in it, expected at least "
            f"{LEAST_COVERAGE:.0%}; missing: {shortened(coverage.missing)}; not known: {shortened(coverage.unexpected)}"
            f"{because}"
        )
    if len(strange) > (1 - LEAST_COVERAGE) * coverage.expected:
        raise WeightsRefused(
            f"it has {len(strange)} entries that {coverage.arch} has not ({shortened(strange)}), so it is another "
            "network, expected at most 5 % more"
        )


def shortened(names: Any, most: int = 4) -> str:  # noqa: ANN401 - a sequence of names
    """Return some names and how many there are more."""
    shown = ", ".join(names[:most]) or "none"
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def _reshaped(name: str, value: torch.Tensor, like: torch.Tensor) -> tuple[torch.Tensor | None, str]:
    """Adapt a first layer for grey input: its one channel is a third on each of three equal ones."""
    if value.ndim == 4 and value.shape[1] == 1 and like.shape[1] == 3 and value.shape[0] == like.shape[0]:
        told = f"{name}: one grey input channel, spread evenly over three (each a third)"
        return value.expand_as(like) / 3, told
    return None, f"{name} has {tuple(value.shape)}, expected {tuple(like.shape)}"


def _finite(name: str, value: torch.Tensor) -> torch.Tensor:
    if value.is_floating_point() and not torch.isfinite(value).all():
        raise WeightsRefused(f"{name} holds values that are not finite, expected numbers: the training diverged")
    if value.is_complex():
        raise WeightsRefused(f"{name} is complex, expected real weights")
    return value


def _proven(imported: Imported) -> Imported:
    """Show that the weights act: the activations differ from those of the untrained encoder."""
    with_weights = fingerprint(imported.encoder())
    if with_weights == fingerprint(build_encoder(imported.coverage.arch, seed=0)):
        raise WeightsRefused("its activations are those of an untrained network, expected pretrained weights")
    return Imported(imported.weights, imported.coverage, with_weights)
