"""Save, load and validate checkpoints: ``encoder.safetensors`` (torchvision's keys, no ``fc``) and ``card.json``.

The card is written last and holds the digest of the weights: a folder with a card is whole, one without is not a
checkpoint. Nothing here unpickles anything.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eden_bench.contracts import NUMBERS_VERSION
from eden_bench.digests import digest, file_digest
from eden_bench.errors import WeightsMissing, WeightsRefused
from eden_bench.files import atomic, plain_text

if TYPE_CHECKING:
    import torch

    from eden_bench.encoders import Encoder

WEIGHTS = "encoder.safetensors"
CARD = "card.json"
STATE = "training.state"
"""What a pretraining goes on from; of no use beside a card."""
_FORMAT = 1
_FIELDS = ("format", "method", "arch", "weights")


@dataclass(frozen=True)
class Checkpoint:
    """A finished checkpoint folder: an encoder's weights and their metadata (the card)."""

    folder: Path

    @property
    def exists(self) -> bool:
        """Check whether the folder holds a finished checkpoint."""
        return (self.folder / CARD).is_file()

    @functools.cached_property
    def card(self) -> dict[str, Any]:
        """Method, config, arch, data, seed, epochs, selection, parent, versions, device and digest of the weights.

        Raises:
            WeightsMissing: the folder holds no card.
            WeightsRefused: the card cannot be read.
        """
        path = self.folder / CARD
        try:
            card = json.loads(plain_text.read(path))
        except FileNotFoundError as error:
            raise WeightsMissing(
                f"{self.folder} holds no {CARD}, so it is no finished checkpoint: pretrain again to continue it"
            ) from error
        except (OSError, ValueError, RecursionError) as error:
            raise WeightsRefused(f"{path} cannot be read ({error}): delete the folder and pretrain again") from error
        if not isinstance(card, dict) or any(name not in card for name in _FIELDS):
            raise WeightsRefused(f"{path} is no checkpoint's card: expected the fields {', '.join(_FIELDS)}")
        return card

    @property
    def encoder_digest(self) -> str:
        """SHA-256 of the weights' file, as the card states it; ``load_encoder`` validates it."""
        return str(self.card["weights"])

    def load_encoder(self) -> Encoder:
        """Build the encoder, load the weights into it and validate their digest.

        Raises:
            WeightsRefused: the file is absent, truncated, altered, not safetensors, or of another architecture.
        """
        from eden_bench.encoders import unfilled_encoder

        path = self.folder / WEIGHTS
        encoder = unfilled_encoder(str(self.card["arch"]))
        weights = read_weights(path)
        found = file_digest(path)
        if found != self.encoder_digest:
            raise WeightsRefused(
                f"{path} has digest {found[:12]}, expected {self.encoder_digest[:12]}: the file was altered after it "
                "was written; restore it, or delete the folder and pretrain again"
            )
        refuse_misfit(path, encoder, weights)
        encoder.load_state_dict(weights)
        return encoder


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Load the tensors of a safetensors file and validate that it is whole.

    Raises:
        WeightsRefused: the file is absent, truncated, not safetensors or no file (a pipe would be waited for).
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.exists() and not path.is_file():
            raise ValueError("it is no regular file")
        return dict(load_file(path))
    except (OSError, SafetensorError, ValueError) as error:
        raise WeightsRefused(
            f"{path} is not a whole safetensors file ({error}): copy it again, or pretrain again"
        ) from error


def write_checkpoint(folder: Path, weights: Mapping[str, torch.Tensor], card: Mapping[str, Any]) -> Checkpoint:
    """Write an encoder's weights and then its card into a folder, each atomically.

    Args:
        folder: made where it is absent; other files in it are left alone.
        weights: the encoder's ``state_dict``.
        card: at least "method" and "arch"; format and digest of the weights are added here.
    """
    from safetensors.torch import save_file

    plain = {name: value.detach().cpu().contiguous() for name, value in weights.items()}
    with atomic.aside(folder / WEIGHTS) as path:
        save_file(plain, path)
    weights_digest = file_digest(folder / WEIGHTS)
    atomic.write_json(folder / CARD, {"format": _FORMAT, **card, "weights": weights_digest})
    return Checkpoint(folder)


def recipe_id(
    method: str, config: object, data_digest: str, seed: int, threads: int, *, precision: str = "float32"
) -> str:
    """Hash everything that can change a pretraining's weights to 64 hex digits, to find and reuse its checkpoint.

    Args:
        method: registered name.
        config: the method's config, a dataclass.
        data_digest: digest of the pretraining images, their labels and their split.
        seed: of the run.
        threads: CPU threads, whose number moves the last bits of float32 sums; 0 on a GPU.
        precision: from ``devices.fast_precision``.
    """
    return digest(
        {
            "format": _FORMAT,
            "method": method,
            "config": config,
            "data": data_digest,
            "seed": seed,
            "threads": threads,
            "precision": precision,
            "code": NUMBERS_VERSION,
        }
    )


def refuse_misfit(path: Path, encoder: Encoder, weights: Mapping[str, torch.Tensor]) -> None:
    """Validate that names and shapes are all the encoder's; raise WeightsRefused that names the first that differs."""
    expected = {name: tuple(value.shape) for name, value in encoder.state_dict().items()}
    found = {name: tuple(value.shape) for name, value in weights.items()}
    wrong = sorted(name for name in {*expected, *found} if expected.get(name) != found.get(name))
    if wrong:
        name = wrong[0]
        raise WeightsRefused(
            f"{path} does not fit {encoder.arch}: {len(wrong)} of {len(expected)} entries differ, first {name!r} "
            f"({found.get(name, 'absent')}, expected {expected.get(name, 'absent')}): name the arch it was made with"
        )
