"""What a TOML file of a task may not say, and folders that do not fit it: one clear sentence each."""

import shutil

import numpy as np
import pytest
from PIL import Image

from eden_bench import registry
from eden_bench.errors import DataDamaged, DataMissing, PluginError, UsageError
from eden_bench.registry import load_plugin_file
from tests.tasks.finetuning.test_from_toml import LEAST, described, draw

pytestmark = pytest.mark.usefixtures("fresh_registry")


def test_check_goes_on_after_a_broken_image(tmp_path):
    draw(tmp_path, "abc")
    (tmp_path / "images" / "b.png").write_bytes(b"no picture")
    dataset, _, _ = described(tmp_path)
    findings = dataset.check(tmp_path)
    (error,) = [finding.text for finding in findings if finding.level == "error"]
    assert "b.png is no such picture" in error
    assert any("2 of 40×40 px" in finding.text for finding in findings)


def test_a_mask_of_another_shape_is_refused_when_it_is_read(tmp_path):
    draw(tmp_path, "abc")
    Image.fromarray(np.zeros((40, 60), np.uint8)).save(tmp_path / "masks" / "b.gif")
    Image.fromarray(np.zeros((80, 80), np.uint8)).save(tmp_path / "masks" / "c.gif")
    dataset, _, index = described(tmp_path)
    with pytest.raises(DataDamaged, match=r"b.gif has 60×40 px, its image 40×40, expected one shape"):
        dataset.read_mask(index.items[1], "lungs")
    assert dataset.read_mask(index.items[2], "lungs").shape == (80, 80), "another size of one shape is fine"


def test_a_mask_that_is_a_jpeg_is_refused_by_its_name_and_by_its_content(tmp_path):
    draw(tmp_path, "abc")
    (tmp_path / "masks" / "b.gif").rename(tmp_path / "masks" / "b.jpg")
    with pytest.raises(DataDamaged, match=r"b.jpg is a JPEG, expected a mask as PNG, TIFF, GIF, BMP"):
        described(tmp_path)
    (tmp_path / "masks" / "b.jpg").unlink()
    Image.fromarray(np.full((40, 40), 255, np.uint8)).save(tmp_path / "masks" / "b.png", "JPEG")
    dataset, _, index = described(tmp_path)
    with pytest.raises(DataDamaged, match=r"b.png is no such picture, expected a whole PNG or TIFF or GIF or BMP"):
        dataset.read_mask(index.items[1], "lungs")


def test_hidden_files_are_passed_over_and_two_of_one_name_refused(tmp_path):
    draw(tmp_path, "abc")
    for folder in ("images", "masks"):
        (tmp_path / folder / "._a.png").write_bytes(b"mac")
        (tmp_path / folder / ".b.png").write_bytes(b"hidden")
    assert [item.id for item in described(tmp_path)[2].items] == ["a", "b", "c"]
    registry.tasks._made.pop("lungs"), registry.datasets._made.pop("lungs")
    shutil.copy(tmp_path / "images" / "a.png", tmp_path / "images" / "a.bmp")
    with pytest.raises(DataDamaged, match=r"images/a.png is a second a, expected only .*a.bmp: remove one"):
        described(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("images =", "imges ="), "unknown key 'imges'. Did you mean 'images'"),
        (('licence = "CC0"\n', ""), "'licence' is missing, expected name, images, modality and licence"),
        (('"CC0"', "3"), "licence must be text, not 3"),
        (('"lungs"', '"my lungs"'), "name must be of small letters, digits and hyphens, not 'my lungs'"),
        (('"CC0"', '"CC0"\nside_mm = 0'), "side_mm must be above 0, not 0"),
        (('"masks"', '{pooled = "masks"}'), "a structure may not be named 'pooled'"),
        (("chest-x-ray", "ct"), "modality must be chest-x-ray or fundus, not 'ct'"),
        (('"CC0"', '"CC0"\nscore = "auc"'), "score must be dice or iou or iou_thresholds, not 'auc'"),
        (('"CC0"', '"CC0"\nchannels = 2'), "channels must be 1 or 3, not 2"),
        (('"CC0"', '"CC0"\ntest_share = 1'), r"test_share must be in \[0.01, 0.99\], not 1"),
        (('"CC0"', '"CC0"\nlists = "a"\ntest_share = 0.1'), "lists and test_share exclude each other"),
        (('"CC0"', '"CC0"\npatient = "("'), r"missing \), unterminated subpattern"),
        (('"CC0"', '"CC0"\n[paper]\nlrr = 1'), r"\[paper\]: unknown option 'lrr'. Did you mean 'lr'"),
        (('"CC0"', '"CC0"\n[quick]\nsize_px = 50'), r"\[quick\]: size_px must be a multiple of 32, not 50"),
        (('masks = "masks"', "masks = {a = {suffix = '_m'}}"), "masks.a has no folder"),
        (('masks = "masks"', "masks = {a = {folder = 'm', valu = 1}}"), "unknown key masks.a.'valu'. Did you mean"),
        (('masks = "masks"', "masks = {a = 3}"), "masks.a must be text or a table, not 3"),
        (("images", "="), "lungs.toml: Invalid"),
    ],
)
def test_a_file_that_cannot_be_meant_is_one_sentence(tmp_path, change, message):
    (tmp_path / "lungs.toml").write_text(LEAST.replace(*change, 1))
    with pytest.raises(PluginError, match=f"--plugin .*{message}"):
        load_plugin_file(tmp_path / "lungs.toml")
    assert "lungs" not in registry.tasks.names()


def test_folders_that_do_not_fit_are_one_sentence(tmp_path):
    with pytest.raises(DataMissing, match=r"images is not a folder, expected pictures"):
        described(tmp_path)
    draw(tmp_path, "abc")
    (tmp_path / "masks" / "b.gif").unlink()
    with pytest.raises(DataMissing, match=r"1 of 3 images have no mask of lungs, .*masks/b.png"):
        described(tmp_path)
    draw(tmp_path, "abc")
    with pytest.raises(UsageError, match=r"the pattern '\\\\d' finds no patient in 'a'"):
        described(tmp_path, LEAST + "patient = '\\d'\n")


@pytest.mark.parametrize(
    ("line", "message"),
    [("folds = 1", "folds must be in"), ("folds = 3\ntest_share = 0.2", "folds excludes lists and test_share")],
)
def test_folds_that_cannot_be_meant_are_refused(tmp_path, line, message):
    with pytest.raises(PluginError, match=message):
        described(tmp_path, LEAST + line + "\n")


def test_more_folds_than_patients_are_refused(tmp_path):
    draw(tmp_path, "abc")
    (tmp_path / "lungs.toml").write_text(LEAST + "folds = 4\n")
    load_plugin_file(tmp_path / "lungs.toml")
    with pytest.raises(DataMissing, match="3 patients, expected at least 4"):
        registry.datasets.get("lungs-fold1").index(tmp_path)
