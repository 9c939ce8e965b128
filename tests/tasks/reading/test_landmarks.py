"""Landmarks: a csv beside the images, HybridGNet's arrays, the phantom's own."""

import numpy as np
import pytest

from eden_bench.contracts import DatasetIndex, Item
from eden_bench.errors import DataDamaged
from tasks.reading.landmarks import ANCHORED, ORGANS, POINTS, read_hybridgnet, with_landmarks, write_landmarks


def index(root, ids=("a", "b"), ending=".IMG"):
    items = tuple(Item(id=name, patient=name, split="train", image=root / f"{name}{ending}") for name in ids)
    return DatasetIndex(dataset="scr", root=root, items=items, expected_images=2)


def test_what_is_written_is_read(tmp_path):
    points = {"a": {"apex": (1.25, 2.5), "base": (3.0, 4.125)}, "b": {"apex": (0.5, 0.5)}}
    write_landmarks(tmp_path, points)
    assert {item.id: dict(item.points) for item in with_landmarks(index(tmp_path)).items} == points


def test_without_a_file_the_index_stays_as_it_is(tmp_path):
    assert with_landmarks(index(tmp_path), 2048) == index(tmp_path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("c,apex,1,2", "image 'c' in line 3, expected an image of the dataset"),
        ("a,apex,1,2", "landmark 'apex' of a a second time"),
        ("a,,1,2", "without a name"),
        ("a,base,one,2", "one, 2 in line 3, expected x and y as numbers"),
        ("a,base,nan,2", "nan, 2 in line 3"),
        ("a,base,1", "row 3 has 3 fields"),
    ],
)
def test_an_odd_line_is_named(tmp_path, line, message):
    (tmp_path / "landmarks.csv").write_text(f"image,landmark,x,y\na,apex,1,2\n{line}\n")
    with pytest.raises(DataDamaged, match=message):
        with_landmarks(index(tmp_path))


def jsrt(path, places):
    path.parent.mkdir(exist_ok=True)
    np.save(path, np.asarray(places, dtype=np.float64).ravel())


def test_the_arrays_of_jsrt_are_read_at_the_films_own_size(tmp_path):
    places = np.stack([np.arange(POINTS) * 5.0, np.arange(POINTS) * 6.0], axis=1)
    jsrt(tmp_path / "landmarks" / "a.npy", places)
    first, second = with_landmarks(index(tmp_path), 2048).items
    assert first.points["right lung apex"] == (0.0, 0.0)
    assert first.points["left lung base"] == (2 * 5.0 * 65, 2 * 6.0 * 65)
    assert not second.points
    ends = ORGANS["right clavicle"][0], ORGANS["right clavicle"][1] - 1
    assert first.points["right clavicle, lateral end"] == tuple(
        2 * places[ends[0]]
    )  # the patient's right is on the left
    assert first.points["right clavicle, medial end"] == tuple(2 * places[ends[1]])
    assert first.points["left clavicle, medial end"] == tuple(2 * places[ORGANS["left clavicle"][0]])
    assert len(first.points) == len(ANCHORED) + 4


@pytest.mark.parametrize("array", [np.zeros(331), np.full(332, np.nan), np.array(["x"] * 332), np.zeros((2, 166))])
def test_another_array_is_refused(tmp_path, array):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(DataDamaged, match="expected 332 finite numbers"):
        read_hybridgnet("scr", tmp_path / "a.npy", 2048)


def test_what_is_no_array_is_refused(tmp_path):
    (tmp_path / "a.npy").write_bytes(b"no array")
    with pytest.raises(DataDamaged, match="expected an array of 332 numbers"):
        read_hybridgnet("scr", tmp_path / "a.npy", 2048)
