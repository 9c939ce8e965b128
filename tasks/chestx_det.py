"""ChestX-Det: 3,578 radiographs of ChestX-ray14 with polygons of 13 findings (Lian et al., arXiv:2104.10326).

The official train and test sets are the split. File names are renumbered, so no image tells its patient: each counts
as one. A polygon's part outside the image is cut off.

Not as in the paper: it splits 80/20 at random by a list that is not published. As in the released code, the target is
one mask, the union of all findings, although the paper speaks of 13 classes; each of the 13 can be read as well.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from eden_bench.contracts import PHANTOM, Box, DatasetCard, DatasetIndex, Finding, Item, Progress, no_progress
from eden_bench.errors import DataMissing, EdenError, unknown
from eden_bench.registry import register_dataset, register_task
from tasks.finetuning import SegmentationTask
from tasks.finetuning.definitions import IOU_THRESHOLDS
from tasks.phantom import VERSION
from tasks.reading.chestx_det import AGAIN, LABELS, SIDE_PX, Instance, need_scale, read_entries
from tasks.reading.files import files_under, need_folder, readable
from tasks.reading.nih import in_own_pixels
from tasks.reading.outlines import overhang_px, polygons_mask

if TYPE_CHECKING:
    import numpy as np

Split = Literal["train", "test"]

DISEASE = "disease"
"""The union of all findings of an image."""
_NEAR_PX = 10
"""Boxes of the training list lie within 6 px of their polygons' extremes."""
_FOLDER = re.compile(r"(train|test)([ _-]?(data|images?))?", re.IGNORECASE)
_EXPECTED = "ChestX_Det_train.json, ChestX_Det_test.json, train_data and test_data"


@dataclass(frozen=True)
class _Found:
    """Files of a folder; an image is named by its split and its file name."""

    images: Mapping[tuple[Split, str], Path]
    entries: Mapping[tuple[Split, str], tuple[Instance, ...]]

    @property
    def usable(self) -> list[tuple[Split, str]]:
        """Images on disk that their JSON names, sorted."""
        return sorted(self.images.keys() & self.entries.keys())


class ChestXDet:
    """Reader of ChestX-Det."""

    name = "chestx-det"
    card = DatasetCard(
        title="ChestX-Det",
        modality="chest-x-ray",
        citation="Lian et al., arXiv:2104.10326; the radiographs are of NIH ChestX-ray14, Wang et al., CVPR 2017",
        licence="annotations Apache-2.0; the radiographs are the NIH Clinical Center's",
        source="ChestX-Det-Dataset (Deepwise; linked from its repository)",
        folders=("chestx-det", "chestx_det", "ChestX-Det", "ChestX_Det"),
        expected_images=3_578,
        shareable=True,
        derived_from={
            "chestxray14": "all 3,578 images of ChestX-Det were taken from ChestX-ray14 and renumbered (its authors' "
            "README)"
        },
    )
    phantom_patients = 160
    phantom_version = VERSION

    def index(self, root: Path) -> DatasetIndex:
        """List the images on disk with the polygons of their findings.

        Raises:
            DataMissing: no JSON files or no images; says what was expected where.
            DataDamaged: an entry of a JSON file is none; names it.
        """
        return self._index_of(root, _find(root))

    def read_image(self, item: Item) -> np.ndarray:
        """Decode one PNG to (H, H) uint8; 1024 × 1024 in the original.

        Raises:
            DataDamaged: it cannot be decoded, or is not square, so that no polygons fit it.
        """
        from tasks.reading.pictures import read_grey, square

        image = read_grey(self.name, item.image, ("PNG",))
        return square(self.name, item.image, image, SIDE_PX)

    def read_mask(self, item: Item, structure: str) -> np.ndarray:
        """Draw the mask, the union of the polygons of `DISEASE` or of one of `LABELS`: (1024, 1024) bool."""
        if structure not in item.drawn:
            raise unknown("structure", structure, item.drawn)
        return polygons_mask(item.drawn[structure], (SIDE_PX, SIDE_PX))

    def instances(self, root: Path) -> dict[str, tuple[Instance, ...]]:
        """Read the findings drawn on every image that the JSON files name, by item id."""
        return {_id(*key): drawn for key, drawn in _entries(root).items()}

    def check(self, root: Path, progress: Progress = no_progress) -> list[Finding]:
        """Validate every image, images without entry, and boxes and polygons against image and each other."""
        from tasks.reading.checking import describe, look_at_all

        try:
            found = _find(root)
        except EdenError as error:
            return [Finding("error", str(error))]
        index = self._index_of(root, found)
        looks = look_at_all(self, index.items, progress, structures=lambda item: (DISEASE,))
        return [*describe(index, looks), *_instance_findings(found)]

    def write_phantom(self, root: Path, *, patients: int, seed: int, progress: Progress = no_progress) -> None:
        """Write the phantom as PNG and JSON: films of the ChestX-ray14 phantom's people."""
        from tasks.phantom.layouts.chestx_det import write_chestx_det

        write_chestx_det(root, patients=patients, seed=seed, progress=progress)

    def _index_of(self, root: Path, found: _Found) -> DatasetIndex:
        items = (
            Item(
                id=_id(split, name),
                patient=_id(split, name),
                split=split,
                image=found.images[split, name],
                drawn=_drawn(found.entries[split, name]),
                boxes=_boxes(found.entries[split, name], found.images[split, name]),
            )
            for split, name in found.usable
        )
        return DatasetIndex(
            dataset=self.name,
            root=root,
            items=tuple(items),
            expected_images=self.card.expected_images,
            phantom=(root / PHANTOM).is_file(),
            notes=tuple(_notes(found)),
        )


def _find(root: Path) -> _Found:
    with readable("chestx-det", root):
        need_folder("chestx-det", root, _EXPECTED, f"unpack the archives into EDEN_BENCH_DATA/{root.name}")
    entries = _entries(root)
    with readable("chestx-det", root):
        found = _Found(_images(root), entries)
    for split in get_args(Split):
        if not any(key[0] == split for key in found.usable):
            raise DataMissing(
                f"chestx-det: {root} has none of the images that ChestX_Det_{split}.json names, expected them in "
                f"{split}_data: unpack {split}_data.zip there"
            )
    return found


def _entries(root: Path) -> dict[tuple[Split, str], tuple[Instance, ...]]:
    with readable("chestx-det", root):
        there = {path.name.casefold(): path for path in files_under(root, 2)}
    entries: dict[tuple[Split, str], tuple[Instance, ...]] = {}
    for split in get_args(Split):
        name = f"ChestX_Det_{split}.json"
        if name.casefold() not in there:
            raise DataMissing(f"chestx-det: {root} has no {name}, expected it beside train_data and test_data: {AGAIN}")
        found = read_entries(there[name.casefold()])
        need_scale(there[name.casefold()], found)
        entries |= {(split, image): drawn for image, drawn in found.items()}
    return entries


def _images(root: Path) -> dict[tuple[Split, str], Path]:
    """List every PNG below a folder of one split; the innermost such folder counts."""
    images: dict[tuple[Split, str], Path] = {}
    for path in files_under(root):
        folders = [match for part in path.relative_to(root).parts[:-1] if (match := _FOLDER.fullmatch(part))]
        if folders and path.suffix.casefold() == ".png":
            split: Split = "train" if folders[-1][1].casefold() == "train" else "test"
            images.setdefault((split, path.name), path)
    return images


def _id(split: Split, name: str) -> str:
    return f"{split}/{name}"


def _drawn(instances: Sequence[Instance]) -> dict[str, tuple[tuple[float, ...], ...]]:
    each = {label: tuple(one.polygon for one in instances if one.label == label) for label in LABELS}
    return {DISEASE: tuple(one.polygon for one in instances), **each}


def _boxes(instances: Sequence[Instance], image: Path) -> tuple[Box, ...]:
    """Return the findings' boxes in the image's own pixels, cut off at its border."""
    cut = (Box(one.label, *(min(max(float(edge), 0.0), float(SIDE_PX)) for edge in one.box)) for one in instances)
    return tuple(in_own_pixels(box, image) for box in cut if box.left < box.right and box.top < box.bottom)


def _notes(found: _Found) -> Iterator[str]:
    absent = len(found.entries) - len(found.usable)
    if absent:
        there = f"{len(found.usable):,} of the {len(found.entries):,}"
        yield f"chestx-det: {there} images that the JSON files name are here"
    if strangers := sorted(found.images.keys() - found.entries.keys()):
        yield f"chestx-det: {len(strangers):,} images have no entry and are left out, for example {_id(*strangers[0])}"


def _instance_findings(found: _Found) -> Iterator[Finding]:
    drawn = [(_id(*key), one) for key, instances in found.entries.items() for one in instances]
    healthy = sum(not instances for instances in found.entries.values())
    counts = Counter(one.label for _, one in drawn)
    named = ", ".join(f"{label} {counts[label]:,}" for label in LABELS if counts[label])
    yield Finding("ok", f"{len(drawn):,} findings ({named}); {healthy:,} images without finding")
    outside = [
        name for name, one in drawn if max(overhang_px(p, (SIDE_PX, SIDE_PX)) for p in (one.polygon, one.box)) > 0
    ]
    if outside:
        yield Finding("note", f"{len(outside):,} findings leave the image and are cut off, for example on {outside[0]}")
    if apart := [name for name, one in drawn if _distance(one) > _NEAR_PX]:
        found_ = f"{len(apart):,} boxes are more than {_NEAR_PX} px off their polygons, for example on {apart[0]}"
        yield Finding("note", f"{found_}, expected the same order of both; no task uses the boxes")


def _distance(one: Instance) -> float:
    """Return the largest distance in pixels between a box and its polygon's extremes."""
    x, y = one.polygon[::2], one.polygon[1::2]
    return max(abs(a - b) for a, b in zip(one.box, (min(x), min(y), max(x), max(y)), strict=True))


chestx_det = register_dataset(ChestXDet())

chestx_det_task = register_task(
    SegmentationTask(
        name="chestx-det",
        dataset="chestx-det",
        title="ChestX-Det segmentation, all findings as one mask",
        structures=(DISEASE,),
        score=IOU_THRESHOLDS,
    )
)
