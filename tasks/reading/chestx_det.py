"""The JSON files of ChestX-Det: what radiologists drew on each image (Lian et al., arXiv:2104.10326)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from eden_bench.errors import nearest
from tasks.reading.files import Damaged, damaged, read_json, size_of
from tasks.reading.outlines import is_coordinate, polygon_of

LABELS = (
    "Atelectasis",
    "Calcification",
    "Cardiomegaly",
    "Consolidation",
    "Diffuse Nodule",
    "Effusion",
    "Emphysema",
    "Fibrosis",
    "Fracture",
    "Mass",
    "Nodule",
    "Pleural Thickening",
    "Pneumothorax",
)
"""In alphabetical order; two of them with a space."""
SIDE_PX = 1024
"""Side of the image that polygons and boxes refer to."""

_MOST_BYTES = 16 << 20
"""Eight times the training list; it bounds what empty lists within lists can take."""
_FILE = re.compile(r"[0-9A-Za-z_-]{1,64}\.png", re.IGNORECASE)
_KEYS = ("file_name", "syms", "boxes", "polygons")
_ENOUGH_FINDINGS = 30
"""Of a JSON file, to tell the size of the images that they were drawn on."""
AGAIN = "download it again"


class Instance(NamedTuple):
    """One finding that a radiologist drew."""

    label: str
    box: tuple[float, float, float, float]
    """x1, y1, x2, y2 in pixels of the 1024-px image."""
    polygon: tuple[float, ...]
    """(x0, y0, x1, y1, …)."""


def read_entries(path: Path) -> dict[str, tuple[Instance, ...]]:
    """Read one JSON file: image to its findings, () if it has none. Images need not be on disk.

    Raises:
        DataDamaged: it is no JSON list of entries, or an entry has other keys, lists of unequal length, an unknown
            finding, a box or polygon that is none, or an image that another entry names; names the entry.
    """
    entries: dict[str, tuple[Instance, ...]] = {}
    for number, entry in enumerate(_json_list(path)):
        where = f"entry {number}"
        try:
            name = _name(entry)
            where += f" ({name})"
            if name in entries:
                raise Damaged("names an image again", "each once")
            entries[name] = tuple(_instances(entry))
        except Damaged as error:
            raise damaged("chestx-det", path, f"{where} {error.found}", error.expected, AGAIN) from error
    return entries


def _json_list(path: Path) -> list[Any]:
    if size_of("chestx-det", path) > _MOST_BYTES:
        raise damaged("chestx-det", path, "is too large", f"at most {_MOST_BYTES:,} bytes", AGAIN)
    content = read_json("chestx-det", path, "a list of entries", AGAIN)
    if not isinstance(content, list) or not content:
        raise damaged("chestx-det", path, "holds no list of entries", "one", AGAIN)
    return content


def _name(entry: object) -> str:
    if not isinstance(entry, dict) or any(key not in entry for key in _KEYS):
        raise Damaged(f"is {repr(entry)[:40]}", ", ".join(_KEYS))
    name = entry["file_name"]
    if not isinstance(name, str) or not _FILE.fullmatch(name):
        raise Damaged(f"has the file_name {repr(name)[:60]}", "a name such as '36199.png'")
    return name


def _instances(entry: Mapping[str, Any]) -> Iterator[Instance]:
    lists = [entry[key] for key in _KEYS[1:]]
    if not all(isinstance(one, list) for one in lists) or len({len(one) for one in lists}) != 1:
        raise Damaged("has syms, boxes and polygons that are not paired", "three lists of one length")
    for label, box, polygon in zip(*lists, strict=True):
        yield Instance(_label(label), _box(box), polygon_of(polygon))


def _label(label: object) -> str:
    if not isinstance(label, str) or label not in LABELS:
        hint = nearest(str(label)[:40], LABELS).strip()
        raise Damaged(
            f"has the finding {repr(label)[:40]}{f' ({hint})' if hint else ''}", f"one of {', '.join(LABELS)}"
        )
    return label


def _box(box: object) -> tuple[float, float, float, float]:
    if not isinstance(box, list) or len(box) != 4 or not all(map(is_coordinate, box)):
        raise Damaged(f"has the box {repr(box)[:60]}", "four numbers x1, y1, x2, y2")
    left, top, right, bottom = box
    if left >= right or top >= bottom:
        raise Damaged(f"has the box {box}", "x1 < x2 and y1 < y2")
    return left, top, right, bottom


def need_scale(path: Path, entries: Mapping[str, Sequence[Instance]]) -> None:
    """Validate the scale of polygons: DataDamaged unless one in ten reaches far across an image of 1024 px."""
    reach = sorted(max(one.polygon) for instances in entries.values() for one in instances)
    if len(reach) < _ENOUGH_FINDINGS:
        return
    far = reach[len(reach) * 9 // 10]
    if not 0.6 * SIDE_PX <= far <= 1.1 * SIDE_PX:
        found = f"has polygons that reach to {far:.0f} px, as on an image of about {far / 0.9:.0f} px"
        remedy = f"put the published {path.name} back; square images of any size go with it"
        raise damaged("chestx-det", path, found, f"those of {SIDE_PX}×{SIDE_PX} px", remedy)
