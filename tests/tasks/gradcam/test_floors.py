"""Floors and ceilings of EVA-X's evaluation, from the real list of boxes: maps that look at nothing."""

from pathlib import Path

import numpy as np
import pytest

from eden_bench.contracts import Item
from tasks.gradcam import controls, measures
from tasks.gradcam.truth import Truth, truth_of
from tasks.reading.nih import read_boxes

BOXES = Path(__file__).parents[4] / "shared/data/nih_chestxray14/BBox_List_2017.csv"
pytestmark = pytest.mark.skipif(not BOXES.is_file(), reason="the real list of boxes is not beside the repository")
SIZE_PX = 224


@pytest.fixture(scope="module")
def truth() -> Truth:
    boxes: dict = {}
    for name, box in read_boxes(BOXES):
        boxes.setdefault(name, []).append(box)
    items = [
        Item(id=name, patient=name[:8], split="test", image=Path(name), boxes=tuple(drawn))
        for name, drawn in sorted(boxes.items())
    ]
    return truth_of(items, np.full((len(items), 2), 1024))


@pytest.fixture(scope="module")
def masks(truth) -> np.ndarray:
    return truth.masks(SIZE_PX, "evax")


def evax(maps, masks) -> tuple[float, float, float, float]:
    """AP25, AP50, mIoU and mAP in %."""
    ious, _ = measures.curves(maps, masks)
    iou = ious[:, measures.evax_threshold(ious)]
    ap25, ap50 = 100 * (iou > 0.25).mean(), 100 * (iou > 0.5).mean()
    return ap25, ap50, 100 * iou.mean(), (ap25 + ap50) / 2


def test_the_boxes_are_984_of_726_patients(truth):
    assert len(truth) == 984
    assert len(set(truth.patients)) == 726
    assert len(set(truth.labels)) == 8


def test_the_whole_film(masks):
    found = evax(np.broadcast_to(controls.whole_film(SIZE_PX), masks.shape), masks)
    assert found == pytest.approx((3.86, 0.10, 7.42, 1.98), abs=0.1)


def test_one_gaussian_in_the_middle_beats_every_published_row(masks):
    found = evax(np.broadcast_to(controls.centre_blob(SIZE_PX), masks.shape), masks)
    assert found == pytest.approx((23.88, 10.57, 16.30, 17.23), abs=0.1)


def test_the_boxes_of_other_patients_of_the_class(truth, masks):
    found = evax(controls.class_prior(masks, list(truth.labels), truth.patients), masks)
    assert found == pytest.approx((32.32, 14.53, 22.33, 23.42), abs=0.1)


def test_the_boxes_of_other_patients_of_any_class(truth, masks):
    found = evax(controls.class_prior(masks, ["any"] * len(truth), truth.patients), masks)
    assert found == pytest.approx((27.03, 12.70, 18.35, 19.87), abs=0.1)


@pytest.mark.parametrize(
    ("side", "expected"),
    [(7, (90.65, 73.27, 61.67, 81.96)), (14, (98.68, 93.50, 79.52, 96.09)), (28, (100, 99.59, 92.27, 99.80))],
)
def test_the_box_as_a_grid_shows_it(masks, side, expected):
    assert evax(controls.grid_oracle(masks, (side, side)), masks) == pytest.approx(expected, abs=0.1)


def test_pointing_of_the_class_prior(truth, masks):
    hits = measures.pointing(controls.class_prior(masks, list(truth.labels), truth.patients), masks)
    of = {label: hits[np.array(truth.labels) == label].mean() for label in set(truth.labels)}
    assert hits.mean() == pytest.approx(0.390, abs=0.01)
    assert of["Cardiomegaly"] == pytest.approx(0.986, abs=0.01)
    assert of["Nodule"] < 0.02  # 0 where a tie's first pixel is taken for all of it
