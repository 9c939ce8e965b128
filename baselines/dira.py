"""DiRA: discriminative, restorative and adversarial learning in one (Haghighi et al., CVPR 2022, arXiv:2204.10437).

The MoCo flavour. A U-Net restores the clean first crop from its distorted view while its pooled encoder contrasts it
with the second view; a discriminator judges the restored images. Training warms up: contrast of undistorted views alone
("di"), then with restoration ("dir"), then with the adversary ("dira"), each going on from the whole state before it.
Not as in the paper: see ``DiRA.card.differences``; the paper's and the released code's schedules disagree.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from eden_bench.contracts import NORMALISATIONS, MethodCard, Schedule, Stage, ViewRecipe, Views, at_least
from eden_bench.contracts.pretrain_method import PretrainMethod
from eden_bench.encoders import Encoder, build_encoder
from eden_bench.encoders.unet import DECODER_CHANNELS, UNetDecoder
from eden_bench.registry import register_method
from pretrain.engine.optimisation import sgd
from pretrain.parts.batchnorm import in_groups, shuffled_in_groups
from pretrain.parts.contrast import info_nce
from pretrain.parts.discriminator import PatchDiscriminator, discriminator_loss, generator_loss
from pretrain.parts.distortions import draw_blocks, integers, scaled, stop_at_random, swapped, table, taken
from pretrain.parts.moco import ContrastConfig, Embedder
from pretrain.parts.queue import KeyQueue
from pretrain.parts.teacher import follow, make_teacher
from pretrain.published import adams_figure
from pretrain.views.recipes import ANCHORS, moco_recipe
from pretrain.views.uploading import uploaded

CUT_OUT_UP_TO, OUTER_UP_TO, SHUFFLE_UP_TO = 0.3, 0.35, 0.65
"""A uniform number picks one distortion, or none above the last."""
_BLOCKS = 10
_BORDER_PX = 3
"""What no block covers along the edges of a 224-px view."""
_STOP_P = 0.1
_LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True, kw_only=True)
class DiRAConfig(ContrastConfig):
    """DiRA's settings, those of the released MoCo flavour.

    ``normalisation`` is that of the distorted views, after the distortion; "own" is [0, 1], as are all targets.
    """

    normalises_itself = True
    epochs: int = 1200
    """Of the stage "dir", contrast and restoration."""
    di_share: float = 1 / 6
    """Epochs of the stage "di" as a share of ``epochs``; 0 leaves it out, as the released schedule does."""
    dira_share: float = 1 / 3
    """Epochs of the stage "dira" as a share of ``epochs``: 400 of 1200 by the released defaults; 0 leaves it out."""
    contrast_weight: float = 1.0
    restoration_weight: float = 10.0
    adversary_weight: float = 0.001
    discriminator_lr: float = 2e-4
    discriminator_width: int = 64
    decoder_channels: tuple[int, ...] = DECODER_CHANNELS
    target_follows_flip: bool = False
    """Mirror the target where the view is mirrored; the released code does not, so half the targets are mirrored."""

    quick: ClassVar[Mapping[str, Any]] = {
        "epochs": 12,
        "decoder_channels": (64, 32, 16, 16, 8),
        "discriminator_width": 16,
    }
    """Epochs by cost (the middle stage's, beside 2 and 4); decoder and discriminator are thin."""

    def __post_init__(self) -> None:
        """Validate field values. Raises ValueError naming the field, its bounds and the value."""
        super().__post_init__()
        for name in ("di_share", "dira_share", "contrast_weight", "restoration_weight", "adversary_weight"):
            at_least(name, getattr(self, name), 0)
        at_least("discriminator_lr", self.discriminator_lr, 0)
        at_least("discriminator_width", self.discriminator_width, 1)

    @property
    def stages(self) -> tuple[Stage, ...]:
        """Three stages: contrast; with restoration; with the adversary."""
        shares = (("di", self.di_share), ("dir", 1.0), ("dira", self.dira_share))
        return tuple(Stage(name, max(1, round(self.epochs * share))) for name, share in shares if share)


class Restored(NamedTuple):
    """Embedding and restored image of a batch, float32."""

    embedding: Tensor
    """(B, D), unit length."""
    image: Tensor
    """(B, 1, H, W) in (0, 1)."""


class Restorer(nn.Module):
    """A U-Net with one sigmoid output, and a projection head on its pooled encoder."""

    def __init__(self, config: DiRAConfig) -> None:
        super().__init__()
        self.embedder = Embedder(build_encoder(config.arch), config.embedding_dim)
        self.decoder = UNetDecoder(self.embedder.encoder, 1, config.decoder_channels)

    def forward(self, images: Tensor) -> Restored:
        """Embed and restore images (B, 3, H, W) in one pass of the encoder."""
        maps = self.embedder.encoder.maps(images)
        embedding = F.normalize(self.embedder.head(maps[-1].mean(dim=(2, 3))).float(), dim=1)
        return Restored(embedding, self.decoder(images, maps).float().sigmoid())


@register_method("dira")
class DiRA(PretrainMethod):
    """Student and teacher U-Nets, a queue, and a discriminator with its own optimiser."""

    Config = DiRAConfig
    config: DiRAConfig
    card = MethodCard(
        title="DiRA (MoCo)",
        paper="Haghighi et al., CVPR 2022, arXiv:2204.10437",
        licence="ASU GitHub Project License (original code, non-commercial); described as patent-pending",
        backbone="ResNet-50, as the encoder of a U-Net",
        data="ChestX-ray14 train",
        differences=(
            "stages last 200, 1200 and 400 epochs: the last two are the released defaults, the paper says 800 in all; "
            "the length of the contrastive warm-up is unknown and the released schedule has none (di_share=0)",
            "the batch stays at 256 in the adversarial stage, where the released README takes 16",
            "the target is not mirrored with its view, as in the released code (target_follows_flip=True undoes it)",
            "views are in [0, 1], as in the released code, while fine-tuning normalises "
            "(normalisation='imagenet' does so here too)",
            "blocks of the distortions scale with the view's side",
            "validation leaves queue and teacher alone",
            "only the encoder is handed on; the Adam paper's SIIM bar probably includes the decoder",
            ANCHORS,
        ),
        reference=adams_figure("dira"),
    )

    def __init__(self, config: DiRAConfig) -> None:
        super().__init__()
        self.config = config
        self.student = Restorer(config)
        self.teacher = make_teacher(self.student)
        self.queue = KeyQueue(config.embedding_dim, config.queue_size)
        self.discriminator = PatchDiscriminator(config.discriminator_width)
        self._stage = config.stages[0].name
        self._keys: Tensor | None = None
        self._judged: tuple[Tensor, Tensor] | None = None

    @property
    def encoder(self) -> Encoder:
        """The student's backbone."""
        return self.student.embedder.encoder

    @property
    def ready(self) -> bool:
        """Whether the queue holds real keys only, so that a validation loss is meaningful."""
        return self.queue.full

    def recipes(self, stage: Stage) -> tuple[ViewRecipe, ...]:
        """Return query and key in [0, 1], without rotation or grey, and the query's clean crop where it is restored."""
        plain = ViewRecipe(size_px=self.config.size_px, mean=(0, 0, 0), std=(1, 1, 1))
        view = replace(moco_recipe(self.config.size_px), grey_p=0.0, mean=plain.mean, std=plain.std)
        return (view, view) if stage.name == "di" else (view, view, replace(plain, crop_of=0))

    def start_stage(self, stage: Stage) -> None:
        """Freeze the decoder and discriminator in stages without a loss for them."""
        self._stage = stage.name
        self.student.decoder.requires_grad_(stage.name != "di")
        self.discriminator.requires_grad_(stage.name == "dira")

    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        """Return SGD on the student; in the last stage also Adam on the discriminator, whose turn comes second."""
        turns: dict[str, torch.optim.Optimizer] = {"main": sgd(self.student.parameters(), self.config)}
        if self._stage == "dira":
            trained, rate = list(self.discriminator.parameters()), self.config.discriminator_lr
            fused = trained[0].is_cuda  # a CPU keeps the order of its sums
            turns["discriminator"] = torch.optim.Adam(trained, lr=rate, betas=(0.5, 0.999), fused=fused)
        return turns

    def schedule(self, turn: str) -> Schedule:
        """Return half a cosine for the student, a constant rate for the discriminator."""
        if turn == "discriminator":
            return Schedule(shape="constant")
        return Schedule(warmup_epochs=self.config.warmup_epochs)

    def losses(self, views: Views, turn: str = "main") -> dict[str, Tensor]:
        """Compute the stage's losses among contrast, restoration and adversary; or the discriminator's loss."""
        if turn == "discriminator":
            return {"discriminator": self._discriminator_loss()}
        images, key_images = (self._seen(image, views.generator) for image in views.images[:2])
        if self._stage == "di":
            return {"contrast": self._contrast(self._run(self.student.embedder, images), key_images, views)}
        restored: Restored = self._run(self.student, images)
        losses = {"contrast": self._contrast(restored.embedding, key_images, views)}
        target = self._target(views)
        losses["restoration"] = self.config.restoration_weight * F.mse_loss(restored.image, target)
        if self._stage == "dira":
            fooled = generator_loss(self.discriminator(restored.image))
            losses["adversary"] = self.config.adversary_weight * fooled
            self._judged = target, restored.image.detach()
        return losses

    def after_step(self) -> None:
        """Update the teacher, its decoder included, then enqueue the keys."""
        follow(self.teacher, self.student, self.config.teacher_momentum)
        self._judged = None
        if self._keys is not None:
            self.queue.push(self._keys)
            self._keys = None

    def _run(self, network: nn.Module, images: Tensor) -> Any:  # noqa: ANN401 - what the network returns
        return in_groups(network, images, self.config.bn_groups)

    def _contrast(self, queries: Tensor, key_images: Tensor, views: Views) -> Tensor:
        keys = shuffled_in_groups(self.teacher.embedder, key_images, self.config.bn_groups, views.generator)
        if self.training:
            self._keys = keys
        loss = info_nce(queries, keys, self.queue.keys, temperature=self.config.temperature).loss
        return self.config.contrast_weight * loss

    def _discriminator_loss(self) -> Tensor:
        """Return the loss on the images that the student restored in this step, before its own step."""
        if self._judged is None:
            raise RuntimeError("dira: the discriminator's turn comes after the student's, which was not taken")
        target, restored = self._judged
        return discriminator_loss(self.discriminator(target), self.discriminator(restored))

    def _target(self, views: Views) -> Tensor:
        """Return the clean crop of the first view, grey, (B, 1, H, W) in [0, 1]."""
        clean = (views.images[2] * views.images[2].new_tensor(_LUMA)[:, None, None]).sum(1, keepdim=True)
        if not self.config.target_follows_flip:
            return clean
        return torch.where(views.views[0].flipped[:, None, None, None], clean.flip(3), clean)

    def _seen(self, images: Tensor, generator: torch.Generator | None) -> Tensor:
        """Return the networks' input from views in [0, 1]; views are distorted only in stages that restore."""
        if self._stage != "di":
            images = distorted(images, generator)
        if self.config.normalisation == "own":
            return images
        mean, std = (images.new_tensor(values)[:, None, None] for values in NORMALISATIONS[self.config.normalisation])
        return (images - mean) / std


def distorted(images: Tensor, generator: torch.Generator | None) -> Tensor:
    """Cut blocks out of 30 % of the images, everything but blocks of 5 %, swap small blocks of 30 %; leave 35 %.

    Args:
        images: (B, 3, S, S) in [0, 1].
        generator: what is drawn from.
    """
    size, count, border = images.shape[3], len(images), scaled(_BORDER_PX, images.shape[3])
    which = table(count, 1, generator)
    cut_out = which <= CUT_OUT_UP_TO
    outer = ~cut_out & (which <= OUTER_UP_TO)
    shuffled = ~cut_out & ~outer & (which <= SHUFFLE_UP_TO)
    numbers = table(count, _BLOCKS * 6, generator).reshape(count, _BLOCKS, 6)
    present = stop_at_random(numbers[..., 4], _STOP_P)
    holes = draw_blocks(numbers, (scaled(10, size), scaled(70, size)), size, border).where(present & cut_out)
    kept = draw_blocks(numbers, (size - scaled(70, size), size - scaled(50, size)), size, border)
    kept = kept.where(present & outer)
    is_outer = uploaded(torch.from_numpy(outer), images.device)[:, :, None, None]
    black = holes.mask(size, images.device) | (is_outer & ~kept.mask(size, images.device))
    return _shuffled(images.masked_fill(black, 0.0), np.flatnonzero(shuffled), generator)


def _shuffled(images: Tensor, rows: np.ndarray, generator: torch.Generator | None) -> Tensor:
    """Swap ten pairs of blocks of 10 to 15 px in the images of some rows."""
    size, border = images.shape[3], scaled(_BORDER_PX, images.shape[3])
    numbers = table(len(images), _BLOCKS * 6, generator).reshape(len(images), _BLOCKS, 6)[rows]
    first = draw_blocks(numbers, (scaled(10, size), scaled(15, size)), size, border)
    top, left = (
        integers(numbers[..., 4 + i], border, size - border - side)
        for i, side in enumerate((first.height, first.width))
    )
    chosen = uploaded(torch.from_numpy(rows), images.device)
    moved = taken(images[chosen], swapped(first, first._replace(top=top, left=left), size))
    return images.index_copy(0, chosen, moved)
