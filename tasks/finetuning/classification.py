"""Classification by a fine-tuned linear head: decoded data, splits, training and scoring."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from eden_bench.contracts import Context, Dataset, DatasetIndex, OpenTask, Outcome
from eden_bench.data.image_store import open_images
from eden_bench.digests import digest
from eden_bench.encoders import Encoder
from eden_bench.errors import DataMissing
from tasks.finetuning import scores
from tasks.finetuning.crops import centre_crop, draw, random_crops, ten_crops
from tasks.finetuning.device_images import Resident, in_batches
from tasks.finetuning.loop import Problem, fine_tune, logits_of, on_device, resolved, scored_logits
from tasks.finetuning.networks import Classifier
from tasks.finetuning.protocol import ClassificationProtocol
from tasks.finetuning.splits import Chosen, both_values, choose, described, split

if TYPE_CHECKING:
    from tasks.finetuning.definitions import ClassificationTask


class OpenClassification(OpenTask):
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
        self.task, self.device = task, torch.device(context.device)
        self.protocol = protocol = resolved(protocol, self.device)
        self.labels = index.label_names
        _need_labels(index)
        self.targets = np.array([item.labels for item in index.items], dtype=np.float32)
        self.splits = split(index, protocol.validation_share)
        self.without_auc = scores.labels_without_auc(self.targets[list(self.splits.test)], self.labels)
        _check_labels(index, self.without_auc)
        images = open_images(index, dataset, protocol.source_px, context, channels=task.channels)
        self.images = Resident(images.images, self.device)
        self.data: dict[str, Any] = {
            **self.splits.provenance(index),
            "precision": protocol.precision,
            "digest": digest([images.digest, self.labels, self.targets.astype(int).tolist()]),
            "labels": list(self.labels),
            "labels_without_auc": self.without_auc,
        }

    def run(self, encoder: Encoder, seed: int, shots: int | None = None) -> Outcome:
        """Fine-tune a linear head and the encoder, and score the test images; see ``contracts.OpenTask.run``."""
        shown = both_values(self.targets[list(self.splits.train)])
        chosen = choose(self.splits, self.protocol, seed, shots, shown)
        network = self.network(encoder, seed)
        training = fine_tune(self._problem(network, chosen, seed), self.protocol, seed, self.device)
        told = {
            "validation_images": len(chosen.validation),
            "labels_without_auc": self.without_auc,
            "one_value_in_training": scores.labels_without_auc(self.targets[chosen.train], self.labels),
            "thresholds": self._thresholds(network, chosen.validation, training["best_step"]),
        }
        return self._score(network, {**training, **told})

    def network(self, encoder: Encoder, seed: int) -> nn.Module:
        """Build the encoder at the protocol's size with a linear head drawn from the seed, on the device."""
        encoder = encoder.for_size(self.protocol.size_px)
        network = Classifier(encoder, len(self.labels), seed)
        network.protocol, network.label_names = self.protocol, tuple(self.labels)
        return on_device(network, self.device)

    def _problem(self, network: nn.Module, chosen: Chosen, seed: int) -> Problem:
        def loss(rows: np.ndarray, epoch: int) -> Tensor:
            draws = draw(self.protocol, seed, epoch, rows)
            images = random_crops(self.images(rows), draws, self.protocol.size_px)
            return functional.binary_cross_entropy_with_logits(
                logits_of(network, images, self.protocol), self._targets(rows)
            )

        def validation_loss() -> float:
            return self._validation_loss(network, chosen.validation)

        checked, full = validation_loss if len(chosen.validation) else None, len(self.splits.train)
        return Problem(network, loss, checked, chosen.train, full, self.splits.items)

    def _validation_loss(self, network: nn.Module, rows: np.ndarray) -> float:
        """Compute the mean cross-entropy over images and labels, on centre crops."""
        total = torch.zeros((), device=self.device)
        for batch in in_batches(rows, self.protocol.eval_batch_size):
            images = centre_crop(self.images(batch), self.protocol.size_px) / 255
            entropy = functional.binary_cross_entropy_with_logits(
                logits_of(network, images, self.protocol), self._targets(batch)
            )
            total += entropy * (len(batch) / len(rows))
        return float(total)

    def _targets(self, rows: np.ndarray) -> Tensor:
        return torch.from_numpy(self.targets[rows]).to(self.device)

    def _thresholds(self, network: nn.Module, rows: np.ndarray, step: int) -> dict[str, float]:
        """Return each label's threshold of highest F1 on the validation images, seen as test images are."""
        if not len(rows):
            return {}
        return scores.f1_thresholds(self._predicted(network, rows, step), self.targets[rows], self.labels)

    def _score(self, network: nn.Module, training: dict[str, Any]) -> Outcome:
        test = np.array(self.splits.test)
        probabilities = self._predicted(network, test, training["best_step"])
        values = scores.label_scores(probabilities, self.targets[test], self.labels)
        return Outcome(values, self._cases(probabilities), training, network=network)

    @torch.inference_mode()
    def _predicted(self, network: nn.Module, rows: np.ndarray, step: int) -> np.ndarray:
        """Compute (N, L) float64 probabilities of some images."""
        network.eval()
        batches = in_batches(rows, self.protocol.eval_batch_size)
        parts = [probabilities_of(network, self.images(batch), self.protocol, step) for batch in batches]
        return np.concatenate(parts)

    def _cases(self, probabilities: np.ndarray) -> dict[str, Sequence[Any]]:
        columns: dict[str, Sequence[Any]] = {**described(self.splits.tested)}
        targets = self.targets[list(self.splits.test)].astype(int)
        for column, label in enumerate(self.labels):
            columns[f"probability_{label}"] = probabilities[:, column].tolist()
            columns[f"target_{label}"] = targets[:, column].tolist()
        return columns


def probabilities_of(network: nn.Module, images: Tensor, protocol: ClassificationProtocol, step: int) -> np.ndarray:
    """Compute (B, L) float64 probabilities of images at source_px, averaged over the protocol's test crops.

    Raises:
        TrainingDiverged: a logit is not finite; names the step that the weights are of.
    """
    ten = protocol.test_crops == "ten"
    crops = ten_crops(images, protocol.size_px) if ten else [centre_crop(images, protocol.size_px)]
    each = [scored_logits(network, crop / 255, protocol, step).double().sigmoid() for crop in crops]
    return torch.stack(each).mean(dim=0).cpu().numpy()


def _need_labels(index: DatasetIndex) -> None:
    bare = [item.id for item in index.items if len(item.labels) != len(index.label_names)]
    if bare:
        raise DataMissing(
            f"{index.dataset}: {len(bare):,} of {len(index.items):,} images in {index.root} have no labels, for "
            f"example {bare[0]}, expected {len(index.label_names)} each: add the file with their labels, or remove "
            "the images"
        )


def _check_labels(index: DatasetIndex, without_auc: list[str]) -> None:
    if len(without_auc) == len(index.label_names):
        raise DataMissing(
            f"{index.dataset}: none of {len(index.label_names)} labels has both values among the test images in "
            f"{index.root}, expected at least one, or there is no AUC: add test images"
        )
