"""The view recipes, value by value."""

import pytest

from eden_bench import registry
from eden_bench.contracts import ViewRecipe
from pretrain.recipes import adam_recipe, moco_recipe

SHARED = {
    "crop_scale": (0.2, 1.0),
    "jitter_p": 0.8,
    "brightness": 0.4,
    "contrast": 0.4,
    "saturation": 0.4,
    "hue": 0.1,
    "blur_p": 0.5,
    "blur_sigma_px": (0.1, 2.0),
}


def test_the_official_views_are_moco_v2s():
    assert moco_recipe(224) == ViewRecipe(size_px=224, grey_p=0.2, flip_p=0.5, **SHARED)


def test_adams_views_rotate_and_neither_flip_nor_lose_colour():
    assert adam_recipe(224) == ViewRecipe(size_px=224, rotation_deg=30.0, **SHARED)


@pytest.mark.parametrize("recipe", [moco_recipe, adam_recipe])
@pytest.mark.parametrize(("size_px", "sigma_px"), [(224, (0.1, 2.0)), (112, (0.05, 1.0)), (448, (0.2, 4.0))])
def test_blur_is_as_strong_beside_the_anatomy_at_every_size(recipe, size_px, sigma_px):
    assert recipe(size_px).blur_sigma_px == pytest.approx(sigma_px)


@pytest.mark.parametrize("name", ["adam", "densecl", "moco-v2", "random"])
def test_the_cards_say_that_reference_numbers_were_read_off_a_figure(name):
    card = registry.methods.get(name).card
    assert set(card.reference) == {"scr-clavicle", "scr-heart", "chestxray14"}
    assert all("digitised from Fig. 3" in value for value in card.reference.values())


@pytest.mark.parametrize("name", ["adam", "densecl", "moco-v2"])
def test_the_cards_say_that_crops_are_mostly_enlarged(name):
    assert any("crops are mostly enlarged" in text for text in registry.methods.get(name).card.differences)


def test_moco_v2s_card_says_which_row_of_the_adam_paper_it_is_not():
    text = "; ".join(registry.methods.get("moco-v2").card.differences)
    assert 'augmentation="adam"' in text
    assert "select = 'last'" in text
