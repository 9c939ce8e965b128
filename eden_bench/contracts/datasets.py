"""Datasets: the contract of readers, which index a folder, validate its files and decode them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, get_args

from eden_bench.digests import digest
from eden_bench.errors import DataDamaged

if TYPE_CHECKING:
    import numpy as np

from eden_bench.contracts.checks import Progress, no_progress, one_of

Modality = Literal["chest-x-ray", "fundus"]
Split = Literal["train", "test"]
_SPLITS = get_args(Split)

# ── datasets ─────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, kw_only=True)
class DatasetCard:
    """Metadata of a dataset: source, licence, citation, what it is derived from."""

    title: str
    modality: Modality
    citation: str
    licence: str
    source: str
    """Where to get it, in words a search engine finds; a URL where one is stable."""
    folders: tuple[str, ...]
    """Folder names under EDEN_BENCH_DATA that are looked for, in order."""
    expected_images: int
    notes: tuple[str, ...] = ()
    """What a reader of scores on it must know."""
    pretraining_set: bool = False
    """Methods are pretrained on it, where no other is named, before tasks of its modality."""
    derived_from: Mapping[str, str] = field(default_factory=dict)
    """Dataset whose images it is made of, by name, to the sentence that says so and who says it."""
    shareable: bool = False
    """Its licence lets single images and their marks be passed on, so that records, which are shared, may hold some."""

    def shows(self, index: DatasetIndex) -> bool:
        """Return whether records may hold some of a folder's images: it is the phantom's, or the licence allows it."""
        return index.phantom or self.shareable

    def __post_init__(self) -> None:
        """Validate the modality. Raises ValueError naming the known ones."""
        one_of("modality", self.modality, get_args(Modality))


class Box(NamedTuple):
    """A finding's rectangle in the image's own pixels, edges between pixels: 0 ≤ left < right ≤ W."""

    label: str
    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True, kw_only=True)
class Item:
    """One image of a dataset with its labels, masks, points and boxes."""

    id: str
    patient: str
    split: Split
    """Which of its images validate, a task draws from those that train, or ``DatasetIndex.validation`` says."""
    image: Path
    labels: tuple[float, ...] = ()
    """0 or 1 per label of the dataset, in the order of ``DatasetIndex.label_names``."""
    masks: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)
    """Structure name to mask files, united where there are several."""
    drawn: Mapping[str, tuple[tuple[float, ...], ...]] = field(default_factory=dict)
    """Structure name to what its mask is drawn from, where masks are no pictures: polygons (x0, y0, x1, y1, …) or run
    lengths, in the image's own pixels. () is an empty mask; a structure that is not there is not known."""
    points: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Landmark name to (x, y) in the image's own pixels, the first pixel's centre at (0.5, 0.5); one that is not there
    is not known."""
    boxes: tuple[Box, ...] | None = None
    """Boxed findings; () where a reader looked and found none, None where nobody looked."""
    about: Mapping[str, str | float | None] = field(default_factory=dict)
    """What is told of patient and image besides: "sex" ("F" or "M"), "age" (years), "view" (of a film, "PA" or "AP"),
    of which reports form groups. Columns of the cases; "" and None where it is not known."""

    def __post_init__(self) -> None:
        """Validate the split, since an item in none would be left out unseen, and the labels, which become losses.

        Raises:
            DataDamaged: names the item.
        """
        try:
            one_of("split", self.split, _SPLITS)
        except ValueError as error:
            raise DataDamaged(f"{self.id}: {error}") from error
        if odd := [label for label in self.labels if label not in (0, 1)]:
            raise DataDamaged(
                f"{self.id}: one of its labels is {odd[0]!r}, expected 0 or 1: mend it, or drop the image"
            )


ENOUGH_TESTED = 10
"""Fewer test images say little about any other, and are warned of."""

PHANTOM = "PHANTOM.json"
"""Marks a folder that ``eden-bench data phantom`` wrote."""


@dataclass(frozen=True, kw_only=True)
class DatasetIndex:
    """Index of a dataset's folder: items, splits, and notes."""

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
    left_out: tuple[str, ...] = ()
    """Ids of images that are damaged and were left out because the user asked for it; counted in every record."""

    @property
    def part(self) -> str:
        """Completeness in words, for example '511 of 112,120 images'; empty if the dataset is whole."""
        if self.phantom or len(self.items) >= self.expected_images:
            return ""
        return f"{len(self.items):,} of {self.expected_images:,} images"

    def split(self, name: str) -> tuple[Item, ...]:
        """Return the items of one split, sorted by id."""
        return tuple(item for item in self.items if item.split == name)

    def split_digest(self, name: str) -> str:
        """Hash the ids of one split to 64 hex digits."""
        return digest(sorted(item.id for item in self.split(name)))


@dataclass(frozen=True)
class Finding:
    """One finding of ``data check``: level and message."""

    level: Literal["ok", "note", "error"]
    text: str
    numbers: Mapping[str, object] = field(default_factory=dict)
    """What the text says in numbers, for ``--json``."""


class DatasetOptions(Protocol):
    """Optional members of a dataset and their defaults. A misspelt name of one is refused."""

    root: Path | None = None
    """The folder that it brings along; None: it is looked for below ``EDEN_BENCH_DATA``."""
    reading: str = ""
    """What its pixels follow from besides the files and its code, such as a user's setting: part of every store's
    identity."""
    phantom_patients: int = 247
    """How many patients its phantom has where nobody says; by default as many as SCR has."""
    phantom_version: int | None = None
    """Raised when the phantom changes; None: it has not changed yet."""


class Dataset(DatasetOptions, Protocol):
    """A reader of one on-disk layout. It validates all that it reads, since files may be hostile."""

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
        """Validate every file: counts, sizes, pairing, splits, patients."""
        ...

    def write_phantom(self, root: Path, *, patients: int, seed: int, progress: Progress = no_progress) -> None:
        """Write the phantom in this dataset's own layout, with a ``PHANTOM.json`` beside it."""
        ...
