"""SCR: heart, lung and clavicle masks of the JSRT radiographs (van Ginneken et al., Med Image Anal 2006).

The reader takes the JSRT images (.IMG, or converted to PNG) and the SCR masks wherever below the dataset's folder
they were unpacked. Fold 1 is the training set and fold 2 the test set; copies without folds get them by the rule that
made them: odd-numbered images in the first, even-numbered in the second, in the order of the file names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from eden_bench.contracts import PHANTOM, DatasetCard, DatasetIndex, Finding, Item, Progress, no_progress
from eden_bench.errors import DataDamaged, DataMissing, EdenError, unknown
from eden_bench.registry import register_dataset, register_task
from tasks.finetuning import SegmentationTask
from tasks.phantom import SCR_VERSION
from tasks.reading.files import damaged, files_under, need_folder, readable
from tasks.reading.landmarks import with_landmarks

if TYPE_CHECKING:
    import numpy as np

    from tasks.reading.film_statistics import Look
    from tasks.reading.jsrt import Nodule

STRUCTURES = ("heart", "left lung", "right lung", "left clavicle", "right clavicle")
"""Folder names of the SCR release. Left is the patient's left, the right side of the image."""

UNIONS = {"lungs": ("left lung", "right lung"), "clavicles": ("left clavicle", "right clavicle")}

_IMAGES = 247
_IMAGE_PX = 2048
_PIXEL_MM = 0.175
"""Shiraishi et al., AJR 2000."""
_MASK_PX = (1024, 1024)
_NAME = re.compile(r"(JPC[LN]N\d{3})(?:\.IMG)?\.(IMG|PNG|GIF)", re.IGNORECASE)
_FOLD = re.compile(r"fold[ _-]?([12])", re.IGNORECASE)
_CLINICAL = "CLNDAT_EN.txt"
_UNPACK = "unpack scr.zip again into EDEN_BENCH_DATA/scr"
_UNPACK_IMAGES = "unpack All247images.zip again into EDEN_BENCH_DATA/scr"
_EXPECTED = "All247images with the JSRT images, and fold1 and fold2 with the SCR masks"


@dataclass
class _Found:
    """Files of a folder, sorted by kind."""

    images: dict[str, Path] = field(default_factory=dict)
    masks: dict[int, dict[str, dict[str, Path]]] = field(default_factory=dict)
    """Fold (0 for none) to structure to image id to file."""
    notes: list[str] = field(default_factory=list)

    def ids(self, fold: int) -> set[str]:
        """Images that any structure of a fold has a mask of."""
        return {name for files in self.masks.get(fold, {}).values() for name in files}


class SCR:
    """Reader of JSRT and SCR."""

    name = "scr"
    card = DatasetCard(
        title="SCR: segmentation in chest radiographs (JSRT)",
        modality="chest-x-ray",
        citation="van Ginneken et al., Med Image Anal 10 (2006) 19; Shiraishi et al., Am J Roentgenol 174 (2000) 71",
        licence="JSRT and SCR: free for research with citation; not to be passed on",
        source="JSRT database (All247images.zip; registration at jsrt.or.jp) and SCR database (scr.zip)",
        folders=("scr", "jsrt", "jsrt-scr"),
        expected_images=_IMAGES,
    )
    phantom_patients = _IMAGES
    phantom_version = SCR_VERSION

    def index(self, root: Path) -> DatasetIndex:
        """List the images with their masks and folds.

        Raises:
            DataMissing: images or masks are absent or half unpacked; says which folder has how many.
            DataDamaged: an image is in both folds, or has two masks of a structure.
        """
        with readable(self.name, root):
            need_folder(self.name, root, _EXPECTED, _UNPACK)
            found, phantom = _find(root), (root / PHANTOM).is_file()
        folds = _folds(found, phantom)
        _need_images(found, ids := sorted(folds), root, phantom)
        items, notes = tuple(_item(found, name, *folds[name]) for name in ids), tuple(found.notes)
        made = DatasetIndex(
            dataset=self.name, root=root, items=items, expected_images=_IMAGES, phantom=phantom, notes=notes
        )
        return with_landmarks(made, _IMAGE_PX)

    def read_image(self, item: Item) -> np.ndarray:
        """Decode a radiograph: (2048, 2048) uint8 from .IMG, (H, H) from a conversion; air dark."""
        from tasks.reading.jsrt import read_img
        from tasks.reading.pictures import read_grey, square

        if item.image.suffix.upper() == ".IMG":
            return read_img(self.name, item.image)
        return square(self.name, item.image, read_grey(self.name, item.image, ("PNG",), bits=12), _IMAGE_PX)

    def read_mask(self, item: Item, structure: str) -> np.ndarray:
        """Decode one of `STRUCTURES` or `UNIONS`: (1024, 1024) bool.

        Raises:
            DataDamaged: a mask cannot be decoded, has another size, is empty, or lies on the patient's other side.
        """
        if structure not in item.masks:
            raise unknown("structure", structure, item.masks)
        first, *others = UNIONS.get(structure, (structure,))
        mask = self._read_part(item, first)
        for other in others:
            mask |= self._read_part(item, other)
        return mask

    def check(self, root: Path, progress: Progress = no_progress) -> list[Finding]:
        """Validate every image and mask: empty masks, swapped sides, inverted images."""
        from tasks.reading.checking import describe, look_at_all

        try:
            index = self.index(root)
        except EdenError as error:
            return [Finding("error", str(error))]
        looks = look_at_all(self, index.items, progress, structures=lambda item: STRUCTURES)
        found = describe(index, looks)
        return [*found, *_fold_findings(index), *_mask_findings(index, looks), *self._nodule_findings(root)]

    def nodules(self, file: Path) -> tuple[Nodule, ...]:
        """Read the clinical text of the nodule cases (``CLNDAT_EN.txt``)."""
        from tasks.reading.jsrt import read_nodules

        return read_nodules(self.name, file)

    def write_phantom(self, root: Path, *, patients: int, seed: int, progress: Progress = no_progress) -> None:
        """Write the phantom as JSRT .IMG and SCR .gif."""
        from tasks.phantom.layouts.scr import write_scr

        write_scr(root, patients=patients, seed=seed, progress=progress)

    def _nodule_findings(self, root: Path) -> Iterator[Finding]:
        files = [path for path in files_under(root) if path.name.upper() == _CLINICAL.upper()]
        if not files:
            yield Finding("note", f"{self.name}: {_CLINICAL} is absent, so no nodules are known; no task needs them")
        for file in files:
            try:
                yield Finding("ok", f"{len(self.nodules(file)):,} nodules in {file.name}")
            except EdenError as error:
                yield Finding("note", f"{error} (no task needs them)")

    def _read_part(self, item: Item, structure: str) -> np.ndarray:
        from tasks.reading.masks import read_binary

        (file,) = item.masks[structure]
        mask = read_binary(self.name, file, ("GIF", "PNG"), _MASK_PX)
        columns = mask.sum(axis=0).nonzero()[0]
        if not len(columns):
            raise damaged(self.name, file, "is an empty mask", f"some {structure}", _UNPACK)
        if _on_wrong_side(structure, float(columns.mean()) / _MASK_PX[1]):
            expected = "the patient's left on the right of the image"
            raise damaged(self.name, file, "lies on the patient's other side", expected, _UNPACK)
        return mask


def odd_numbered(name: str) -> bool:
    """Return whether an image is odd-numbered by file name: JPCLN001 to 154, then JPCNN001 to 093."""
    return (int(name[-3:]) + (154 if name.startswith("JPCNN") else 0)) % 2 == 1


def _find(root: Path) -> _Found:
    found = _Found()
    for path in files_under(root):
        if not (match := _NAME.fullmatch(path.name)):
            continue
        folders = path.relative_to(root).parts[:-1]
        structure = next((s for s in map(_as_structure, folders) if s), "")
        if structure:
            fold = next((int(in_fold[1]) for folder in folders if (in_fold := _FOLD.fullmatch(folder))), 0)
            _add_mask(found, path, match[1].upper(), structure, fold)
        elif match[2].upper() != "GIF" and "masks" not in (folder.casefold() for folder in folders):
            _add_image(found, path, match[1].upper())
    return found


def _add_mask(found: _Found, path: Path, name: str, structure: str, fold: int) -> None:
    files = found.masks.setdefault(fold, {}).setdefault(structure, {})
    if name in files:
        raise damaged("scr", path, f"is a second mask of {name}", f"only {files[name]}", "remove one of the two")
    files[name] = path


def _add_image(found: _Found, path: Path, name: str) -> None:
    known = found.images.get(name)
    if known is None or (_is_original(path) and not _is_original(known)):
        found.images[name] = path


def _is_original(path: Path) -> bool:
    return path.suffix.upper() == ".IMG"


def _as_structure(folder: str) -> str:
    plain = re.sub(r"[ _-]+", " ", folder.casefold()).strip()
    return plain if plain in STRUCTURES else ""


def _folds(found: _Found, phantom: bool) -> dict[str, tuple[int, Literal["train", "test"]]]:
    """Return image id to (fold of its masks, split), after validating that no mask is absent."""
    if set(found.masks) & {1, 2}:
        ids = {fold: found.ids(fold) for fold in (1, 2)}
        for fold, structure in ((fold, s) for fold in (1, 2) for s in STRUCTURES):
            _need_masks(found, fold, structure, _expected_in_fold(fold, ids, phantom))
        if both := ids[1] & ids[2]:
            raise DataDamaged(f"scr: {min(both)} is in fold1 and in fold2, expected one of them: {_UNPACK}")
        if not phantom:
            found.notes += _fold_notes(ids)
        return {name: (fold, "train" if fold == 1 else "test") for fold in (1, 2) for name in ids[fold]}
    for structure in STRUCTURES:
        _need_masks(found, 0, structure, len(found.ids(0)) if phantom else _IMAGES)
    found.notes.append(
        "scr: the masks lie in no folds, so odd-numbered images are the training set and even-numbered the test set"
    )
    return {name: (0, "train" if odd_numbered(name) else "test") for name in found.ids(0)}


def _expected_in_fold(fold: int, ids: Mapping[int, set[str]], phantom: bool) -> int:
    """Return 124 for the fold of the odd-numbered, 123 for the other; which is which is detected from the names."""
    own, other = ({odd_numbered(name) for name in ids[number]} for number in (fold, 3 - fold))
    if (phantom and own) or len(own) == 2:
        return len(ids[fold])
    odd = own == {True} or (not own and other == {False}) or (not own and not other and fold == 1)
    return 124 if odd else 123


def _need_masks(found: _Found, fold: int, structure: str, expected: int) -> None:
    files = found.masks.get(fold, {}).get(structure, {})
    if len(files) != expected or not files:
        place = f"fold{fold}/masks/{structure}" if fold else f"masks/{structure}"
        absent = min(found.ids(fold) - files.keys(), default="")
        missing = f" ({absent} is missing)" if absent and files else ""
        raise DataMissing(f"scr: {place} has {len(files)} masks, expected {expected or _IMAGES}{missing}: {_UNPACK}")


def _need_images(found: _Found, ids: list[str], root: Path, phantom: bool) -> None:
    absent = [name for name in ids if name not in found.images]
    if absent or (len(ids) != _IMAGES and not phantom):
        folder = next(iter(found.images.values())).parent if found.images else root
        there, expected = len(ids) - len(absent), len(ids) if phantom else _IMAGES
        missing = f" ({absent[0]} is missing)" if absent else ""
        raise DataMissing(f"scr: {folder} has {there} radiographs, expected {expected}{missing}: {_UNPACK_IMAGES}")
    if further := sorted(set(found.images) - set(ids)):
        found.notes.append(f"scr: {len(further)} images have no masks and are left out, for example {further[0]}")
    converted = sum(not _is_original(found.images[name]) for name in ids)
    if converted:
        found.notes.append(f"scr: {converted} of {len(ids)} radiographs are conversions to PNG, read instead of .IMG")


def _fold_notes(ids: Mapping[int, set[str]]) -> Iterator[str]:
    parity = [{odd_numbered(name) for name in ids[fold]} for fold in (1, 2)]
    if parity == [{False}, {True}]:
        yield f"scr: fold1, the training set, holds the {len(ids[1])} even-numbered images and fold2 the odd-numbered"
    elif parity != [{True}, {False}]:
        yield "scr: the folds are not the published ones (odd- and even-numbered images): scores compare with no paper"


def _item(found: _Found, name: str, fold: int, split: Literal["train", "test"]) -> Item:
    masks = {structure: (found.masks[fold][structure][name],) for structure in STRUCTURES}
    unions = {union: tuple(masks[part][0] for part in parts) for union, parts in UNIONS.items()}
    return Item(id=name, patient=name, split=split, image=found.images[name], masks={**masks, **unions})


def _on_wrong_side(structure: str, x: float) -> bool:
    side = structure.partition(" ")[0]
    return (side == "left" and x < 0.5) or (side == "right" and x > 0.5)


def _fold_findings(index: DatasetIndex) -> Iterator[Finding]:
    odd = {odd_numbered(item.id) for item in index.split("train")}
    if len(odd) == 1:
        yield Finding("ok", f"the training fold holds the {'odd' if odd == {True} else 'even'}-numbered images")


def _mask_findings(index: DatasetIndex, looks: Iterable[Look]) -> Iterator[Finding]:
    if not any(look.problems for look in looks):
        count, (height, width) = len(index.items) * len(STRUCTURES), _MASK_PX
        text = f"{count:,} masks: each of {width}×{height} px, none empty, left and right as the patient's"
        yield Finding("ok", text)


scr = register_dataset(SCR())

of_scr = partial(SegmentationTask, dataset="scr", side_mm=_IMAGE_PX * _PIXEL_MM)
scr_heart = register_task(of_scr(name="scr-heart", title="SCR heart segmentation", structures=("heart",)))
scr_clavicle = register_task(of_scr(name="scr-clavicle", title="SCR clavicle segmentation", structures=("clavicles",)))
