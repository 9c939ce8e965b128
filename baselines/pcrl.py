"""PCRL: contrast that also preserves what restores the image (Zhou et al., ICCV 2021, arXiv:2109.04379).

A U-Net student restores transformed and mixed images, alone and from features blended with its momentum teacher's;
which transformation it shall restore is told by attention on the bottleneck. Written from the authors' released,
"improved" version. Not as in the paper: see ``PCRL.card.differences``.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from baselines._pcrl.mixing import Mixing, blended, cut_out, draw_mixing, draw_moves, moved
from eden_bench.contracts import MethodCard, Stage, ViewRecipe, Views, at_least
from eden_bench.contracts.pretrain_method import PretrainMethod
from eden_bench.encoders import Encoder, build_encoder
from eden_bench.encoders.unet import DECODER_CHANNELS, UNetDecoder
from eden_bench.registry import register_method
from pretrain.engine import distributed
from pretrain.engine.optimisation import sgd
from pretrain.parts.batchnorm import in_groups, shuffled_in_groups
from pretrain.parts.contrast import info_nce
from pretrain.parts.moco import ContrastConfig
from pretrain.parts.nce import densities, nce_loss, normaliser
from pretrain.parts.queue import KeyQueue
from pretrain.parts.teacher import follow, make_teacher
from pretrain.published import adams_figure
from pretrain.views.recipes import ANCHORS, moco_recipe
from pretrain.views.uploading import uploaded

INDICATORS = 6
_ATTENTION_WIDTH = 256


@dataclass(frozen=True, kw_only=True)
class PCRLConfig(ContrastConfig):
    """PCRL's settings, those of the released 2-D version; the encoder is the Adam paper's ResNet-50."""

    epochs: int = 240
    batch_size: int = 64
    lr: float = 1e-3
    """At a batch of 64. It does not follow ``batch_size``: by the linear rule it is 1e-3 · batch_size / 64."""
    queue_size: int = 16_384
    select: Literal["best", "last"] = "last"
    decoder_channels: tuple[int, ...] = DECODER_CHANNELS
    contrast: Literal["nce", "info-nce"] = "nce"
    """The released estimator, its normaliser fixed by the first batch, or MoCo's loss with the same queue."""
    nce_images: int = 1227
    """The estimator's number of images; the released code counts batches: ⌈78,467 / 64⌉. Cancels but for ε."""

    quick: ClassVar[Mapping[str, Any]] = {"epochs": 7, "lr": 0.03, "decoder_channels": (64, 32, 16, 16, 8)}
    """Epochs by cost, learning rate by its own validation loss; a thin decoder."""

    def __post_init__(self) -> None:
        """Validate field values. Raises ValueError naming the field, its bounds and the value."""
        super().__post_init__()
        at_least("nce_images", self.nce_images, 1)
        if self.contrast not in ("nce", "info-nce"):
            raise ValueError(f"contrast must be 'nce' or 'info-nce', not {self.contrast!r}")


class Features(NamedTuple):
    """Projection and feature maps of a batch."""

    projection: Tensor
    """(B, D) float32, not normalised."""
    maps: tuple[Tensor, ...]
    """The encoder's maps, finest first; the last is the bottleneck."""


class PCRLNetwork(nn.Module):
    """U-Net with a projection head on the pooled bottleneck and channel attention conditioned on a transformation."""

    def __init__(self, config: PCRLConfig) -> None:
        super().__init__()
        self.encoder = build_encoder(config.arch)
        width, dim = self.encoder.out_channels, config.embedding_dim
        self.projector = nn.Sequential(nn.Linear(width, dim), nn.ReLU(inplace=True), nn.Linear(dim, dim))
        self.attention = nn.Sequential(
            nn.Linear(INDICATORS, _ATTENTION_WIDTH),
            nn.ReLU(inplace=True),
            nn.Linear(_ATTENTION_WIDTH, width),
            nn.Sigmoid(),
        )
        self.decoder = UNetDecoder(self.encoder, 3, config.decoder_channels)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the projection of images (B, 3, H, W) and then their maps."""
        maps = self.encoder.maps(images)
        return self.projector(maps[-1].mean(dim=(2, 3))).float(), *maps

    def attended(self, maps: tuple[Tensor, ...], indicators: Tensor) -> tuple[Tensor, ...]:
        """Weight the channels of the bottleneck by the attention of indicators (B, 6)."""
        return *maps[:-1], maps[-1] * self.attention(indicators)[:, :, None, None]


@register_method("pcrl")
class PCRL(PretrainMethod):
    """Student and teacher U-Nets and a queue."""

    Config = PCRLConfig
    config: PCRLConfig
    card = MethodCard(
        title="PCRL",
        paper="Zhou et al., ICCV 2021, arXiv:2109.04379",
        licence="none stated (original code): all rights reserved",
        backbone="ResNet-18, as the encoder of a U-Net; in the Adam paper ResNet-50",
        data="ChestX-ray14",
        differences=(
            "written from the released version, which its authors call improved: attention multiplies channels, where "
            "the paper takes an outer product",
            "jitter, grey and blur, in this order, come before rotation and mirroring; released: rotation, mirroring, "
            "grey, blur, jitter",
            "blur and cut-out holes scale with the view's side",
            "batch norm, the decoder's too, in groups of one device's batch, keys shuffled between groups, instead of "
            "one group a GPU",
            "240 epochs; released: one more, at rate 0",
            "only the encoder is handed on",
            ANCHORS,
        ),
        reference=adams_figure("pcrl"),
    )

    z: Tensor

    def __init__(self, config: PCRLConfig) -> None:
        super().__init__()
        self.config = config
        self.student = PCRLNetwork(config)
        self.teacher = make_teacher(self.student)
        self.queue = KeyQueue(config.embedding_dim, config.queue_size)
        self.register_buffer("z", torch.zeros(()))
        self._keys: list[Tensor] = []

    @property
    def encoder(self) -> Encoder:
        """The student's backbone."""
        return self.student.encoder

    @property
    def ready(self) -> bool:
        """Whether the queue holds real keys only, so that a validation loss is meaningful."""
        return self.queue.full

    def recipes(self, stage: Stage) -> tuple[ViewRecipe, ...]:
        """Return two views, always jittered, and the clean crop of each."""
        size = self.config.size_px
        view = replace(moco_recipe(size), jitter_p=1.0, hue=0.4, rotation_deg=10.0)
        return (view, view, *(ViewRecipe(size_px=size, crop_of=of) for of in (0, 1)))

    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        """Return SGD on the student."""
        return {"main": sgd(self.student.parameters(), self.config)}

    def losses(self, views: Views, turn: str = "main") -> dict[str, Tensor]:
        """Compute contrast, the mean of three, and restoration, the mean of four; equally weighted."""
        generator = views.generator
        first, second = (cut_out(image, generator) for image in views.images[:2])
        mixing = draw_mixing(len(first), generator, first.device)
        own, own_mixed = self._student(first), self._student(mixing.of(first))
        other, other_mixed = self._teacher(second, generator), self._teacher(mixing.of(second), generator)
        losses = {"contrast": self._contrast(own, own_mixed, other, other_mixed, mixing)}
        mine, theirs, *targets = self._transformed(own, other, first, second, generator)
        losses |= self._restored("transformed", (mine, theirs), targets, mixing.transformed)
        clean = [mixing.of(image) for image in views.images[2:]]
        return losses | self._restored("mixed", (own_mixed.maps, other_mixed.maps), clean, mixing.mixed)

    def after_step(self) -> None:
        """Update the teacher, then enqueue the keys of the three comparisons in their order."""
        follow(self.teacher, self.student, self.config.teacher_momentum)
        for keys in self._keys:
            self.queue.push(keys)
        self._keys = []

    def _student(self, images: Tensor) -> Features:
        projection, *maps = in_groups(self.student, images, self.config.bn_groups)
        return Features(projection, tuple(maps))

    def _teacher(self, images: Tensor, generator: torch.Generator | None) -> Features:
        projection, *maps = shuffled_in_groups(self.teacher, images, self.config.bn_groups, generator)
        return Features(projection, tuple(maps))

    def _contrast(
        self, own: Features, own_mixed: Features, other: Features, other_mixed: Features, mixing: Mixing
    ) -> Tensor:
        """Compute the mean of: view and view; mixed view and mixed view; mixed view and mixture of keys.

        The keys of each comparison are negatives of the next ones. Held-out images never enter the queue.
        """
        queries = (own.projection, own_mixed.projection, own_mixed.projection)
        keys = [_unit(key) for key in (other.projection, other_mixed.projection, mixing.of(other.projection))]
        if self.training:
            self._keys = keys
        queue, found = self.queue, []
        for query, key in zip(queries, keys, strict=True):
            found.append(self._compared(_unit(query), key, queue.keys))
            queue = _after(queue, key) if self.training else queue
        return torch.stack(found).mean()

    def _compared(self, query: Tensor, key: Tensor, negatives: Tensor) -> Tensor:
        temperature, images = self.config.temperature, self.config.nce_images
        if self.config.contrast == "info-nce":
            return info_nce(query, key, negatives, temperature=temperature).loss
        found = densities(query, key, negatives, temperature)
        first = normaliser(found, images)
        if self.training:  # processes need not have as many batches of held-out images
            first = distributed.from_first(first)
        z = torch.where(self.z > 0, self.z, first)
        if self.training:
            self.z.copy_(z)
        return nce_loss(found, z, images)

    def _transformed(
        self, own: Features, other: Features, first: Tensor, second: Tensor, generator: torch.Generator | None
    ) -> tuple[Any, ...]:
        """Return maps conditioned on their views' transformations, and the transformed *inputs*, cut out, as targets.

        The student's attention tells both, and learns from both.
        """
        moves = [uploaded(draw_moves(len(first), generator), first.device).to(first) for _ in range(2)]
        mine, theirs = (self.student.attended(of.maps, by) for of, by in zip((own, other), moves, strict=True))
        return mine, theirs, moved(first, moves[0]), moved(second, moves[1])

    def _restored(
        self, name: str, maps: tuple[tuple[Tensor, ...], tuple[Tensor, ...]], targets: list[Tensor], alpha: float
    ) -> dict[str, Tensor]:
        """Return a quarter of the errors of decoding the student's maps, and those blended with the teacher's.

        Args:
            name: of the first; the second is called so with "-crossed".
            maps: the student's and the teacher's.
            targets: what the student's view and the teacher's shall become, (B, 3, H, W) each.
            alpha: the student's share in the blend.
        """
        own, target = maps[0], targets[0]
        both = tuple(blended(mine, theirs, alpha) for mine, theirs in zip(*maps, strict=True))
        alone = F.mse_loss(self._decoded(target, own), target)
        crossed = F.mse_loss(self._decoded(target, both), blended(target, targets[1], alpha))
        return {name: alone / 4, f"{name}-crossed": crossed / 4}

    def _decoded(self, like: Tensor, maps: tuple[Tensor, ...]) -> Tensor:
        restored: Tensor = in_groups(self.student.decoder, like, self.config.bn_groups, maps)
        return restored.float()


def _unit(projection: Tensor) -> Tensor:
    return F.normalize(projection, dim=1)


def _after(queue: KeyQueue, keys: Tensor) -> KeyQueue:
    """Return the queue after keys are enqueued; the given one is unchanged, for its loss and the next call."""
    after = copy.deepcopy(queue)
    after.push(keys)
    return after
