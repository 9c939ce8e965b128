"""SimSiam: two views predict each other, one side held still (Chen & He, CVPR 2021, arXiv:2011.10566).

Neither negatives nor a teacher: each view's prediction is pulled towards the other view's projection, through which no
gradient flows. Without that stop everything collapses to one point; with it the symmetric loss is Algorithm 1's.
Not as in the paper: batch norm runs over ``bn_groups`` groups of the batch, one by default, which on one device is the
paper's synchronised batch norm; 200 epochs, the Adam paper's common setup, at the paper's batch of 512.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from eden_bench.contracts import MethodCard, PretrainConfig, Stage, ViewRecipe, Views, at_least
from eden_bench.contracts.pretrain_method import PretrainMethod
from eden_bench.encoders import Encoder, build_encoder
from eden_bench.registry import register_method
from pretrain.parts.batchnorm import in_groups
from pretrain.parts.zero_residual import zero_init_residual
from pretrain.views.recipes import ANCHORS, recipe_of

_BATCH = 256


@dataclass(frozen=True, kw_only=True)
class SimSiamConfig(PretrainConfig):
    """SimSiam's settings for a ResNet-50 (section 3, Baseline settings)."""

    batch_size: int = 512
    lr: float = 0.05
    """At a batch of 256; the rate used is lr · batch_size / 256."""
    select: Literal["best", "last"] = "last"
    """The paper's; a collapsed network would have the lowest loss there is, -1."""
    projection_dim: int = 2048
    """d, of projections and predictions."""
    predictor_dim: int = 512
    """Of the predictor's hidden layer, its bottleneck."""
    augmentation: Literal["moco", "adam"] = "moco"
    """The paper's views, which are MoCo-v2's, or Adam's."""
    bn_groups: int = 1
    """Groups that a batch is cut into for batch norm, over all processes."""

    quick: ClassVar[Mapping[str, Any]] = {"projection_dim": 128, "predictor_dim": 32, "bn_groups": 1}
    """Heads to the measure of the encoder, the bottleneck a quarter as in the paper; one group, as its SyncBN is."""

    def __post_init__(self) -> None:
        """Validate field values. Raises ValueError naming the field, its bounds and the value."""
        super().__post_init__()
        for name in ("projection_dim", "predictor_dim", "bn_groups"):
            at_least(name, getattr(self, name), 1)
        if self.batch_size < 2 * self.bn_groups:
            raise ValueError(f"batch_size must be at least 2 * bn_groups = {2 * self.bn_groups}, not {self.batch_size}")
        recipe_of(self.augmentation, self.size_px)


class Predicted(NamedTuple):
    """Projection and prediction of one view; nothing is normalised."""

    projection: Tensor
    """z, (B, D) float32."""
    prediction: Tensor
    """p, (B, D) float32: what the other view's projection shall be."""


class Siamese(nn.Module):
    """An encoder f with a projector, and the predictor h."""

    def __init__(self, config: SimSiamConfig) -> None:
        super().__init__()
        self.encoder = build_encoder(config.arch)
        zero_init_residual(self.encoder)
        self.projector = make_projector(self.encoder.out_channels, config.projection_dim)
        self.predictor = make_predictor(config.projection_dim, config.predictor_dim)

    def forward(self, images: Tensor) -> Predicted:
        """Project and predict images (B, 3, H, W)."""
        projection = self.projector(self.encoder.embed(images))
        return Predicted(projection.float(), self.predictor(projection).float())


@register_method("simsiam")
class SimSiam(PretrainMethod):
    """One network, two views, a predictor and a stop-gradient."""

    Config = SimSiamConfig
    config: SimSiamConfig
    card = MethodCard(
        title="SimSiam",
        paper="Chen & He, CVPR 2021, arXiv:2011.10566",
        licence="CC BY-NC 4.0 (original code and weights)",
        backbone="ResNet-50",
        data="ImageNet",
        differences=(
            "batch norm over the whole batch of one device; several processes need as many bn_groups and normalise "
            "apart, where the paper synchronises them",
            "200 epochs, as the Adam paper's common setup, of the paper's 100 to 800; it is not a method of that paper",
            "the predictor's rate falls with the others, as in the paper's baseline; the released command holds it "
            "(its Table 1c)",
            ANCHORS,
        ),
    )

    def __init__(self, config: SimSiamConfig) -> None:
        super().__init__()
        self.config = config
        self.student = Siamese(config)

    @property
    def encoder(self) -> Encoder:
        """The backbone, without projector and predictor."""
        return self.student.encoder

    def recipes(self, stage: Stage) -> tuple[ViewRecipe, ...]:
        """Return one recipe for both views."""
        return (recipe_of(self.config.augmentation, self.config.size_px),) * 2

    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        """Return SGD, its rate proportional to the batch; weight decay on all parameters, norms and biases too."""
        config = self.config
        lr = config.lr * config.batch_size / _BATCH
        sgd = torch.optim.SGD(
            self.parameters(), lr=lr, momentum=config.momentum, weight_decay=config.weight_decay, fused=True
        )
        return {"main": sgd}

    def losses(self, views: Views, turn: str = "main") -> dict[str, Tensor]:
        """Compute the symmetric loss, in [-1, 1]; -1 if each view predicts the other (Eq. 4)."""
        first, second = (in_groups(self.student, image, self.config.bn_groups) for image in views.images)
        return {"similarity": symmetric_loss(first, second)}


def symmetric_loss(first: Predicted, second: Predicted) -> Tensor:
    """Compute ½ D(p₁, stop(z₂)) + ½ D(p₂, stop(z₁)), the mean over the batch (Eq. 4)."""
    forth = negative_cosine(first.prediction, second.projection)
    return (forth + negative_cosine(second.prediction, first.projection)) / 2


def negative_cosine(prediction: Tensor, projection: Tensor) -> Tensor:
    """Compute D(p, stop(z)) = −⟨p/‖p‖, z/‖z‖⟩, the mean over the batch; z has no gradient (Eq. 1 and 3).

    Args:
        prediction: p, (B, D).
        projection: z, (B, D).
    """
    return -F.cosine_similarity(prediction, projection.detach(), dim=1).mean()


def make_projector(in_dim: int, dim: int) -> nn.Sequential:
    """Build three layers with batch norm on each, the last without ReLU (section 3, Projection MLP).

    No linear layer has a bias, which the batch norm after it would cancel; the last batch norm has neither scale nor
    shift, as in the released code (the paper leaves it open).
    """
    layers = (*_layer(in_dim, in_dim), *_layer(in_dim, in_dim), nn.Linear(in_dim, dim, bias=False))
    return nn.Sequential(*layers, nn.BatchNorm1d(dim, affine=False))


def make_predictor(dim: int, hidden_dim: int) -> nn.Sequential:
    """Build two layers, batch norm and ReLU on the first alone (section 3, Prediction MLP)."""
    return nn.Sequential(*_layer(dim, hidden_dim), nn.Linear(hidden_dim, dim))


def _layer(in_dim: int, out_dim: int) -> tuple[nn.Module, ...]:
    return nn.Linear(in_dim, out_dim, bias=False), nn.BatchNorm1d(out_dim), nn.ReLU(inplace=True)
