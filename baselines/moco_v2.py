"""MoCo-v2: a query finds its key among a queue of others (Chen et al., arXiv:2003.04297).

One direction only, not symmetrised. The teacher follows the student by parameters alone; keys enter the queue after
the loss. ``augmentation="adam"`` gives Adam's stage n = 0, which in the Adam paper is probably the MoCo-v2 baseline.
Not as in the paper: on one device batch norm runs in ``bn_groups`` groups of the batch instead of per GPU.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from eden_bench.contracts import MethodCard, Stage, ViewRecipe, Views
from eden_bench.contracts.pretrain_method import PretrainMethod
from eden_bench.encoders import Encoder
from eden_bench.registry import register_method
from pretrain.engine.optimisation import sgd
from pretrain.parts.moco import ContrastConfig, MomentumContrast
from pretrain.published import adams_figure
from pretrain.views.recipes import ANCHORS, recipe_of


@dataclass(frozen=True, kw_only=True)
class MoCoV2Config(ContrastConfig):
    """MoCo-v2's settings."""

    augmentation: Literal["moco", "adam"] = "moco"
    """The official views, or Adam's (rotation; neither flip nor grey)."""

    def __post_init__(self) -> None:
        """Validate field values. Raises ValueError naming the field, its bounds and the value."""
        super().__post_init__()
        recipe_of(self.augmentation, self.size_px)


@register_method("moco-v2")
class MoCoV2(PretrainMethod):
    """Momentum contrast with an MLP head, strong augmentation and a cosine schedule."""

    Config = MoCoV2Config
    config: MoCoV2Config
    card = MethodCard(
        title="MoCo-v2",
        paper="Chen et al., arXiv:2003.04297",
        licence="CC BY-NC 4.0 (original code and weights)",
        backbone="ResNet-50",
        data="ImageNet; in the Adam paper ChestX-ray14 train or EyePACS train",
        differences=(
            "batch norm in 4 groups of 64 images of one device's batch, keys shuffled between groups; released: 8 GPUs "
            "with 32 images each",
            "the validation loss, where it selects the checkpoint, leaves queue and teacher alone",
            "the default views are the official ones; the Adam paper's MoCo-v2 row is probably made with Adam's views "
            '(augmentation="adam")',
            "the checkpoint of the lowest validation loss is handed on unless select = 'last', which is the official "
            "method's",
            ANCHORS,
        ),
        reference=adams_figure("moco-v2"),
    )

    def __init__(self, config: MoCoV2Config) -> None:
        super().__init__()
        self.config = config
        self.moco = MomentumContrast(config)

    @property
    def encoder(self) -> Encoder:
        """The student's backbone."""
        return self.moco.student.encoder

    @property
    def ready(self) -> bool:
        """Whether the queue holds real keys only, so that a validation loss is meaningful."""
        return self.moco.queue.full

    def recipes(self, stage: Stage) -> tuple[ViewRecipe, ...]:
        """Return one recipe for query and key."""
        return (recipe_of(self.config.augmentation, self.config.size_px),) * 2

    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        """Return SGD on the student."""
        return {"main": sgd(self.moco.student.parameters(), self.config)}

    def losses(self, views: Views, turn: str = "main") -> dict[str, Tensor]:
        """Compute InfoNCE of queries against keys and queue."""
        contrast = self.moco.contrast(views)
        self.metrics = contrast.metrics(self.moco.queue.size)
        return {"contrast": contrast.loss}

    def after_step(self) -> None:
        """Update the teacher, then enqueue the keys."""
        self.moco.advance()
