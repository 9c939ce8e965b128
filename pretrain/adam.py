"""Adam: anatomy from coarse to fine by contrast and pruning (Hosseinzadeh Taher et al., arXiv:2309.15358).

An image is cut into ever smaller anatomical parts, stage by stage (anatomy decomposer); each part is contrasted with
a queue of others, from which those of the same anatomy are pruned for that query (purposive pruner, Algorithm 1).
A stage goes on from the last epoch of the one before, with its teacher and queue; optimiser and schedule restart.
Not as in the paper: "grid" decomposition, where chosen, is the released code's; batch norm runs in ``bn_groups``
groups of one device's batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from eden_bench.contracts import MethodCard, Stage, ViewRecipe, Views, at_least
from eden_bench.contracts.pretrain_method import PretrainMethod
from eden_bench.encoders import Encoder
from eden_bench.registry import register_method
from pretrain.engine.optimisation import sgd
from pretrain.parts.moco import ContrastConfig, MomentumContrast
from pretrain.published import adams_figure
from pretrain.views import decomposer
from pretrain.views.recipes import ANCHORS, recipe_of


@dataclass(frozen=True, kw_only=True)
class AdamConfig(ContrastConfig):
    """Adam's settings; ``epochs`` is per stage, 3 × 200 in the paper."""

    levels: tuple[int, ...] = decomposer.PUBLISHED_LEVELS
    """Granularity n of each stage; 0 is the whole image."""
    decomposition: decomposer.Mode = "recursive"
    """How level n cuts: 2^n parts by halving in turns (the paper), or n × n (the released code)."""
    pruning_threshold: float = 0.8
    """γ: negatives whose cosine with the query is at least this are pruned, at levels above 0; above 1 none is, which
    is the paper's ablation without the pruner."""
    augmentation: Literal["adam", "moco"] = "adam"
    """The released code's views, or MoCo-v2's."""

    def __post_init__(self) -> None:
        """Validate field values. Raises ValueError naming the field, its bounds and the value."""
        super().__post_init__()
        at_least("pruning_threshold", self.pruning_threshold, -1)
        recipe_of(self.augmentation, self.size_px)
        decomposer.stages(self.levels, self.epochs, self.decomposition)

    @property
    def stages(self) -> tuple[Stage, ...]:
        """One stage a level, in the order given."""
        return decomposer.stages(self.levels, self.epochs, self.decomposition)


@register_method("adam")
class Adam(PretrainMethod):
    """Momentum contrast on parts of falling size, with pruned negatives."""

    Config = AdamConfig
    config: AdamConfig
    card = MethodCard(
        headline=True,
        title="Adam",
        paper="Hosseinzadeh Taher et al., DART at MICCAI 2023, arXiv:2309.15358",
        licence="ASU GitHub Project License (original code and weights): non-commercial, patents pending",
        backbone="ResNet-50",
        data="ChestX-ray14 train (75,312 images, 11,212 held out for validation) or EyePACS train",
        differences=(
            "batch norm in groups of one device's batch, keys shuffled between groups, instead of one group a GPU",
            "the validation loss that selects the checkpoint uses fixed views and leaves queue and teacher alone, "
            "where the released code enqueues validation keys and moves the teacher",
            ANCHORS,
        ),
        reference=adams_figure("adam"),
    )

    def __init__(self, config: AdamConfig) -> None:
        super().__init__()
        self.config = config
        self.moco = MomentumContrast(config)
        self.prune_from: float | None = None

    @property
    def encoder(self) -> Encoder:
        """The student's backbone."""
        return self.moco.student.encoder

    @property
    def ready(self) -> bool:
        """Whether the queue holds real keys only, so that a validation loss is meaningful."""
        return self.moco.queue.full

    def recipes(self, stage: Stage) -> tuple[ViewRecipe, ...]:
        """Return one recipe for query and key, the same at every level."""
        return (recipe_of(self.config.augmentation, self.config.size_px),) * 2

    def start_stage(self, stage: Stage) -> None:
        """Enable pruning at levels above 0; at level 0 the loss is plain InfoNCE (Section 2, Purposive Pruner)."""
        self.prune_from = self.config.pruning_threshold if stage.level > 0 else None

    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        """Return SGD on the student, reset at every stage."""
        return {"main": sgd(self.moco.student.parameters(), self.config)}

    def losses(self, views: Views, turn: str = "main") -> dict[str, Tensor]:
        """Return InfoNCE over the negatives that the pruner keeps."""
        contrast = self.moco.contrast(views, self.prune_from)
        self.metrics = contrast.metrics(self.moco.queue.size)
        return {"contrast": contrast.loss}

    def after_step(self) -> None:
        """Update the teacher, then enqueue the keys."""
        self.moco.advance()
