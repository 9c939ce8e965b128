"""Fine-tuning protocols: every value of the paper's section F.2, and a ``quick`` variant for a laptop.

Not as in the paper, which leaves them open: epochs, patience, batch size, weight decay of the segmentation
tasks and the strength of each augmentation are taken from the code its group released; what a k-shot run counts
(``few_shot_budget``), draws (``few_shot_subset``) and validates on (``few_shot_validation``) are fields.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import Literal

from eden_bench.contracts import LATER, NORMALISATIONS, at_least, in_range

_STRIDE = 32
"""Input pixels per pixel of the coarsest map of every encoder."""


@dataclass(frozen=True, kw_only=True)
class SplitProtocol:
    """Which labelled images a run is shown, and which of them choose."""

    validation_share: float = 0.1
    """Share of the training images that only choose the step (or the strength, or the neighbours) that is tested."""
    few_shot_subset: Literal["resample-per-seed", "fixed-subset"] = "resample-per-seed"
    """The paper says "randomly sampled"; its released loader shuffles once with a constant, so that all runs use
    the same images. Either way the subsets are nested and every method gets the same."""
    few_shot_validation: Literal["full", "within", "none"] = "full"
    """"full": k images train and the whole validation list (``validation_share`` of all training images) chooses
    the step, so that a run has looked at the labels of k plus that many images. "within": the validation images
    are taken out of the k (``validation_share`` of them, at least one), so k is all the labels there are. "none":
    all k train and the last step is tested. The paper does not say which it used."""

    def __post_init__(self) -> None:
        """Validate field values. Raises ValueError naming the field, its bounds and the value."""
        in_range("validation_share", self.validation_share, 0.001, 0.9)
        check_choices(self, _CHOICES)


@dataclass(frozen=True, kw_only=True)
class TrainingProtocol(SplitProtocol):
    """Settings of whatever is trained on a task, an encoder or a head on a frozen one: budget and optimiser."""

    optimiser: Literal["adamw", "adam"] = "adamw"
    lr: float = 2e-4
    """Highest learning rate; a half cosine takes it to 0 over the planned steps, step by step."""
    warmup_share: float = 0.0
    """Share of the planned steps in which the rate first rises linearly; the paper names no warm-up."""
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.999)
    batch_size: int = 32
    """Images a step at most; an epoch is cut into batches of nearly equal size, so none is left with one image."""
    epochs: int = 200
    """The budget on all training images."""
    max_steps: int | None = None
    """Upper limit of the full set's budget in optimiser steps; None for no limit."""
    validate_every: int | None = None
    """Steps between validations of a run on the full set, None for one epoch; in a k-shot run that counts epochs
    it falls with the epoch's length."""
    patience: int = 20
    """Validations without a new lowest validation loss after which training stops…"""
    min_steps: int = 200
    """…but never in fewer steps than this since the last improvement. 200 steps are 50 epochs of SCR, the
    patience of the group's newer code; 0 stops a 3-shot run as early as the released code does."""
    few_shot_budget: Literal["steps", "epochs"] = "steps"
    """"steps": a k-shot run takes as many optimiser steps as a run on the full set. "epochs": as many passes over
    its own images, as released code does, so that three images make one step an epoch."""
    eval_batch_size: int = 64
    """Images a forward pass in validation and test; no score depends on it beyond rounding."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """"auto" is bf16 autocast where the hardware multiplies it, fp32 elsewhere."""
    capture: bool = field(default=False, metadata=LATER)
    """On CUDA, record the step as a CUDA graph and replay it; another computation, by the last bits of the rate."""

    def __post_init__(self) -> None:
        """Validate field values. Raises ValueError naming the field, its bounds and the value."""
        super().__post_init__()
        for name in ("batch_size", "epochs", "patience", "eval_batch_size"):
            at_least(name, getattr(self, name), 2 if name == "batch_size" else 1)
        for name in ("max_steps", "validate_every"):
            if getattr(self, name) is not None:
                at_least(name, getattr(self, name), 1)
        for name in ("lr", "weight_decay", "min_steps"):
            at_least(name, getattr(self, name), 0)
        in_range("warmup_share", self.warmup_share, 0, 1)


@dataclass(frozen=True, kw_only=True)
class FinetuneProtocol(TrainingProtocol):
    """Fine-tuning settings shared by segmentation and classification: the network's input and what of it is trained."""

    size_px: int = 224
    """Side of the network's square input; a multiple of 32."""
    mean: tuple[float, float, float] = NORMALISATIONS["imagenet"][0]
    std: tuple[float, float, float] = NORMALISATIONS["imagenet"][1]
    encoder: Literal["trained", "frozen", "lora"] = field(default="trained", metadata=LATER)
    """"frozen": in eval mode, not a bit of it changes. "lora": its attention projections get low-rank updates."""
    lora_rank: int = field(default=8, metadata=LATER)
    """Rank r of the updates W + (α / r) B A (Hu et al., ICLR 2022, arXiv:2106.09685)."""
    lora_alpha: float = field(default=16.0, metadata=LATER)

    def __post_init__(self) -> None:
        """Validate field values. Raises ValueError naming the field, its bounds and the value."""
        super().__post_init__()
        _check_size("size_px", self.size_px)
        at_least("lora_rank", self.lora_rank, 1)
        at_least("lora_alpha", self.lora_alpha, 0)


@dataclass(frozen=True, kw_only=True)
class SegmentationProtocol(FinetuneProtocol):
    """U-Net fine-tuning. The defaults are the paper's (F.2) and, where it is silent, the released code's.

    Not as in the paper or its code: 0.01 is torch's default weight decay (the paper gives none); images are
    shrunk by area, not to the nearest pixel; validation images are not augmented; the cosine falls every step.
    """

    loss: Literal["dice", "bce"] = "dice"
    """"dice": soft Dice over the flattened batch; "bce": binary cross-entropy, as the released code does for DRIVE."""
    decoder_channels: tuple[int, ...] = (256, 128, 64, 32, 16)
    """Coarse to fine, one for each of the strides 16, 8, 4, 2 and 1."""
    score_px: int = 224
    """Side of the masks that are scored: logits are resized to it bilinearly and thresholded there. 224 is the
    released code's; 1024 is SCR's own."""
    tolerance_px: float = field(default=2.0, metadata=LATER)
    """Pixels of the scored size that two surfaces may be apart and count as one in the normalised surface distance."""
    intensity_p: float = 0.3
    """Chance of a sample to get either brightness and contrast or gamma."""
    brightness: float = 0.2
    contrast: float = 0.2
    gamma: tuple[float, float] = (0.8, 1.2)
    distortion_p: float = 0.3
    """Chance of a sample to be bent by one of ``distortions``, each as likely."""
    distortions: tuple[Literal["elastic", "grid", "optical"], ...] = ("elastic", "grid", "optical")
    elastic_alpha_px: float = 120.0
    """Uniform noise in ± this, smoothed over ``elastic_sigma_px``; both are pixels of a 224-px input and scale."""
    elastic_sigma_px: float = 6.0
    elastic_affine_px: float = 3.6
    """Corners of an affine map move by ± this at 224 px, in the elastic distortion."""
    grid_cells: int = 5
    grid_limit: float = 0.3
    """Each row and column of the grid is stretched by a factor of 1 ± this."""
    optical_limit: float = 2.0
    """Radial distortion k is drawn in ± this."""
    crop_p: float = 0.25
    """Chance of a square crop, resized to the input (in the released code, not in the paper's list)."""
    crop_min_share: float = 156 / 224
    """Least side of a crop as a share of the image's."""

    def __post_init__(self) -> None:
        """Validate field values. Raises ValueError naming the field, its bounds and the value."""
        super().__post_init__()
        at_least("score_px", self.score_px, 8)
        in_range("tolerance_px", self.tolerance_px, 0, self.score_px)
        for name in ("intensity_p", "distortion_p", "crop_p", "crop_min_share", "brightness", "contrast", "grid_limit"):
            in_range(name, getattr(self, name), 0, 1)
        at_least("elastic_sigma_px", self.elastic_sigma_px, 1)
        at_least("grid_cells", self.grid_cells, 1)
        unknown = set(self.distortions) - {"elastic", "grid", "optical"}
        if unknown:
            raise ValueError(f"distortions may be elastic, grid and optical, not {', '.join(sorted(unknown))}")


@dataclass(frozen=True, kw_only=True)
class ClassificationProtocol(FinetuneProtocol):
    """Pooled features, one linear layer, a sigmoid a label. The defaults are the paper's (F.2).

    Not as in the paper: crops are cut from the image shrunk to ``source_px``; 75 epochs are those of the
    fine-tuning recipe it cites (Medical-MAE) and patience 10 is its group's; no warm-up, no layer decay.
    """

    lr: float = 2.5e-4
    weight_decay: float = 0.05
    betas: tuple[float, float] = (0.9, 0.95)
    epochs: int = 75
    patience: int = 10
    source_px: int = 256
    """Side that images are resized to before anything is cut from them."""
    crop_scale: tuple[float, float] = (0.08, 1.0)
    crop_ratio: tuple[float, float] = (3 / 4, 4 / 3)
    rotation_deg: float = 7.0
    flip_p: float = 0.5
    test_crops: Literal["ten", "centre"] = "ten"
    """"ten": mean probability of the four corners, the centre and their mirror images, as in the released code."""

    def __post_init__(self) -> None:
        """Validate field values. Raises ValueError naming the field, its bounds and the value."""
        super().__post_init__()
        at_least("source_px", self.source_px, self.size_px)
        in_range("rotation_deg", self.rotation_deg, 0, 180)
        in_range("flip_p", self.flip_p, 0, 1)
        if not 0 < self.crop_scale[0] <= self.crop_scale[1] <= 1:
            raise ValueError(f"crop_scale must rise within (0, 1], not {self.crop_scale}")
        if not 0 < self.crop_ratio[0] <= 1 <= self.crop_ratio[1] < math.inf:
            raise ValueError(f"crop_ratio must hold 1, the shape of the image, not {self.crop_ratio}")
        check_choices(self, {"test_crops": ("ten", "centre")})


_CHOICES = {
    "optimiser": ("adamw", "adam"),
    "few_shot_budget": ("steps", "epochs"),
    "few_shot_subset": ("resample-per-seed", "fixed-subset"),
    "few_shot_validation": ("full", "within", "none"),
    "precision": ("auto", "fp32", "bf16"),
    "loss": ("dice", "bce"),
    "encoder": ("trained", "frozen", "lora"),
}


def check_choices(protocol: SplitProtocol, choices: dict[str, tuple[str, ...]]) -> None:
    """Validate the fields that have a few values. Raises ValueError naming the field, its values and the one found."""
    for name in {each.name for each in fields(protocol)} & set(choices):
        value = getattr(protocol, name)
        if value not in choices[name]:
            raise ValueError(f"{name} must be {' or '.join(map(repr, choices[name]))}, not {value!r}")


def _check_size(name: str, size_px: int) -> None:
    at_least(name, size_px, _STRIDE)
    if size_px % _STRIDE:
        raise ValueError(f"{name} must be a multiple of {_STRIDE}, not {size_px}")


PAPER_SEGMENTATION = SegmentationProtocol()
PAPER_CLASSIFICATION = ClassificationProtocol()

QUICK_SEGMENTATION = SegmentationProtocol(
    size_px=64,
    score_px=256,
    lr=1e-2,
    warmup_share=0.2,
    batch_size=8,
    max_steps=80,
    validate_every=20,
    patience=1000,
    decoder_channels=(64, 32, 16, 16, 8),
    distortion_p=0.0,
)
"""Not as in the paper: 64 px, a narrow decoder, 80 steps of 8 images at a high rate with warm-up, no distortions."""

QUICK_CLASSIFICATION = ClassificationProtocol(
    size_px=64,
    source_px=72,
    lr=1e-3,
    warmup_share=0.2,
    batch_size=16,
    max_steps=240,
    validate_every=60,
    patience=1000,
    crop_scale=(0.5, 1.0),
    test_crops="centre",
)
"""Not as in the paper: 64 px, 240 steps of 16 images at a high rate with warm-up, larger crops, one test crop."""
