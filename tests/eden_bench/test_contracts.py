"""The dataclasses that pass between the parts refuse what no run can mean."""

import math
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from eden_bench.contracts import Cell, DatasetIndex, Item, PretrainConfig, ViewRecipe, steps_per_epoch, with_overrides
from eden_bench.errors import UsageError

CELL = Cell(
    method="adam",
    method_config={"lr": 0.03},
    checkpoint="c" * 64,
    task="scr-heart",
    data="d" * 64,
    splits="s" * 64,
    protocol={"name": "quick"},
    shots=3,
    seed=0,
    score_version=1,
    threads=2,
)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("method", "densecl"),
        ("method_config", {"lr": 0.04}),
        ("checkpoint", "e" * 64),
        ("task", "scr-clavicle"),
        ("data", "e" * 64),
        ("splits", "e" * 64),
        ("protocol", {"name": "paper"}),
        ("shots", None),
        ("seed", 1),
        ("score_version", 2),
        ("threads", 1),
    ],
)
def test_whatever_can_change_a_score_changes_the_id(field, value):
    assert replace(CELL, **{field: value}).id != CELL.id


def test_equal_cells_have_equal_ids():
    assert replace(CELL).id == CELL.id


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("jitter_p", 1.5, r"jitter_p must be in \[0, 1\], not 1.5"),
        ("hue", 0.6, r"hue must be in \[0, 0.5\], not 0.6"),
        ("size_px", 2, "size_px must be at least 8, not 2"),
        ("crop_scale", (0.9, 0.2), r"crop_scale must rise within \(0, 1\]"),
        ("blur_p", float("nan"), r"blur_p must be in \[0, 1\], not nan"),
    ],
)
def test_a_recipe_refuses_nonsense(field, value, sentence):
    with pytest.raises(ValueError, match=sentence):
        replace(ViewRecipe(), **{field: value})


def test_pretraining_defaults_are_the_papers_common_setup():
    config = PretrainConfig()
    assert (config.arch, config.size_px, config.epochs, config.batch_size) == ("resnet50", 224, 200, 256)
    assert (config.lr, config.momentum, config.weight_decay, config.warmup_epochs) == (0.03, 0.9, 1e-4, 0)


def test_an_unknown_override_names_the_nearest_field():
    with pytest.raises(UsageError, match=r"here: unknown option 'epoch'. Did you mean 'epochs'\?"):
        with_overrides(PretrainConfig(), {"epoch": 3}, "here")


def test_a_refused_override_says_where():
    with pytest.raises(UsageError, match="here: epochs must be at least 1, not 0"):
        with_overrides(PretrainConfig(), {"epochs": 0}, "here")


def test_a_part_of_a_dataset_says_so_and_a_phantom_does_not():
    items = (Item(id="a", patient="1", split="train", image=Path("a.png")),)
    index = DatasetIndex(dataset="chestxray14", root=Path(), items=items, expected_images=112_120)
    assert index.part == "1 of 112,120 images"
    assert replace(index, phantom=True).part == ""
    assert replace(index, expected_images=1).part == ""


def test_the_ragged_batch_is_a_step():
    assert [steps_per_epoch(n, 32) for n in (1, 32, 33)] == [1, 1, 2]


def test_a_view_at_full_strength_is_the_published_one_and_at_none_has_no_crop_and_no_colour() -> None:
    recipe = ViewRecipe(
        crop_scale=(0.2, 1.0), jitter_p=0.8, brightness=0.4, hue=0.1, grey_p=0.2, blur_p=0.5, flip_p=0.5
    )
    assert recipe.weakened(1) == recipe
    assert recipe.weakened(0) == ViewRecipe(jitter_p=0.8, blur_p=0.5, flip_p=0.5)
    quarter = recipe.weakened(0.25)
    assert quarter.crop_scale == (pytest.approx(0.8), 1.0)
    assert (quarter.brightness, quarter.hue, quarter.grey_p) == pytest.approx((0.1, 0.025, 0.05))


@pytest.mark.trap("attacks", "learning rates and other options that are inf or nan", "usage errors that name the key")
@pytest.mark.parametrize(
    ("name", "value"), [("lr", math.inf), ("weight_decay", math.inf), ("betas", [math.nan, math.nan]), ("lr", math.nan)]
)
def test_numbers_that_are_not_finite_are_refused_by_the_name_of_their_key(name, value):
    @dataclass(frozen=True)
    class Options:
        lr: float = 0.1
        weight_decay: float = 0.0
        betas: tuple[float, float] = (0.9, 0.999)

    with pytest.raises(UsageError, match=f"here: {name} must be finite, not .*(inf|nan)"):
        with_overrides(Options(), {name: value}, "here")
    assert with_overrides(Options(), {"betas": [0.8, 0.9]}, "here").betas == (0.8, 0.9)
