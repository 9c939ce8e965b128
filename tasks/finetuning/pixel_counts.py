"""Pixel counts of a test set, from which every segmentation score is computed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from eden_bench import case_statistics as statistics
from eden_bench.case_statistics import THRESHOLDS
from tasks.finetuning import scores

_LOGITS = np.array([np.log(p / (1 - p)) for p in THRESHOLDS], np.float32)


class Pixels(NamedTuple):
    """Pixels of N images and S structures at threshold 0.5, each (N, S) int64."""

    overlap: np.ndarray
    predicted: np.ndarray
    true: np.ndarray


@dataclass(frozen=True)
class Counts:
    """Pixel counts of N images, from which every score is computed."""

    whole: Pixels
    region: Pixels | None
    """The same inside the evaluation region, where there is one."""
    levels: np.ndarray
    """(N, 2, 10) int64: overlap and predicted pixels of all structures at each of ``case_statistics.THRESHOLDS``."""
    pixels: int
    """Of one image, all structures together."""

    @classmethod
    def of(cls, logits: Tensor, truth: Tensor, region: Tensor | None = None) -> Counts:
        """Count the pixels of a batch.

        Args:
            logits: (B, S, H, W).
            truth: (B, S, H, W) bool.
            region: (B, 1, H, W) bool, or None.
        """
        found = logits > 0
        inside = None if region is None else _pixels(found & region, truth & region)
        return cls(_pixels(found, truth), inside, _levels(logits, truth, found), logits[0].numel())

    @classmethod
    def joined(cls, parts: Sequence[Counts]) -> Counts:
        """Concatenate the counts of batches."""
        inside = [part.region for part in parts if part.region is not None]
        return cls(
            _joined(part.whole for part in parts),
            _joined(inside) if inside else None,
            np.concatenate([part.levels for part in parts]),
            parts[0].pixels,
        )

    @property
    def dice(self) -> np.ndarray:
        """(N,) Dice of each image, mean over structures."""
        return np.asarray(statistics.dice(*self.whole).mean(axis=1))

    def scores(self, structures: Sequence[str]) -> dict[str, float]:
        """Compute every score of the test set."""
        (overlap, predicted), true = self.levels.sum(axis=0), self.whole.true.sum()
        mean_iou = statistics.iou_thresholds(overlap, predicted, true, self.pixels * len(self.levels))
        values = {**scores.segmentation_scores(*self.whole), "iou_thresholds": float(mean_iou)}
        of_images = {"dice": self.dice}
        values["dice_worst5"] = statistics.lowest_5_percent(of_images, "dice_worst5")
        if self.region is not None:
            inside = scores.segmentation_scores(*self.region)
            values |= {"dice_region": inside["dice"], "dice_region_pooled": inside["dice_pooled"]}
        if len(structures) > 1:
            for kind, score in (("dice", statistics.dice), ("iou", statistics.iou)):
                each = score(*self.whole).mean(axis=0)
                values |= {f"{kind}_{name}": float(value) for name, value in zip(structures, each, strict=True)}
        return values

    def cases(self, structures: Sequence[str]) -> dict[str, Sequence[Any]]:
        """Return the columns of the cases, one row an image: its scores, and the counts for every pooled score."""
        dice, iou, true = statistics.dice(*self.whole), statistics.iou(*self.whole), self.whole.true.sum(axis=1)
        columns = {
            "dice": self.dice,
            "iou": iou.mean(axis=1),
            "iou_thresholds": statistics.iou_thresholds(self.levels[:, 0], self.levels[:, 1], true, self.pixels),
            **_summed(self.whole),
            "pixels": np.full(len(true), self.pixels),
            **self._above(),
        }
        if self.region is not None:
            columns |= {"dice_region": statistics.dice(*self.region).mean(axis=1), **_summed(self.region, "_region")}
        if len(structures) > 1:
            columns |= {f"dice_{name}": dice[:, column] for column, name in enumerate(structures)}
            columns |= {f"iou_{name}": iou[:, column] for column, name in enumerate(structures)}
        return {name: values.tolist() for name, values in columns.items()}

    def _above(self) -> dict[str, np.ndarray]:
        """Return the counts at the thresholds above 0.5, whose own are ``overlap_px`` and ``predicted_px``."""
        return {
            f"{name}_px_{100 * level:.0f}": self.levels[:, kind, column]
            for column, level in enumerate(THRESHOLDS)
            if column
            for kind, name in enumerate(("overlap", "predicted"))
        }


def _summed(pixels: Pixels, ending: str = "") -> dict[str, np.ndarray]:
    return {f"{name}_px{ending}": count.sum(axis=1) for name, count in pixels._asdict().items()}


def _pixels(found: Tensor, truth: Tensor) -> Pixels:
    return Pixels(*scores.count_pixels(found.cpu().numpy(), truth.cpu().numpy()))


def _joined(parts: Iterable[Pixels]) -> Pixels:
    return Pixels(*map(np.concatenate, zip(*parts, strict=True)))


def _levels(logits: Tensor, truth: Tensor, found: Tensor) -> np.ndarray:
    """Count (B, 2, 10) overlap and predicted pixels above each threshold, among those above the lowest."""
    count = _histogram_on_cpu if logits.device.type == "cpu" else _histogram
    above = count(logits, truth, found)[:, ::-1].cumsum(axis=1)[:, ::-1]
    return np.stack((above[..., 1], above.sum(axis=-1)), axis=1)


def _histogram(logits: Tensor, truth: Tensor, found: Tensor) -> np.ndarray:
    """Count (B, 10, 2) found pixels between each threshold and the next, those that are not true and those that are."""
    image = found.nonzero()[:, 0]
    level = torch.bucketize(logits[found], torch.from_numpy(_LOGITS[1:]).to(logits.device))
    kind = (image * len(_LOGITS) + level) * 2 + truth[found]
    counted = torch.bincount(kind, minlength=len(logits) * len(_LOGITS) * 2).cpu().numpy()
    return counted.reshape(len(logits), len(_LOGITS), 2)


def _histogram_on_cpu(logits: Tensor, truth: Tensor, found: Tensor) -> np.ndarray:
    """Count the same image by image, which stay in the processor's cache."""
    images = zip(*(batch.flatten(1).numpy() for batch in (logits, truth, found)), strict=True)
    kinds = (np.searchsorted(_LOGITS[1:], values[seen]) * 2 + true[seen] for values, true, seen in images)
    return np.stack([np.bincount(kind, minlength=len(_LOGITS) * 2).reshape(-1, 2) for kind in kinds])
