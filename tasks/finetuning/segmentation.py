"""Segmentation by a fine-tuned U-Net: the open task, with its data decoded and its splits made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from eden_bench.contracts import Context, Dataset, DatasetIndex, Outcome
from eden_bench.digests import digest
from eden_bench.encoders import Encoder
from eden_bench.imagestore import open_images, open_masks
from tasks.finetuning import scores
from tasks.finetuning.augmentation import Augmentation
from tasks.finetuning.loop import Problem, fine_tune, logits_of, on_device, resolved
from tasks.finetuning.networks import UNet, soft_dice_loss, soft_dice_of, soft_dice_sums
from tasks.finetuning.protocol import SegmentationProtocol
from tasks.finetuning.resident import Resident, in_batches
from tasks.finetuning.splits import Chosen, choose, split

if TYPE_CHECKING:
    from tasks.finetuning.definitions import SegmentationTask

_LOGIT_THRESHOLDS = tuple(float(np.log(p / (1 - p))) for p in scores.THRESHOLDS)


class OpenSegmentation:
    """A segmentation task ready to run; see ``contracts.OpenTask``."""

    def __init__(
        self,
        task: SegmentationTask,
        index: DatasetIndex,
        protocol: SegmentationProtocol,
        context: Context,
        dataset: Dataset,
    ) -> None:
        self.task, self.device = task, torch.device(context.device)
        self.protocol = protocol = resolved(protocol, self.device)
        self.splits = split(index, protocol.validation_share)
        images, masks, truth = _open_stores(self, index, context, dataset)
        self.images, self.masks = Resident(images.images, self.device), Resident(masks.masks, self.device)
        self.truth = Resident(truth.masks, self.device)
        self.data: dict[str, Any] = {
            **self.splits.provenance(index),
            "precision": protocol.precision,
            "digest": digest([images.digest, masks.digest, truth.digest]),
            "structures": list(task.structures),
        }

    def run(self, encoder: Encoder, seed: int, shots: int | None = None) -> Outcome:
        """Fine-tune a U-Net on the encoder and score the test images; see ``contracts.OpenTask.run``."""
        chosen = choose(self.splits, self.protocol, seed, shots)
        network = on_device(UNet(encoder, len(self.task.structures), self.protocol.decoder_channels, seed), self.device)
        training = fine_tune(self._problem(network, chosen, seed), self.protocol, seed, self.device)
        return self._score(network, {**training, "validation_images": len(chosen.validation)})

    def _problem(self, network: nn.Module, chosen: Chosen, seed: int) -> Problem:
        augment = Augmentation(self.protocol, seed, self.device)

        def loss(rows: np.ndarray, epoch: int) -> Tensor:
            images, masks = augment(self.images(rows), self.masks(rows), rows, epoch)
            logits = logits_of(network, images, self.protocol)
            if self.protocol.loss == "bce":
                return functional.binary_cross_entropy_with_logits(logits, masks)
            return soft_dice_loss(logits, masks)

        def validation_loss() -> float:
            return self._validation_loss(network, chosen.validation)

        return Problem(
            network, loss, validation_loss if len(chosen.validation) else None, chosen.train, len(self.splits.train)
        )

    def _validation_loss(self, network: nn.Module, rows: np.ndarray) -> float:
        """Loss of all validation images as of one batch."""
        sums, entropy = torch.zeros(2, device=self.device), torch.zeros((), device=self.device)
        for batch in in_batches(rows, self.protocol.eval_batch_size):
            logits, masks = logits_of(network, self.images(batch) / 255, self.protocol), self.masks(batch).float()
            sums += soft_dice_sums(logits, masks)
            entropy += functional.binary_cross_entropy_with_logits(logits, masks) * (len(batch) / len(rows))
        return float(entropy if self.protocol.loss == "bce" else soft_dice_of(sums))

    @torch.inference_mode()
    def _score(self, network: nn.Module, training: dict[str, Any]) -> Outcome:
        network.eval()
        tested = np.arange(len(self.splits.test))
        counts = [self._count(network, batch) for batch in in_batches(tested, self.protocol.eval_batch_size)]
        pixels = np.concatenate([one for one, _ in counts])
        overlap, predicted, true = pixels.transpose(1, 0, 2)
        levels = np.sum([level for _, level in counts], axis=0)
        total = len(overlap) * len(self.task.structures) * self.protocol.score_px**2
        values = {
            **scores.segmentation_scores(overlap, predicted, true),
            "iou_thresholds": scores.iou_thresholds(levels[0], levels[1], int(true.sum()), total),
        }
        return Outcome(values, self._cases(overlap, predicted, true), training)

    def _count(self, network: nn.Module, batch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return per image (B, 3, S) overlap, predicted and true pixels, and (2, 10) pooled ones per threshold."""
        images = self.images(np.array(self.splits.test)[batch]) / 255
        logits = logits_of(network, images, self.protocol)
        truth = self.truth(batch).bool()
        if logits.shape[-1] != truth.shape[-1]:
            logits = functional.interpolate(logits, truth.shape[-2:], mode="bilinear", align_corners=False)
        found = logits > 0
        pixels = torch.stack([(found & truth).sum((2, 3)), found.sum((2, 3)), truth.sum((2, 3))], dim=1)
        return pixels.cpu().numpy(), _levels(logits[found], truth[found])

    def _cases(self, overlap: np.ndarray, predicted: np.ndarray, true: np.ndarray) -> dict[str, Sequence[Any]]:
        items = [self.splits.items[row] for row in self.splits.test]
        dice, iou = scores.dice(overlap, predicted, true), scores.iou(overlap, predicted, true)
        columns: dict[str, Sequence[Any]] = {
            "case": [item.id for item in items],
            "patient": [item.patient for item in items],
            "dice": dice.mean(axis=1).tolist(),
            "iou": iou.mean(axis=1).tolist(),
        }
        for name, pixels in (("overlap_px", overlap), ("predicted_px", predicted), ("true_px", true)):
            columns[name] = pixels.sum(axis=1).tolist()
        if len(self.task.structures) > 1:
            columns |= {f"dice_{name}": dice[:, column].tolist() for column, name in enumerate(self.task.structures)}
        return columns


def _open_stores(
    opened: OpenSegmentation, index: DatasetIndex, context: Context, dataset: Dataset
) -> tuple[Any, Any, Any]:
    """Map images and masks at the network's size, and the test masks at the size that is scored."""
    protocol, structures = opened.protocol, opened.task.structures
    where: dict[str, Any] = {"cache": context.cache, "progress": context.progress}
    images = open_images(
        index.items,
        dataset.read_image,
        name=f"{index.dataset}-images",
        size_px=protocol.size_px,
        channels=opened.task.channels,
        **where,
    )
    masks = open_masks(
        index.items, dataset.read_mask, structures, name=f"{index.dataset}-masks", size_px=protocol.size_px, **where
    )
    tested = [index.items[row] for row in opened.splits.test]
    truth = open_masks(
        tested, dataset.read_mask, structures, name=f"{index.dataset}-masks", size_px=protocol.score_px, **where
    )
    return images, masks, truth


def _levels(logits: Tensor, truth: Tensor) -> np.ndarray:
    """Count overlap and predicted pixels at each of ten thresholds, (2, 10), among those above the lowest."""
    counts = [[int((truth & (logits > level)).sum()), int((logits > level).sum())] for level in _LOGIT_THRESHOLDS]
    return np.array(counts).T
