"""From a folder in ChestX-ray14's layout to a record, with the network kept, trained anew, and replayed."""

import numpy as np
import pytest
from PIL import Image

from eden_bench import api
from eden_bench.execution.inputs import Inputs
from eden_bench.execution.replay import replay
from eden_bench.settings import Settings

PROTOCOL = """
base = "quick"
[tasks.chestxray14]
size_px = 32
source_px = 40
max_steps = 4
validate_every = 2
[probes]
size_px = 64
"""
FILMS, SIZE_PX = 20, 64


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Twenty people, a film each, every second one with a bright square that is a mass; eight people are tested."""
    root, generator = tmp_path_factory.mktemp("data") / "chestxray14", np.random.default_rng(0)
    (root / "images").mkdir(parents=True)
    entries, boxes = (
        ["Image Index,Finding Labels,Follow-up #,Patient ID"],
        ["Image Index,Finding Label,Bbox [x,y,w,h],,,"],
    )
    for number in range(FILMS):
        name, has_mass = f"{number:08d}_000.png", number % 2 == 0
        film = generator.integers(60, 120, (SIZE_PX, SIZE_PX)).astype(np.uint8)
        x, y = generator.integers(4, 40, 2).tolist()
        if has_mass:
            film[y : y + 16, x : x + 16] = 250
        Image.fromarray(film).save(root / "images" / name)
        entries.append(f"{name},{'Mass' if has_mass else 'No Finding'},0,{number}")
        scale = 1024 // SIZE_PX
        boxes += [f"{name},Mass,{x * scale},{y * scale},{16 * scale},{16 * scale}"] * (has_mass and number < 8)
    names = [f"{number:08d}_000.png" for number in range(FILMS)]
    for file, lines in (
        ("Data_Entry_2017.csv", entries), ("BBox_List_2017.csv", boxes),
        ("test_list.txt", names[:8]), ("train_val_list.txt", names[8:]),
    ):  # fmt: skip
        (root / file).write_text("\n".join([*lines, ""]))
    return root.parent


@pytest.fixture
def here(folder, tmp_path):
    (tmp_path / "tiny.toml").write_text(PROTOCOL)
    return {"data": folder, "cache": folder / "cache", "device": "cpu", "threads": 1, "out": tmp_path / "runs"}


def run(here, tmp_path, tasks="grad-cam", **more):
    asked = {**here, "seeds": "0-1", "protocol": str(tmp_path / "tiny.toml"), **more}
    return {(slot.task, slot.seed): slot for slot in api.run("random", tasks, **asked).slots}


def test_the_fine_tuning_comes_along_and_its_network_is_looked_at(here, tmp_path):
    done = run(here, tmp_path)
    assert {slot.state for slot in done.values()} == {"ran"}
    assert set(done) == {(task, seed) for task in ("chestxray14", "grad-cam") for seed in (0, 1)}
    record = done["grad-cam", 0].record
    assert record.cell.protocol["network_of"] == done["chestxray14", 0].record.id
    assert list(record.cases()["patient"]) == ["00000000", "00000002", "00000004", "00000006"]
    assert record.controls["whole film"] == pytest.approx(256 / SIZE_PX**2)
    assert record.arrays()["maps"].shape == (4, SIZE_PX, SIZE_PX)
    assert not list((here["out"] / "networks").iterdir())


def test_a_network_that_was_not_kept_is_trained_anew_and_leaves_the_same_record(here, tmp_path):
    first = run(here, tmp_path, seeds="0")["grad-cam", 0].record
    other = {**here, "out": tmp_path / "other"}
    run(other, tmp_path, "chestxray14", seeds="0")
    assert not (other["out"] / "networks").exists()
    later = run(other, tmp_path, seeds="0")
    assert later["chestxray14", 0].state == "reused"
    again = later["grad-cam", 0].record
    assert (again.id, again.scores) == (first.id, first.scores)
    assert again.cases_bytes() == first.cases_bytes()
    assert again.arrays_bytes() == first.arrays_bytes()


def test_a_record_is_replayed_to_the_last_bit(here, tmp_path):
    record = run(here, tmp_path, seeds="1")["grad-cam", 1].record
    assert replay(record, Inputs(Settings(**here))).identical
