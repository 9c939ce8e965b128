"""Adam-v2's views: multi-crop for localisability, and a window's whole, centred crops and parts."""

from __future__ import annotations

from dataclasses import replace

from eden_bench.contracts import ViewRecipe
from pretrain.views.recipes import blur_sigma_px

PARTS = 4
_RATIOS = ((2 / 3, 1.0), (1.0, 3 / 2))
_BANDS = ((0.05, 0.1), (0.1, 0.2), (0.2, 0.3), (0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (0.6, 0.7), (0.7, 0.8))
"""Shares of a window's area, one a centred local crop."""


def _plain(size_px: int, global_px: int, *, rotation_deg: float, blur_p: float) -> ViewRecipe:
    return ViewRecipe(
        size_px=size_px,
        jitter_p=0.8,
        brightness=0.4,
        contrast=0.4,
        saturation=0.2,
        hue=0.1,
        blur_p=blur_p,
        blur_sigma_px=blur_sigma_px(global_px),
        rotation_deg=rotation_deg,
    )


def multi_crop(global_px: int, local_px: int) -> tuple[ViewRecipe, ...]:
    """Return mode L's views: two global crops, the second rarely blurred, and eight local ones, turned by up to 30°."""
    glob = replace(_plain(global_px, global_px, rotation_deg=30.0, blur_p=1.0), crop_scale=(0.8, 1.0))
    local = replace(_plain(local_px, global_px, rotation_deg=30.0, blur_p=0.5), crop_scale=(0.05, 0.4))
    return glob, replace(glob, blur_p=0.1), *(local,) * len(_BANDS)


def whole_crops_and_parts(global_px: int, local_px: int) -> tuple[ViewRecipe, ...]:
    """Return mode LCD's 14 views, turned by up to 10°: the whole, nine centred crops, 2 × 2 parts row by row."""
    whole = _plain(global_px, global_px, rotation_deg=10.0, blur_p=0.1)
    centred = replace(whole, crop_scale=(0.8, 1.0), crop_place="centre", blur_p=1.0)
    local = _plain(local_px, global_px, rotation_deg=10.0, blur_p=0.5)
    crops = [
        replace(local, crop_scale=band, crop_ratio=_RATIOS[number % 2], crop_place="centre")
        for number, band in enumerate(_BANDS)
    ]
    parts = [replace(whole, cell=(row, column, 2, 2)) for row in (0, 1) for column in (0, 1)]
    return whole, centred, *crops, *parts
