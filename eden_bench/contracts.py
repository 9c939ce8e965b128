"""The contracts: what a method, a dataset and a task are, and what passes between them.

Nothing here imports torch, so listing names stays fast. Everything an author needs is importable from
``eden_bench``; ``CONTRIBUTING.md`` shows a method and a task in three steps each.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Protocol, TypeVar

from eden_bench.digests import digest
from eden_bench.errors import UsageError, nearest

if TYPE_CHECKING:
    import numpy as np
    import torch

    from eden_bench.encoders import Encoder

C = TypeVar("C")

Progress = Callable[[str, int, int], None]
"""Called with (what is being done, done so far, total); must be cheap."""


def no_progress(what: str, done: int, total: int) -> None:
    """Ignore progress."""


def in_range(name: str, value: float, low: float, high: float) -> None:
    """Raise ValueError "name must be in [low, high], not value" where it is not."""
    if not low <= value <= high:
        raise ValueError(f"{name} must be in [{low:g}, {high:g}], not {value!r}")


def at_least(name: str, value: float, low: float) -> None:
    """Raise ValueError "name must be at least low, not value" where it is not (NaN included)."""
    if not value >= low:
        raise ValueError(f"{name} must be at least {low:g}, not {value!r}")


def with_overrides(config: C, overrides: Mapping[str, object], where: str) -> C:
    """Return config with some fields replaced.

    Raises:
        UsageError: a key is not a field of config, or its value is refused (inf and nan always are); names the
            nearest field.
    """
    names = [f.name for f in fields(config)]  # type: ignore[arg-type]
    for name, value in overrides.items():
        if name not in names:
            raise UsageError(f"{where}: unknown option {name!r}.{nearest(name, names)} Known: {', '.join(names)}.")
        if not _is_finite(value):
            raise UsageError(f"{where}: {name} must be finite, not {value!r}")
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in overrides.items()}
    try:
        return replace(config, **values)  # type: ignore[type-var]
    except (ValueError, TypeError) as error:
        raise UsageError(f"{where}: {error}") from error


def _is_finite(value: object) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_is_finite, value))
    return not isinstance(value, float) or math.isfinite(value)


NORMALISATIONS: Mapping[str, tuple[tuple[float, float, float], tuple[float, float, float]]] = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "chest-x-ray": ((0.5056,) * 3, (0.252,) * 3),
    "none": ((0.0,) * 3, (1.0,) * 3),
}
"""Name to mean and s.d. of each channel of an image in [0, 1]."""


# ── views ────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, kw_only=True)
class ViewRecipe:
    """How one augmented view is made from an anchor. The defaults change nothing but the size.

    Order, as in torchvision pipelines: random resized crop, colour jitter, grey, blur, solarise,
    rotation, flip, normalisation. Draws are per sample.
    """

    size_px: int = 224
    crop_scale: tuple[float, float] = (1.0, 1.0)
    """Share of the anchor's area that a crop covers (low, high)."""
    crop_ratio: tuple[float, float] = (3 / 4, 4 / 3)
    """Width / height of a crop (low, high), drawn log-uniformly."""
    jitter_p: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    grey_p: float = 0.0
    blur_p: float = 0.0
    blur_sigma_px: tuple[float, float] = (0.1, 2.0)
    solarise_p: float = 0.0
    solarise_threshold: int = 128
    rotation_deg: float = 0.0
    """Rotation about the centre, uniform in ± this; what comes from outside the crop is black."""
    flip_p: float = 0.0
    crop_of: int | None = None
    """Number of the earlier view whose crop is taken, and nothing else of its draws: what a method restores."""
    mean: tuple[float, float, float] = NORMALISATIONS["imagenet"][0]
    std: tuple[float, float, float] = NORMALISATIONS["imagenet"][1]

    def __post_init__(self) -> None:
        """Refuse values no pipeline can mean."""
        at_least("size_px", self.size_px, 8)
        for name in ("jitter_p", "grey_p", "blur_p", "solarise_p", "flip_p"):
            in_range(name, getattr(self, name), 0, 1)
        for name in ("brightness", "contrast", "saturation"):
            in_range(name, getattr(self, name), 0, 1)
        in_range("hue", self.hue, 0, 0.5)
        in_range("rotation_deg", self.rotation_deg, 0, 180)
        at_least("crop_of", self.crop_of or 0, 0)
        if not 0 < self.crop_scale[0] <= self.crop_scale[1] <= 1:
            raise ValueError(f"crop_scale must rise within (0, 1], not {self.crop_scale}")

    def weakened(self, strength: float) -> ViewRecipe:
        """Return the recipe with its crops and colours at a strength in [0, 1]; 1 is as it stands, 0 leaves both out.

        The least share of a crop nears the greatest, and jitter, greying and solarising get rarer or weaker, all in
        proportion. Blur, rotation and flip stay.
        """
        low, high = self.crop_scale
        shares = ("brightness", "contrast", "saturation", "hue", "grey_p", "solarise_p")
        weaker = {name: strength * getattr(self, name) for name in shares}
        return replace(self, crop_scale=(strength * low + (1 - strength) * high, high), **weaker)

    def normalised(self, name: str) -> ViewRecipe:
        """Return the recipe with a normalisation of ``NORMALISATIONS``; "own" is as it stands."""
        if name == "own":
            return self
        mean, std = NORMALISATIONS[name]
        return replace(self, mean=mean, std=std)


@dataclass(frozen=True)
class View:
    """One augmented view of a batch of anchors."""

    image: torch.Tensor
    """(B, 3, H, W), normalised."""
    to_anchor: torch.Tensor
    """(B, 2, 3) float32: maps (x, y, 1) in view pixels to (x, y) in anchor pixels, centres at +0.5.

    It carries crop, rotation and flip, so location matching needs nothing else.
    """
    flipped: torch.Tensor
    """(B,) bool: the view is mirrored left to right."""


@dataclass(frozen=True)
class Views:
    """What a method's loss sees: the views of a batch, who they are, and labels where a method uses them."""

    views: tuple[View, ...]
    samples: torch.Tensor
    """(B,) int64: dataset index of each anchor."""
    labels: torch.Tensor | None = None
    """(B, L) float32 in {0, 1}, or None where the pretraining data carry none."""
    generator: torch.Generator | None = None
    """Randomness of this step for masks and mixing; never the global generator."""

    @property
    def images(self) -> tuple[torch.Tensor, ...]:
        """The images of the views, each (B, 3, H, W)."""
        return tuple(view.image for view in self.views)


# ── methods ──────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, kw_only=True)
class MethodCard:
    """What a reader must know of a method before believing its row in a table."""

    title: str
    paper: str
    """First author, venue, arXiv id or DOI."""
    licence: str
    """Licence of the original code and weights (ours is written from the formulas)."""
    backbone: str
    data: str
    """What the paper pretrained on."""
    differences: tuple[str, ...] = ()
    """Where this implementation is not as in the paper."""
    reference: Mapping[str, str] = field(default_factory=dict)
    """Numbers of the paper, task to "value ± spread", each saying how it was read and what the spread is."""


class Stage(NamedTuple):
    """One stage of pretraining: optimiser and schedule restart, weights, queue and teacher go on."""

    name: str
    epochs: int
    level: int = 0
    """Granularity n of the anatomy decomposer (paper 2, Anatomy Decomposer); 0 is the whole image."""
    rows: int = 1
    columns: int = 1
    """Each anchor is one cell, drawn uniformly, of a rows × columns grid over the image."""


@dataclass(frozen=True, kw_only=True)
class PretrainConfig:
    """Fields that every pretrained method shares; defaults are the paper's common setup (F.1)."""

    arch: str = "resnet50"
    size_px: int = 224
    epochs: int = 200
    """Epochs per stage."""
    batch_size: int = 256
    lr: float = 0.03
    momentum: float = 0.9
    weight_decay: float = 1e-4
    view_strength: float = 1.0
    """How strong the crops and colours of all views are beside the method's own; see ``ViewRecipe.weakened``."""
    normalisation: Literal["own", "imagenet", "chest-x-ray", "none"] = "own"
    """Mean and s.d. that views are normalised with: the method's own, or one of ``NORMALISATIONS``."""
    warmup_epochs: int = 0
    select: Literal["best", "last"] = "best"
    """The encoder handed on: lowest validation loss of the last stage, or its last epoch."""
    keeps: ClassVar[tuple[str, ...]] = ()
    """Fields that a protocol's ``fair`` table leaves alone, since the method means nothing with another value."""

    def __post_init__(self) -> None:
        """Refuse values no run can mean."""
        at_least("size_px", self.size_px, 8)
        at_least("epochs", self.epochs, 1)
        at_least("batch_size", self.batch_size, 2)
        at_least("lr", self.lr, 0)
        in_range("momentum", self.momentum, 0, 1)
        at_least("weight_decay", self.weight_decay, 0)
        in_range("view_strength", self.view_strength, 0, 1)
        at_least("warmup_epochs", self.warmup_epochs, 0)
        if self.select not in ("best", "last"):
            raise ValueError(f"select must be 'best' or 'last', not {self.select!r}")
        if self.normalisation not in ("own", *NORMALISATIONS):
            known = ", ".join(NORMALISATIONS)
            raise ValueError(f"normalisation must be own, {known}, not {self.normalisation!r}")

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages in order; one over whole images unless a method says otherwise."""
        return (Stage("whole", self.epochs),)


class Method(Protocol):
    """A pretraining method: an ``nn.Module`` built as ``Method(config)`` from seeded weights.

    The engine calls, for every batch: ``losses(views, turn)`` for each turn, sums the values, takes one
    step of that turn's optimiser, then ``after_step()`` once. In validation it calls ``losses`` in eval
    mode without gradients, and never ``after_step``: nothing a method keeps may change there.
    All state that a resumed run needs is in ``state_dict()`` (parameters and buffers).

    It may also have ``schedule(turn)``, a ``pretrain.optimisation.Schedule``; without it the learning rate is a half
    cosine, epoch by epoch. Gradients are clipped to its config's ``clip_norm``, where it has that field.

    A method whose stage is not about whole images has ``stage_data(stage, data, seed) -> data``, called when the stage
    starts (also when resuming inside it, then with the same result): a ``pretrain.data.PretrainData`` of its own.
    """

    Config: ClassVar[type[PretrainConfig]]
    card: ClassVar[MethodCard]
    config: PretrainConfig
    encoder: Encoder
    """The student backbone; what is transferred."""

    def recipes(self, stage: Stage) -> tuple[ViewRecipe, ...]:
        """One recipe a view, for this stage."""
        ...

    def start_stage(self, stage: Stage) -> None:
        """Learn that a stage begins (also when resuming inside it)."""
        ...

    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        """Turn name to optimiser; most methods have the one turn "main". Called at every stage's start."""
        ...

    def losses(self, views: Views, turn: str = "main") -> dict[str, torch.Tensor]:
        """Named scalar losses, already weighted; the turn minimises their sum."""
        ...

    def after_step(self) -> None:
        """Update teacher and queue, after the optimiser's step."""
        ...


class EncoderSource(Protocol):
    """A method that is not pretrained here: random weights, or weights from a file.

    One that reads a file also has ``weights_digest() -> str``, the file's SHA-256, which becomes part of its
    cells' identity; without it the weights are taken to be drawn from the cell's seed.
    """

    Config: ClassVar[type[Any]]
    card: ClassVar[MethodCard]
    config: Any

    def load_encoder(self, seed: int) -> Encoder:
        """Return the encoder; a random one is drawn from the cell's seed.

        Raises:
            WeightsMissing: the weights are not at hand; says how to get them.
        """
        ...


# ── datasets ─────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, kw_only=True)
class DatasetCard:
    """Where a dataset comes from and under which terms."""

    title: str
    modality: Literal["chest-x-ray", "fundus"]
    citation: str
    licence: str
    source: str
    """Where to get it, in words a search engine finds; a URL where one is stable."""
    folders: tuple[str, ...]
    """Folder names under EDEN_BENCH_DATA that are looked for, in order."""
    expected_images: int
    notes: tuple[str, ...] = ()
    """What a reader of scores on it must know."""


@dataclass(frozen=True, kw_only=True)
class Item:
    """One image of a dataset and what is known of it."""

    id: str
    patient: str
    split: Literal["train", "test"]
    image: Path
    labels: tuple[float, ...] = ()
    """0 or 1 per label of the dataset, in the order of ``DatasetIndex.label_names``."""
    masks: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)
    """Structure name to mask files, united where there are several."""
    drawn: Mapping[str, tuple[tuple[float, ...], ...]] = field(default_factory=dict)
    """Structure name to what its mask is drawn from, where masks are no pictures: polygons (x0, y0, x1, y1, …) or run
    lengths, in the image's own pixels. () is an empty mask; a structure that is not there is not known."""


PHANTOM = "PHANTOM.json"
"""Marks a folder that ``eden-bench data phantom`` wrote."""


@dataclass(frozen=True, kw_only=True)
class DatasetIndex:
    """What a reader found in a folder."""

    dataset: str
    root: Path
    items: tuple[Item, ...]
    """Sorted by id."""
    expected_images: int
    label_names: tuple[str, ...] = ()
    split_rule: str = "the dataset's own train and test lists"
    """How train and test were told apart, as the start of a sentence."""
    validation: tuple[str, ...] | None = None
    """Ids of the training items that only choose a step, where a list says so; None where a task's own rule does."""
    phantom: bool = False
    """The folder was written by ``eden-bench data phantom``."""
    notes: tuple[str, ...] = ()
    """Sentences for the user: what is absent, which layout variant was read."""

    @property
    def part(self) -> str:
        """For example '511 of 112,120 images', or an empty string where the dataset is whole."""
        if self.phantom or len(self.items) >= self.expected_images:
            return ""
        return f"{len(self.items):,} of {self.expected_images:,} images"

    def split(self, name: str) -> tuple[Item, ...]:
        """The items of one split, in order of id."""
        return tuple(item for item in self.items if item.split == name)

    def split_digest(self, name: str) -> str:
        """64 hex digits over the ids of one split."""
        return digest(sorted(item.id for item in self.split(name)))


@dataclass(frozen=True)
class Finding:
    """One line of ``data check``."""

    level: Literal["ok", "note", "error"]
    text: str
    numbers: Mapping[str, object] = field(default_factory=dict)
    """What the text says in numbers, for ``--json``."""


class Dataset(Protocol):
    """A reader of one on-disk layout. Everything it reads is hostile until checked.

    One that brings its own folder has it as ``root`` and is not looked for below ``EDEN_BENCH_DATA``. One whose pixels
    follow from more than the files and its code, such as a user's setting, says it in ``reading``, a str that becomes
    part of every store's identity.
    """

    name: str
    card: DatasetCard

    def index(self, root: Path) -> DatasetIndex:
        """List the items under root without decoding a pixel.

        Raises:
            DataMissing: root is empty or half unpacked; says what was expected where.
            DataDamaged: a list or csv file cannot be read; names the file, the row and the remedy.
        """
        ...

    def read_image(self, item: Item) -> np.ndarray:
        """Decode one image: (H, W) uint8, or (H, W, 3) for colour, air dark and bone bright.

        Raises:
            DataDamaged: names the file, what was found and what was expected.
        """
        ...

    def read_mask(self, item: Item, structure: str) -> np.ndarray:
        """Decode one mask: (H, W) bool."""
        ...

    def check(self, root: Path, progress: Progress = no_progress) -> list[Finding]:
        """Look at every file: counts, sizes, pairing, splits, patients."""
        ...

    def write_phantom(self, root: Path, *, patients: int, seed: int, progress: Progress = no_progress) -> None:
        """Write the phantom in this dataset's own layout, with a ``PHANTOM.json`` beside it."""
        ...


# ── tasks ────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, kw_only=True)
class ScoreDefinition:
    """The one written definition of a task's primary score."""

    name: str
    """For example "dice"; unless pooled, it is also the column of the cases whose mean it is."""
    text: str
    """What is computed, over what, with which threshold and empty-mask rule."""
    version: int = 1
    """Part of every cell's identity: raise it when the definition changes."""
    decimals: int = 2
    """Digits shown, after scaling to percent."""
    pooled: bool = False
    """It is computed from all cases together, by its text from columns of the cases (counts, or probabilities and
    targets). There need be no column of its name; where there is, as each image's own, its mean is not the score."""
    alternatives: Mapping[str, str] = field(default_factory=dict)
    """What stands beside it in every record: name to definition."""


@dataclass(frozen=True)
class Outcome:
    """What one fine-tuning or probe run leaves."""

    scores: dict[str, float]
    """The primary score (under ``ScoreDefinition.name``) and its alternatives, each in [0, 1]."""
    cases: dict[str, Sequence[Any]]
    """Columns of equal length, one row a test case: "case", "patient", then numbers."""
    training: dict[str, Any] = field(default_factory=dict)
    """Budget, steps taken, best step, validation curve: whatever the reader needs to judge the run."""


class OpenTask(Protocol):
    """A task with its data decoded once, its splits made and its protocol resolved."""

    data: dict[str, Any]
    """Provenance: everything that identifies the data.

    Every task has: "dataset"; "digest" (of the decoded pixels, masks and labels); "splits" (digest of the split
    lists) and "split_rule" (a sentence); "train", "validation", "test" (image counts); "part"; "phantom".
    A task whose cases are the index's test items has "test_list", ``index.split_digest("test")``, by which stored
    audits and pretrainings are recognised as being about the same test images.
    A task that computes in a precision the hardware chooses has "precision", the one chosen, which is part of every
    cell's identity.
    """

    def run(self, encoder: Encoder, seed: int, shots: int | None = None) -> Outcome:
        """Fine-tune (or embed) and score. May change the encoder it is given; repeats bit for bit on a CPU.

        Args:
            encoder: the backbone to start from.
            seed: fixes head initialisation, order, augmentation and the few-shot subset, for all methods alike.
            shots: number of labelled training images; None for all.
        """
        ...


class Task(Protocol):
    """A dataset, a target, a protocol and a primary score. Importing a task must not import torch.

    One that makes a validation list of its own also has ``lists(index, protocol)``, which returns the image ids of
    "train", "validation" and "test" and the rule in words, for ``data splits``.
    """

    name: str
    dataset: str
    kind: Literal["segmentation", "classification", "probe"]
    title: str
    score: ScoreDefinition

    def protocol(self, name: str) -> Any:  # noqa: ANN401 - each kind of task has its own frozen dataclass
        """Return the frozen dataclass of a named protocol ("paper", "quick").

        Raises:
            UsageError: the task has no protocol of that name.
        """
        ...

    def open(self, index: DatasetIndex, protocol: Any, context: Context) -> OpenTask:  # noqa: ANN401
        """Decode the data (or map them from the cache) and make the splits."""
        ...


@dataclass(frozen=True, kw_only=True)
class Context:
    """Where and on what a task or the engine runs."""

    cache: Path
    device: str = "cpu"
    dataset: Dataset | None = None
    progress: Progress = no_progress


# ── cells and records ────────────────────────────────────────────────────────────────────────────


NUMBERS_VERSION = 4
"""Part of the identity of every cell and pretraining. Raise it when a change of code moves scores and no field of a
config shows it: in an encoder, a training loop, an augmentation. A score's definition has its own version."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One unit of work. Its id covers everything that can change its scores (design, section 7.1)."""

    method: str
    method_config: Mapping[str, Any]
    checkpoint: str
    """SHA-256 of the encoder's weights, or "seeded" for weights drawn from the cell's seed."""
    task: str
    data: str
    """Digest of the decoded data."""
    splits: str
    """Digest of the split lists."""
    protocol: Mapping[str, Any]
    shots: int | None
    seed: int
    score_version: int
    threads: int
    """CPU threads: results are bit-identical only at equal counts. 0 on a GPU."""
    code: int = NUMBERS_VERSION
    """``NUMBERS_VERSION`` when it was computed; records without it are left out with a warning."""

    @property
    def id(self) -> str:
        """64 hex digits."""
        return digest(self)


def shots_are_valid(shots: int | None, train: int) -> None:
    """Raise UsageError where more shots are asked for than there are training images."""
    if shots is not None and not 2 <= shots <= train:
        raise UsageError(f"--shots {shots}: expected 2 to {train}, the number of training images")


def steps_per_epoch(images: int, batch_size: int) -> int:
    """Optimiser steps in one epoch, the ragged last batch included."""
    return math.ceil(images / batch_size)
