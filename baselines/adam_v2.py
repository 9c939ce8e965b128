"""Adam-v2: localisability, then composability and decomposability (Hosseinzadeh Taher et al., CVPR 2024).

Mode L distils a teacher's view of an anatomical window into the student's crops of it (DINO's loss, Caron et al., ICCV
2021, arXiv:2104.14294). Mode LCD goes on from there: the whole window teaches its centred crops, the student's four
parts together compose the teacher's whole, and the student's whole decomposes into the teacher's parts. Windows halve
from granularity to granularity; schedules and optimiser run on between them and restart between the modes.

Written from the released code's formulas and constants (`docs/decisions/010-adam-v2-from-its-released-code.md`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from baselines._adam_v2 import terms
from baselines._adam_v2.networks import Branch, LocalisabilityHead, part_head
from baselines._adam_v2.training import ClippedAdamW, cosine, grouped, warmed_up
from baselines._adam_v2.views import PARTS, multi_crop, whole_crops_and_parts
from eden_bench.contracts import (
    MethodCard,
    PretrainConfig,
    PretrainData,
    Schedule,
    Stage,
    ViewRecipe,
    Views,
    at_least,
    in_range,
)
from eden_bench.contracts.checks import one_of
from eden_bench.contracts.pretrain_method import PretrainMethod
from eden_bench.encoders import Encoder, build_encoder
from eden_bench.registry import register_method
from pretrain.engine import distributed
from pretrain.parts.teacher import follow, make_teacher
from pretrain.views.recipes import ANCHORS

_LOCAL, _PARTS = "l", "lcd"
_LOCAL_STARTS = ((0, 1, 1), (200 / 500, 2, 2), (400 / 500, 4, 4))
"""Share of mode L's epochs from which a window is the whole, a half and a quarter of the side: 200, 200 and 100."""
_PART_STARTS = ((0, 1, 1), (10 / 265, 2, 2), (100 / 265, 4, 4))
"""Likewise of mode LCD: 10, 90 and 165 epochs."""
_PER_LOCAL_EPOCH = 265 / 500
_MARGIN = 50 / 1024
"""Of mode LCD's windows: 50 px of a ChestX-ray14 film."""
_BATCH = 256
"""Batch that the base learning rate is of."""
_HELD_EPOCHS = 1


@dataclass(frozen=True, kw_only=True)
class AdamV2Config(PretrainConfig):
    """Adam-v2's settings; defaults are the released code's for a ResNet-50 on ChestX-ray14."""

    epochs: int = 500
    """Of mode L; mode LCD has 265 for 500 of them."""
    batch_size: int = 512
    lr: float = 5e-4
    """For a batch of 256; grows with the batch."""
    lowest_lr: float = 1e-6
    """At the end of each mode; of no batch size."""
    weight_decay: float = 0.04
    highest_weight_decay: float = 0.4
    """At the end of each mode; the way there is a cosine."""
    warmup_epochs: int = 10
    """Of each mode."""
    teacher_momentum: float = 0.996
    """At the start of each mode; nears 1 by a cosine."""
    student_temperature: float = 0.1
    teacher_temperature: float = 0.04
    centre_momentum: float = 0.9
    directions: int = 65_536
    """K, outputs of the localisability head."""
    hidden_dim: int = 2048
    bottleneck_dim: int = 256
    local_px: int = 96
    """Side of local crops; global ones have ``size_px``."""
    clip: float = 3.0
    """Norm that each parameter tensor's gradient is clipped to by itself."""
    modes: Literal["l+lcd", "l"] = "l+lcd"
    """"l": localisability alone, the ablation."""
    part_loss: terms.Reduction = "mean"
    """Of squared differences over features; by "mean", the released code's, the part terms are some 10,000 times
    smaller than localisability."""
    decompose_norm: Literal["joint", "each"] = "joint"
    """Whether what is decomposed is normalised over all parts together (released code) or part by part."""
    select: Literal["best", "last"] = "last"
    quick: ClassVar[Mapping[str, Any]] = MappingProxyType(
        {"warmup_epochs": 1, "directions": 1024, "hidden_dim": 256, "bottleneck_dim": 64, "local_px": 32, "lr": 2e-3}
    )
    """Heads that fit a narrow encoder, local crops of half the 64-px side, a rate for batches of 32."""

    def __post_init__(self) -> None:
        """Validate field values. Raises ValueError naming the field, its bounds and the value."""
        super().__post_init__()
        for name in ("directions", "hidden_dim", "bottleneck_dim"):
            at_least(name, getattr(self, name), 1)
        at_least("local_px", self.local_px, 8)
        for name in ("lowest_lr", "highest_weight_decay", "clip"):
            at_least(name, getattr(self, name), 0)
        for name in ("teacher_momentum", "centre_momentum"):
            in_range(name, getattr(self, name), 0, 1)
        for name in ("student_temperature", "teacher_temperature"):
            in_range(name, getattr(self, name), 1e-3, 10)
        one_of("modes", self.modes, ("l+lcd", "l"))
        one_of("part_loss", self.part_loss, ("mean", "sum"))
        one_of("decompose_norm", self.decompose_norm, ("joint", "each"))

    @property
    def stages(self) -> tuple[Stage, ...]:
        """Mode L and mode LCD, each through windows of falling size."""
        local = _stage(_LOCAL, self.epochs, _LOCAL_STARTS, 0.0)
        parts = _stage(_PARTS, max(1, round(self.epochs * _PER_LOCAL_EPOCH)), _PART_STARTS, _MARGIN)
        return (local, parts) if self.modes == "l+lcd" else (local,)


def _stage(name: str, epochs: int, starts: tuple[tuple[float, int, int], ...], margin: float) -> Stage:
    finer = tuple((max(1, round(share * epochs)), rows, columns) for share, rows, columns in starts[1:])
    return Stage(name, epochs, finer=finer, margin=margin)


@register_method("adam-v2")
class AdamV2(PretrainMethod):
    """Student, teacher, centre, and the two heads that join wholes and parts."""

    Config = AdamV2Config
    config: AdamV2Config
    centre: Tensor
    """(1, K): what the teacher's outputs are centred by."""
    taken: Tensor
    """(2,) int64: steps taken in each mode."""
    card = MethodCard(
        title="Adam-v2",
        paper="Hosseinzadeh Taher et al., CVPR 2024",
        licence="ASU GitHub Project License (original code and weights): non-commercial, patents pending",
        backbone="ResNet-50 (released code) or ConvNeXt-B (released weights)",
        data="ChestX-ray14 train (75,312 images); the released weights 13 public sets of chest X-rays",
        differences=(
            "batch norm runs over one device's batch; released code over the 512 images of all devices",
            "crops are resized bilinearly with antialiasing, released code bicubically; views are turned after they "
            "are blurred, there before",
            "windows lie anywhere evenly, there at whole pixels; bfloat16 in place of float16 with a scaled loss",
            "the teacher sees the whole window once a step, there twice with the same result",
            "a validation loss is told; nothing is selected by it unless select = 'best'",
            ANCHORS,
        ),
    )

    def __init__(self, config: AdamV2Config) -> None:
        super().__init__()
        self.config = config
        encoder = build_encoder(config.arch)
        width = encoder.out_channels
        self.student = Branch(
            encoder, LocalisabilityHead(width, config.hidden_dim, config.bottleneck_dim, config.directions)
        )
        self.teacher = make_teacher(self.student)
        self.compose = part_head(width, PARTS, composes=True)
        self.decompose = part_head(width, PARTS, composes=False)
        self.register_buffer("centre", torch.zeros(1, config.directions))
        self.register_buffer("taken", torch.zeros(2, dtype=torch.int64))
        self._with_parts = False
        self._steps = self._epochs = 1
        self._step = 0
        self._optimiser: ClippedAdamW | None = None
        self._seen: Tensor | None = None
        self.register_load_state_dict_post_hook(lambda *_: self._count())  # type: ignore[no-untyped-call]

    @property
    def encoder(self) -> Encoder:
        """The teacher's backbone, which is what the authors hand on."""
        return self.teacher.encoder

    def recipes(self, stage: Stage) -> tuple[ViewRecipe, ...]:
        """Return ten crops of a window, or its whole, nine centred crops and four parts."""
        made = multi_crop if stage.name == _LOCAL else whole_crops_and_parts
        return made(self.config.size_px, self.config.local_px)

    def start_stage(self, stage: Stage) -> None:
        """Set the mode; the heads of parts are trained in mode LCD alone."""
        self._with_parts, self._epochs = stage.name == _PARTS, stage.epochs
        self._count()
        for head in (self.compose, self.decompose):
            head.requires_grad_(self._with_parts)

    def stage_data(self, stage: Stage, data: PretrainData, seed: int) -> PretrainData:
        """Count the steps of an epoch, which schedules go by; the images stay."""
        self._steps = max(1, len(data.train) // self.config.batch_size)
        return data

    def schedule(self, turn: str) -> Schedule:
        """Return no change: rate and decay are set step by step here."""
        return Schedule(shape="constant")

    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        """Return AdamW on the student and, in mode LCD, the heads of parts."""
        groups = grouped([self.student, self.compose, self.decompose])
        self._optimiser = ClippedAdamW(groups, self.config.lr, self.config.clip)
        return {"main": self._optimiser}

    def losses(self, views: Views, turn: str = "main") -> dict[str, Tensor]:
        """Return localisability and, in mode LCD, composability and decomposability; sets the step's rates."""
        if self.training:
            self._set_rates()
        images = list(views.images)
        return self._of_parts(images) if self._with_parts else {"localisability": self._local(images, images[:2])}

    def after_step(self) -> None:
        """Update the teacher, the centre and the count of steps."""
        step, steps = self._now
        follow(self.teacher, self.student, cosine(step, steps, self.config.teacher_momentum, 1.0))
        if self._seen is not None:
            self.centre.lerp_(self._seen, 1 - self.config.centre_momentum)
            self._seen = None
        self._step += 1
        self.taken[int(self._with_parts)] += 1

    def _count(self) -> None:
        """Read the steps that were taken in this mode; once, since a device is waited for."""
        self._step = int(self.taken[int(self._with_parts)])

    @property
    def _now(self) -> tuple[int, int]:
        """Steps taken in this mode, and all of it."""
        return self._step, self._epochs * self._steps

    def _set_rates(self) -> None:
        if self._optimiser is None:
            return
        config, (step, steps) = self.config, self._now
        lr = warmed_up(
            step,
            steps,
            min(config.warmup_epochs * self._steps, steps),
            config.lr * config.batch_size / _BATCH,
            config.lowest_lr,
        )
        self._optimiser.set(lr, cosine(step, steps, config.weight_decay, config.highest_weight_decay))
        self._optimiser.held = self.student.head.directions if step < _HELD_EPOCHS * self._steps else None

    def _local(self, seen: list[Tensor], shown: list[Tensor]) -> Tensor:
        """Return localisability of the student's views against the teacher's; mode L skips a view against itself."""
        with torch.no_grad():
            targets = self.teacher.views(shown)
        self._see(targets)
        return terms.localisability(
            self.student.views(seen),
            targets,
            self.centre,
            student_temperature=self.config.student_temperature,
            teacher_temperature=self.config.teacher_temperature,
            skip_same=not self._with_parts,
        )

    def _of_parts(self, images: list[Tensor]) -> dict[str, Tensor]:
        whole, crops, parts = images[0], images[1:-PARTS], images[-PARTS:]
        config, student, teacher = self.config, self.student, self.teacher
        with torch.no_grad():
            whole_seen = teacher.features(whole)
            targets = [teacher.head(whole_seen)]
            parts_seen = [teacher.features(part) for part in parts]
        self._see(targets)
        local = terms.localisability(
            student.views(crops),
            targets,
            self.centre,
            student_temperature=config.student_temperature,
            teacher_temperature=config.teacher_temperature,
            skip_same=False,
        )
        composed = self.compose(torch.cat([student.features(part) for part in parts], dim=1))
        decomposed = self.decompose(student.features(whole))
        return {
            "localisability": local,
            "composability": terms.composability(composed, whole_seen, config.part_loss),
            "decomposability": terms.decomposability(decomposed, parts_seen, config.decompose_norm, config.part_loss),
        }

    @torch.no_grad()
    def _see(self, outputs: list[Tensor]) -> None:
        """Keep the mean of the teacher's outputs over all processes, by which the centre moves after the step."""
        if self.training:
            mean = torch.cat(outputs).float().mean(0, keepdim=True)
            self._seen = distributed.summed(mean) / distributed.size()
