"""View recipes: the augmentations of MoCo-v2, Adam and VICReg.

Not as in the paper where a view is not 224 px wide: blur is scaled with the view's side, so that it is as strong
beside the anatomy; torchvision-style chains blur by as many pixels at every size.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from eden_bench.contracts import ViewRecipe

PUBLISHED_SIZE_PX = 224
_PUBLISHED_BLUR_PX = (0.1, 2.0)


def blur_sigma_px(size_px: int) -> tuple[float, float]:
    """Return the published range of blur, 0.1 to 2 px of a 224-px view, in pixels of a view of another size."""
    low, high = _PUBLISHED_BLUR_PX
    return low * size_px / PUBLISHED_SIZE_PX, high * size_px / PUBLISHED_SIZE_PX


ANCHORS = (
    "images of another size than ChestX-ray14's 1024 × 1024 px are squashed to it (to 512 or 256 px where they are no "
    "larger) before views are cut, where released code cuts them as they are"
)
"""A difference that every method here has; for its card."""


def moco_recipe(size_px: int) -> ViewRecipe:
    """Return MoCo-v2's view (Chen et al., arXiv:2003.04297): crop, colour jitter, grey, blur, flip."""
    return ViewRecipe(
        size_px=size_px,
        crop_scale=(0.2, 1.0),
        jitter_p=0.8,
        brightness=0.4,
        contrast=0.4,
        saturation=0.4,
        hue=0.1,
        grey_p=0.2,
        blur_p=0.5,
        blur_sigma_px=blur_sigma_px(size_px),
        flip_p=0.5,
    )


def recipe_of(augmentation: str, size_px: int) -> ViewRecipe:
    """Return the recipe of an augmentation family that several methods accept, "moco" or "adam".

    Raises:
        ValueError: there is no such family.
    """
    if augmentation not in _FAMILIES:
        raise ValueError(f"augmentation must be 'moco' or 'adam', not {augmentation!r}")
    return _FAMILIES[augmentation](size_px)


def vicreg_recipes(size_px: int) -> tuple[ViewRecipe, ViewRecipe]:
    """Return VICRegL's two views (Bardes et al., NeurIPS 2022, arXiv:2210.01571): only the second is solarised.

    The first is always blurred, the second rarely. The normalisation's 0.228 is the official code's.
    """
    first = replace(moco_recipe(size_px), crop_scale=(0.08, 1.0), saturation=0.2, blur_p=1.0, std=(0.228, 0.224, 0.225))
    return first, replace(first, blur_p=0.1, solarise_p=0.2)


def adam_recipe(size_px: int) -> ViewRecipe:
    """Return Adam's view: MoCo-v2's with rotation, and neither flip nor grey: left and right are anatomy."""
    return replace(moco_recipe(size_px), grey_p=0.0, flip_p=0.0, rotation_deg=30.0)


_FAMILIES: Mapping[str, Callable[[int], ViewRecipe]] = {"moco": moco_recipe, "adam": adam_recipe}
