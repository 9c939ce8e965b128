from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eden_bench.contracts import Context, DatasetCard, DatasetIndex, Item
from eden_bench.contracts.datasets import DatasetOptions
from eden_bench.errors import DataMissing, NotBuilt
from pretrain.engine.data import VALIDATION_SHARE, open_data, split_patients


class Reader(DatasetOptions):
    card = DatasetCard(
        title="t", modality="chest-x-ray", citation="c", licence="l", source="s", folders=("x",), expected_images=9
    )

    def read_image(self, item):
        return cv2.imread(str(item.image), cv2.IMREAD_GRAYSCALE)


@pytest.fixture
def index(tmp_path):
    items = []
    for number in range(9):
        path = tmp_path / f"{number}.png"
        cv2.imwrite(str(path), np.full((32, 32), number, np.uint8))
        split = "test" if number == 8 else "train"
        items.append(Item(id=f"i{number}", patient=f"p{number // 2}", split=split, image=path, labels=(number % 2, 1)))
    return DatasetIndex(
        dataset="toy", root=tmp_path, items=tuple(items), expected_images=20, label_names=("a", "b"), phantom=False
    )


@pytest.mark.trap(
    "methods", "no patient in training and validation; share of the official lists", "13 % of the patients"
)
@given(st.lists(st.integers(0, 30), min_size=2, max_size=80).filter(lambda p: len(set(p)) > 1), st.integers(0, 99))
def test_no_patient_stands_in_both_parts_and_every_image_in_one(numbers, seed):
    patients = [f"p{number}" for number in numbers]
    train, validation = split_patients(patients, VALIDATION_SHARE, seed, "toy")
    assert not {patients[i] for i in train} & {patients[i] for i in validation}
    assert sorted([*train, *validation]) == list(range(len(patients)))
    assert len(train)
    assert len(validation)


@pytest.mark.trap("methods", "no patient in training and validation; share of the official lists")
def test_the_share_held_out_is_that_of_the_papers_lists():
    _, validation = split_patients([f"p{n}" for n in range(2000)], VALIDATION_SHARE, 0, "toy")
    assert len(validation) / 2000 == pytest.approx(0.1296, abs=1e-3)


def test_the_seed_moves_the_split_and_the_images_order_does_not():
    names = [f"p{n}" for n in range(50)]
    train, _ = split_patients(names, 0.2, 0, "toy")
    again, _ = split_patients(names[::-1], 0.2, 0, "toy")
    assert {names[i] for i in train} == {names[::-1][i] for i in again}
    assert list(split_patients(names, 0.2, 1, "toy")[0]) != list(train)


def test_one_patient_is_too_few():
    with pytest.raises(DataMissing, match="toy: found 1 patients to pretrain on, expected at least 2"):
        split_patients(["p", "p"], 0.1, 0, "toy")


def test_only_the_training_split_is_opened(index, tmp_path):
    data = open_data(index, Context(cache=tmp_path / "cache", dataset=Reader()))
    assert data.pyramid.ids == tuple(f"i{n}" for n in range(8))
    assert data.labels.tolist() == [[n % 2, 1] for n in range(8)]
    assert sorted([*data.train, *data.validation]) == list(range(8))
    found = {k: data.provenance[k] for k in ("dataset", "images", "patients", "part", "phantom")}
    assert found == {"dataset": "toy", "images": 8, "patients": 4, "part": "9 of 20 images", "phantom": False}


def test_a_dry_run_decodes_nothing(index, tmp_path):
    context = Context(cache=tmp_path / "cache", dataset=Reader(), build=False)
    with pytest.raises(NotBuilt):
        open_data(index, context)
    assert not context.cache.exists()
    open_data(index, replace(context, build=True))
    assert open_data(index, context).pyramid.ids == tuple(f"i{n}" for n in range(8))


def test_the_provenance_tells_how_large_the_images_were(index, tmp_path):
    cv2.imwrite(str(index.items[0].image), np.zeros((1024, 1200), np.uint8))
    cv2.imwrite(str(index.items[1].image), np.zeros((40, 2000), np.uint8))
    cv2.imwrite(str(index.items[8].image), np.zeros((9, 4000), np.uint8))  # of the test split
    told = open_data(index, Context(cache=tmp_path / "cache", dataset=Reader())).provenance
    assert (told["native_px"], told["below_1024_px"]) == ([32, 2000], 7)


def test_the_digest_covers_pixels_and_split(index, tmp_path):
    context = Context(cache=tmp_path / "cache", dataset=Reader())
    first = open_data(index, context).digest
    assert open_data(index, context).digest == first
    assert open_data(index, context, validation_share=0.5).digest != first
    cv2.imwrite(str(index.items[0].image), np.full((32, 32), 200, np.uint8))
    assert open_data(index, context).digest != first
