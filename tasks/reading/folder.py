"""Reader of a folder of images with folders of masks or a table of labels, described by a TOML file (docs/tasks.md)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from unicodedata import normalize

from eden_bench.contracts import PHANTOM, DatasetCard, DatasetIndex, Finding, Item, Progress, no_progress
from eden_bench.data.split_lists import split_by
from eden_bench.errors import DataMissing, EdenError, UsageError, unknown
from tasks.reading.files import damaged, files_under, need_folder, readable
from tasks.reading.label_table import LabelTable, read_labels
from tasks.reading.leaving_out import damaged_images
from tasks.reading.splitting import by_patient, few_tested, fold_of, rule

if TYPE_CHECKING:
    import numpy as np

    from tasks.reading.film_statistics import Look

MASK_FORMATS = ("PNG", "TIFF", "GIF", "BMP")
FORMATS = (*MASK_FORMATS, "JPEG", "WEBP")
_JPEG, _DICOM = (".jpg", ".jpeg"), (".dcm", ".dicom")
_MASK_EXTENSIONS = (".png", *_JPEG, ".tif", ".tiff", ".gif", ".bmp")
EXTENSIONS = (*_MASK_EXTENSIONS, ".webp", *_DICOM)


@dataclass(frozen=True)
class Masks:
    """Location of the masks of one structure."""

    folder: Path
    suffix: str = ""
    """What follows the image's name: image ``7.png`` and suffix ``_mask`` make ``7_mask.png`` (or .gif, .tif …)."""
    value: int | None = None
    """The pixel value (index, in a picture with a palette) that is foreground; None: whatever is not black."""


@dataclass(frozen=True, kw_only=True)
class FolderDataset:
    """Reader of a folder of images with one mask a structure, or a row of labels; implements ``contracts.Dataset``."""

    name: str
    card: DatasetCard
    root: Path
    """The folder of the TOML file: such a dataset is looked for nowhere else."""
    images: Path
    masks: Mapping[str, Masks] = field(default_factory=dict)
    labels: LabelTable | None = None
    patient: re.Pattern[str] | None = None
    """Finds the patient in an image's name: its first group; None: every image is a patient."""
    test_share: float = 0.2
    lists: Path | None = None
    """Folder of train.txt, test.txt and perhaps validation.txt; None: patients are split by a hash."""
    fold: tuple[str, int, int] | None = None
    """Of a cross-validation: the name that all folds share, this one's number from 1, and how many there are."""
    channels: int = 1
    bits: int | None = None
    """How many of 16 bits deep images use; None: all, and a picture that does not is refused."""
    window: tuple[float, float] | None = None
    """Centre and width that DICOM images are shown by, in place of their own."""
    subfolders: bool = False
    """Images lie in folders below too, and are named by their path."""
    leave_out_damaged: bool = False
    """Images that cannot be decoded are left out and counted, instead of ending the run."""

    @property
    def reading(self) -> str:
        """Decoding settings (channels, bits, window, mask values), part of a store's identity."""
        window = () if self.window is None else (self.window,)
        values = {structure: masks.value for structure, masks in self.masks.items()}
        return repr((self.channels, self.bits, *window, values))

    def index(self, root: Path) -> DatasetIndex:
        """List the images with their masks.

        Raises:
            DataMissing: a folder is absent or holds no picture, or an image has no mask; says which.
            DataDamaged: two pictures of a folder have one name, or a mask is a JPEG.
            UsageError: the lists do not fit the images, or the pattern finds no patient in a name.
        """
        images = self._pictures(self.images)
        wrong = damaged_images(self.name, images, self.reading, self._decoded) if self.leave_out_damaged else {}
        images = {name: path for name, path in images.items() if name not in wrong}
        if not images:
            raise DataMissing(
                f"{self.name}: all {len(wrong):,} images are damaged, for example {next(iter(wrong.values()))}"
            )
        table = read_labels(self.name, self.labels, EXTENSIONS) if self.labels else None
        rows = table.of(self.name, images, self.labels) if table and self.labels else {}
        masks = {structure: self._masks_of(structure, images) for structure in self.masks}
        patients = {name: (rows[name].patient if name in rows else "") or self._patient(name) for name in images}
        told = {name: row.split for name, row in rows.items() if row.split}
        tested = frozenset(name for name in told if told[name] == "test") if told else self._tested(patients)
        items = tuple(
            Item(
                id=name,
                patient=patients[name],
                split="test" if name in tested else "train",
                image=images[name],
                labels=rows[name].labels if name in rows else (),
                masks={structure: (masks[structure][name],) for structure in masks},
            )
            for name in sorted(images)
        )
        index = DatasetIndex(
            dataset=self.name,
            root=root,
            items=items,
            expected_images=0,
            label_names=table.names if table else (),
            validation=tuple(sorted(n for n in told if told[n] == "validation"))
            if "validation" in told.values()
            else None,
            split_rule=self._rule(patients, tested),
            notes=(*self._of_damaged(wrong), *(() if self.lists or self.fold else few_tested(self.name, tested))),
            left_out=tuple(sorted(wrong)),
            phantom=any((folder / PHANTOM).is_file() for folder in (self.images, *self.images.parents)),
        )
        return split_by(index, self.lists) if self.lists else index

    def read_image(self, item: Item) -> np.ndarray:
        """Decode an image: (H, W) uint8, or (H, W, 3) in colour."""
        return self._decoded(item.image)

    def _decoded(self, path: Path) -> np.ndarray:
        from tasks.reading.dicom import read_dicom
        from tasks.reading.pictures import read_colour, read_grey

        if path.suffix.lower() in _DICOM:
            grey = read_dicom(self.name, path, self.window)
            return grey if self.channels == 1 else grey[:, :, None].repeat(3, axis=2)
        read, told = read_colour if self.channels == 3 else read_grey, self.bits is not None
        return read(self.name, path, FORMATS, bits=self.bits or 16, told=told)

    def _size(self, path: Path) -> tuple[int, ...]:
        from tasks.reading.pictures import size_of_picture

        return (
            self._decoded(path).shape[:2]
            if path.suffix.lower() in _DICOM
            else size_of_picture(self.name, path, FORMATS)
        )

    def read_mask(self, item: Item, structure: str) -> np.ndarray:
        """Decode a mask: (H, W) bool.

        Raises:
            DataDamaged: it cannot be decoded, or has another shape than its image.
        """
        from tasks.reading.masks import read_foreground, read_values

        if structure not in item.masks:
            raise unknown("structure", structure, item.masks)
        (file,), value = item.masks[structure], self.masks[structure].value
        read = read_foreground if value is None else read_values
        pixels = read(self.name, file, MASK_FORMATS)
        (rows, columns), (height, width) = pixels.shape, self._size(item.image)
        if abs(rows * width - columns * height) > 0.01 * columns * height:
            found = f"has {columns}×{rows} px, its image {width}×{height}"
            raise damaged(self.name, file, found, "one shape", "put the mask of this image there")
        return pixels if value is None else pixels == value

    def check(self, root: Path, progress: Progress = no_progress) -> list[Finding]:
        """Validate every image and mask: empty masks, masks of another shape than their images."""
        from tasks.reading.checking import describe, look_at_all

        try:
            index = self.index(root)
        except EdenError as error:
            return [Finding("error", str(error))]
        looks = look_at_all(self, index.items, progress, structures=lambda item: item.masks)
        return [*describe(index, looks), *self._empty(index, looks)]

    def write_phantom(self, root: Path, *, patients: int, seed: int, progress: Progress = no_progress) -> None:
        """Raise UsageError: only the layouts of published datasets have a phantom."""
        raise UsageError(f"{self.name} is described by a TOML file and has no phantom: name other datasets")

    def _tested(self, patients: Mapping[str, str]) -> frozenset[str]:
        if self.fold:
            name, number, count = self.fold
            return fold_of(name, patients, number, count)
        return frozenset() if self.lists else by_patient(self.name, patients, self.test_share)

    def _rule(self, patients: Mapping[str, str], tested: frozenset[str]) -> str:
        if self.labels and self.labels.split:
            return f"train and test are told in column {self.labels.split!r} of {self.labels.file.name}"
        if self.fold:
            return f"fold {self.fold[1]} of {self.fold[2]}: patients are dealt to the folds in the order of a hash"
        return rule(patients, tested, self.test_share)

    def _pictures(self, folder: Path) -> dict[str, Path]:
        """Return name to file of the pictures in a folder, less the masks that lie beside their images."""
        with readable(self.name, folder):
            need_folder(self.name, folder, "pictures", "correct the folder in the TOML file")
            found = self._listed(folder, EXTENSIONS, deep=self.subfolders)
        beside = tuple(m.suffix for m in self.masks.values() if m.folder == self.images == folder)
        images = {name: path for name, path in found.items() if not name.endswith(beside or ("\0",))}
        if not images:
            raise DataMissing(
                f"{self.name}: {folder} holds no picture, expected some {', '.join(EXTENSIONS)}: correct the folder "
                "in the TOML file"
            )
        return images

    def _masks_of(self, structure: str, images: Mapping[str, Path]) -> dict[str, Path]:
        masks = self.masks[structure]
        with readable(self.name, masks.folder):
            need_folder(self.name, masks.folder, f"masks of {structure}", "correct the folder in the TOML file")
            found = self._listed(masks.folder, _MASK_EXTENSIONS, deep=self.subfolders)
        absent = [name for name in images if normalize("NFC", name + masks.suffix) not in found]
        if absent:
            example = masks.folder / (absent[0] + masks.suffix)
            raise DataMissing(
                f"{self.name}: {len(absent):,} of {len(images):,} images have no mask of {structure}, expected for "
                f"example {example}.png (or .gif, .tif …): add it, or remove the image"
            )
        chosen = {name: found[normalize("NFC", name + masks.suffix)] for name in images}
        blurred = next((path for path in chosen.values() if path.suffix.lower() in _JPEG), None)
        if blurred:
            remedy = "save the masks without loss, from their source: JPEG smears their edges"
            raise damaged(self.name, blurred, "is a JPEG", f"a mask as {', '.join(MASK_FORMATS)}", remedy)
        return chosen

    def _listed(self, folder: Path, endings: Sequence[str], *, deep: bool) -> dict[str, Path]:
        """Return name to file of a folder's pictures in order of name, less hidden ones (``._7.png``).

        Below it, a name is the path from there.
        """
        found: dict[str, Path] = {}
        for path in files_under(folder) if deep else sorted(folder.iterdir()):
            if path.suffix.lower() not in endings or path.name.startswith("."):
                continue
            plain = path.relative_to(folder).with_suffix("").as_posix()
            name = normalize("NFC", plain)  # some systems write an accent as a letter of its own
            if name in found:
                raise damaged(self.name, path, f"is a second {name}", f"only {found[name]}", "remove one")
            found[name] = path
        return found

    def _of_damaged(self, wrong: Mapping[str, str]) -> Iterator[str]:
        if wrong:
            yield (
                f"{self.name}: {len(wrong):,} damaged images are left out, as the TOML file says: for example "
                f"{next(iter(wrong.values()))}"
            )

    def _patient(self, name: str) -> str:
        if self.patient is None:
            return name
        match = self.patient.search(name)
        if match is None:
            raise UsageError(f"{self.name}: the pattern {self.patient.pattern!r} finds no patient in {name!r}: mend it")
        return match[1] if self.patient.groups else match[0]

    def _empty(self, index: DatasetIndex, looks: Sequence[Look]) -> Iterator[Finding]:
        """Report empty masks, unless all of a structure's are: perhaps an image without a finding."""
        shares = [(look.shares, item) for look, item in zip(looks, index.items, strict=True)]
        for structure in self.masks:
            empty = [item.masks[structure][0] for told, item in shares if told.get(structure) == 0]
            if 0 < len(empty) < len(index.items):
                text = f"{len(empty):,} of {len(index.items):,} masks of {structure} are empty"
                yield Finding("note", f"{text}, for example {min(empty)}: check mask_value")
