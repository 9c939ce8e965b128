"""A dataset that is a folder of images and folders of masks, as a TOML file describes it (docs/tasks.md)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from eden_bench.contracts import DatasetCard, DatasetIndex, Finding, Item, Progress, no_progress
from eden_bench.errors import DataMissing, EdenError, UsageError, unknown
from eden_bench.splitlists import split_by
from tasks.reading.files import PHANTOM, need_folder, readable
from tasks.reading.splitting import by_patient, rule

if TYPE_CHECKING:
    import numpy as np

FORMATS = ("PNG", "JPEG", "TIFF", "GIF", "BMP")
_EXTENSIONS = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".gif", ".bmp")


@dataclass(frozen=True)
class Masks:
    """Where the masks of one structure lie."""

    folder: Path
    suffix: str = ""
    """What follows the image's name: image ``7.png`` and suffix ``_mask`` make ``7_mask.png`` (or .gif, .tif …)."""
    value: int | None = None
    """The pixel value (index, in a picture with a palette) that is foreground; None: whatever is not black."""


@dataclass(frozen=True, kw_only=True)
class FolderDataset:
    """Reader of a folder of images with one mask a structure; implements ``contracts.Dataset``."""

    name: str
    card: DatasetCard
    root: Path
    """The folder of the TOML file: such a dataset is looked for nowhere else."""
    images: Path
    masks: Mapping[str, Masks]
    patient: re.Pattern[str] | None = None
    """Finds the patient in an image's name: its first group; None: every image is a patient."""
    test_share: float = 0.2
    lists: Path | None = None
    """Folder of train.txt, test.txt and perhaps validation.txt; None: patients are split by a hash."""
    channels: int = 1

    def index(self, root: Path) -> DatasetIndex:
        """List the images with their masks.

        Raises:
            DataMissing: a folder is absent or holds no picture, or an image has no mask; says which.
            UsageError: the lists do not fit the images, or the pattern finds no patient in a name.
        """
        images = self._pictures(self.images)
        masks = {structure: self._masks_of(structure, images) for structure in self.masks}
        patients = {name: self._patient(name) for name in images}
        tested = frozenset() if self.lists else by_patient(self.name, patients, self.test_share)
        items = tuple(
            Item(
                id=name,
                patient=patients[name],
                split="test" if name in tested else "train",
                image=images[name],
                masks={structure: (masks[structure][name],) for structure in masks},
            )
            for name in sorted(images)
        )
        index = DatasetIndex(
            dataset=self.name,
            root=root,
            items=items,
            expected_images=0,
            split_rule=rule(self.test_share),
            phantom=any((folder / PHANTOM).is_file() for folder in (self.images, *self.images.parents)),
        )
        return split_by(index, self.lists) if self.lists else index

    def read_image(self, item: Item) -> np.ndarray:
        """Decode an image: (H, W) uint8, or (H, W, 3) in colour."""
        from tasks.reading.pictures import read_colour, read_grey

        return (read_colour if self.channels == 3 else read_grey)(self.name, item.image, FORMATS)

    def read_mask(self, item: Item, structure: str) -> np.ndarray:
        """Decode a mask: (H, W) bool."""
        from tasks.reading.pictures import read_grey, read_values

        if structure not in item.masks:
            raise unknown("structure", structure, item.masks)
        (file,), value = item.masks[structure], self.masks[structure].value
        return read_grey(self.name, file, FORMATS) > 0 if value is None else read_values(self.name, file) == value

    def check(self, root: Path, progress: Progress = no_progress) -> list[Finding]:
        """Decode every image and mask; look for empty masks and masks of another shape than their images."""
        from tasks.reading.checking import describe, look_at_all

        try:
            index = self.index(root)
        except EdenError as error:
            return [Finding("error", str(error))]
        looks = look_at_all(index.items, self.read_image, self._mask_problems, progress, f"checking {self.name}")
        return describe(index, looks)

    def write_phantom(self, root: Path, *, patients: int, seed: int, progress: Progress = no_progress) -> None:
        """Refuse: only the layouts of published datasets have a phantom."""
        raise UsageError(f"{self.name} is described by a TOML file and has no phantom: name other datasets")

    def _pictures(self, folder: Path) -> dict[str, Path]:
        """Return name to file of the pictures in a folder, less the masks that lie beside their images."""
        with readable(self.name, folder):
            need_folder(self.name, folder, "pictures", "correct the folder in the TOML file")
            found = sorted(path for path in folder.iterdir() if path.suffix.lower() in _EXTENSIONS)
        beside = tuple(m.suffix for m in self.masks.values() if m.folder == self.images == folder)
        images = {path.stem: path for path in found if not path.stem.endswith(beside or ("\0",))}
        if not images:
            raise DataMissing(
                f"{self.name}: {folder} holds no picture, expected some {', '.join(_EXTENSIONS)}: correct the folder "
                "in the TOML file"
            )
        return images

    def _masks_of(self, structure: str, images: Mapping[str, Path]) -> dict[str, Path]:
        masks = self.masks[structure]
        with readable(self.name, masks.folder):
            need_folder(self.name, masks.folder, f"masks of {structure}", "correct the folder in the TOML file")
            found = {path.stem: path for path in masks.folder.iterdir() if path.suffix.lower() in _EXTENSIONS}
        absent = [name for name in images if name + masks.suffix not in found]
        if absent:
            example = masks.folder / (absent[0] + masks.suffix)
            raise DataMissing(
                f"{self.name}: {len(absent):,} of {len(images):,} images have no mask of {structure}, expected for "
                f"example {example}.png (or .gif, .tif …): add it, or remove the image"
            )
        return {name: found[name + masks.suffix] for name in images}

    def _patient(self, name: str) -> str:
        if self.patient is None:
            return name
        match = self.patient.search(name)
        if match is None:
            raise UsageError(f"{self.name}: the pattern {self.patient.pattern!r} finds no patient in {name!r}: mend it")
        return match[1] if self.patient.groups else match[0]

    def _mask_problems(self, item: Item) -> Iterator[str]:
        height, width = self.read_image(item).shape[:2]
        for structure, (file,) in item.masks.items():
            try:
                mask = self.read_mask(item, structure)
            except EdenError as error:
                yield str(error)
                continue
            if abs(mask.shape[0] * width - mask.shape[1] * height) > 0.01 * mask.shape[1] * height:
                found = f"{mask.shape[1]}×{mask.shape[0]} px, its image {width}×{height}"
                yield f"{self.name}: {file} has {found}, expected one shape: put the mask of this image there"
