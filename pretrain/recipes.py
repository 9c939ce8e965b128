"""The augmentations of MoCo-v2 and Adam, as view recipes."""

from __future__ import annotations

from eden_bench.contracts import ViewRecipe


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
        flip_p=0.5,
    )


def adam_recipe(size_px: int) -> ViewRecipe:
    """Return Adam's view: crop, colour jitter, blur, rotation. Neither flip nor grey: left and right are anatomy."""
    return ViewRecipe(
        size_px=size_px,
        crop_scale=(0.2, 1.0),
        jitter_p=0.8,
        brightness=0.4,
        contrast=0.4,
        saturation=0.4,
        hue=0.1,
        blur_p=0.5,
        rotation_deg=30.0,
    )
