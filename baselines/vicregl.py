"""VICRegL: variance, invariance and covariance of whole images and of matched cells (Bardes et al., NeurIPS 2022).

arXiv:2210.01571. Two views are embedded without negatives and without a teacher: embeddings of one image are to be
equal, each dimension is to vary over the batch, and no two dimensions are to say the same. The local loss asks that
of cells of the two maps that are matched by their features and by their places in the image.
Not as in the paper: batch norm runs over ``bn_groups`` groups of the batch, one by default, which is the official
synchronised batch norm; several processes need as many groups. 200 epochs, the Adam paper's common setup, not 100 or
300. Crops are resampled bilinearly, not bicubically. There is no online linear classifier.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn

from baselines._vicregl.matching import cell_centres, distances, matched_terms
from baselines._vicregl.terms import Terms, vic_terms
from eden_bench.contracts import MethodCard, PretrainConfig, Schedule, Stage, ViewRecipe, Views
from eden_bench.contracts.checks import at_least, in_range
from eden_bench.contracts.pretrain_method import PretrainMethod
from eden_bench.encoders import Encoder, build_encoder
from eden_bench.registry import register_method
from pretrain.engine.lars import LARS
from pretrain.parts.batchnorm import in_groups
from pretrain.parts.zero_residual import zero_init_residual
from pretrain.published import adams_figure
from pretrain.views.recipes import ANCHORS, recipe_of, vicreg_recipes

_BATCH = 256


@dataclass(frozen=True, kw_only=True)
class VICRegLConfig(PretrainConfig):
    """VICRegL's settings for a ResNet-50."""

    lr: float = 0.3
    """At a batch of 256; the rate used is lr · batch_size / 256."""
    weight_decay: float = 1e-6
    warmup_epochs: int = 10
    alpha: float = 0.75
    """α in L = α L_global + (1 − α) L_local; 0.9 is the other published value."""
    invariance_weight: float = 25.0
    variance_weight: float = 25.0
    covariance_weight: float = 1.0
    expander: tuple[int, ...] = (8192, 8192, 8192)
    local_expander: tuple[int, ...] = (512, 512, 512)
    num_matches: tuple[int, int] = (20, 4)
    """Closest matches kept from the first view of a pair to the second, and back; all where a map has fewer cells."""
    l2_all_matches: bool = False
    """Keep all feature matches, as the released code does; its author calls that a mistake (issue 5)."""
    flip_grid: bool = True
    """Mirror the places of a mirrored view's cells; the released code's default does not, which misplaces them."""
    augmentation: Literal["vicregl", "moco", "adam"] = "vicregl"
    """The official views, or another method's."""
    bn_groups: int = 1
    """Groups that a batch is cut into for batch norm, over all processes."""

    quick: ClassVar[Mapping[str, Any]] = {
        "lr": 8.0,
        "warmup_epochs": 2,
        "expander": (512, 512, 512),
        "local_expander": (128, 128, 128),
        "num_matches": (2, 1),
        "bn_groups": 1,
    }
    """Learning rate by its own validation loss; one batch-norm group, as its SyncBN is; expanders and matches to the
    measure of the encoder and of 2 × 2 maps."""

    def __post_init__(self) -> None:
        """Validate field values. Raises ValueError naming the field, its bounds and the value."""
        super().__post_init__()
        in_range("alpha", self.alpha, 0, 1)
        for name in ("invariance_weight", "variance_weight", "covariance_weight"):
            at_least(name, getattr(self, name), 0)
        for name in ("expander", "local_expander", "num_matches"):
            at_least(f"each of {name}", min(getattr(self, name), default=0), 1)
        at_least("bn_groups", self.bn_groups, 1)
        if len(self.num_matches) != 2:
            raise ValueError(f"num_matches must be two numbers, not {self.num_matches}")
        if self.augmentation not in ("vicregl", "moco", "adam"):
            raise ValueError(f"augmentation must be 'vicregl', 'moco' or 'adam', not {self.augmentation!r}")


class Expanded(NamedTuple):
    """Expanded embeddings of one view; P cells of the map, row by row. Nothing is normalised."""

    whole: Tensor
    """(B, D) float32."""
    cells: Tensor
    """(B, P, L) float32."""


class ExpandedEncoder(nn.Module):
    """An encoder, an expander of its pooled features and one of every cell of its map."""

    def __init__(self, config: VICRegLConfig) -> None:
        super().__init__()
        self.encoder = build_encoder(config.arch)
        zero_init_residual(self.encoder)
        self.expander = make_expander(self.encoder.out_channels, config.expander)
        self.local_expander = make_expander(self.encoder.out_channels, config.local_expander)

    def forward(self, images: Tensor) -> Expanded:
        """Embed images (B, 3, H, W); the local expander's batch norm sees all B · P cells alike."""
        features = self.encoder(images)
        cells = features.flatten(2).transpose(1, 2)
        local = self.local_expander(cells.flatten(0, 1)).unflatten(0, cells.shape[:2])
        return Expanded(self.expander(features.mean(dim=(2, 3))).float(), local.float())


@register_method("vicregl")
class VICRegL(PretrainMethod):
    """One network, two views, three terms on whole images and on matched cells."""

    Config = VICRegLConfig
    config: VICRegLConfig
    card = MethodCard(
        title="VICRegL",
        paper="Bardes et al., NeurIPS 2022, arXiv:2210.01571",
        licence="CC BY-NC 4.0 (original code and weights)",
        backbone="ResNet-50",
        data="ImageNet; in the Adam paper ChestX-ray14 train",
        differences=(
            "batch norm over the whole batch of one device; several processes need as many bn_groups and normalise "
            "apart, where the official code synchronises them; variance and covariance are of the whole batch always",
            "200 epochs, as the Adam paper's common setup, instead of 100 or 300; the Adam paper's own are not known",
            "feature matches are filtered, as in the paper; the released code keeps all (l2_all_matches = true)",
            "places of mirrored views are mirrored; the released code's default leaves them (flip_grid = false)",
            "nearest cells by exact distances; the released code's, by products, may choose otherwise among equally "
            "near ones",
            "crops are resampled bilinearly instead of bicubically",
            "the checkpoint of the lowest validation loss is handed on unless select = 'last', which is the official "
            "method's",
            ANCHORS,
        ),
        reference=adams_figure("vicregl"),
    )

    def __init__(self, config: VICRegLConfig) -> None:
        super().__init__()
        self.config = config
        self.student = ExpandedEncoder(config)

    @property
    def encoder(self) -> Encoder:
        """The backbone."""
        return self.student.encoder

    def recipes(self, stage: Stage) -> tuple[ViewRecipe, ...]:
        """Return two recipes: the first view is always blurred, the second seldom, and solarised at times."""
        size_px = self.config.size_px
        if self.config.augmentation == "vicregl":
            return vicreg_recipes(size_px)
        return (recipe_of(self.config.augmentation, size_px),) * 2

    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        """Return LARS, its rate in proportion to the batch."""
        config = self.config
        lr = config.lr * config.batch_size / _BATCH
        return {
            "main": LARS(self.parameters(), lr=lr, momentum=config.momentum, weight_decay=config.weight_decay),
        }

    def schedule(self, turn: str) -> Schedule:
        """Return a warm-up step by step, then a cosine to a thousandth."""
        return Schedule(per="step", warmup_epochs=self.config.warmup_epochs, floor=0.001)

    def losses(self, views: Views, turn: str = "main") -> dict[str, Tensor]:
        """Compute α times the global and 1 − α times the local terms, each with its weight (Eq. 1 to 5)."""
        config, share = self.config, self.training
        first, second = (in_groups(self.student, image, config.bn_groups) for image in views.images)
        counts = (None,) if config.l2_all_matches else config.num_matches
        with torch.autocast(first.whole.device.type, enabled=False):
            whole = vic_terms(first.whole, second.whole, share=share)
            near, alike = self._distances(first, second, views)
            by_place = matched_terms(first.cells, second.cells, near, config.num_matches, share=share)
            by_feature = matched_terms(first.cells, second.cells, alike, counts, share=share)
        local = Terms(*(place + feature for place, feature in zip(by_place, by_feature, strict=True)))
        return self._weighted("", config.alpha, whole) | self._weighted("local_", 1 - config.alpha, local)

    def _weighted(self, prefix: str, share: float, terms: Terms) -> dict[str, Tensor]:
        weights = {name: share * getattr(self.config, f"{name}_weight") for name in Terms._fields}
        return {prefix + name: weights[name] * term for name, term in terms._asdict().items()}

    @torch.no_grad()
    def _distances(self, first: Expanded, second: Expanded, views: Views) -> tuple[Tensor, Tensor]:
        """Compute the distances of the two views' cells in place and in feature, each (B, P, P)."""
        side = math.isqrt(first.cells.shape[1])
        places = [cell_centres(view, side, flip_grid=self.config.flip_grid) for view in views.views]
        return distances(*places), distances(first.cells, second.cells)


def make_expander(in_dim: int, widths: Sequence[int]) -> nn.Sequential:
    """Build Linear, batch norm, ReLU for each width but the last, which is a Linear without bias."""
    layers: list[nn.Module] = []
    for before, width in pairwise((in_dim, *widths[:-1])):
        layers += [nn.Linear(before, width), nn.BatchNorm1d(width), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers, nn.Linear((in_dim, *widths)[-2], widths[-1], bias=False))
