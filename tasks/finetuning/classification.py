"""Classification by a fine-tuned linear head: decoded data, splits, training and scoring."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from eden_bench.contracts import Context, Dataset, DatasetIndex, Outcome
from eden_bench.encoders import Encoder
from eden_bench.errors import EdenError
from tasks.finetuning.crops import centre_crop, draw, random_crops, ten_crops
from tasks.finetuning.device_images import Resident, in_batches
from tasks.finetuning.labelled import OpenLabelled
from tasks.finetuning.loop import Problem, chosen_by_hardware, logits_of, on_device, resolved, scored_logits, training
from tasks.finetuning.networks import Classifier
from tasks.finetuning.protocol import ClassificationProtocol
from tasks.finetuning.splits import Chosen, choose
from tasks.finetuning.turns import ByTurns, Steps

if TYPE_CHECKING:
    from tasks.finetuning.definitions import ClassificationTask

_INPUT = ("size_px", "source_px", "mean", "std", "test_crops")
"""Fields of a protocol that say how a network is shown a test image."""


class OpenClassification(OpenLabelled, ByTurns):
    """A classification task ready to run; see ``contracts.OpenTask``.

    Raises:
        DataMissing: an image has no labels, or no label has both values among the test images.
    """

    def __init__(
        self,
        task: ClassificationTask,
        index: DatasetIndex,
        protocol: ClassificationProtocol,
        context: Context,
        dataset: Dataset,
    ) -> None:
        share, side_px = protocol.validation_share, protocol.source_px
        super().__init__(task, index, context, dataset, side_px=side_px, validation_share=share)
        self.protocol, self.at_once = resolved(protocol, self.device), context.at_once
        self.images = Resident(self.store.images, self.device)
        self.data |= chosen_by_hardware(protocol, self.device)

    def steps(self, encoder: Encoder, seed: int, shots: int | None = None) -> Steps[Outcome]:
        """Fine-tune a linear head and the encoder, and score the test images; see ``ByTurns.steps``."""
        chosen = choose(self.splits, self.protocol, seed, shots, self.shown)
        network = self.network(encoder, seed)
        taken = yield from training(self._problem(network, chosen, seed), self.protocol, seed, self.device)
        told = {
            **self.told(chosen.train, chosen.validation),
            "thresholds": self._thresholds(network, chosen.validation, taken["best_step"]),
        }
        return self._score(network, {**taken, **told})

    def network(self, encoder: Encoder, seed: int) -> nn.Module:
        """Build the encoder at the protocol's size with a linear head drawn from the seed, on the device."""
        encoder = encoder.for_size(self.protocol.size_px)
        network = Classifier(encoder, len(self.labels), seed)
        network.fix(self.protocol, seed)
        network.protocol, network.label_names = self.protocol, tuple(self.labels)
        return on_device(network, self.device)

    def _problem(self, network: nn.Module, chosen: Chosen, seed: int) -> Problem:
        def prepare(rows: np.ndarray, epoch: int) -> tuple[Tensor, Tensor]:
            draws = draw(self.protocol, seed, epoch, rows)
            return random_crops(self.images(rows), draws, self.protocol.size_px), self.targets_of(rows)

        def loss(images: Tensor, targets: Tensor) -> Tensor:
            return functional.binary_cross_entropy_with_logits(logits_of(network, images, self.protocol), targets)

        def validation_loss() -> Tensor:
            return self._validation_loss(network, chosen.validation)

        checked, full = validation_loss if len(chosen.validation) else None, len(self.splits.train)
        return Problem(network, loss, checked, chosen.train, full, self.splits.items, prepare)

    def _validation_loss(self, network: nn.Module, rows: np.ndarray) -> Tensor:
        """Compute the mean cross-entropy over images and labels, on centre crops."""
        total = torch.zeros((), device=self.device)
        for batch in in_batches(rows, self.protocol.eval_batch_size):
            images = centre_crop(self.images(batch), self.protocol.size_px) / 255
            entropy = functional.binary_cross_entropy_with_logits(
                logits_of(network, images, self.protocol), self.targets_of(batch)
            )
            total += entropy * (len(batch) / len(rows))
        return total

    def _thresholds(self, network: nn.Module, rows: np.ndarray, step: int) -> dict[str, float]:
        """Return each label's threshold of highest F1 on the validation images, seen as test images are."""
        return self.thresholds(self._predicted(network, rows, step), rows) if len(rows) else {}

    def _score(self, network: nn.Module, training: dict[str, Any]) -> Outcome:
        values, cases = self.scored(self._predicted(network, np.array(self.splits.test), training["best_step"]))
        return Outcome(values, cases, training, network=network)

    @torch.inference_mode()
    def _predicted(self, network: nn.Module, rows: np.ndarray, step: int) -> np.ndarray:
        """Compute (N, L) float64 probabilities of some images."""
        network.eval()
        batches = in_batches(rows, self.protocol.eval_batch_size)
        parts = [probabilities_of(network, self.images(batch), self.protocol, step) for batch in batches]
        return np.concatenate(parts)


def probabilities_of(network: nn.Module, images: Tensor, protocol: ClassificationProtocol, step: int) -> np.ndarray:
    """Compute (B, L) float64 probabilities of images at source_px, averaged over the protocol's test crops.

    Raises:
        TrainingDiverged: a logit is not finite; names the step that the weights are of.
    """
    ten = protocol.test_crops == "ten"
    crops = ten_crops(images, protocol.size_px) if ten else [centre_crop(images, protocol.size_px)]
    each = [scored_logits(network, crop / 255, protocol, step).double().sigmoid() for crop in crops]
    return torch.stack(each).mean(dim=0).cpu().numpy()


def need_same_input(network: Classifier, protocol: ClassificationProtocol, task: str, looks_at: str) -> None:
    """Validate that a fine-tuned network is shown images as it was when another task fine-tuned it.

    Raises:
        EdenError: names the field of the two protocols, and both values.
    """
    for name in _INPUT:
        its, own = getattr(network.protocol, name), getattr(protocol, name)
        if its != own:
            raise EdenError(
                f"{task}: {name} is {own} here and was {its} when {looks_at} was fine-tuned: set it for both, under "
                "[classification] of the protocol"
            )
