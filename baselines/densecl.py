"""DenseCL: contrast of whole images and of matched cells of their maps (Wang et al., CVPR 2021, arXiv:2011.09157).

Each position of the query's map is matched with the most similar position of the key's, on backbone features; the
dense loss pulls the projected cells of a match together, against a queue of pooled dense keys.
Not as in the paper: on one device batch norm runs in ``bn_groups`` groups of the batch instead of per GPU.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from eden_bench.contracts import MethodCard, Stage, ViewRecipe, Views, in_range
from eden_bench.contracts.pretrain_method import PretrainMethod
from eden_bench.encoders import Encoder, ResNetEncoder, build_encoder
from eden_bench.registry import register_method
from pretrain.engine.optimisation import sgd
from pretrain.parts.batchnorm import in_groups, shuffled_in_groups
from pretrain.parts.contrast import info_nce
from pretrain.parts.moco import ContrastConfig, projection_head
from pretrain.parts.queue import KeyQueue
from pretrain.parts.teacher import follow, make_teacher
from pretrain.published import adams_figure
from pretrain.views.recipes import ANCHORS, recipe_of


@dataclass(frozen=True, kw_only=True)
class DenseCLConfig(ContrastConfig):
    """DenseCL's settings; the ImageNet configuration."""

    dense_weight: float = 0.5
    """λ in L = (1 − λ) L_global + λ L_dense (Eq. 3)."""
    augmentation: Literal["moco", "adam"] = "moco"
    """The official views, which are MoCo-v2's, or Adam's."""

    def __post_init__(self) -> None:
        """Validate field values. Raises ValueError naming the field, its bounds and the value."""
        super().__post_init__()
        recipe_of(self.augmentation, self.size_px)
        in_range("dense_weight", self.dense_weight, 0, 1)


class Embeddings(NamedTuple):
    """Embeddings of a batch by one network at S positions of the map; all vectors of unit length, float32."""

    features: Tensor
    """(B, S, C), backbone features at each position: what is matched."""
    whole: Tensor
    """(B, D), global projection."""
    cells: Tensor
    """(B, S, D), dense projection at each position."""
    pooled: Tensor
    """(B, D), mean of the dense projections, normalised after the mean: what the dense queue stores."""


class DenseEmbedder(nn.Module):
    """An encoder with a global and a dense projection head, neither with batch norm."""

    def __init__(self, encoder: Encoder, dim: int) -> None:
        super().__init__()
        width = encoder.out_channels
        self.encoder = encoder
        self.global_head = _kaiming(projection_head(width, dim))
        self.dense_head = nn.Sequential(nn.Conv2d(width, width, 1), nn.ReLU(inplace=True), nn.Conv2d(width, dim, 1))

    def forward(self, images: Tensor) -> Embeddings:
        """Embed images (B, 3, H, W)."""
        features = self.encoder(images)
        cells = self.dense_head(features).flatten(2).transpose(1, 2).float()
        return Embeddings(
            features=F.normalize(features.detach().flatten(2).transpose(1, 2).float(), dim=2),
            whole=F.normalize(self.global_head(features.mean(dim=(2, 3))).float(), dim=1),
            cells=F.normalize(cells, dim=2),
            pooled=F.normalize(cells.detach().mean(dim=1), dim=1),
        )


@register_method("densecl")
class DenseCL(PretrainMethod):
    """Student and teacher with two heads and two queues."""

    Config = DenseCLConfig
    config: DenseCLConfig
    card = MethodCard(
        title="DenseCL",
        paper="Wang et al., CVPR 2021, arXiv:2011.09157",
        licence="GPL-3.0 (original code)",
        backbone="ResNet-50",
        data="ImageNet or COCO; in the Adam paper ChestX-ray14 train",
        differences=(
            "batch norm in 4 groups of 64 images of one device's batch, keys shuffled between groups; released: 8 GPUs "
            "with 32 images each",
            "the checkpoint of the lowest validation loss is handed on unless select = 'last'",
            ANCHORS,
        ),
        reference=adams_figure("densecl"),
    )

    def __init__(self, config: DenseCLConfig) -> None:
        super().__init__()
        self.config = config
        self.student = DenseEmbedder(from_fan_in(build_encoder(config.arch)), config.embedding_dim)
        self.teacher = make_teacher(self.student)
        self.queue = KeyQueue(config.embedding_dim, config.queue_size)
        self.dense_queue = KeyQueue(config.embedding_dim, config.queue_size)
        self._keys: Embeddings | None = None

    @property
    def encoder(self) -> Encoder:
        """The student's backbone."""
        return self.student.encoder

    @property
    def ready(self) -> bool:
        """Whether the queues hold real keys only, so that a validation loss is meaningful."""
        return self.queue.full

    def recipes(self, stage: Stage) -> tuple[ViewRecipe, ...]:
        """Return MoCo-v2's view twice; matching needs features only, so flips are harmless."""
        return (recipe_of(self.config.augmentation, self.config.size_px),) * 2

    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        """Return SGD on the student."""
        return {"main": sgd(self.student.parameters(), self.config)}

    def losses(self, views: Views, turn: str = "main") -> dict[str, Tensor]:
        """Compute (1 − λ) times the global loss, and λ times the dense loss."""
        query_images, key_images = views.images
        queries: Embeddings = in_groups(self.student, query_images, self.config.bn_groups)
        keys: Embeddings = shuffled_in_groups(self.teacher, key_images, self.config.bn_groups, views.generator)
        if self.training:
            self._keys = keys
        weight, temperature = self.config.dense_weight, self.config.temperature
        whole = info_nce(queries.whole, keys.whole, self.queue.keys, temperature=temperature).loss
        dense = dense_loss(queries, keys, self.dense_queue.keys, temperature)
        return {"global": (1 - weight) * whole, "dense": weight * dense}

    def after_step(self) -> None:
        """Update the teacher, then enqueue the global and the pooled dense keys."""
        follow(self.teacher, self.student, self.config.teacher_momentum)
        if self._keys is not None:
            self.queue.push(self._keys.whole)
            self.dense_queue.push(self._keys.pooled)
            self._keys = None


@torch.no_grad()
def from_fan_in(encoder: Encoder) -> Encoder:
    """Rescale a new ResNet's convolutions from Kaiming's fan-out, torchvision's, to fan-in, the released code's.

    The draws stay those that every method begins from: a standard deviation of √(2 / (k² · outputs)) becomes
    √(2 / (k² · inputs)). Other encoders keep their own initialisation.
    """
    if isinstance(encoder, ResNetEncoder):
        for layer in encoder.modules():
            if isinstance(layer, nn.Conv2d):
                layer.weight *= (layer.out_channels / layer.in_channels) ** 0.5
    return encoder


def match_cells(query_features: Tensor, key_features: Tensor, key_cells: Tensor) -> Tensor:
    """Match each query position to the key cell with the most similar backbone feature (Eq. 4).

    Args:
        query_features: (B, S, C), unit length, from the student.
        key_features: (B, T, C), unit length, from the teacher.
        key_cells: (B, T, D).

    Returns:
        (B, S, D); a key cell may serve several positions, or none.
    """
    similarity = torch.bmm(query_features, key_features.transpose(1, 2))
    nearest = similarity.argmax(dim=2, keepdim=True)
    return key_cells.gather(1, nearest.expand(-1, -1, key_cells.shape[2]))


def dense_loss(queries: Embeddings, keys: Embeddings, queue: Tensor, temperature: float) -> Tensor:
    """Compute InfoNCE of every query cell and its match against a queue (D, K), the mean over B × S cells (Eq. 2)."""
    with torch.no_grad(), torch.autocast(queue.device.type, enabled=False):
        positives = match_cells(queries.features, keys.features, keys.cells)
    return info_nce(queries.cells.flatten(0, 1), positives.flatten(0, 1), queue, temperature=temperature).loss


def _kaiming(head: nn.Sequential) -> nn.Sequential:
    for layer in head:
        if isinstance(layer, nn.Linear):
            nn.init.kaiming_normal_(layer.weight, mode="fan_in", nonlinearity="relu")
            nn.init.zeros_(layer.bias)
    return head
