"""VinDr-RibCXR: the twenty upper ribs of 245 radiographs (Nguyen et al., MIDL 2021, arXiv:2107.01327).

Each rib is one polygon of a JSON file, drawn when it is asked for. A rib that an annotator left out stands there as
the string 'None' and is an empty mask; a score on it is 1 where nothing is found. Training images train and the "val"
images are the test set, as in the paper. The images are some of VinDr-CXR's, under other names.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from eden_bench.contracts import PHANTOM, DatasetCard, DatasetIndex, Finding, Item, Progress, no_progress
from eden_bench.errors import DataMissing, EdenError, unknown
from eden_bench.registry import register_dataset, register_task
from tasks.finetuning import SegmentationProtocol, SegmentationTask
from tasks.phantom import VERSION
from tasks.reading.files import Damaged, damaged, files_under, need_folder, read_json, readable
from tasks.reading.outlines import overhang_px, polygon_area_px, polygon_of, polygons_mask

if TYPE_CHECKING:
    import numpy as np

RIBS = tuple(f"{side}{number}" for side in "RL" for number in range(1, 11))
"""The patient's right ribs, left in the image, then the left ones; each from the first to the tenth."""

_COUNTS: Mapping[Literal["train", "val"], int] = {"train": 196, "val": 49}
_IMAGE = re.compile(r"VinDr_RibCXR_(train|val)_\d{1,6}\.png", re.IGNORECASE)
_TABLE = re.compile(r"VinDr_RibCXR_(train|val)_mask\.json", re.IGNORECASE)
_MISSING = "None"
_FARTHER_PX = 200
"""A polygon that leaves the image by more than this was drawn on another one."""
_MOST_BYTES = 16 << 20
"""Of a table: 196 images of 20 ribs and 150 points have half of that."""
_EXPECTED = "data/train/img, data/val/img and a Vindr_RibCXR_…_mask.json in data/train and data/val"
_AGAIN = "download it again from vindr.ai"
_ENOUGH_RIBS = 5
"""Of a side, to tell where the middle of the chest lies."""

Ribs = dict[str, tuple[tuple[float, ...], ...]]
"""Rib to its polygons; () for one that is missing."""


@dataclass
class _Found:
    """Files and entries of a folder."""

    images: dict[str, Path] = field(default_factory=dict)
    """File name in lower case to file."""
    ribs: dict[str, dict[str, Ribs]] = field(default_factory=dict)
    """Split to image name in lower case to its ribs."""

    def here(self, split: str) -> list[str]:
        """Images of a split that are on disk and in its JSON file, sorted."""
        return sorted(self.ribs[split].keys() & self.images.keys())


class VinDrRib:
    """Reader of VinDr-RibCXR."""

    name = "vindr-rib"
    card = DatasetCard(
        title="VinDr-RibCXR",
        modality="chest-x-ray",
        citation="Nguyen et al., MIDL 2021, arXiv:2107.01327",
        licence="for research, after accepting VinDr's data use agreement; not to be passed on",
        source="VinBigData, https://vindr.ai/datasets/ribcxr (registration)",
        folders=("vindr-rib", "vindr-ribcxr", "VinDr-RibCXR", "vindr_ribcxr"),
        expected_images=sum(_COUNTS.values()),
        derived_from={
            "vindr-cxr": "all 245 images of VinDr-RibCXR were taken from VinDr-CXR (Nguyen et al., MIDL 2021)"
        },
    )
    phantom_patients = 60
    phantom_version = VERSION

    def index(self, root: Path) -> DatasetIndex:
        """List the images with their ribs and official split.

        Raises:
            DataMissing: no images, or no JSON file; says what was expected where.
            DataDamaged: a JSON file is no table of twenty ribs, or a polygon is none; names file, rib and image.
        """
        found = _find(root)
        splits: tuple[tuple[str, Literal["train", "test"]], ...] = (("train", "train"), ("val", "test"))
        items = [
            Item(
                id=found.images[name].stem,
                patient=found.images[name].stem,
                split=split,
                image=found.images[name],
                drawn=found.ribs[part][name],
            )
            for part, split in splits
            for name in found.here(part)
        ]
        return DatasetIndex(
            dataset=self.name,
            root=root,
            items=tuple(sorted(items, key=lambda item: item.id)),
            expected_images=self.card.expected_images,
            split_rule="the dataset's own training images, and its val images as the test set",
            phantom=(root / PHANTOM).is_file(),
            notes=tuple(_notes(found)),
        )

    def read_image(self, item: Item) -> np.ndarray:
        """Decode one PNG to (H, W) uint8; about 2880 × 2304 in the original."""
        from tasks.reading.pictures import read_grey

        return read_grey(self.name, item.image, ("PNG",))

    def read_mask(self, item: Item, structure: str) -> np.ndarray:
        """Draw one rib, (H, W) bool, of the image's size; all False where the rib is missing.

        Raises:
            DataDamaged: the image's ribs were drawn on one of another size.
        """
        from tasks.reading.pictures import size_of_picture

        if structure not in item.drawn:
            raise unknown("structure", structure, item.drawn)
        size_px = size_of_picture(self.name, item.image, ("PNG",))
        need_fit(item, size_px)
        return polygons_mask(item.drawn[structure], size_px)

    def check(self, root: Path, progress: Progress = no_progress) -> list[Finding]:
        """Validate every image, counts, missing ribs, and polygons outside their image."""
        from tasks.reading.checking import describe, look_at_all

        try:
            index = self.index(root)
        except EdenError as error:
            return [Finding("error", str(error))]
        looks = look_at_all(self, index.items, progress, shares=_shares, look_further=self._rib_problems)
        missing = [f"{rib} of {item.id}" for item in index.items for rib, drawn in item.drawn.items() if not drawn]
        text = f"{len(index.items) * len(RIBS):,} ribs, of which {len(missing):,} are missing"
        text += f", for example {missing[0]}" if missing else ""
        return [*describe(index, looks), Finding("ok", text)]

    def write_phantom(self, root: Path, *, patients: int, seed: int, progress: Progress = no_progress) -> None:
        """Write the phantom as PNG and JSON."""
        from tasks.phantom.layouts.vindr_rib import write_vindr_rib

        write_vindr_rib(root, patients=patients, seed=seed, progress=progress)

    def _rib_problems(self, item: Item) -> Iterator[str]:
        from tasks.reading.pictures import size_of_picture

        try:
            need_fit(item, size_of_picture(self.name, item.image, ("PNG",)))
        except EdenError as error:
            yield str(error)


def need_fit(item: Item, size_px: tuple[int, int]) -> None:
    """Validate that ribs fit their image. Raises DataDamaged if it was resized and they were not.

    They are where a rib leaves the image by far, or both sides' ribs lie around a column outside its middle third.

    Args:
        item: with its ribs.
        size_px: height and width of the image that is there.

    Raises:
        DataDamaged: says how large the image is and how far the ribs reach.
    """
    polygons = [polygon for drawn in item.drawn.values() for polygon in drawn]
    if not polygons:
        return
    (height, width), middle = size_px, _middle_px(item)
    near = max(overhang_px(p, size_px) for p in polygons) <= _FARTHER_PX
    if near and width / 3 <= (middle or width / 2) <= width / 1.5:
        return
    right, bottom = max(max(p[::2]) for p in polygons), max(max(p[1::2]) for p in polygons)
    found = f"has {width}×{height} px, and its ribs reach to {right:.0f}×{bottom:.0f}"
    found += f" and lie around column {middle:.0f}" if middle else ""
    remedy = "put the original image back, or scale the points of the JSON file as it was scaled"
    raise damaged("vindr-rib", item.image, found, "an image of the size they were drawn on", remedy)


def _middle_px(item: Item) -> float | None:
    """Return the column halfway between the outer ends of both sides' ribs, by each side's median; None for few."""
    right = [min(polygon[::2]) for rib, drawn in item.drawn.items() if rib[0] == "R" for polygon in drawn]
    left = [max(polygon[::2]) for rib, drawn in item.drawn.items() if rib[0] == "L" for polygon in drawn]
    if min(len(right), len(left)) < _ENOUGH_RIBS:
        return None
    return (statistics.median(right) + statistics.median(left)) / 2


def _shares(item: Item, size_px: tuple[int, int]) -> dict[str, float]:
    """Return rib to the share of the image that its polygons cover, without drawing them."""
    height, width = size_px
    return {rib: sum(map(polygon_area_px, drawn)) / (height * width) for rib, drawn in item.drawn.items()}


def _find(root: Path) -> _Found:
    found, tables = _Found(), dict[str, Path]()
    with readable("vindr-rib", root):
        need_folder("vindr-rib", root, _EXPECTED, _AGAIN)
        for path in files_under(root):
            if _IMAGE.fullmatch(path.name):
                found.images.setdefault(path.name.lower(), path)
            elif match := _TABLE.fullmatch(path.name):
                tables.setdefault(match[1].lower(), path)
    for split in _COUNTS:
        if split not in tables:
            raise DataMissing(
                f"vindr-rib: {root} has no Vindr_RibCXR_{split}_mask.json, expected {_EXPECTED}: {_AGAIN}"
            )
        found.ribs[split] = _ribs(tables[split])
        if not found.here(split):
            count = len(found.ribs[split])
            raise DataMissing(f"vindr-rib: {root} has none of the {count} images of {tables[split].name}: {_AGAIN}")
    if both := found.ribs["train"].keys() & found.ribs["val"].keys():
        raise damaged("vindr-rib", tables["val"], f"names {min(both)}", "no image of the training file", _AGAIN)
    return found


def _ribs(path: Path) -> dict[str, Ribs]:
    """Read one JSON file, image name in lower case to its ribs."""
    content = _json(path)
    columns = {name: _column(path, content, name) for name in ("img", *RIBS)}
    ribs: dict[str, Ribs] = {}
    for row, place in columns["img"].items():
        name = _image_name(path, row, place)
        if name in ribs:
            raise damaged("vindr-rib", path, f"names {name} again at {row!r}", "each image once", _AGAIN)
        ribs[name] = {rib: _polygons(path, rib, row, columns[rib]) for rib in RIBS}
    return ribs


def _json(path: Path) -> dict[str, Any]:
    content = read_json("vindr-rib", path, "a table of ribs", _AGAIN, _MOST_BYTES)
    if not isinstance(content, dict):
        raise damaged("vindr-rib", path, f"holds a {type(content).__name__}", "a table of ribs", _AGAIN)
    return content


def _column(path: Path, content: Mapping[str, Any], name: str) -> dict[str, Any]:
    column = content.get(name)
    if not isinstance(column, dict):
        found = f"has no column {name!r}" if column is None else f"has {repr(column)[:40]} for {name!r}"
        raise damaged("vindr-rib", path, found, "img, R1 to R10 and L1 to L10, each a table by image number", _AGAIN)
    return column


def _image_name(path: Path, row: str, place: object) -> str:
    """Return the file name of an entry of "img"; its folders are not followed."""
    name = re.split(r"[/\\]", place)[-1] if isinstance(place, str) else ""
    if not _IMAGE.fullmatch(name):
        expected = "a path such as 'data/train/img/VinDr_RibCXR_train_000.png'"
        raise damaged("vindr-rib", path, f"has {repr(place)[:60]} for img {row[:20]!r}", expected, _AGAIN)
    return name.lower()


def _polygons(path: Path, rib: str, row: str, column: Mapping[str, Any]) -> tuple[tuple[float, ...], ...]:
    where = f"{rib} of img {row[:20]!r}"
    if row not in column:
        raise damaged("vindr-rib", path, f"has no {where}", f"a polygon or {_MISSING!r}", _AGAIN)
    points = column[row]
    if points == _MISSING:
        return ()
    try:
        return (polygon_of([_point(point) for point in points] if isinstance(points, list) else points),)
    except Damaged as error:
        raise damaged("vindr-rib", path, f"{where} {error.found}", error.expected, _AGAIN) from error


def _point(point: object) -> object:
    """Parse {"x": …, "y": …} to [x, y]; anything else is returned as it is, to be refused."""
    return [point["x"], point["y"]] if isinstance(point, dict) and point.keys() == {"x", "y"} else point


def _notes(found: _Found) -> Iterator[str]:
    named = sum(len(ribs) for ribs in found.ribs.values())
    here = sum(len(found.here(split)) for split in found.ribs)
    if here < named:
        yield f"vindr-rib: {here} of the {named} images that the JSON files name are here"
    if strangers := sorted(found.images.keys() - {name for ribs in found.ribs.values() for name in ribs}):
        yield f"vindr-rib: {len(strangers)} images are in no JSON file and are left out, for example {strangers[0]}"
    yield "vindr-rib: the release names no patients, so every image counts as one"


vindr_rib = register_dataset(VinDrRib())

vindr_rib_task = register_task(
    SegmentationTask(
        name="vindr-rib",
        dataset="vindr-rib",
        title="VinDr-RibCXR segmentation, 20 ribs",
        structures=RIBS,
        paper=SegmentationProtocol(optimiser="adam", lr=1e-3, weight_decay=0.0),
    )
)
"""Adam at 1e-3 is the paper's (F.2) for this task alone; it names no weight decay, and Adam's own default is none."""
