"""Masks hide exactly as much as the formula says, where the generator says, and patches are cut row by row."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from baselines.medical_mae import visible_patches
from baselines.simmim import SimMIMConfig
from pretrain.parts.masking import draw_mask, enlarged, masking_recipe, patchify


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.trap("simmim", "masks of 32-px units whatever the patch; 22 of 36, 30 of 49", "held")
@pytest.mark.parametrize(("size_px", "masked", "units"), [(192, 22, 36), (224, 30, 49)])
def test_simmim_hides_the_published_number_of_32_px_units(size_px, masked, units):
    config = SimMIMConfig(size_px=size_px)
    assert (config.masked_units, config.units**2) == (masked, units)
    assert draw_mask(5, config.units, config.masked_units, generator()).sum(dim=(1, 2)).tolist() == [masked] * 5


@pytest.mark.trap("medical-mae", "19 visible of 196, by int(); 49 at 0.75", "held")
@pytest.mark.parametrize(("ratio", "kept"), [(0.9, 19), (0.75, 49)])
def test_mae_keeps_the_published_number_of_196_patches(ratio, kept):
    assert visible_patches(196, ratio) == kept


@given(side=st.integers(1, 6), seed=st.integers(0, 99), data=st.data())
def test_every_image_hides_exactly_as_many_units(side, seed, data):
    masked = data.draw(st.integers(0, side * side))
    mask = draw_mask(3, side, masked, generator(seed))
    assert mask.dtype == torch.bool
    assert mask.sum(dim=(1, 2)).tolist() == [masked] * 3


def test_masks_differ_between_images_follow_the_generator_and_hide_every_place_as_often():
    masks = draw_mask(4000, 4, 6, generator(1))
    assert masks.equal(draw_mask(4000, 4, 6, generator(1)))
    assert not masks.equal(draw_mask(4000, 4, 6, generator(2)))
    assert not masks[0].equal(masks[1])
    assert (masks.float().mean(dim=0) - 6 / 16).abs().max() < 0.04


def test_the_global_generator_is_left_alone():
    before = torch.random.get_rng_state()
    draw_mask(2, 4, 6, generator())
    assert torch.random.get_rng_state().equal(before)


@pytest.mark.trap("simmim", "masks of 32-px units whatever the patch; 22 of 36, 30 of 49")
@pytest.mark.parametrize(("patch_px", "times"), [(4, 8), (16, 2)])
def test_a_unit_of_32_px_covers_as_many_patches_as_fit(patch_px, times):
    unit = torch.zeros(1, 6, 6, dtype=torch.bool)
    unit[0, 1, 4] = True
    patches = enlarged(unit, 32 // patch_px)
    assert patches.shape == (1, 192 // patch_px, 192 // patch_px)
    expected = np.zeros(patches.shape[1:], bool)
    expected[times : 2 * times, 4 * times : 5 * times] = True
    assert np.array_equal(patches[0].numpy(), expected)


def test_patches_are_cut_row_by_row_with_channels_last():
    images = torch.arange(2 * 3 * 4 * 6, dtype=torch.float32).view(2, 3, 4, 6)
    patches = patchify(images, 2)
    assert patches.shape == (2, 6, 12)
    for batch, row, column in np.ndindex(2, 2, 3):
        cut = images[batch, :, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
        assert patches[batch, 3 * row + column].tolist() == cut.permute(1, 2, 0).flatten().tolist()


def test_views_are_cropped_and_flipped_and_nothing_else():
    recipe = masking_recipe(192, (0.67, 1.0))
    assert (recipe.size_px, recipe.crop_scale, recipe.crop_ratio, recipe.flip_p) == (
        192,
        (0.67, 1.0),
        (3 / 4, 4 / 3),
        0.5,
    )
    assert (recipe.jitter_p, recipe.grey_p, recipe.blur_p, recipe.solarise_p, recipe.rotation_deg) == (0, 0, 0, 0, 0)
    assert recipe.mean == (0.485, 0.456, 0.406)
