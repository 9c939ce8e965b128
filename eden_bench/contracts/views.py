"""Views: augmented crops of anchors, and the recipes that parametrise them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import torch

from eden_bench.contracts.checks import at_least, in_range

NORMALISATIONS: Mapping[str, tuple[tuple[float, float, float], tuple[float, float, float]]] = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "chest-x-ray": ((0.5056,) * 3, (0.252,) * 3),
    "none": ((0.0,) * 3, (1.0,) * 3),
}
"""Name to mean and s.d. of each channel of an image in [0, 1]."""


# ── views ────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, kw_only=True)
class ViewRecipe:
    """Augmentation parameters of one view of an anchor. By default only the size changes.

    Order, as in torchvision pipelines: random resized crop, colour jitter, grey, blur, solarise,
    rotation, flip, normalisation. Draws are per sample.
    """

    size_px: int = 224
    crop_scale: tuple[float, float] = (1.0, 1.0)
    """Share of the anchor's area that a crop covers (low, high)."""
    crop_ratio: tuple[float, float] = (3 / 4, 4 / 3)
    """Width / height of a crop (low, high), drawn log-uniformly."""
    jitter_p: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    grey_p: float = 0.0
    blur_p: float = 0.0
    blur_sigma_px: tuple[float, float] = (0.1, 2.0)
    solarise_p: float = 0.0
    solarise_threshold: int = 128
    rotation_deg: float = 0.0
    """Rotation about the centre, uniform in ± this; what comes from outside the crop is black."""
    flip_p: float = 0.0
    crop_place: Literal["random", "centre"] = "random"
    """Where a crop lies in the anchor."""
    cell: tuple[int, int, int, int] | None = None
    """(row, column, rows, columns): the view is that cell of the anchor, uncropped; the remainder belongs to none."""
    crop_of: int | None = None
    """Number of the earlier view whose crop is taken, and nothing else of its draws: what a method restores."""
    mean: tuple[float, float, float] = NORMALISATIONS["imagenet"][0]
    std: tuple[float, float, float] = NORMALISATIONS["imagenet"][1]

    def __post_init__(self) -> None:
        """Validate field values. Raises ValueError naming the field, its bounds and the value."""
        at_least("size_px", self.size_px, 8)
        for name in ("jitter_p", "grey_p", "blur_p", "solarise_p", "flip_p"):
            in_range(name, getattr(self, name), 0, 1)
        for name in ("brightness", "contrast", "saturation"):
            in_range(name, getattr(self, name), 0, 1)
        in_range("hue", self.hue, 0, 0.5)
        in_range("rotation_deg", self.rotation_deg, 0, 180)
        at_least("crop_of", self.crop_of or 0, 0)
        if self.crop_place not in ("random", "centre"):
            raise ValueError(f"crop_place must be 'random' or 'centre', not {self.crop_place!r}")
        if self.cell and not (0 <= self.cell[0] < self.cell[2] and 0 <= self.cell[1] < self.cell[3]):
            raise ValueError(f"cell must be (row, column, rows, columns) within the grid, not {self.cell}")
        if not 0 < self.crop_scale[0] <= self.crop_scale[1] <= 1:
            raise ValueError(f"crop_scale must rise within (0, 1], not {self.crop_scale}")

    def weakened(self, strength: float) -> ViewRecipe:
        """Return the recipe with crops and colours scaled by a strength in [0, 1]; 1 is unchanged, 0 disables both.

        The least share of a crop nears the greatest, and jitter, greying and solarising get rarer or weaker, all in
        proportion. Blur, rotation and flip stay.

        >>> ViewRecipe(size_px=64, crop_scale=(0.2, 1.0)).weakened(0.5).crop_scale
        (0.6, 1.0)
        """
        low, high = self.crop_scale
        shares = ("brightness", "contrast", "saturation", "hue", "grey_p", "solarise_p")
        weaker = {name: strength * getattr(self, name) for name in shares}
        return replace(self, crop_scale=(strength * low + (1 - strength) * high, high), **weaker)

    def normalised(self, name: str) -> ViewRecipe:
        """Return the recipe with a normalisation of ``NORMALISATIONS``; "own" leaves it unchanged."""
        if name == "own":
            return self
        mean, std = NORMALISATIONS[name]
        return replace(self, mean=mean, std=std)


@dataclass(frozen=True)
class View:
    """One augmented view of a batch of anchors."""

    image: torch.Tensor
    """(B, 3, H, W), normalised."""
    to_anchor: torch.Tensor
    """(B, 2, 3) float32: maps (x, y, 1) in view pixels to (x, y) in anchor pixels, centres at +0.5.

    It carries crop, rotation and flip, so location matching needs nothing else.
    """
    flipped: torch.Tensor
    """(B,) bool: the view is mirrored left to right."""


@dataclass(frozen=True)
class Views:
    """Input of a method's losses: the views of a batch, their sample indices, labels and a random generator."""

    views: tuple[View, ...]
    samples: torch.Tensor
    """(B,) int64: dataset index of each anchor."""
    labels: torch.Tensor | None = None
    """(B, L) float32 in {0, 1}, or None where the pretraining data carry none."""
    generator: torch.Generator | None = None
    """Randomness of this step for masks and mixing; never the global generator."""

    @property
    def images(self) -> tuple[torch.Tensor, ...]:
        """The images of the views, each (B, 3, H, W)."""
        return tuple(view.image for view in self.views)
