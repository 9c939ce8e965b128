"""Segmentation by a fine-tuned U-Net: decoded data, splits, training and scoring."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from eden_bench.contracts import Context, Dataset, DatasetIndex, Outcome
from eden_bench.data.image_store import ImageStore, MaskStore, open_images, open_masks, resized
from eden_bench.digests import digest
from eden_bench.encoders import Encoder
from eden_bench.errors import DataMissing
from eden_bench.records.masks import bundle, examples, packed, worst_median_best
from tasks.finetuning.augmentation import Augmentation
from tasks.finetuning.device_images import Resident, in_batches
from tasks.finetuning.loop import Problem, chosen_by_hardware, finite, logits_of, on_device, resolved, training
from tasks.finetuning.networks import UNet, soft_dice_loss, soft_dice_of, soft_dice_sums
from tasks.finetuning.pixel_counts import Counts
from tasks.finetuning.protocol import SegmentationProtocol
from tasks.finetuning.splits import Chosen, choose, described, split
from tasks.finetuning.surfaces import Surfaces
from tasks.finetuning.turns import ByTurns, Steps

if TYPE_CHECKING:
    from tasks.finetuning.definitions import SegmentationTask


_FILM_PX = 192
"""Longest side of a film that is kept with its masks."""


class _Tested(NamedTuple):
    """What is kept of a batch of test images."""

    counts: Counts
    surfaces: Surfaces
    packed: np.ndarray
    """(B, S, n) uint8: the predicted masks."""


class OpenSegmentation(ByTurns):
    """A segmentation task ready to run; see ``contracts.OpenTask``."""

    def __init__(
        self,
        task: SegmentationTask,
        index: DatasetIndex,
        protocol: SegmentationProtocol,
        context: Context,
        dataset: Dataset,
    ) -> None:
        self.task, self.device, self.at_once = task, torch.device(context.device), context.at_once
        became = chosen_by_hardware(protocol, self.device)
        self.protocol = protocol = resolved(protocol, self.device)
        self.splits = split(index, protocol.validation_share)
        stores = images, masks, truth, region = _open_stores(self, index, context, dataset)
        self.store = images
        self.images, self.masks = Resident(images.images, self.device), Resident(masks.masks, self.device)
        self._stored = masks.masks
        _need_drawn(index, task.structures, masks, truth)
        self.truth = Resident(truth.masks, self.device)
        self._shows_films = dataset.card.shows(index)
        self.region = Resident(region.masks, self.device) if region else None
        self.data: dict[str, Any] = {
            **self.splits.provenance(index),
            **became,
            "digest": digest([store.digest for store in stores if store]),
            "structures": list(task.structures),
        }

    def steps(self, encoder: Encoder, seed: int, shots: int | None = None) -> Steps[Outcome]:
        """Fine-tune a U-Net on the encoder and score the test images; see ``ByTurns.steps``."""
        chosen = choose(self.splits, self.protocol, seed, shots, None if shots is None else self._shown)
        network = self.network(encoder, seed)
        taken = yield from training(self._problem(network, chosen, seed), self.protocol, seed, self.device)
        told = {
            "validation_images": len(chosen.validation),
            "one_value_in_training": self._never_drawn(chosen.train),
        }
        return self._score(network, {**taken, **told})

    def network(self, encoder: Encoder, seed: int) -> nn.Module:
        """Build a U-Net on the encoder at the protocol's size, decoder drawn from the seed, on the device."""
        encoder = encoder.for_size(self.protocol.size_px)
        network = UNet(encoder, len(self.task.structures), self.protocol.decoder_channels, seed)
        network.fix(self.protocol, seed)
        return on_device(network, self.device)

    @cached_property
    def _shown(self) -> np.ndarray:
        """Return which structures each training image shows, (n, S) bool."""
        return np.array([self._stored[row].any(axis=(1, 2)) for row in self.splits.train])

    def _never_drawn(self, rows: np.ndarray) -> list[str]:
        drawn = self._shown[np.isin(self.splits.train, rows)]
        return [name for column, name in enumerate(self.task.structures) if not drawn[:, column].any()]

    def _problem(self, network: nn.Module, chosen: Chosen, seed: int) -> Problem:
        def loss(inputs: Tensor, masks: Tensor) -> Tensor:
            logits = self.logits(network, inputs)
            if self.protocol.loss == "bce":
                return functional.binary_cross_entropy_with_logits(logits, masks)
            return soft_dice_loss(logits, masks)

        def validation_loss() -> Tensor:
            return self._validation_loss(network, chosen.validation)

        checked, full = validation_loss if len(chosen.validation) else None, len(self.splits.train)
        return Problem(network, loss, checked, chosen.train, full, self.splits.items, self.augmenter(seed))

    def augmenter(self, seed: int) -> Callable[[np.ndarray, int], tuple[Tensor, Tensor]]:
        """Return what prepares a training batch: (rows, epoch) to augmented images and masks."""
        augment = Augmentation(self.protocol, seed, self.device)
        return lambda rows, epoch: augment(self.images(rows), self.masks(rows), rows, epoch)

    def inputs(self, rows: np.ndarray) -> Tensor:
        """Return what the network is given of some images that are not augmented."""
        return self.images(rows) / 255

    def logits(self, network: nn.Module, inputs: Tensor) -> Tensor:
        """Compute the network's logits, (B, S, H, W)."""
        return logits_of(network, inputs, self.protocol)

    def _validation_loss(self, network: nn.Module, rows: np.ndarray) -> Tensor:
        """Compute the loss of all validation images as of one batch."""
        sums, entropy = torch.zeros(2, device=self.device), torch.zeros((), device=self.device)
        for batch in in_batches(rows, self.protocol.eval_batch_size):
            logits, masks = self.logits(network, self.inputs(batch)), self.masks(batch).float()
            sums += soft_dice_sums(logits, masks)
            entropy += functional.binary_cross_entropy_with_logits(logits, masks) * (len(batch) / len(rows))
        return entropy if self.protocol.loss == "bce" else soft_dice_of(sums)

    @torch.inference_mode()
    def _score(self, network: nn.Module, training: dict[str, Any]) -> Outcome:
        network.eval()
        rows = np.arange(len(self.splits.test))
        batches, step = in_batches(rows, self.protocol.eval_batch_size), training["best_step"]
        tested = [self._test(network, batch, step) for batch in batches]
        counts = Counts.joined([each.counts for each in tested])
        surfaces = Surfaces.joined([each.surfaces for each in tested])
        side_px, names = self.protocol.score_px, self.task.structures
        if self.task.side_mm is not None:
            surfaces = surfaces.scaled(self.task.side_mm / side_px)
        predicted = bundle(np.concatenate([each.packed for each in tested]), (side_px, side_px), names)
        cases = {**described(self.splits.tested), **counts.cases(names), **surfaces.cases(names)}
        scores = {**counts.scores(names), **surfaces.scores(names)}
        if self._shows_films:
            predicted |= self._examples(counts.dice)
        return Outcome(scores, cases, training, masks=predicted, network=network)

    def _examples(self, dice: np.ndarray) -> dict[str, np.ndarray]:
        """Return films and true masks of the worst, the median and the best test image."""
        chosen = np.array(worst_median_best(dice.tolist()))
        films = self.images(np.array(self.splits.test)[chosen]).permute(0, 2, 3, 1).squeeze(-1).cpu().numpy()
        small = np.stack([resized(film, min(len(film), _FILM_PX)) for film in films])
        truth = packed(self.truth(chosen).bool().cpu().numpy())
        return examples([self.splits.tested[row].id for row in chosen], truth, small)

    def _test(self, network: nn.Module, batch: np.ndarray, step: int) -> _Tested:
        logits = finite(self.logits(network, self.inputs(np.array(self.splits.test)[batch])), step)
        truth = self.truth(batch).bool()
        if logits.shape[-1] != truth.shape[-1]:
            logits = functional.interpolate(logits, truth.shape[-2:], mode="bilinear", align_corners=False)
        found = (logits > 0).cpu().numpy()
        return _Tested(
            Counts.of(logits, truth, self.region(batch).bool() if self.region else None),
            Surfaces.of(found, truth.cpu().numpy(), self.protocol.tolerance_px),
            packed(found),
        )


def _need_drawn(index: DatasetIndex, structures: Sequence[str], *stores: MaskStore) -> None:
    """Validate that some mask draws each structure; otherwise predicting nothing would score perfectly.

    Raises:
        DataMissing: names it.
    """
    for column, structure in enumerate(structures):
        if not any(masks[column].any() for store in stores for masks in store.masks):
            raise DataMissing(
                f"{index.dataset}: all {len(index.items):,} masks of {structure} in {index.root} are empty, expected "
                "some that are not: look at them, and at mask_value if a TOML file names one"
            )


def _open_stores(
    opened: OpenSegmentation, index: DatasetIndex, context: Context, dataset: Dataset
) -> tuple[ImageStore, MaskStore, MaskStore, MaskStore | None]:
    """Map images and masks at the network's size, and the test masks and regions at the size that is scored."""
    protocol, task = opened.protocol, opened.task
    tested = replace(index, items=tuple(index.items[row] for row in opened.splits.test))

    def masks(index: DatasetIndex, structures: tuple[str, ...], size_px: int) -> MaskStore:
        return open_masks(index, dataset, structures, size_px, context)

    images = open_images(index, dataset, protocol.size_px, context, channels=task.channels)
    shown = masks(index, task.structures, protocol.size_px)
    _need_both(index, shown)
    return (
        images,
        shown,
        masks(tested, task.structures, protocol.score_px),
        masks(tested, (task.region,), protocol.score_px) if task.region else None,
    )


def _need_both(index: DatasetIndex, store: MaskStore) -> None:
    """Raise DataMissing if a structure is in no mask, or fills all masks, since any network would be right."""
    for place, structure in enumerate(store.structures):
        masks = store.masks[:, place]
        for all_are, what in (
            (not any(mask.any() for mask in masks), "are empty, expected some that are not"),
            (all(mask.all() for mask in masks), "cover their whole image, expected some background"),
        ):
            if all_are:
                raise DataMissing(
                    f"{index.dataset}: the masks of {structure!r} in {index.root} all {what}: eden-bench data check "
                    f"{index.dataset} looks at each (in a task of your own, check mask_value)"
                )
