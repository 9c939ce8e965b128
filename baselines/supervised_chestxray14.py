"""Supervised pretraining on ChestX-ray14's fourteen labels: what labels of the same images give.

The group's benchmark recipe (Hosseinzadeh Taher et al., DART 2021, arXiv:2108.05930): binary cross-entropy on each
label, Adam at 2e-4 that halves on a plateau, stopped after ten epochs without a better validation loss. The
task chestxray14 is made of the same images and labels, so this method has no bar there in the Adam paper's Fig. 3.
Not as in the paper: the validation loss is of fixed random crops, not of the central 224 of 256 px.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from eden_bench.contracts import MethodCard, PretrainConfig, Schedule, Stage, ViewRecipe, Views, at_least
from eden_bench.contracts.pretrain_method import PretrainMethod
from eden_bench.encoders import Encoder, build_encoder
from eden_bench.errors import UsageError
from eden_bench.registry import register_method
from pretrain.published import adams_figure
from pretrain.views.recipes import ANCHORS


@dataclass(frozen=True, kw_only=True)
class SupervisedConfig(PretrainConfig):
    """The benchmark's classification settings; ``momentum`` is ignored, since the optimiser is Adam."""

    epochs: int = 1000
    """At most; the plateau ends it sooner."""
    batch_size: int = 32
    lr: float = 2e-4
    weight_decay: float = 0.0
    classes: int = 14
    """Labels of each image."""
    stop_after_epochs: int = 10
    """Ends when more epochs than this have passed without a lower validation loss."""

    def __post_init__(self) -> None:
        """Validate field values. Raises ValueError naming the field, its bounds and the value."""
        super().__post_init__()
        at_least("classes", self.classes, 1)
        at_least("stop_after_epochs", self.stop_after_epochs, 1)


@register_method("supervised-chestxray14")
class SupervisedChestXray14(PretrainMethod):
    """An encoder and one linear layer, trained with labels."""

    groups = ("supervised",)
    Config = SupervisedConfig
    config: SupervisedConfig
    card = MethodCard(
        title="Supervised on ChestX-ray14",
        paper="Hosseinzadeh Taher et al., DART at MICCAI 2021, arXiv:2108.05930 (its benchmark's recipe)",
        licence="ASU GitHub Project License (original code and weights): non-commercial",
        backbone="ResNet-50",
        data="ChestX-ray14 train with its 14 labels",
        differences=(
            "WARNING: the task chestxray14 has the same training images and labels, so a row there compares nothing "
            "(the Adam paper's Fig. 3 leaves it out)",
            "pretrained here on the benchmark's training list without the patients held out for validation; the "
            "published weights (Zenodo 5205234) are another run",
            "the validation loss is of fixed random crops, not of the central 224 of 256 px",
            ANCHORS,
        ),
        reference=adams_figure("supervised-chestxray14"),
    )

    def __init__(self, config: SupervisedConfig) -> None:
        super().__init__()
        self.config = config
        self.student = build_encoder(config.arch)
        self.head = nn.Linear(self.student.out_channels, config.classes)
        nn.init.normal_(self.head.weight, std=0.01)
        nn.init.zeros_(self.head.bias)

    @property
    def encoder(self) -> Encoder:
        """The backbone."""
        return self.student

    def recipes(self, stage: Stage) -> tuple[ViewRecipe, ...]:
        """Return one view: a crop, a flip and a small rotation."""
        return (ViewRecipe(size_px=self.config.size_px, crop_scale=(0.08, 1.0), flip_p=0.5, rotation_deg=7.0),)

    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        """Return Adam on all parameters."""
        lr, weight_decay = self.config.lr, self.config.weight_decay
        return {"main": torch.optim.Adam(self.parameters(), lr=lr, weight_decay=weight_decay, fused=True)}

    def schedule(self, turn: str) -> Schedule:
        """Return a plateau: halve after over five epochs without a lower validation loss, stop after more than ten."""
        return Schedule(
            shape="plateau",
            warmup_epochs=self.config.warmup_epochs,
            fall_to=0.5,
            fall_every_epochs=5,
            stop_after_epochs=self.config.stop_after_epochs,
        )

    def losses(self, views: Views, turn: str = "main") -> dict[str, Tensor]:
        """Compute binary cross-entropy, the mean over images and labels.

        Raises:
            UsageError: the pretraining data carry no labels, or another number of them.
        """
        found = 0 if views.labels is None else views.labels.shape[1]
        if views.labels is None or found != self.config.classes:
            raise UsageError(
                f"supervised-chestxray14: found {found} labels an image in the pretraining data, expected "
                f"{self.config.classes}: pretrain on chestxray14, or set classes to {found or 'their number'}"
            )
        logits = self.head(self.encoder.embed(views.images[0])).float()
        return {"labels": F.binary_cross_entropy_with_logits(logits, views.labels)}
