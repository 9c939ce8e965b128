"""Momentum contrast: student, teacher, queue and loss, shared by MoCo-v2 and Adam.

He et al., CVPR 2020, arXiv:1911.05722; the projection head and τ = 0.2 of MoCo-v2, Chen et al., arXiv:2003.04297.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from eden_bench.contracts import PretrainConfig, Views, at_least, in_range
from eden_bench.encoders import Encoder, build_encoder
from pretrain.parts.batchnorm import in_groups, shuffled_in_groups
from pretrain.parts.contrast import LOWEST_TEMPERATURE, Contrast, info_nce
from pretrain.parts.queue import KeyQueue
from pretrain.parts.teacher import follow, make_teacher


@dataclass(frozen=True, kw_only=True)
class ContrastConfig(PretrainConfig):
    """Settings of methods with a queue and a momentum teacher; defaults are the common setup (F.1)."""

    queue_size: int = 65_536
    teacher_momentum: float = 0.999
    temperature: float = 0.2
    embedding_dim: int = 128
    bn_groups: int = 4
    """Groups that a batch is cut into for batch norm, over all processes: the paper's four GPUs."""

    def __post_init__(self) -> None:
        """Validate field values. Raises ValueError naming the field, its bounds and the value."""
        super().__post_init__()
        at_least("queue_size", self.queue_size, 1)
        in_range("teacher_momentum", self.teacher_momentum, 0, 1)
        at_least("temperature", self.temperature, LOWEST_TEMPERATURE)
        at_least("embedding_dim", self.embedding_dim, 1)
        at_least("bn_groups", self.bn_groups, 1)
        if self.batch_size < 2 * self.bn_groups:
            raise ValueError(f"batch_size must be at least 2 * bn_groups = {2 * self.bn_groups}, not {self.batch_size}")


class Embedder(nn.Module):
    """An encoder and a projection head: images (B, 3, H, W) to (B, D), unit length."""

    def __init__(self, encoder: Encoder, dim: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = projection_head(encoder.out_channels, dim)

    def forward(self, images: Tensor) -> Tensor:
        """Embed images; normalised in float32 even under autocast."""
        return F.normalize(self.head(self.encoder.embed(images)).float(), dim=1)


class MomentumContrast(nn.Module):
    """Student, momentum teacher and key queue: the student matches the teacher's key of the other view."""

    def __init__(self, config: ContrastConfig) -> None:
        super().__init__()
        self.config = config
        self.student = Embedder(build_encoder(config.arch), config.embedding_dim)
        self.teacher = make_teacher(self.student)
        self.queue = KeyQueue(config.embedding_dim, config.queue_size)
        self._keys: Tensor | None = None

    def contrast(self, views: Views, prune_from: float | None = None) -> Contrast:
        """Compute the loss of the first view's queries against the second's keys; keeps the keys for ``advance``."""
        query_images, key_images = views.images
        queries = in_groups(self.student, query_images, self.config.bn_groups)
        keys = shuffled_in_groups(self.teacher, key_images, self.config.bn_groups, views.generator)
        if self.training:
            self._keys = keys
        return info_nce(queries, keys, self.queue.keys, temperature=self.config.temperature, prune_from=prune_from)

    def advance(self) -> None:
        """Update the teacher and enqueue the keys of the step that has ended."""
        follow(self.teacher, self.student, self.config.teacher_momentum)
        if self._keys is not None:
            self.queue.push(self._keys)
            self._keys = None


def projection_head(in_dim: int, out_dim: int) -> nn.Sequential:
    """Return MoCo-v2's head: Linear(D, D), ReLU, Linear(D, out), with biases and without batch norm."""
    return nn.Sequential(nn.Linear(in_dim, in_dim), nn.ReLU(inplace=True), nn.Linear(in_dim, out_dim))
