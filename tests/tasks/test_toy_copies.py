"""Copies of one data set, saved as people save them: each gives the same score, or is refused, or is noted.

``python -m tests.tasks.test_toy_copies`` prints the table.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pytest
from PIL import Image

from eden_bench import seeds
from eden_bench.contracts import Context, DatasetCard
from eden_bench.encoders import build_encoder
from eden_bench.errors import EdenError
from tasks.finetuning import SegmentationTask
from tasks.reading.folder import FolderDataset, Masks

IMAGES, SIZE_PX, SEEDS = 24, (60, 90), (0, 1, 2)
TASK = SegmentationTask(name="toy", dataset="toy", title="Toy", structures=("heart",))
PROTOCOL = replace(TASK.quick, size_px=32, score_px=60, max_steps=30, validate_every=15, batch_size=8)


class Copy(NamedTuple):
    """One way to save the data set."""

    image: Callable[[Path, np.ndarray], object]
    mask: Callable[[Path, np.ndarray], object]
    bits: int | None = None


def films():
    """Yield name, image (H, W) float in [0, 1] and mask (H, W) bool: an ellipse off the middle, in noise."""
    height, width = SIZE_PX
    y, x = np.mgrid[:height, :width]
    for number in range(IMAGES):
        draw = seeds.generator(0, "copies", number)
        across, down = draw.uniform(15, 35), draw.uniform(12, 25)
        inside = ((x - across) / draw.uniform(8, 12)) ** 2 + ((y - down) / draw.uniform(6, 10)) ** 2 < 1
        yield f"{number:02d}", np.clip(0.35 + 0.25 * inside + draw.normal(0, 0.05, inside.shape), 0.02, 1), inside


def grey(bits: int, scale: int | None = None):
    kind = np.uint8 if bits == 8 else np.uint16

    def save(path: Path, image: np.ndarray) -> None:
        cv2.imwrite(str(path.with_suffix(".png")), np.rint(image * (2 ** (scale or bits) - 1)).astype(kind))

    return save


def turned(orientation: int, turn: Callable[[np.ndarray], np.ndarray]):
    """Save pixels as a camera does that was held otherwise: turn is what it did to what a viewer shows."""

    def save(path: Path, image: np.ndarray) -> None:
        exif = Image.Exif()
        exif[274] = orientation
        Image.fromarray(turn(np.rint(image * 255).astype(np.uint8))).save(
            path.with_suffix(".jpg"), exif=exif, quality=97
        )

    return save


def binary(path: Path, mask: np.ndarray) -> None:
    Image.fromarray(mask.astype(np.uint8) * 255).save(path.with_suffix(".png"))


def alpha(path: Path, mask: np.ndarray) -> None:
    drawn = np.dstack([np.full(mask.shape, 255, np.uint8)] * 3 + [mask.astype(np.uint8) * 255])
    Image.fromarray(drawn).save(path.with_suffix(".png"))


def ones(path: Path, mask: np.ndarray) -> None:
    Image.fromarray(mask.astype(np.uint8)).save(path.with_suffix(".gif"))


def smoothed(path: Path, mask: np.ndarray) -> None:
    soft = cv2.GaussianBlur(mask.astype(np.uint8) * 255, (7, 7), 2)
    Image.fromarray(soft).save(path.with_suffix(".png"))


def mixed(path: Path, image: np.ndarray) -> None:
    (grey(8) if int(path.name) % 2 else grey(16, 12))(path, image)


COPIES = {
    "8 bits": Copy(grey(8), binary),
    "16 bits": Copy(grey(16), binary),
    "12 of 16 bits": Copy(grey(16, 12), binary),
    "12 of 16 bits, bits = 12": Copy(grey(16, 12), binary, bits=12),
    "10 of 16 bits": Copy(grey(16, 10), binary),
    "10 of 16 bits, bits = 10": Copy(grey(16, 10), binary, bits=10),
    "8 and 12 bits": Copy(mixed, binary),
    "8 and 12 bits, bits = 12": Copy(mixed, binary, bits=12),
    "EXIF 2 (mirrored)": Copy(turned(2, lambda image: image[:, ::-1]), binary),
    "EXIF 3 (by 180 degrees)": Copy(turned(3, lambda image: image[::-1, ::-1]), binary),
    "EXIF 6 (by 90 degrees)": Copy(turned(6, lambda image: np.ascontiguousarray(np.rot90(image, 1))), binary),
    "masks of 0 and 1": Copy(grey(8), ones),
    "masks in alpha": Copy(grey(8), alpha),
    "masks smoothed": Copy(grey(8), smoothed),
    "masks all empty": Copy(grey(8), lambda path, mask: binary(path, mask & False)),
    "masks all full": Copy(grey(8), lambda path, mask: binary(path, mask | True)),
    "6 images black": Copy(lambda path, image: grey(8)(path, image * (int(path.name) > 5)), binary),
}


REFUSED = {
    "12 of 16 bits", "10 of 16 bits", "8 and 12 bits", "masks in alpha", "masks smoothed", "masks all empty",
    "masks all full", "6 images black"
}  # fmt: skip


class Row(NamedTuple):
    """What came of one copy."""

    scores: tuple[float, ...]
    """Dice of each seed; none where it was refused."""
    refused: str
    errors: int
    notes: tuple[str, ...]


def outcome(copy: Copy, root: Path, run_seeds=SEEDS) -> Row:
    """Write a copy, check it and run the task on it."""
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    for name, image, mask in films():
        copy.image(root / "images" / name, image)
        copy.mask(root / "masks" / name, mask)
    card = DatasetCard(title="toy", modality="chest-x-ray", citation="", licence="CC0", source="", folders=("toy",),
                       expected_images=0)  # fmt: skip
    masks = {"heart": Masks(root / "masks")}
    dataset = FolderDataset(name="toy", card=card, root=root, images=root / "images", masks=masks, bits=copy.bits)
    findings = dataset.check(root)
    errors, notes = (tuple(f.text for f in findings if f.level == level) for level in ("error", "note"))
    try:
        opened = TASK.open(dataset.index(root), PROTOCOL, Context(cache=root / "cache", dataset=dataset))
    except EdenError as error:
        return Row((), str(error), len(errors), notes)
    scores = [opened.run(build_encoder("resnet18-w16", 0), seed).scores["dice"] for seed in run_seeds]
    return Row(tuple(scores), "", len(errors), notes)


@pytest.mark.trap(
    "inputs", "one data set as 8 bits, 12 bits, alpha masks, turned by EXIF, smoothed", "the same score, or refused"
)
@pytest.mark.parametrize("name", [name for name in COPIES if name != "8 bits"])
def test_a_copy_gives_the_same_score_or_is_refused(name, tmp_path, plain):
    row = outcome(COPIES[name], tmp_path, SEEDS[:1])
    assert bool(row.refused) == bool(row.errors), "what check calls an error, a run refuses"
    assert bool(row.refused) == (name in REFUSED)
    if not row.refused:
        assert row.scores[0] == pytest.approx(plain, abs=0.1), "seeds differ by 0.1 (s.d.)"
    noted = [note.partition(" ")[0] for note in row.notes]
    assert ("EXIF" in noted) == name.startswith("EXIF")


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """Dice of the copy of 8 bits; far from nothing and from everything, so that another score could be seen."""
    (score,) = outcome(COPIES["8 bits"], tmp_path_factory.mktemp("plain"), SEEDS[:1]).scores
    assert 0.4 < score < 0.97
    return score


if __name__ == "__main__":
    print("| copy | Dice, seeds 0 to 2 | data check | refused |\n|---|---|---|---|")
    for name, copy in COPIES.items():
        with tempfile.TemporaryDirectory() as folder:
            row = outcome(copy, Path(folder))
        dice = ", ".join(f"{100 * score:.1f}" for score in row.scores) or "–"
        said = f"{row.errors} errors" if row.errors else "; ".join(row.notes)[:60] or "ok"
        print(f"| {name} | {dice} | {said} | {row.refused.replace(folder, '…')[:110] or 'no'} |", flush=True)
