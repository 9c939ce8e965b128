"""The view recipes, value by value."""

import pytest

from eden_bench import registry
from eden_bench.contracts import ViewRecipe
from pretrain.views.recipes import ANCHORS, adam_recipe, moco_recipe, vicreg_recipes
from tests.pretrain.tiny import config, method

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


@pytest.mark.trap("moco-v2", "views: crop, jitter 0.8, grey 0.2, blur 0.5, flip 0.5", "value by value")
def test_the_official_views_are_moco_v2s():
    assert moco_recipe(224) == ViewRecipe(size_px=224, grey_p=0.2, flip_p=0.5, **SHARED)


@pytest.mark.trap("adam", "views: crop 0.2 to 1, jitter, blur, rotation ±30°; no flip, no grey", "value by value")
def test_adams_views_rotate_and_neither_flip_nor_lose_colour():
    assert adam_recipe(224) == ViewRecipe(size_px=224, rotation_deg=30.0, **SHARED)


@pytest.mark.parametrize("recipe", [moco_recipe, adam_recipe])
@pytest.mark.parametrize(("size_px", "sigma_px"), [(224, (0.1, 2.0)), (112, (0.05, 1.0)), (448, (0.2, 4.0))])
def test_blur_is_as_strong_beside_the_anatomy_at_every_size(recipe, size_px, sigma_px):
    assert recipe(size_px).blur_sigma_px == pytest.approx(sigma_px)


@pytest.mark.parametrize("name", ["adam", "densecl", "moco-v2", "vicregl"])
def test_contrastive_methods_take_each_others_views(name):
    stage = config(name).stages[0]
    assert set(method(name, augmentation="moco").recipes(stage)) == {moco_recipe(64)}
    assert set(method(name, augmentation="adam").recipes(stage)) == {adam_recipe(64)}
    with pytest.raises(ValueError, match=r"augmentation must be .* not 'none'"):
        config(name, augmentation="none")


@pytest.mark.trap(
    "vicregl", "views: scale 0.08, saturation 0.2, blur 1.0 and 0.1, solarise 0 and 0.2, s.d. 0.228", "held"
)
def test_vicregls_views_differ_in_blur_and_solarisation_alone():
    shared = SHARED | {"crop_scale": (0.08, 1.0), "saturation": 0.2, "grey_p": 0.2, "flip_p": 0.5}
    shared |= {"std": (0.228, 0.224, 0.225), "blur_p": 1.0}
    first, second = vicreg_recipes(224)
    assert first == ViewRecipe(size_px=224, **shared)
    assert second == ViewRecipe(size_px=224, **shared | {"blur_p": 0.1, "solarise_p": 0.2, "solarise_threshold": 128})


@pytest.mark.parametrize("name", registry.methods.names())
def test_the_cards_say_that_other_sizes_are_squashed_and_no_longer_that_crops_are_enlarged(name):
    made = registry.methods.get(name)
    told = "; ".join(made.card.differences)
    assert "mostly enlarged" not in told
    assert (ANCHORS in told) == hasattr(made, "losses")


def test_moco_v2s_card_says_which_row_of_the_adam_paper_it_is_not():
    text = "; ".join(registry.methods.get("moco-v2").card.differences)
    assert 'augmentation="adam"' in text
    assert "select = 'last'" in text
