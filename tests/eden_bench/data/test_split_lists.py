"""A user's own lists: what a line may be, what is refused, and that written lists come back as they were."""

import json
from pathlib import Path

import pytest

from eden_bench.contracts import DatasetIndex, Item
from eden_bench.data.split_lists import apply_lists, split_by, write
from eden_bench.errors import UsageError

UID = "1.2.276.0.7230010"


@pytest.fixture
def index(tmp_path):
    names = ("a", "b", "c", "d", "e.1", UID)
    items = tuple(Item(id=n, patient=n, split="train", image=tmp_path / n) for n in names)
    return DatasetIndex(dataset="toy", root=tmp_path, items=items, expected_images=6)


def lists(folder: Path, **texts: str) -> Path:
    folder = folder / "mine" / "toy"
    folder.mkdir(parents=True)
    for part, text in texts.items():
        (folder / f"{part}.txt").write_text(text)
    return folder


def test_the_first_word_of_a_line_is_the_image_without_folder_and_extension(index, tmp_path):
    folder = lists(tmp_path, train="a.png,1\n\nimages/b.jpeg 0 0 1\ne.1.IMG.png\n", test=f"c\r\n{UID}\nd.DCM,\n")
    found = split_by(index, folder)
    assert {item.id: item.split for item in found.items} == {
        "a": "train", "b": "train", "e.1": "train", "c": "test", "d": "test", UID: "test"
    }  # fmt: skip
    assert found.validation is None
    assert found.split_rule == "the user's own lists in mine/toy"


def test_an_image_of_the_validation_list_is_a_training_image_that_is_named(index, tmp_path):
    found = split_by(index, lists(tmp_path, train="a\nb", validation="c", test="d"))
    assert found.validation == ("c",)
    assert [item.id for item in found.split("train")] == ["a", "b", "c"]


def test_an_id_with_a_folder_is_found_as_it_stands_and_by_its_stem_where_that_is_one(tmp_path):
    names = ("train/1.png", "train/2.png", "test/2.png", "test/3.png")
    items = tuple(Item(id=n, patient=n, split="train", image=tmp_path / n) for n in names)
    index = DatasetIndex(dataset="toy", root=tmp_path, items=items, expected_images=4)
    found = split_by(index, lists(tmp_path, train="train/1.png\ntrain/2.png", test="3.jpg 0 1"))
    assert {item.id: item.split for item in found.items} == {
        "train/1.png": "train", "train/2.png": "train", "test/3.png": "test"
    }  # fmt: skip
    (tmp_path / "mine" / "toy" / "train.txt").write_text("2.png")
    with pytest.raises(UsageError, match=r"'2.png' may be 'train/2.png' or 'test/2.png', expected one image"):
        split_by(index, tmp_path / "mine" / "toy")
    (tmp_path / "mine" / "toy" / "train.txt").write_text("test/1.png")
    with pytest.raises(UsageError, match=r"1 of 1 images are not in the dataset, for example 'test/1.png'"):
        split_by(index, tmp_path / "mine" / "toy")


def among(tmp_path, names, line):
    """Return what a line of a list means among some names; a line more tests the last of them."""
    items = tuple(Item(id=n, patient=n, split="train", image=tmp_path / n) for n in (*names, "tested"))
    index = DatasetIndex(dataset="toy", root=tmp_path, items=items, expected_images=0)
    return [item.id for item in split_by(index, lists(tmp_path, train=line, test="tested")).split("train")]


@pytest.mark.trap(
    "inputs",
    "split lists whose names hold blanks (`7 (2).png`)",
    "a line is one image, or the list is refused; of two plain numbers the second is a label",
)
@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("007 (2).png", "007 (2)"),
        ("007 (2)", "007 (2)"),
        ("folder a/007 (2).png,1", "007 (2)"),
        ('"007 (2).png",1', "007 (2)"),
        ("007 (2).png 1 0", "007 (2)"),
        ("007.png 1 0", "007"),
        ("007.png 007_mask.png", "007"),
        ("007;1", "007"),
        ("007", "007"),
        ("doe, john.png", "doe, john"),
        ("r\u006f\u0308ntgen 1.png", "r\u00f6ntgen 1"),
    ],
)
def test_a_name_may_hold_blanks_and_commas_and_a_label_may_follow(tmp_path, line, meant):
    assert among(tmp_path, ("007", "007 (2)", "doe", "doe, john", "r\u00f6ntgen 1"), line) == [meant]


@pytest.mark.trap("inputs", "split lists whose names hold blanks (`7 (2).png`)")
@pytest.mark.parametrize(
    "line",
    [
        "007 (2).png",
        "007 (2)",
        "007 copy.png,1",
        "007.png copy.png",
        "007 ARDSSevere.png COVID-19 cohen",
        "007,0071.png",
        "007.png 0071.png",
        "patient one.png",
    ],
)
def test_what_stands_before_a_blank_is_not_taken_for_another_image(tmp_path, line):
    with pytest.raises(UsageError, match="1 of 1 images are not in the dataset, for example"):
        among(tmp_path, ("007", "patient"), line)


@pytest.mark.parametrize(
    "line", ["a,b", "a\tb", "a;b", "a,b,c", "a.png b", "a.png,b", "a.png a_2.png", "01,02", "a,1,b"]
)
def test_a_line_of_two_images_is_not_taken_for_the_first(tmp_path, line):
    with pytest.raises(UsageError, match="1 of 1 images are not in the dataset"):
        among(tmp_path, ("a", "b", "c", "a_2", "01", "02", "1"), line)


@pytest.mark.parametrize("line", ["7,1", "7.png 1", "7\t1,0", "7.png,7", "7,sick", "7.png,7_mask.png"])
def test_a_label_may_be_a_number_that_an_image_has_for_a_name(tmp_path, line):
    assert among(tmp_path, ("7", "1", "0"), line) == ["7"]


def test_a_blank_before_a_number_ends_no_name_where_names_hold_blanks(tmp_path):
    assert among(tmp_path, ("007",), "007 2") == ["007"]
    with pytest.raises(UsageError, match="not in the dataset, for example '007 2'"):
        among(tmp_path / "other", ("007", "007 3"), "007 2")


def test_an_image_that_stands_twice_is_refused_whatever_it_is_called(tmp_path):
    with pytest.raises(UsageError, match="names 1 images more than once, for example 'a' on 2 lines"):
        among(tmp_path, ("a", "b"), "a\nb\nfolder/a.png\n")


def test_images_that_no_list_names_are_left_out(index, tmp_path):
    assert len(split_by(index, lists(tmp_path, train="a\nb", test="c")).items) == 3


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ({"train": "a\nx1.png\nx2.png", "test": "b"}, r"train.txt: 2 of 3 images are not in .* example 'x1.png'"),
        ({"train": "a\nb", "test": "b"}, "train.txt and test.txt share 1 images, for example 'b'"),
        ({"train": "a", "validation": "b\nc", "test": "b\nc"}, "validation.txt and test.txt share 2 images"),
        ({"train": "a"}, "test.txt cannot be read .*No such file"),
        ({"train": "a", "test": " \n,\n"}, "test.txt is empty"),
    ],
)
def test_lists_that_cannot_be_meant_are_one_sentence(index, tmp_path, texts, message):
    with pytest.raises(UsageError, match=message):
        split_by(index, lists(tmp_path, **texts))


def test_a_list_that_is_no_text_is_one_sentence(index, tmp_path):
    folder = lists(tmp_path, test="a")
    (folder / "train.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match=r"train.txt cannot be read"):
        split_by(index, folder)


@pytest.mark.parametrize("parts", [("train", "test"), ("train", "validation"), ("validation", "test")])
def test_a_patient_in_two_lists_is_refused(index, tmp_path, parts):
    items = tuple(Item(id=i.id, patient=i.id[0], split="train", image=i.image) for i in index.items)
    twice = Item(id="a2", patient="a", split="train", image=tmp_path)
    index = DatasetIndex(dataset="toy", root=tmp_path, items=(*items, twice), expected_images=0)
    texts = {"train": "b", "validation": "c", "test": "d"}
    texts[parts[0]] += "\na"
    texts[parts[1]] += "\na2"
    with pytest.raises(UsageError, match=f"{parts[0]}.txt and {parts[1]}.txt share 1 patients, for example 'a'"):
        split_by(index, lists(tmp_path, **texts))


def test_a_dataset_without_lists_keeps_its_own_split_and_says_so(index, tmp_path):
    (tmp_path / "mine").mkdir()
    found = apply_lists(index, tmp_path / "mine")
    assert found.items == index.items
    assert "toy: " in found.notes[-1]
    assert "the dataset's own split holds" in found.notes[-1]


def test_written_lists_come_back_and_other_ones_are_never_overwritten(index, tmp_path):
    made = {"train": ["a", "b"], "validation": ["c"], "test": ["e.1", UID]}
    digest = write(tmp_path / "out" / "toy", made, "a rule")
    assert json.loads((tmp_path / "out" / "toy" / "splits.json").read_text())["splits"] == digest
    found = apply_lists(index, tmp_path / "out")
    assert [item.id for item in found.split("test")] == made["test"]
    assert found.validation == ("c",)
    assert write(tmp_path / "out" / "toy", made, "a rule") == digest
    with pytest.raises(UsageError, match=r"train.txt is there and is another list"):
        write(tmp_path / "out" / "toy", {**made, "train": ["a"]}, "a rule")


def test_a_list_in_utf_16_says_what_to_do(tmp_path, index):
    folder = lists(tmp_path, test="b")
    (folder / "train.txt").write_text("a\n", encoding="utf-16")
    with pytest.raises(UsageError, match="it is no UTF-8 text: save it as UTF-8"):
        split_by(index, folder)
