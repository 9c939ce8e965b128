"""What ``data check`` calls an error, ``run`` refuses: over the readers whose masks are drawn or stored."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eden_bench import registry
from eden_bench.contracts import Context
from eden_bench.data import dataset_folders
from eden_bench.errors import DataMissing


def resize(root: Path, pattern: str, scale: float) -> None:
    for file in root.rglob(pattern):
        with Image.open(file) as picture:
            resized = picture.resize((int(picture.width * scale), int(picture.height * scale)))
        resized.save(file)


def half_ribs(root: Path) -> None:
    resize(root, "VinDr*.png", 0.5)


def double_ribs(root: Path) -> None:
    resize(root, "VinDr*.png", 2)


def scaled_runs(root: Path) -> None:
    """Count each run on the image of 256 px, as conversions do."""
    from tasks.reading.outlines import runs_mask

    path = root / "train-rle.csv"
    rows = [[field.strip() for field in row] for row in csv.reader(path.read_text().splitlines())]
    with path.open("w", newline="") as file:
        for name, text in rows:
            runs = (
                text
                if text in ("-1", "EncodedPixels")
                else encoded(runs_mask([list(map(int, text.split()))], (1024, 1024)))
            )
            file.write(f"{name},{runs}\n")


def encoded(mask: np.ndarray) -> str:
    small = mask[::4, ::4].T.ravel().astype(int)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], small, [0]])))
    return " ".join(map(str, np.diff(np.concatenate([[0], edges])))) or "-1"


def scaled_polygons(root: Path) -> None:
    for path in root.glob("*.json"):
        entries = json.loads(path.read_text())
        if isinstance(entries, list):
            for entry in entries:
                entry["polygons"] = [[[x / 2, y / 2] for x, y in one] for one in entry["polygons"]]
                entry["boxes"] = [[number / 2 for number in box] for box in entry["boxes"]]
            path.write_text(json.dumps(entries))


def empty_heart(root: Path) -> None:
    Image.new("L", (1024, 1024)).save(next(root.rglob("fold1/masks/heart/*")))


def swapped_clavicles(root: Path) -> None:
    left, right = (next(root.rglob(f"fold1/masks/{side} clavicle/*")) for side in ("left", "right"))
    content = left.read_bytes()
    left.write_bytes(right.read_bytes())
    right.write_bytes(content)


def bare_vessels(root: Path) -> None:
    file = next((root / "training/1st_manual").glob("*"))
    Image.new("L", (565, 584)).save(file)


def oblong(root: Path) -> None:
    file = next(path for path in root.rglob("*.png") if "train" in str(path))
    Image.linear_gradient("L").resize((512, 256)).save(file)


CASES = [
    ("vindr-rib", 6, "vindr-rib", half_ribs, r"and its ribs reach to \d+×\d+ and lie around column"),
    ("vindr-rib", 6, "vindr-rib", double_ribs, r"and its ribs reach to \d+×\d+ and lie around column"),
    ("siim-acr", 20, "siim-acr", scaled_runs, r"has run lengths of an image of about 25\d×25\d px"),
    ("chestx-det", 16, "chestx-det", scaled_polygons, r"has polygons that reach to \d+ px"),
    ("chestx-det", 16, "chestx-det", oblong, "has 512×256 pixels, expected 1024×1024"),
    ("scr", 6, "scr-heart", empty_heart, "is an empty mask, expected some heart"),
    ("scr", 6, "scr-clavicle", swapped_clavicles, "lies on the patient's other side"),
    ("drive", 6, "drive", bare_vessels, "covers 0% of the image, expected 2% to 30%"),
]


@pytest.mark.parametrize(
    ("name", "patients", "task", "harm", "message"), CASES, ids=lambda case: getattr(case, "__name__", None)
)
def test_what_check_calls_an_error_run_refuses(name, patients, task, harm, message, tmp_path, monkeypatch):
    monkeypatch.setattr("tasks.chestx_det._ENOUGH_FINDINGS", 5)
    root = dataset_folders.write_phantom(name, tmp_path, patients=patients)
    reader, asked = dataset_folders.reader(name), registry.tasks.get(task)
    assert [finding for finding in reader.check(root) if finding.level == "error"] == []
    harm(root)
    errors = [finding.text for finding in reader.check(root) if finding.level == "error"]
    assert errors
    with pytest.raises(DataMissing, match=message) as refused:
        asked.open(
            reader.index(root), asked.protocol("quick"), Context(cache=tmp_path / "cache", device="cpu", dataset=reader)
        )
    assert str(refused.value) in errors
    assert "download" not in str(refused.value)
