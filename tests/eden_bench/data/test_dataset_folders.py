import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from eden_bench.contracts import DatasetCard, DatasetIndex, Finding, Item
from eden_bench.contracts.datasets import DatasetOptions
from eden_bench.data import dataset_folders
from eden_bench.data.inventory import dataset_rows
from eden_bench.errors import DataDamaged, DataMissing, EdenError, NotBuilt, UsageError
from eden_bench.registry import datasets
from eden_bench.settings import Settings


class Toy(DatasetOptions):
    """A dataset of text files, and a phantom of as many as there are patients."""

    name = "toy"
    card = DatasetCard(
        title="Toy",
        modality="fundus",
        citation="none",
        licence="CC0",
        source="nowhere",
        folders=("toy", "toy_old"),
        expected_images=9,
    )
    phantom_patients = 5
    phantom_version = 3

    def index(self, root: Path) -> DatasetIndex:
        files = sorted(root.glob("*.txt"))
        if not files:
            raise DataMissing(f"toy: {root} has no .txt")
        items = tuple(Item(id=f.name, patient=f.name, split="train", image=f) for f in files)
        return DatasetIndex(
            dataset="toy", root=root, items=items, expected_images=9, phantom=(root / "PHANTOM.json").is_file()
        )

    def check(self, root, progress):
        return [Finding("ok", f"{len(self.index(root).items)} images")]

    def write_phantom(self, root, *, patients, seed, progress):
        for number in range(patients):
            (root / f"{number}.txt").write_text(str(seed))


@pytest.fixture
def toy(monkeypatch) -> Toy:
    made = Toy()
    monkeypatch.setattr(datasets, "_made", {"toy": made})
    monkeypatch.setattr(datasets, "_sources", [])
    return made


@pytest.mark.parametrize("name", ["Toy-1.0.0", "toy_v2.1", "toy_old-1.0"])
def test_a_folder_may_have_a_version_behind_its_name(tmp_path, name):
    (tmp_path / "toys-1.0.0").mkdir()
    (tmp_path / "toy-2").mkdir()
    assert dataset_folders.find_folder(Toy(), tmp_path) is None
    (tmp_path / name).mkdir()
    assert dataset_folders.find_folder(Toy(), tmp_path) == tmp_path / name
    (tmp_path / "toy").mkdir()
    assert dataset_folders.find_folder(Toy(), tmp_path) == tmp_path / "toy"


def test_folders_are_found_by_the_names_that_their_publishers_give(tmp_path):
    long = "vindr-cxr-an-open-dataset-of-chest-x-rays-with-radiologist-annotations-1.0.0"
    for name, folder in (("chestxray14", "CXR8"), ("vindr-cxr", long)):
        (tmp_path / folder).mkdir()
        assert dataset_folders.find_folder(dataset_folders.reader(name), tmp_path) == tmp_path / folder


def settings(tmp_path: Path, *, real: bool) -> Settings:
    root = tmp_path / "data"
    root.mkdir(exist_ok=True)
    return Settings(
        data=root if real else None, out=tmp_path, cache=tmp_path / "cache", device="cpu", threads=1, sources={}
    )


def put(root: Path, count: int) -> None:
    root.mkdir(parents=True)
    for number in range(count):
        (root / f"{number}.txt").write_text("x")


@pytest.mark.parametrize("folder", ["toy", "Toy", "TOY_OLD"])
def test_the_folder_is_found_under_any_of_its_names_and_cases(toy, tmp_path, folder):
    put(tmp_path / "data" / folder, 2)
    index = dataset_folders.open_index("toy", settings(tmp_path, real=True))
    assert index.root == tmp_path / "data" / folder
    assert index.part == "2 of 9 images"


def test_the_first_name_wins(toy, tmp_path):
    put(tmp_path / "data/toy_old", 1)
    put(tmp_path / "data/toy", 2)
    assert dataset_folders.open_index("toy", settings(tmp_path, real=True)).root.name == "toy"


def test_an_absent_dataset_says_where_to_get_it_and_what_to_do_without(toy, tmp_path):
    with pytest.raises(DataMissing, match=r"toy: .*data has no folder toy or toy_old: get it \(nowhere\), or"):
        dataset_folders.open_index("toy", settings(tmp_path, real=True))


def test_a_misspelt_dataset_gets_the_nearest(toy, tmp_path):
    with pytest.raises(UsageError, match=r"unknown dataset 'tou'\. Did you mean 'toy'\?"):
        dataset_folders.open_index("tou", settings(tmp_path, real=False))


def test_a_class_registered_by_a_decorator_serves_like_an_instance(toy, monkeypatch):
    monkeypatch.setitem(datasets._made, "toy", Toy)
    assert isinstance(dataset_folders.reader("toy"), Toy)


def test_without_a_data_folder_the_phantom_is_written_once(toy, tmp_path, monkeypatch):
    there = settings(tmp_path, real=False)
    index = dataset_folders.open_index("toy", there)
    assert index.phantom
    assert index.part == ""
    assert len(index.items) == 5
    assert index.root.is_relative_to(tmp_path / "cache/phantom")
    monkeypatch.setattr(Toy, "write_phantom", lambda *a, **k: pytest.fail("written twice"))
    assert dataset_folders.open_index("toy", there) == index


def test_another_version_of_the_phantom_is_another_folder(toy, tmp_path, monkeypatch):
    there = settings(tmp_path, real=False)
    first = dataset_folders.open_index("toy", there).root
    monkeypatch.setattr(Toy, "phantom_version", 4)
    assert dataset_folders.open_index("toy", there).root != first


def test_a_written_phantom_is_found_as_data_and_still_marked(toy, tmp_path):
    folder = dataset_folders.write_phantom("toy", tmp_path / "data", patients=4, seed=7)
    assert folder == tmp_path / "data/toy"
    assert (folder / "0.txt").read_text() == "7"
    assert json.loads((folder / "PHANTOM.json").read_text()) == {"dataset": "toy", "patients": 4, "seed": 7}
    assert dataset_folders.open_index("toy", settings(tmp_path, real=True)).phantom


def test_a_phantom_never_overwrites_data(toy, tmp_path):
    put(tmp_path / "data/toy", 1)
    with pytest.raises(UsageError, match="exists and is no phantom: choose another folder"):
        dataset_folders.write_phantom("toy", tmp_path / "data")
    assert len(list((tmp_path / "data/toy").iterdir())) == 1


def test_too_few_patients_are_refused(toy, tmp_path):
    with pytest.raises(UsageError, match="phantom toy: 3 patients, expected at least 4"):
        dataset_folders.write_phantom("toy", tmp_path, patients=3)


def test_a_phantom_that_fails_leaves_nothing(toy, tmp_path, monkeypatch):
    def full(self, root, **rest):
        (root / "0.txt").write_text("")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Toy, "write_phantom", full)
    with pytest.raises(EdenError, match=r"the phantom cannot be written to .* \(No space left on device\): free some"):
        dataset_folders.write_phantom("toy", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".toy.lock"]


def test_what_a_killed_writer_left_is_swept(toy, tmp_path):
    (tmp_path / ".aside-toy-0123abcd").mkdir()
    (tmp_path / ".aside-other-0123abcd").mkdir()
    dataset_folders.write_phantom("toy", tmp_path)
    assert [path.name for path in tmp_path.glob(".aside-*")] == [".aside-other-0123abcd"]


def test_two_writers_at_once_write_one_phantom(toy, tmp_path, monkeypatch):
    written, write = [], Toy.write_phantom

    def slowly(self, root, **rest):
        written.append(root)
        time.sleep(0.1)
        write(self, root, **rest)

    monkeypatch.setattr(Toy, "write_phantom", slowly)
    with ThreadPoolExecutor(4) as pool:
        folders = set(pool.map(lambda _: dataset_folders.write_phantom("toy", tmp_path), range(4)))
    assert folders == {tmp_path / "toy"}
    assert len(written) == 1


def test_the_inventory_tells_found_absent_and_broken_apart(toy, tmp_path):
    where = settings(tmp_path, real=True)
    (row,) = dataset_rows(where)
    assert (row.name, row.found, row.images, row.expected, row.problem) == ("toy", "", 0, 9, "")
    assert (row.licence, row.source) == ("CC0", "nowhere")
    (tmp_path / "data/toy").mkdir()
    (row,) = dataset_rows(where)
    assert row.found.endswith("data/toy")
    assert "has no .txt" in row.problem
    (tmp_path / "data/toy/a.txt").write_text("x")
    (row,) = dataset_rows(where)
    assert (row.images, row.phantom, row.problem) == (1, False, "")


def test_check_says_what_it_read(toy, tmp_path):
    put(tmp_path / "data/toy", 2)
    findings = dataset_folders.check("toy", settings(tmp_path, real=True))
    assert [finding.text for finding in findings] == [f"read from {tmp_path / 'data/toy'}", "2 images"]


def test_the_inventory_shows_a_phantom_only_where_one_was_written(toy, tmp_path):
    where = settings(tmp_path, real=False)
    assert dataset_rows(where)[0].found == ""
    dataset_folders.open_index("toy", where)
    (row,) = dataset_rows(where)
    assert (row.phantom, row.images) == (True, 5)


def test_another_phantom_than_asked_for_is_refused(toy, tmp_path, monkeypatch):
    folder = dataset_folders.write_phantom("toy", tmp_path, patients=6, seed=1)
    assert (
        dataset_folders.write_phantom("toy", tmp_path)
        == dataset_folders.write_phantom("toy", tmp_path, patients=6, seed=1)
        == folder
    )
    for asked in ({"seed": 2}, {"patients": 7}):
        with pytest.raises(UsageError, match="holds seed 1, 6 patients: choose another --out"):
            dataset_folders.write_phantom("toy", tmp_path, **asked)
    (folder / "PHANTOM.json").write_text(json.dumps({"version": 2, "seed": 1, "patients": 6}))
    with pytest.raises(UsageError, match="holds seed 1, 6 patients, version 2: choose another --out"):
        dataset_folders.write_phantom("toy", tmp_path)


def test_a_reader_that_raises_anything_does_not_hide_the_others(toy, tmp_path, monkeypatch):
    def fail(self, root):
        raise OSError(40, "Too many levels of symbolic links")

    monkeypatch.setattr(Toy, "index", fail)
    (tmp_path / "data" / "toy").mkdir(parents=True)
    (row,) = dataset_rows(settings(tmp_path, real=True))
    assert row.problem == "OSError: [Errno 40] Too many levels of symbolic links"


def test_the_licence_of_real_data_is_shown_once_and_never_of_the_phantom_or_in_a_dry_run(toy, tmp_path, capsys):
    dataset_folders.open_index("toy", settings(tmp_path, real=False))
    put(tmp_path / "data" / "toy", 2)
    here = settings(tmp_path, real=True)
    dataset_folders.open_index("toy", here, build=False)
    assert capsys.readouterr().err == ""
    dataset_folders.open_index("toy", here)
    dataset_folders.open_index("toy", here)
    assert capsys.readouterr().err == "toy: licence: CC0 (shown once)\n"
    dataset_folders.open_index("toy", replace(here, cache=tmp_path / "other"))
    assert "CC0" in capsys.readouterr().err


def test_a_dry_run_draws_no_phantom_and_opens_one_that_is_there(toy, tmp_path):
    here = settings(tmp_path, real=False)
    with pytest.raises(
        NotBuilt, match=r"^the phantom of toy is not in the cache yet: run the command without --dry-run"
    ):
        dataset_folders.open_index("toy", here, build=False)
    assert not here.cache.exists()
    assert dataset_folders.open_index("toy", here) == dataset_folders.open_index("toy", here, build=False)


def test_a_cache_that_cannot_be_written_costs_no_more_than_the_licence_twice(toy, tmp_path, capsys):
    put(tmp_path / "data" / "toy", 2)
    (tmp_path / "cache").touch()
    for _ in range(2):
        dataset_folders.open_index("toy", settings(tmp_path, real=True))
    assert capsys.readouterr().err.count("CC0") == 2


def test_a_name_that_is_no_utf_8_is_refused_by_name_and_found_by_check(toy, tmp_path):
    folder = tmp_path / "toy"
    folder.mkdir()
    (folder / "a.txt").write_text("")
    settings = Settings(data=tmp_path, out=tmp_path, cache=tmp_path / "cache", device="cpu", threads=1)
    assert {found.level for found in dataset_folders.check("toy", settings)} == {"ok"}
    (folder / os.fsdecode(b"b\xff.txt")).write_text("")
    with pytest.raises(DataDamaged, match=r"^toy: the name b'b\\xff.txt' is no UTF-8: rename the file$"):
        dataset_folders.open_index("toy", settings)
    assert [found.text for found in dataset_folders.check("toy", settings) if found.level == "error"] == [
        r"toy: the name b'b\xff.txt' is no UTF-8: rename the file"
    ]
