"""Two rules for all readers: what ``data check`` calls an error, a run refuses; what it reads otherwise, check says.

Each reader meets each kind of odd file in its own layout, the phantom of a few patients, and a folder task.
"""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pytest
from PIL import Image

from eden_bench import registry
from eden_bench.contracts import Context
from eden_bench.data.dataset_folders import reader, write_phantom
from eden_bench.data.image_store import open_images, open_masks
from eden_bench.errors import DataMissing, EdenError
from tests.tasks.hostile.cases import FOLDER, write_base

pytestmark = pytest.mark.usefixtures("fresh_registry")


class Place(NamedTuple):
    """A picture of a dataset's layout."""

    dataset: str
    file: str


IMAGES = (
    Place("chestxray14", "images/00000001_000.png"),
    Place("shenzhen", "CXR_png/CHNCXR_0001_0.png"),
    Place("chestx-det", "train_data/36200.png"),
    Place("vindr-rib", "data/train/img/VinDr_RibCXR_train_000.png"),
    Place("eyepacs", "train/1_left.jpeg"),
    Place("drive", "training/images/21_training.tif"),
    Place(FOLDER, "images/a.png"),
    Place(FOLDER, "images/b.jpg"),
)
MASKS = (
    Place("scr", "scratch/fold1/masks/heart/JPCLN001.gif"),
    Place("shenzhen", "mask/CHNCXR_0001_0_mask.png"),
    Place("drive", "training/1st_manual/21_manual1.gif"),
    Place("drive", "training/mask/21_training_mask.gif"),
    Place(FOLDER, "masks/a.gif"),
)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    root = tmp_path_factory.mktemp("layouts")
    write_base(root, (*{place.dataset for place in (*IMAGES, *MASKS)},))
    return root


def dataset_at(base: Path, name: str):
    if name == FOLDER:
        registry.load_plugin_file(base / FOLDER / "task.toml")
        return registry.datasets.get("hostile")
    return reader(name)


def refusal(dataset, root: Path, cache: Path) -> str:
    """Read all that a run on a dataset reads, and all its masks; return what stopped it, or "" where nothing did."""
    try:
        index, context = dataset.index(root), Context(cache=cache)
        open_images(index, dataset, 64, context, channels=3 if dataset.card.modality == "fundus" else 1)
        for structure in index.items[0].masks:
            there = tuple(item for item in index.items if structure in item.masks)
            open_masks(replace(index, items=there), dataset, [structure], 64, context)
    except EdenError as error:
        return str(error)
    return ""


def found(base, place, content: bytes, tmp_path):
    """Return check's errors and notes on a layout with one file changed, and what a run refuses."""
    path, dataset = base / place.dataset / place.file, dataset_at(base, place.dataset)
    kept = path.read_bytes()
    try:
        path.write_bytes(content)
        findings = dataset.check(path.parents[len(Path(place.file).parts) - 1])
        refused = refusal(dataset, path.parents[len(Path(place.file).parts) - 1], tmp_path)
    finally:
        path.write_bytes(kept)
    return {level: told(findings, level) for level in ("error", "note")}, refused


def told(findings, level: str) -> list[str]:
    """Return the findings of a level, but that four patients of Shenzhen have one label: its task refuses that."""
    return [f.text for f in findings if f.level == level and "; only one of the two is in" not in f.text]


def encoded(picture: Image.Image, path: Path, **options) -> bytes:
    """Save in the format that a file of this name has."""
    stream = io.BytesIO()
    kind = {".png": "PNG", ".gif": "GIF", ".tif": "TIFF"}.get(path.suffix, "JPEG")
    picture.save(stream, kind, **options)
    return stream.getvalue()


def opened(base, place) -> Image.Image:
    with Image.open(base / place.dataset / place.file) as picture:
        return picture.convert("RGB") if picture.mode not in ("L", "RGB") else picture.copy()


@pytest.mark.parametrize("name", [*registry.datasets.names(), FOLDER])
def test_whole_layouts_have_no_error_and_are_read(base, name, tmp_path):
    if not (base / name).exists():
        pytest.skip("no pictures in this layout")
    dataset = dataset_at(base, name)
    assert told(dataset.check(base / name), "error") == []
    assert refusal(dataset, base / name, tmp_path) == ""


@pytest.mark.trap("datasets", "images of one value; all but flat or black ones", "refused; `check` says the others")
@pytest.mark.trap("inputs", "black, flat and nearly flat images", "refused; nearly flat ones are said")
@pytest.mark.trap("attacks", "constant images, empty and full masks as data", "refused, or said by `check`")
@pytest.mark.parametrize("place", IMAGES, ids=str)
@pytest.mark.parametrize("value", [0, 90])
def test_an_image_of_one_value_is_an_error_and_refused(base, place, value, tmp_path):
    flat = Image.new("RGB", opened(base, place).size, (value,) * 3)
    said, refused = found(base, place, encoded(flat, Path(place.file)), tmp_path)
    assert [text for text in said["error"] if "one value all over" in text or "is black all over" in text]
    assert refused in said["error"]
    assert any("1 are flat" in text for text in said["note"])


@pytest.mark.trap("inputs", "10, 12 or 14 bits in files of 16, mixed depths, a marker burnt in")
@pytest.mark.parametrize("place", [place for place in IMAGES if place.file.endswith((".png", ".tif"))], ids=str)
@pytest.mark.parametrize("bits", [10, 12, 14])
def test_few_bits_in_sixteen_are_an_error_and_refused(base, place, bits, tmp_path):
    grey = np.asarray(opened(base, place).convert("L")).astype(np.uint16) << (bits - 8)
    content = cv2.imencode(Path(place.file).suffix, grey)[1].tobytes()
    said, refused = found(base, place, content, tmp_path)
    assert len(said["error"]) == 1
    assert f"holds values up to {grey.max()}, expected some above 16383" in said["error"][0]
    assert refused == said["error"][0]


@pytest.mark.parametrize(
    "place", [place for place in IMAGES if place.file.endswith((".png", ".jpeg", ".jpg"))], ids=str
)
def test_an_image_that_exif_turns_is_read_so_and_said(base, place, tmp_path):
    exif = Image.Exif()
    exif[274] = 3
    content = encoded(opened(base, place), Path(place.file), exif=exif)
    said, refused = found(base, place, content, tmp_path)
    assert (said["error"], refused) == ([], "")
    assert any(text.startswith("EXIF turns 1 of ") and Path(place.file).name in text for text in said["note"])


@pytest.mark.trap("datasets", "images of one value; all but flat or black ones")
@pytest.mark.trap("inputs", "black, flat and nearly flat images")
@pytest.mark.parametrize("place", IMAGES, ids=str)
def test_an_image_all_but_flat_is_said(base, place, tmp_path):
    width, height = opened(base, place).size
    grown = 4 if width == 64 else 1
    picture = np.full((grown * height, grown * width, 3), 40, np.uint8)
    picture[4:12, 4:12] = 200
    said, _ = found(base, place, encoded(Image.fromarray(picture), Path(place.file)), tmp_path)
    if place.dataset != "eyepacs":  # what is around the field of view is cut away there
        assert any("1 are nearly flat" in text for text in said["note"])


@pytest.mark.parametrize("place", [place for place in IMAGES if place.file.endswith(".png")], ids=str)
def test_transparent_pixels_of_an_image_are_said(base, place, tmp_path):
    picture = opened(base, place).convert("RGBA")
    picture.putalpha(Image.linear_gradient("L").resize(picture.size))
    said, refused = found(base, place, encoded(picture, Path(place.file)), tmp_path)
    assert (said["error"], refused) == ([], "")
    assert any("1 images have transparent pixels" in text for text in said["note"])


@pytest.mark.trap("inputs", "masks with greys between two values")
@pytest.mark.parametrize("place", MASKS, ids=str)
@pytest.mark.parametrize("kind", ["smoothed", "three values", "alpha"])
def test_a_mask_that_is_not_black_and_one_colour_is_an_error_and_refused(base, place, kind, tmp_path):
    mask = (np.asarray(opened(base, place).convert("L")) > 0).astype(np.uint8) * 255
    if kind == "smoothed":
        picture = Image.fromarray(cv2.GaussianBlur(mask, (9, 9), 2))
    elif kind == "three values":
        picture = Image.fromarray(np.where(np.arange(mask.shape[0])[:, None] % 2, mask, mask // 2))
    else:
        picture = Image.fromarray((mask > 0).astype(np.uint8)).convert("P")
        picture.putpalette([255, 255, 255, 255, 255, 255])
    options = {"transparency": 0} if kind == "alpha" else {}
    said, refused = found(base, place, encoded(picture, Path(place.file), **options), tmp_path)
    assert refused in said["error"]
    expected = "by its transparency" if kind == "alpha" else "expected black and one other value"
    assert expected in refused


@pytest.mark.parametrize("place", [place for place in MASKS if place.dataset != FOLDER], ids=str)
def test_an_empty_mask_of_what_every_image_shows_is_an_error_and_refused(base, place, tmp_path):
    empty = Image.new("L", opened(base, place).size)
    said, refused = found(base, place, encoded(empty, Path(place.file)), tmp_path)
    assert refused in said["error"]
    assert "is an empty mask" in refused or "covers 0% of the image" in refused


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
                else run_lengths(runs_mask([list(map(int, text.split()))], (1024, 1024)))
            )
            file.write(f"{name},{runs}\n")


def run_lengths(mask: np.ndarray) -> str:
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


@pytest.mark.trap(
    "inputs",
    "outlines and run lengths against resized images",
    "`run` refuses what `check` refuses; outlines off by a tenth are too like their neighbours to be told",
)
@pytest.mark.parametrize(
    ("name", "patients", "task", "harm", "message"), CASES, ids=lambda case: getattr(case, "__name__", None)
)
def test_what_check_calls_an_error_a_run_refuses(name, patients, task, harm, message, tmp_path, monkeypatch):
    monkeypatch.setattr("tasks.reading.chestx_det._ENOUGH_FINDINGS", 5)
    root = write_phantom(name, tmp_path, patients=patients)
    dataset, asked = reader(name), registry.tasks.get(task)
    assert [finding for finding in dataset.check(root) if finding.level == "error"] == []
    harm(root)
    errors = [finding.text for finding in dataset.check(root) if finding.level == "error"]
    assert errors
    with pytest.raises(DataMissing, match=message) as refused:
        asked.open(
            dataset.index(root),
            asked.protocol("quick"),
            Context(cache=tmp_path / "cache", device="cpu", dataset=dataset),
        )
    assert str(refused.value) in errors
    assert "download" not in str(refused.value)
