"""Rules that are needed in two packages, which may not import each other, and must not have two answers."""

import tomllib
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

import eden_bench
from eden_bench.contracts import NORMALISATIONS, ViewRecipe
from eden_bench.data import split_lists
from eden_bench.records import provenance
from pretrain.views.draws import draw_crops
from tasks import vindr_cxr
from tasks.finetuning import crops
from tasks.finetuning.protocol import ClassificationProtocol, SegmentationProtocol
from tasks.reading import folder

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("scale", [(0.08, 1.0), (0.5, 1.0), (0.9, 1.0)])
@pytest.mark.parametrize("ratio", [(3 / 4, 4 / 3), (1.0, 5.0), (0.2, 1.0)])
def test_pretraining_and_fine_tuning_draw_crops_by_one_law(monkeypatch, scale, ratio):
    """From the same numbers the same boxes; ratio (1, 5) often finds no fitting try in ten, and falls back."""
    table = np.random.default_rng(0).random((4000, 37))
    theirs = draw_crops(table, ViewRecipe(crop_scale=scale, crop_ratio=ratio), 256, 256)
    drawn = table[:, :24].copy()
    drawn[:, [20, 21]] = table[:, [21, 20]]  # left before top
    monkeypatch.setattr(crops.seeds, "uniforms", lambda *address, **more: drawn)
    protocol = ClassificationProtocol(source_px=256, crop_scale=scale, crop_ratio=ratio)
    left, top, width, height = crops.draw(protocol, 0, 0, np.arange(4000)).box.T
    assert np.array_equal(np.stack((top, left, height, width), axis=1), theirs)


def test_a_ratio_for_which_the_two_laws_would_fall_back_differently_is_refused():
    with pytest.raises(ValueError, match=r"crop_ratio must hold 1, the shape of the image, not \(2\.0, 3\.0\)"):
        ClassificationProtocol(crop_ratio=(2.0, 3.0))


def test_images_are_normalised_alike_in_pretraining_and_fine_tuning():
    published = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    made = (ViewRecipe(), SegmentationProtocol(), ClassificationProtocol())
    assert {(one.mean, one.std) for one in made} == {NORMALISATIONS["imagenet"]} == {published}


def test_a_split_list_may_name_every_image_that_a_reader_reads_with_its_ending():
    assert {*folder.EXTENSIONS, *vindr_cxr._SUFFIXES, ".img"} <= set(split_lists._EXTENSIONS)


def test_the_version_is_one():
    written = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert eden_bench.__version__ == written == version("eden-bench") == provenance.versions()["eden-bench"]
