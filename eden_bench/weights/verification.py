"""What a model's authors are asked to confirm: how it is read here, and a test vector that they can compute themselves.

The test image is ``numpy.random.default_rng(0).random((3, side, side))``, normalised as the model's card says. Without
a file, weights are drawn by their names (``drawn``), so that no weights need to change hands: who fills timm's network
in the same way and gets the same vector has the same network, pooling and normalisation.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch

from eden_bench.encoders import Encoder, build_encoder
from eden_bench.errors import WeightsRefused
from eden_bench.weights import families
from eden_bench.weights.families import Family, Model
from eden_bench.weights.importing import import_weights, levels_digest

RECIPE = (
    "each tensor NAME of timm's (or torchvision's) network: 0.02 * "
    "numpy.random.default_rng(zlib.crc32(NAME.encode())).standard_normal(shape), plus 1 where NAME ends in "
    "running_var, or in weight and has one axis; counters 0"
)
_SHOWN = 8


def verification(name: str, file: Path | None = None) -> dict[str, Any]:
    """Return all that a published model's authors are asked to confirm, by the name of each point.

    Args:
        name: of a model of ``families``.
        file: its weights; None draws them.

    Raises:
        UsageError: no such model.
        WeightsMissing: there is no such file.
        WeightsRefused: it cannot be read, or holds another network; says which.
    """
    family, model = families.model(name)
    if file is None:
        encoder, used, left = _drawn_network(model), "", tuple(_rules(family))
    else:
        encoder, used, left = _from_file(file, family, model)
    tensors = len([one for one in encoder.state_dict() if not one.endswith("num_batches_tracked")])
    return {
        "model": model.name,
        "title": model.title,
        "network": encoder.arch,
        "size_px": model.size_px,
        "window": model.window or "none",
        "normalisation": model.normalisation,
        "mean": list(model.mean),
        "std": list(model.std),
        "reads": encoder.reads,
        "maps": [f"{c} channels at stride {s}" for c, s in zip(encoder.channels, encoder.strides, strict=True)],
        "tensors": used or f"{tensors} of the network, all needed",
        "left_out": list(left),
        "not_told_apart": family.look_alikes,
        "licence": model.licence,
        "source": model.source,
        "place": model.file,
        "checked_against": model.verified,
        "weights": f"those of {file.name}" if file else RECIPE,
        **_vector(encoder, model),
    }


def _rules(family: Family) -> list[str]:
    """Return what each layout of a family leaves out, and why."""
    return [f"{layout.name}: {rule.names}: {rule.why}" for layout in family.layouts for rule in layout.left_out]


def _from_file(file: Path, family: Family, model: Model) -> tuple[Encoder, str, tuple[str, ...]]:
    imported = import_weights(file)
    coverage = imported.coverage
    encoder = imported.encoder().for_size(model.size_px)
    known = {one.partition("@")[0] for one in family.networks}
    if encoder.arch != model.network and encoder.arch.partition("@")[0] not in known:
        raise WeightsRefused(f"{file} holds {encoder.arch}, expected {model.network}, the network of {model.name}")
    others = tuple(f"{one}: passed over" for one in (*coverage.others, *coverage.unexpected))
    return encoder, f"{coverage.matched} of {coverage.expected} of the network", (*coverage.left_out, *others)


def _drawn_network(model: Model) -> Encoder:
    encoder = build_encoder(model.network, seed=0)
    encoder.load_state_dict(drawn(encoder.state_dict()))
    return encoder


def drawn(like: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Draw weights of a network's shapes by ``RECIPE``."""
    return {name: _drawn(name.removeprefix("body."), value) for name, value in like.items()}


def _drawn(name: str, like: torch.Tensor) -> torch.Tensor:
    if name.endswith("num_batches_tracked"):
        return torch.zeros_like(like)
    values = 0.02 * np.random.default_rng(zlib.crc32(name.encode())).standard_normal(tuple(like.shape))
    is_scale = name.endswith("running_var") or (name.endswith("weight") and like.ndim == 1)
    return torch.from_numpy(values + is_scale).to(like.dtype)


@torch.inference_mode()
def _vector(encoder: Encoder, model: Model) -> dict[str, Any]:
    pixels = np.random.default_rng(0).random((3, model.size_px, model.size_px))
    mean, std = (np.array(values)[:, None, None] for values in (model.mean, model.std))
    embedded = encoder.eval().embed(torch.from_numpy((pixels - mean) / std)[None].float())[0]
    return {
        "embedding_length": len(embedded),
        "first_values": [round(value, 4) for value in embedded[:_SHOWN].tolist()],
        "digest": levels_digest(embedded.double()),
    }
