"""TransVW: classify visual words and restore them from spoilt patches (Haghighi et al., TMI 2021, arXiv:2102.10680).

First an auto-encoder learns whole images; then words are found with it, the same coordinate in images that look alike,
and a U-Net learns from their crops which word it sees and what the patch was before it was spoilt.
Not as in the paper: two dimensions, whose settings were never released; see ``TransVW.card.differences``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from baselines._transvw.autoencoder import AutoEncoder
from baselines._transvw.network import WordNetwork
from baselines._transvw.perturbations import perturbed
from baselines._transvw.words import (
    IMAGE_PX,
    RESOLUTIONS,
    CropLaw,
    Instances,
    WordPyramid,
    Words,
    discover,
    instances_of,
)
from eden_bench.contracts import MethodCard, PretrainConfig, PretrainData, Schedule, Stage, ViewRecipe, Views, at_least
from eden_bench.contracts.pretrain_method import PretrainMethod
from eden_bench.encoders import Encoder
from eden_bench.encoders.unet import DECODER_CHANNELS
from eden_bench.errors import UsageError
from eden_bench.registry import register_method
from pretrain.published import adams_figure
from pretrain.views.recipes import ANCHORS
from pretrain.views.stream import ViewStream
from pretrain.views.windows import cut

AUTOENCODER, WORDS = "autoencoder", "words"
_LENGTHS = ("offset_px", "border_px", "spacing_px")


@dataclass(frozen=True, kw_only=True)
class TransVWConfig(PretrainConfig):
    """TransVW's settings; what is known is of the released 3-D version, the rest is chosen and said so.

    ``momentum`` means nothing here: Adam has its own, torch's defaults.
    """

    keeps = ("normalisation",)
    batch_size: int = 64
    lr: float = 1e-3
    weight_decay: float = 0.0
    classification_weight: float = 0.01
    restoration_weight: float = 1.0
    fall_every_epochs: int = 40
    """The learning rate halves so often: 0.8 of the released patience of 50."""
    words: int = 44
    """Pseudo-classes C of the released run."""
    nearest: int = 200
    """Training images that show a word."""
    validation_nearest: int = 30
    decoder_channels: tuple[int, ...] = DECODER_CHANNELS
    autoencoder_share: float = 0.25
    """Epochs of the auto-encoder as a share of ``epochs``. Chosen; the released one stops by itself."""
    autoencoder_px: int = 256
    """Chosen."""
    autoencoder_width: int = 32
    """Chosen so that the bottleneck has the released 512 channels."""
    patch_px: int = 128
    """Side of a word's first crop in a 1024-px image. As in what follows, the released share: 64 px of 512."""
    other_sides_px: tuple[int, int] = (100, 158)
    """Sides of the other two: 50 to 79 px of 512."""
    offset_px: int = 20
    border_px: int = 200
    spacing_px: int = 10
    least_level: float = 0.1
    """A reference crop's mean grey level in [0, 1], below which it is taken for air."""

    quick: ClassVar[Mapping[str, Any]] = {
        "epochs": 16,
        "fall_every_epochs": 4,
        "words": 10,
        "nearest": 10,
        "validation_nearest": 5,
        "decoder_channels": (64, 32, 16, 16, 8),
        "autoencoder_px": 64,
        "autoencoder_width": 8,
    }
    """Epochs by cost; words, and how often the rate halves, fit the phantom and the epochs; thin networks."""

    def __post_init__(self) -> None:
        """Validate field values. Raises ValueError naming the field, its bounds and the value."""
        super().__post_init__()
        for name in ("words", "nearest", "validation_nearest", "fall_every_epochs", "autoencoder_width", "patch_px"):
            at_least(name, getattr(self, name), 1)
        for name in ("classification_weight", "restoration_weight", "autoencoder_share", *_LENGTHS):
            at_least(name, getattr(self, name), 0)
        at_least("autoencoder_px", self.autoencoder_px, 32)
        if not 1 <= self.other_sides_px[0] <= self.other_sides_px[1] or self.crops.margin_px > IMAGE_PX / 2:
            raise ValueError(
                f"a word's crops (patch_px, other_sides_px, offset_px, border_px) must fit a {IMAGE_PX}-px image with "
                f"a margin of at most {IMAGE_PX // 2} px, and sides rise: {self.crops} has {self.crops.margin_px} px"
            )
        if self.normalisation not in ("own", "none"):
            raise ValueError(
                f"normalisation must be 'own' or 'none', for restoring in [0, 1], not {self.normalisation!r}"
            )

    @property
    def stages(self) -> tuple[Stage, ...]:
        """Two stages: the auto-encoder, then the words."""
        first = max(1, round(self.epochs * self.autoencoder_share))
        return Stage(AUTOENCODER, first), Stage(WORDS, self.epochs)

    def images_of(self, stage: Stage, train: int) -> int:
        """Return the number of images in an epoch of a stage; fewer words are found if places run out."""
        return train if stage.name == AUTOENCODER else self.words * min(self.nearest, train) * RESOLUTIONS

    @property
    def crops(self) -> CropLaw:
        """Sizes and offsets of the words' crops."""
        return CropLaw(
            side_px=self.patch_px,
            other_sides_px=self.other_sides_px,
            offset_px=self.offset_px,
            border_px=self.border_px,
        )


@register_method("transvw")
class TransVW(PretrainMethod):
    """An auto-encoder, the words found with it, and the network that learns them."""

    Config = TransVWConfig
    config: TransVWConfig
    card = MethodCard(
        title="TransVW (2-D)",
        paper="Haghighi et al., TMI 2021, arXiv:2102.10680",
        licence="ASU GitHub Project License (original code and weights, non-commercial); described as patent-pending",
        backbone="3-D U-Net; in the Adam paper ResNet-50, as the encoder of a 2-D U-Net",
        data="chest CT (LUNA16); in the Adam paper ChestX-ray14 train",
        differences=(
            "two dimensions: only the 3-D version was released, for slices of 512 px of which a crop has 64; crops, "
            "offsets, spacing and border are the same shares of the image, and the auto-encoder is chosen",
            "a fixed number of epochs for both stages, where the released runs stop after 50 without progress",
            "a word is shown by the nearest images, not by one image of each of the nearest patients",
            "the search for coordinates tries others where one is too close or shows air (mean level below 0.1); the "
            "released one gives up",
            "batch norm uses running statistics in validation",
            "only the encoder is handed on",
            "a word's crop of 128 of 1024 px is enlarged to a view of 224 px",
            ANCHORS,
        ),
        reference=adams_figure("transvw"),
    )

    centres: Tensor
    shown_in_train: Tensor
    shown_in_validation: Tensor
    found: Tensor

    def __init__(self, config: TransVWConfig) -> None:
        super().__init__()
        self.config = config
        self.network = WordNetwork(config.arch, config.words, config.decoder_channels)
        self.autoencoder = AutoEncoder(config.autoencoder_width)
        self.register_buffer("found", torch.tensor(-1))
        self.register_buffer("centres", torch.zeros(config.words, 2, dtype=torch.float64))
        self.register_buffer("shown_in_train", torch.full((config.words, config.nearest), -1))
        self.register_buffer("shown_in_validation", torch.full((config.words, config.validation_nearest), -1))
        self._stage = AUTOENCODER
        self._word_of: Tensor | None = None

    @property
    def encoder(self) -> Encoder:
        """The U-Net's backbone."""
        return self.network.encoder

    def recipes(self, stage: Stage) -> tuple[ViewRecipe, ...]:
        """Return one plain view in [0, 1]: of a whole image, or of a word's crop."""
        size = self.config.autoencoder_px if stage.name == AUTOENCODER else self.config.size_px
        return (ViewRecipe(size_px=size, mean=(0, 0, 0), std=(1, 1, 1)),)

    def start_stage(self, stage: Stage) -> None:
        """Freeze all but the auto-encoder, or all but the network."""
        self._stage = stage.name
        self.autoencoder.requires_grad_(stage.name == AUTOENCODER)
        self.network.requires_grad_(stage.name == WORDS)

    def stage_data(self, stage: Stage, data: PretrainData, seed: int) -> PretrainData:
        """Return whole images, or the crops of the words, which are found the first time and kept in the state."""
        if stage.name == AUTOENCODER:
            return data
        if self.found < 0:
            self._keep(self._discover(data, seed))
        train, held_out = instances_of(self._words(), data.train, data.validation, self.config.crops, seed)
        both = Instances(*(np.concatenate(parts) for parts in zip(train, held_out, strict=True)))
        self._word_of = torch.from_numpy(both.word).to(self.found.device)
        numbers = np.arange(len(both.word))
        return replace(
            data,
            pyramid=WordPyramid(data.pyramid, both, self.config.size_px),
            train=numbers[: len(train.word)],
            validation=numbers[len(train.word) :],
            labels=None,
        )

    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        """Return Adam on what the stage trains."""
        trained, config = [p for p in self.parameters() if p.requires_grad], self.config
        fused = trained[0].is_cuda  # a CPU keeps the order of its sums
        return {"main": torch.optim.Adam(trained, lr=config.lr, weight_decay=config.weight_decay, fused=fused)}

    def schedule(self, turn: str) -> Schedule:
        """Return a constant rate for the auto-encoder, one that halves for the words."""
        warmup, every = self.config.warmup_epochs, self.config.fall_every_epochs
        if self._stage == AUTOENCODER:
            return Schedule(shape="constant", warmup_epochs=warmup)
        return Schedule(shape="falls", warmup_epochs=warmup, fall_every_epochs=every, fall_to=0.5)

    def losses(self, views: Views, turn: str = "main") -> dict[str, Tensor]:
        """Compute the auto-encoder's error; or the word's cross-entropy and the error against the undistorted patch."""
        (patches,) = views.images
        if self._stage == AUTOENCODER:
            return {"autoencoder": F.mse_loss(self.autoencoder(patches).float(), patches)}
        logits, restored = self.network(perturbed(patches, views.generator))
        return {
            "classification": self.config.classification_weight * F.cross_entropy(logits, self._labels(views)),
            "restoration": self.config.restoration_weight * F.mse_loss(restored, patches),
        }

    def _labels(self, views: Views) -> Tensor:
        """Return the word of each crop, (B,) int64."""
        if self._word_of is None:
            raise RuntimeError("transvw: the words' stage needs stage_data first")
        return self._word_of[views.samples]

    def _discover(self, data: PretrainData, seed: int) -> Words:
        config = self.config
        words = discover(
            self._latents(data, data.train, seed),
            self._latents(data, data.validation, seed),
            words=config.words,
            nearest=(config.nearest, config.validation_nearest),
            spacing_px=config.spacing_px,
            margin_px=config.crops.margin_px,
            is_tissue=lambda reference, centre: self._level(data, data.train[reference], centre) >= config.least_level,
            seed=seed,
        )
        if len(words.centres) < 2:
            raise UsageError(
                f"transvw: found {len(words.centres)} words, expected at least 2: add images, or lower spacing_px or "
                "least_level"
            )
        return words

    @torch.no_grad()
    def _latents(self, data: PretrainData, order: np.ndarray, seed: int) -> np.ndarray:
        """Embed whole images by the auto-encoder, (n, D) float32, in their order."""
        stage, device = self.config.stages[0], self.found.device
        stream = ViewStream(
            data.pyramid, self.recipes(stage), stage, seed=seed, batch_size=self.config.batch_size, device=device
        )
        self.autoencoder.eval()
        latents = [self.autoencoder.latents(views.images[0]).cpu() for views in stream.epoch(0, order)]
        self.autoencoder.train(self.training)
        return np.asarray(torch.cat(latents).numpy())

    def _level(self, data: PretrainData, image: int, centre: np.ndarray) -> float:
        """Return the mean grey level in [0, 1] of a word's first crop of an image."""
        one = np.array([self.config.patch_px]), np.array([0])
        crop = WordPyramid(data.pyramid, Instances(np.array([image]), centre[None], *one), 64).anchor(0, 0, 0, 1, 1)
        return float(cut(crop, (0, 0, 64, 64), 64).pixels.mean()) / 255

    def _keep(self, words: Words) -> None:
        count = len(words.centres)
        self.found.fill_(count)
        kept = (self.centres, self.shown_in_train, self.shown_in_validation)
        for buffer, values in zip(kept, words, strict=True):
            buffer[:count] = torch.from_numpy(values).to(buffer.device)

    def _words(self) -> Words:
        kept = (self.centres, self.shown_in_train, self.shown_in_validation)
        return Words(*(buffer[: int(self.found)].cpu().numpy() for buffer in kept))
