"""A segmentation task from a TOML file: what it may say, and one clear sentence for what it may not."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from eden_bench import registry
from eden_bench.cli.data import app
from eden_bench.contracts import Context
from eden_bench.data.split_lists import PARTS
from eden_bench.errors import DataDamaged, PluginError, UsageError
from eden_bench.registry import load_plugin_file
from tests.conftest import PROTOCOL, records_in

EXAMPLE = Path(__file__).parents[3] / "docs" / "lungs.toml"
LEAST = 'name = "lungs"\nimages = "images"\nmasks = "masks"\nmodality = "chest-x-ray"\nlicence = "CC0"\n'
pytestmark = pytest.mark.usefixtures("fresh_registry")


def draw(root, names, images="images", masks="masks", suffix=""):
    """Write grey images of 40×40 px whose left half is bright, and masks of that half."""
    for folder in (images, masks):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        mask = np.zeros((40, 40), np.uint8)
        mask[10 : 20 + number % 10, 5:30] = 255
        cv2.imwrite(str(root / images / f"{name}.png"), mask // 2 + 40)
        Image.fromarray(mask).save(root / masks / f"{name}{suffix}.gif")


def described(root, text=LEAST):
    """Load a TOML file and return its dataset, task and index."""
    file = root / "lungs.toml"
    file.write_text(text)
    load_plugin_file(file)
    dataset, task = registry.datasets.get("lungs"), registry.tasks.get("lungs")
    return dataset, task, dataset.index(root)


def test_the_example_is_short_and_loads(tmp_path):
    text = EXAMPLE.read_text()
    assert len(text.splitlines()) <= 15
    names = [f"MCUCXR_{number:04}_{eye}" for number in range(12) for eye in (0, 1)]
    draw(tmp_path, names, "montgomery/images", "montgomery/masks", "_mask")
    dataset, task, index = described(tmp_path, text)
    assert (task.structures, task.paper.lr, task.quick.lr) == (("lungs",), 1e-3, 1e-2)
    assert dataset.card.licence.startswith("Public")
    assert {item.patient for item in index.items} == {f"{number:04}" for number in range(12)}
    assert {item.patient for item in index.split("train")}.isdisjoint(item.patient for item in index.split("test"))
    tested = len({item.patient for item in index.split("test")})
    assert index.split_rule.startswith(f"{tested} of 12 patients are the test set")
    assert not index.phantom


def test_masks_are_whatever_is_not_black_or_one_value_of_a_map(tmp_path):
    draw(tmp_path, ["a", "b", "c"])
    values = np.zeros((40, 40), np.uint8)
    values[:10], values[10:30] = 1, 2
    (tmp_path / "maps").mkdir()
    for name, mode in (("a", "L"), ("b", "P"), ("c", "L")):
        picture = Image.fromarray(values, mode)
        if mode == "P":
            picture.putpalette([0, 0, 0, 255, 0, 0, 0, 0, 0])
        picture.save(tmp_path / "maps" / f"{name}.png")
    masks = 'masks = {any = "masks", upper = {folder = "maps", value = 1}, middle = {folder = "maps", value = 2}}'
    dataset, task, index = described(tmp_path, LEAST.replace('masks = "masks"', masks))
    assert task.structures == ("any", "upper", "middle")
    for item in index.items[:2]:
        assert [dataset.read_mask(item, s).sum() for s in ("upper", "middle")] == [400, 800]
    assert dataset.read_mask(index.items[1], "any").sum() == 11 * 25
    with pytest.raises(UsageError, match=r"unknown structure 'uper'\. Did you mean 'upper'"):
        dataset.read_mask(index.items[0], "uper")


def test_a_side_in_mm_makes_distances_mm(tmp_path):
    draw(tmp_path, ["a", "b", "c"])
    task = described(tmp_path, LEAST + "side_mm = 350\n")[1]
    assert (task.side_mm, task.score.of("hd95").unit) == (350, "mm")
    assert registry.tasks.get("scr-heart").score.of("hd95").unit == "mm"


def test_masks_may_lie_beside_their_images(tmp_path):
    draw(tmp_path, ["a", "b", "c"], "all", "all", "_m")
    text = LEAST.replace('"images"', '"all"').replace('"masks"', '"all"') + 'mask_suffix = "_m"\n'
    assert [item.id for item in described(tmp_path, text)[2].items] == ["a", "b", "c"]


def test_lists_take_the_place_of_the_hash(tmp_path):
    draw(tmp_path, "abcd")
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "train.txt").write_text("a.png\nb.png\n")
    (tmp_path / "own" / "test.txt").write_text("d.png\n")
    index = described(tmp_path, LEAST + 'lists = "own"\n')[2]
    assert [(item.id, item.split) for item in index.items] == [("a", "train"), ("b", "train"), ("d", "test")]


def test_what_lies_in_a_phantom_is_marked_so(tmp_path):
    draw(tmp_path, "abc")
    (tmp_path / "PHANTOM.json").write_text("{}")
    assert described(tmp_path)[2].phantom


def test_check_finds_a_mask_of_another_shape(tmp_path):
    draw(tmp_path, "abc")
    Image.fromarray(np.zeros((40, 60), np.uint8)).save(tmp_path / "masks" / "b.gif")
    dataset, _, _ = described(tmp_path)
    errors = [finding.text for finding in dataset.check(tmp_path) if finding.level == "error"]
    assert [("b.gif has 60×40 px" in text, "one shape" in text) for text in errors] == [(True, True)]


def test_another_mask_value_is_another_store_and_another_digest(tmp_path):
    draw(tmp_path, "abcdefgh")
    values = np.zeros((40, 40), np.uint8)
    values[:10], values[10:30] = 1, 2
    for name in "abcdefgh":
        (tmp_path / "masks" / f"{name}.gif").unlink()
        Image.fromarray(values).save(tmp_path / "masks" / f"{name}.png")
    opened = []
    for value in (1, 2):
        dataset, task, index = described(tmp_path, LEAST + f"mask_value = {value}\n")
        context = Context(cache=tmp_path / "cache", dataset=dataset)
        opened.append(task.open(index, replace(task.quick, size_px=32, score_px=40), context))
        registry.tasks._made.pop("lungs"), registry.datasets._made.pop("lungs")
    assert [int(o.truth(np.array([0])).sum()) for o in opened] == [400, 800]
    assert opened[0].data["digest"] != opened[1].data["digest"]


def test_a_mask_that_is_dark_deep_or_coloured_is_not_empty(tmp_path):
    draw(tmp_path, ["deep", "dark"])
    half = np.arange(40)[:, None].repeat(40, 1) < 20
    dark = Image.fromarray(half.astype(np.uint8)).convert("P")
    dark.putpalette([0, 0, 0, 0, 0, 4])
    for name, picture in (("deep", Image.fromarray(half.astype(np.uint16))), ("dark", dark)):
        (tmp_path / "masks" / f"{name}.gif").unlink()
        picture.save(tmp_path / "masks" / f"{name}.png")
    dataset, _, index = described(tmp_path)
    assert all((dataset.read_mask(item, "lungs") == half).all() for item in index.items)


@pytest.mark.trap("attacks", "constant images, empty and full masks as data")
@pytest.mark.parametrize(("empty", "level"), [("b", "note"), ("abc", "error")])
def test_check_reports_empty_masks(tmp_path, empty, level):
    draw(tmp_path, "abc")
    for name in empty:
        Image.fromarray(np.zeros((40, 40), np.uint8)).save(tmp_path / "masks" / f"{name}.gif")
    dataset, _, _ = described(tmp_path)
    (finding,) = [f for f in dataset.check(tmp_path) if "are empty" in f.text and f.level == level]
    assert finding.text.startswith(
        "1 of 3 masks of lungs are empty" if level == "note" else "masks of lungs: all 3 are empty"
    )


def test_bits_of_deep_images_are_told_by_a_key_and_are_another_store(tmp_path):
    draw(tmp_path, "abc")
    ramp = np.linspace(0, 4095, 1600).round().astype(np.uint16).reshape(40, 40)
    for name in "abc":
        cv2.imwrite(str(tmp_path / "images" / f"{name}.png"), ramp)
    dataset, _, index = described(tmp_path)
    with pytest.raises(DataDamaged, match=r"a\.png holds values up to 4095, .* or say bits = 12 in the TOML file"):
        dataset.read_image(index.items[0])
    registry.tasks._made.pop("lungs"), registry.datasets._made.pop("lungs")
    told, _, index = described(tmp_path, LEAST + "bits = 12\n")
    assert np.abs(told.read_image(index.items[0]) - ramp / 4095 * 255).max() <= 0.5
    assert told.reading != dataset.reading
    registry.tasks._made.pop("lungs"), registry.datasets._made.pop("lungs")
    with pytest.raises(PluginError, match=r"bits must be in \[8, 16\], not 7"):
        described(tmp_path, LEAST + "bits = 7\n")


def test_what_check_finds_stands_in_json_in_numbers(tmp_path):
    draw(tmp_path, "abc")
    (tmp_path / "lungs.toml").write_text(LEAST)
    done = CliRunner().invoke(app, ["check", "lungs", "--plugin", str(tmp_path / "lungs.toml"), "--json"])
    assert done.exit_code == 0
    numbers = [row["numbers"] for row in json.loads(done.stdout) if "numbers" in row]
    assert {"bits": {"8": 3}} in numbers
    (heart,) = [found for found in numbers if found.get("structure") == "lungs"]
    assert heart["area"] == [250 / 1600, 275 / 1600, 300 / 1600]
    assert {"flat_images", "black_images", "nearly_flat_images", "of"} in [set(found) for found in numbers]


def test_it_runs_from_the_command_line_on_its_own_lists(tmp_path):
    draw(tmp_path, [f"p{number}" for number in range(12)])
    (tmp_path / "lungs.toml").write_text(LEAST)
    (tmp_path / "tiny.toml").write_text(PROTOCOL)

    def eden_bench(*arguments):
        kept = {name: value for name, value in os.environ.items() if not name.startswith("EDEN_BENCH_")}
        kept |= {"OMP_NUM_THREADS": "1", "EDEN_BENCH_CACHE": str(tmp_path / "cache")}
        command = [sys.executable, "-m", "eden_bench", *map(str, arguments), "--plugin", "lungs.toml"]
        done = subprocess.run(command, cwd=tmp_path, env=kept, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done

    eden_bench("data", "splits", "lungs", "--out", "mine")
    test = tmp_path / "mine" / "lungs" / "test.txt"
    test.write_text("".join(f"{name}.png,1\n" for name in test.read_text().split()))
    written = eden_bench("data", "phantom", "--datasets", "drive,lung*", "--patients", 4, "--json")
    assert [row["dataset"] for row in json.loads(written.stdout)] == ["drive"]
    assert "lungs brings its own folder and has no phantom: left out" in written.stderr
    asked = ("--methods", "random", "--tasks", "lungs", "--n-seeds", 1, "--protocol", "tiny.toml")
    done = eden_bench("run", *asked, "--splits", "mine")
    assert "lungs: licence: CC0 (shown once)" not in done.stderr
    (record,) = records_in(tmp_path / "runs")
    data = record["data"]
    assert (data["licence"], data["phantom"], data["dataset"]) == ("CC0", False, "lungs")
    assert data["split_rule"].startswith("the user's own lists in mine/lungs")
    assert sum(data[part] for part in PARTS) == 12
    assert "--plugin lungs.toml" in record["command"]
    assert f"--splits {tmp_path / 'mine'}" in record["command"]


@pytest.mark.trap("inputs", "accents written in two ways (NFC, NFD)", "one name")
def test_names_whose_accents_are_written_in_two_ways_are_one(tmp_path):
    draw(tmp_path, "abc")
    (tmp_path / "images" / "a.png").rename(tmp_path / "images" / "r\u00f6ntgen.png")
    (tmp_path / "masks" / "a.gif").rename(tmp_path / "masks" / "ro\u0308ntgen.gif")
    dataset, _, _ = described(tmp_path)
    (item,) = [item for item in dataset.index(tmp_path).items if item.id.startswith("r")]
    assert item.id == "r\u00f6ntgen"
    (mask,) = next(iter(item.masks.values()))
    assert mask.name == "ro\u0308ntgen.gif"


def test_folds_test_every_patient_once_and_each_is_a_task(tmp_path):
    draw(tmp_path, [f"p{number}_{eye}" for number in range(11) for eye in (0, 1)])
    (tmp_path / "lungs.toml").write_text(LEAST + "folds = 3\npatient = '(p[0-9]+)_'\n")
    load_plugin_file(tmp_path / "lungs.toml")
    names = [f"lungs-fold{number}" for number in (1, 2, 3)]
    indices = [registry.datasets.get(name).index(tmp_path) for name in names]
    tested = [item.id for index in indices for item in index.split("test")]
    assert sorted(tested) == sorted(item.id for item in indices[0].items)
    assert [len({item.patient for item in index.split("test")}) for index in indices] == [4, 4, 3]
    for index in indices:
        assert not {item.patient for item in index.split("train")} & {item.patient for item in index.split("test")}
    tasks = [registry.tasks.get(name) for name in names]
    assert [(task.dataset, task.structures) for task in tasks] == [(name, ("lungs",)) for name in names]
    assert "lungs" not in registry.tasks.names()
    opened = tasks[1].open(indices[1], tasks[1].protocol("quick"), Context(cache=tmp_path / "cache", device="cpu"))
    assert opened.data["test"] == 8
