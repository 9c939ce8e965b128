"""Protocols of frozen evaluation, each derived from its task's fine-tuning protocol: sizes, splits and shots are equal.

Definitions are those of DINOv3 (Siméoni et al., 2025, arXiv:2508.10104) where it has one. Images are not augmented, an
encoder is in eval mode and passes once over each image, whole and squashed to a square; what is chosen is chosen on the
validation images and tested once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from eden_bench.contracts import Features, at_least, in_range
from tasks.finetuning.protocol import (
    ClassificationProtocol,
    FinetuneProtocol,
    SegmentationProtocol,
    SplitProtocol,
    TrainingProtocol,
    check_choices,
)

_MAP = Features(pooling="map")


@dataclass(frozen=True, kw_only=True)
class ReadProtocol(SplitProtocol):
    """Vectors of features are read, nothing is trained by steps."""

    features: Features = field(default_factory=lambda: Features(pooling="embed"))
    few_shot_validation: Literal["full", "within"] = "full"  # something must be chosen on

    def __post_init__(self) -> None:
        """Validate field values. Raises ValueError naming the field, its bounds and the value."""
        super().__post_init__()
        check_choices(self, {"few_shot_validation": ("full", "within")})


@dataclass(frozen=True, kw_only=True)
class LinearProtocol(ReadProtocol):
    """Logistic regression with an L2 penalty, a label against the rest: C Σ log-loss + ½ ‖w‖², the bias free.

    Not as in the paper, which stops L-BFGS after 1,000 iterations: by Newton's method to the optimum.
    """

    strengths: int = 45
    """Values of C, evenly spaced in their logarithm."""
    weakest: float = 1e-6
    strongest: float = 1e5
    standardised: bool = False
    """Scale each feature to mean 0 and s.d. 1 over the training images first."""

    def __post_init__(self) -> None:
        """Validate field values. Raises ValueError naming the field, its bounds and the value."""
        super().__post_init__()
        at_least("strengths", self.strengths, 1)
        if not 0 < self.weakest <= self.strongest:
            raise ValueError(f"weakest must be above 0 and at most strongest, not {self.weakest}")


@dataclass(frozen=True, kw_only=True)
class KnnProtocol(ReadProtocol):
    """The k training images of highest cosine vote with weights exp(cosine / τ): a label's share of the weights."""

    neighbours: tuple[int, ...] = (10, 20, 100, 200)
    """k to choose from; never more than there are training images."""
    temperature: float = 0.07

    def __post_init__(self) -> None:
        """Validate field values. Raises ValueError naming the field, its bounds and the value."""
        super().__post_init__()
        in_range("temperature", self.temperature, 1e-3, 1e3)
        if not self.neighbours:
            raise ValueError("neighbours must hold at least one k")
        for k in self.neighbours:
            at_least("neighbours", k, 1)


@dataclass(frozen=True, kw_only=True)
class AttentiveProtocol(TrainingProtocol):
    """One multi-head attention layer with a learned query over the map's positions, and a linear layer.

    Not as in the papers, which name no head count for a convolutional network: one head for 64 channels there.
    """

    features: Features = _MAP
    precision: Literal["auto", "fp32", "bf16"] = "fp32"
    """Of the head; the encoder's is the features'."""


@dataclass(frozen=True, kw_only=True)
class FrozenSegProtocol(TrainingProtocol):
    """Batch norm and a 1 × 1 convolution on the last map, its logits bilinearly to the masks' size."""

    features: Features = _MAP
    loss: Literal["dice", "bce"] = "dice"
    score_px: int = 224
    tolerance_px: float = 2.0
    precision: Literal["auto", "fp32", "bf16"] = "fp32"
    """Of the head; the encoder's is the features'."""

    @property
    def size_px(self) -> int:
        """Side of the masks that the head is trained on."""
        return self.features.size_px

    def __post_init__(self) -> None:
        """Validate field values. Raises ValueError naming the field, its bounds and the value."""
        super().__post_init__()
        at_least("score_px", self.score_px, 8)
        in_range("tolerance_px", self.tolerance_px, 0, self.score_px)


CLASSIFICATION = ("linear", "knn", "attentive", "lora")
SEGMENTATION = ("frozen-seg", "frozen-unet", "lora")
_QUICK_MAP_PX = 256
"""At the 64 px that quick encoders are pretrained at, a map has 2 × 2 positions."""


def of_classification(paper: ClassificationProtocol, quick: ClassificationProtocol) -> Mapping[str, Any]:
    """Return a classification's frozen protocols by name."""
    return {
        "linear": _read(LinearProtocol, paper),
        "linear-quick": _read(LinearProtocol, quick),
        "knn": _read(KnnProtocol, paper),
        "knn-quick": _read(KnnProtocol, quick),
        "attentive": _trained(AttentiveProtocol, paper, paper.size_px),
        "attentive-quick": _trained(AttentiveProtocol, quick, _QUICK_MAP_PX),
        "lora": replace(paper, encoder="lora"),
        "lora-quick": replace(quick, encoder="lora"),
    }


def of_segmentation(paper: SegmentationProtocol, quick: SegmentationProtocol) -> Mapping[str, Any]:
    """Return a segmentation's frozen protocols by name."""
    return {
        "frozen-seg": _trained(FrozenSegProtocol, paper, paper.size_px, lr=1e-3),
        "frozen-seg-quick": _trained(FrozenSegProtocol, quick, _QUICK_MAP_PX, lr=1e-2),
        "frozen-unet": replace(paper, encoder="frozen"),
        "frozen-unet-quick": replace(quick, encoder="frozen"),
        "lora": replace(paper, encoder="lora"),
        "lora-quick": replace(quick, encoder="lora"),
    }


def _read(kind: type[ReadProtocol], like: FinetuneProtocol) -> ReadProtocol:
    own = kind(validation_share=like.validation_share)
    return replace(own, features=replace(own.features, size_px=like.size_px))


def _trained(kind: type[TrainingProtocol], like: FinetuneProtocol, size_px: int, **more: Any) -> TrainingProtocol:  # noqa: ANN401
    """Return a head's protocol with budget, optimiser and splits of the task's fine-tuning."""
    shared = {each.name for each in fields(kind)} & {each.name for each in fields(like)} - {"precision"}
    values = {name: getattr(like, name) for name in shared}
    return kind(**{**values, "features": replace(_MAP, size_px=size_px), **more})
