"""A classification task from a TOML file: a table of labels, subfolders, DICOM and WebP, damaged images left out."""

import csv
import errno
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from eden_bench import registry
from eden_bench.contracts import Context
from eden_bench.encoders import build_encoder
from eden_bench.errors import DataDamaged, DataMissing, PluginError
from eden_bench.registry import load_plugin_file
from tasks.finetuning.splits import split
from tasks.phantom.layouts.dicom import write_dicom
from tasks.reading.files import NoDecoder
from tasks.reading.leaving_out import damaged_images
from tests.conftest import records_in
from tests.tasks.reading.test_dicom import IDS

EXAMPLE = Path(__file__).parents[3] / "docs" / "findings.toml"
LEAST = 'name = "findings"\nimages = "films"\nlabels = "labels.csv"\nmodality = "chest-x-ray"\nlicence = "CC0"\n'
pytestmark = pytest.mark.usefixtures("fresh_registry")


@pytest.fixture(autouse=True)
def _cache(monkeypatch, tmp_path):
    monkeypatch.setenv("EDEN_BENCH_CACHE", str(tmp_path / "cache"))


def film(number):
    pixels = np.tile(np.linspace(20, 200, 48).astype(np.uint8), (48, 1))
    pixels[5 : 15 + number % 5, 5:15] = 255 if number % 2 else 0
    return pixels


def draw(root, count=24, header=("image", "nodule", "effusion"), ending=".png", **columns):
    """Write films and a table of two labels of them."""
    (root / "films").mkdir(parents=True, exist_ok=True)
    with (root / "labels.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow([*header, *columns])
        for number in range(count):
            cv2.imwrite(str(root / "films" / f"f{number:02}.png"), film(number))
            table.writerow(
                [f"f{number:02}{ending}", number % 2, int(number % 3 == 0), *(c(number) for c in columns.values())]
            )


def described(root, text=LEAST):
    file = root / "findings.toml"
    file.write_text(text)
    load_plugin_file(file)
    dataset = registry.datasets.get("findings")
    return dataset, registry.tasks.get("findings"), dataset.index(root)


def test_a_table_is_a_classification_of_five_lines(tmp_path):
    draw(tmp_path)
    dataset, task, index = described(tmp_path)
    assert task.kind == "classification"
    assert index.label_names == ("nodule", "effusion")
    assert [item.labels for item in index.items[:4]] == [(0, 1), (1, 0), (0, 0), (1, 1)]
    assert np.array_equal(dataset.read_image(index.items[3]), film(3))
    opened = task.open(index, task.protocol("linear-quick"), Context(cache=tmp_path / "cache", dataset=dataset))
    assert 0 <= opened.run(build_encoder("resnet18-w16", 0), 0).scores["auc"] <= 1


def test_the_example_is_fifteen_lines_and_does_all_it_says(tmp_path):
    text = EXAMPLE.read_text()
    assert len(text.splitlines()) <= 15
    films = tmp_path / "films"
    (films / "a").mkdir(parents=True)
    (films / "b").mkdir()
    rows = ["image,age,nodule,effusion,patient,split"]
    for number in range(12):
        name, part = f"{'ab'[number % 2]}/{number}", ("train", "train", "validation", "test")[number % 4]
        if number % 3 == 0:
            write_dicom(films / f"{name}.dcm", film(number).astype(np.uint16) * 16, IDS, bits=12, window=(100, 50))
        elif number % 3 == 1:
            Image.fromarray(film(number)).save(films / f"{name}.webp", lossless=True)
        else:
            cv2.imwrite(str(films / f"{name}.png"), film(number))
        rows.append(f"{name},40,{number % 2},{int(number < 6)},p{number // 4},{part}")
    (films / "a" / "4.webp").write_bytes((films / "a" / "4.webp").read_bytes()[:60])
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    dataset, _, index = described(tmp_path, text.replace('patient_column = "patient"\n', ""))
    assert [item.id for item in index.items][:3] == ["a/0", "a/10", "a/2"]
    assert index.left_out == ("a/4",)
    assert "1 damaged images are left out" in index.notes[0]
    assert index.validation == ("a/10", "a/2", "a/6")
    assert {item.id for item in index.split("test")} == {"b/3", "b/7", "b/11"}
    made = split(index, 0.1)
    assert made.provenance(index)["left_out"] == 1
    assert {made.items[row].id for row in made.validation} == {"a/10", "a/2", "a/6"}
    shown = {item.id: dataset.read_image(item) for item in index.items}
    wide = np.clip((film(0).astype(float) * 16 - 2047.5) / 4095 + 0.5, 0, 1)
    assert np.abs(shown["a/0"] - 255 * wide).max() <= 1
    assert np.array_equal(shown["b/1"], film(1))


def test_patients_are_of_the_table(tmp_path):
    draw(tmp_path, patient=lambda number: f"p{number // 2}")
    _, _, index = described(tmp_path, LEAST + 'patient_column = "patient"\n')
    assert {item.patient for item in index.items} == {f"p{number}" for number in range(12)}
    assert index.label_names == ("nodule", "effusion")
    assert {i.patient for i in index.split("train")}.isdisjoint(i.patient for i in index.split("test"))


def test_a_damaged_image_is_tried_again_only_when_it_changes(tmp_path):
    draw(tmp_path)
    whole = (tmp_path / "films" / "f03.png").read_bytes()
    (tmp_path / "films" / "f03.png").write_bytes(whole[:-40])
    dataset, _, index = described(tmp_path)
    with pytest.raises(DataDamaged):
        dataset.read_image(index.items[3])
    text = LEAST + "leave_out_damaged = true\n"
    _, _, index = described(tmp_path, text)
    assert index.left_out == ("f03",)
    (tmp_path / "films" / "f03.png").write_bytes(whole)
    assert described(tmp_path, text)[2].left_out == ()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("f03.png,1,1", "f03.png,2,1"), "row 5 says '2' of nodule, expected 0 or 1"),
        (("f03.png,1,1", "f03.png,,1"), "row 5 says nothing of nodule"),
        (("f03.png,1,1", "f02.png,1,1"), "row 5 is a second one of f02"),
    ],
)
def test_a_table_that_is_not_as_expected_names_its_row(tmp_path, change, says):
    draw(tmp_path)
    table = tmp_path / "labels.csv"
    table.write_text(table.read_text().replace(*change))
    with pytest.raises(DataDamaged, match=says):
        described(tmp_path)


def test_an_image_without_a_row_is_named(tmp_path):
    draw(tmp_path)
    cv2.imwrite(str(tmp_path / "films" / "more.png"), film(1))
    with pytest.raises(DataMissing, match=r"1 of 25 images are in no row of .*expected for example more"):
        described(tmp_path)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ('masks = "masks"', "and not both"),
        ('mask_suffix = "_m"', "mask_suffix belongs to masks"),
        ("label_columns = [1]", "must be names of columns"),
        ("window = [1]", r"window must be \[centre, width\]"),
        ('split_column = "s"\ntest_share = 0.2', "exclude each other"),
        ('label_colums = ["a"]', "Did you mean 'label_columns'"),
        ('label_columns = ["nodul"]', "Did you mean 'nodule'"),
    ],
)
def test_what_a_file_may_not_say_is_one_sentence(tmp_path, more, says):
    draw(tmp_path)
    with pytest.raises((PluginError, DataDamaged), match=says):
        described(tmp_path, LEAST + more + "\n")


def test_the_count_of_damaged_images_is_in_every_record(eden_bench, tmp_path):
    draw(tmp_path)
    (tmp_path / "films" / "f03.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (tmp_path / "findings.toml").write_text(LEAST + "leave_out_damaged = true\n")
    ask = ("--methods", "random", "--tasks", "findings", "--seeds", "0", "--protocol", "linear-quick")
    done = eden_bench("run", *ask, "--plugin", str(tmp_path / "findings.toml"))
    assert done.returncode == 0, done.stderr
    (record,) = records_in(tmp_path / "runs")
    assert record["data"]["left_out"] == 1


@pytest.mark.parametrize(
    ("columns", "text", "says"),
    [
        ({"patient": lambda n: f"p{n // 4}", "split": lambda n: ("train", "validation", "test", "train")[n % 4]},
         'patient_column = "patient"\nsplit_column = "split"\n', "patient p0 in train and in validation"),
        ({"nodule": lambda n: 0}, "", "has two columns 'nodule'"),
        ({}, 'label_columns = ["nodule", "nodule"]\n', "has two columns 'nodule'"),
    ],
)  # fmt: skip
def test_a_patient_in_two_splits_and_a_label_named_twice_are_refused(tmp_path, columns, text, says):
    made = [*columns.items()]
    draw(tmp_path, header=("image", "nodule", "effusion"), **({} if "nodule" in columns else dict(made)))
    if "nodule" in columns:
        lines = (tmp_path / "labels.csv").read_text().splitlines()
        (tmp_path / "labels.csv").write_text("\n".join([lines[0] + ",nodule", *(f"{line},0" for line in lines[1:])]))
    with pytest.raises(DataDamaged, match=says):
        described(tmp_path, LEAST + text)


def test_a_table_whose_fields_are_all_quoted_is_read(tmp_path):
    draw(tmp_path, header=("image", "nodule", "effusion, small"))
    with (tmp_path / "labels.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    with (tmp_path / "labels.csv").open("w", newline="") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows(rows)
    _, _, index = described(tmp_path)
    assert index.label_names == ("nodule", "effusion, small")
    assert [item.labels for item in index.items[:2]] == [(0, 1), (1, 0)]


@pytest.mark.parametrize("wrong", ["the disk", "a decoder"])
def test_what_is_not_the_files_fault_leaves_none_out_and_is_not_remembered(tmp_path, wrong):
    (tmp_path / "a.png").touch()

    def decode(path):
        if wrong == "a decoder":
            raise NoDecoder("install it")
        raise DataDamaged("cannot be decoded") from PermissionError(errno.EACCES, "denied")

    images = {"a": tmp_path / "a.png"}
    with pytest.raises(DataMissing):
        damaged_images("findings", images, "", decode)
    assert damaged_images("findings", images, "", lambda path: None) == {}
