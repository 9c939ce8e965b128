"""Render views on the CPU, one by one with OpenCV, which releases the interpreter's lock, in a pool of threads.

The order is torchvision's on PIL images: crop and resize (bilinear, antialiased), jitter, grey, blur, solarise, rotate
(nearest, black outside), flip, normalise. On grey anchors hue and saturation are identities and left out. What
vectorises best was measured: brightness and contrast are two vector passes (0.04 ms) and not a table (0.1 ms), since
contrast pivots on the brightened mean; rotation is not merged with the resize into one bilinear warp (0.2 ms, against
0.13 ms for the two), which also keeps the blur out of the black corners and is the published pipeline, nearest rotation
and all.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from itertools import islice

import cv2
import numpy as np

from eden_bench.contracts import ViewRecipe
from pretrain.views.draws import CONTRAST, UNCHANGED, Draws, upright_maps
from pretrain.views.pixels import blur_kernels, normalisation
from pretrain.views.windows import Window, antialiasing

_NEAREST = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
_BILINEAR = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
_FLOOR = -0.4999
"""Added before OpenCV rounds, where PIL cuts."""
_OWN = threading.local()
_TOGETHER = 4
"""Views normalised by one call: many short calls keep threads waiting for the interpreter's lock."""


def render(windows: Sequence[Window], draws: Draws, recipe: ViewRecipe, out: np.ndarray) -> None:
    """Render one view of each window, normalised.

    Args:
        windows: B windows, as the draws' crops cut them.
        draws: the other parameters.
        recipe: size, threshold, mean and standard deviation.
        out: (B, S, S, 3) float32, filled.
    """
    views = render_levels(windows, draws, recipe)
    room = _room((4, min(_TOGETHER, len(windows)) * recipe.size_px, recipe.size_px))
    for start in range(0, len(windows), _TOGETHER):
        some = np.concatenate(list(islice(views, _TOGETHER)))
        _normalise(some, *normalisation(recipe), room[:, : len(some)], out[start : start + _TOGETHER])


def render_levels(windows: Sequence[Window], draws: Draws, recipe: ViewRecipe) -> Iterator[np.ndarray]:
    """Yield one view of each window, (S, S) or (S, S, 3) uint8."""
    kernels, maps = blur_kernels(draws.sigma_px), _turns(draws, recipe)
    along_y, along_x = antialiasing(windows, recipe.size_px)
    for i, window in enumerate(windows):
        view = resample(window, _trimmed(along_y[i]), _trimmed(along_x[i]), recipe.size_px)
        view = _jitter(view, draws.factors[i], draws.order[i])
        if draws.grey[i] and view.ndim == 3:
            view = cv2.cvtColor(_grey(view), cv2.COLOR_GRAY2RGB)
        if draws.sigma_px[i] > 0:
            view = _blur(view, kernels[i], draws.sigma_px[i])
        if draws.solarise[i]:
            view = np.where(view >= recipe.solarise_threshold, 255 - view, view)
        yield _turn(view, maps[i], draws.angle_deg[i], draws.flip[i])


def resample(window: Window, along_y: np.ndarray, along_x: np.ndarray, size_px: int) -> np.ndarray:
    """Smooth a window with the given taps (odd numbers of them) and resample its crop bilinearly to (S, S)."""
    pixels, (top, left, height, width) = window.pixels, window.crop
    if len(along_y) > 1 or len(along_x) > 1:
        pixels = cv2.sepFilter2D(pixels, -1, along_x, along_y, borderType=cv2.BORDER_REPLICATE)
    if window.crop == (0, 0, *pixels.shape[:2]):
        return cv2.resize(pixels, (size_px, size_px))
    step_y, step_x = height / size_px, width / size_px
    to_window = np.array([[step_x, 0, left + step_x / 2 - 0.5], [0, step_y, top + step_y / 2 - 0.5]])
    return cv2.warpAffine(pixels, to_window, (size_px, size_px), flags=_BILINEAR, borderMode=cv2.BORDER_REPLICATE)


def _jitter(view: np.ndarray, factors: np.ndarray, order: np.ndarray) -> np.ndarray:
    jitters = order.tolist() if view.ndim == 3 else [jitter for jitter in order.tolist() if jitter <= CONTRAST]
    for jitter in jitters:
        factor = float(factors[jitter])
        if factor != UNCHANGED[jitter]:
            view = _JITTERS[jitter](view, factor)
    return view


def _brighten(view: np.ndarray, factor: float) -> np.ndarray:
    return cv2.addWeighted(view, factor, view, 0, _FLOOR)


def _contrast(view: np.ndarray, factor: float) -> np.ndarray:
    mean = int(cv2.mean(_grey(view))[0] + 0.5)
    return cv2.addWeighted(view, factor, view, 0, mean * (1 - factor) + _FLOOR)


def _saturate(view: np.ndarray, factor: float) -> np.ndarray:
    return cv2.addWeighted(view, factor, cv2.cvtColor(_grey(view), cv2.COLOR_GRAY2RGB), 1 - factor, _FLOOR)


def _turn_hue(view: np.ndarray, factor: float) -> np.ndarray:
    hsv = cv2.cvtColor(view, cv2.COLOR_RGB2HSV_FULL)
    hsv[..., 0] += np.uint8(int(factor * 255) % 256)  # wraps, as hue does
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB_FULL)


_JITTERS = (_brighten, _contrast, _saturate, _turn_hue)


def _grey(view: np.ndarray) -> np.ndarray:
    return view if view.ndim == 2 else cv2.cvtColor(view, cv2.COLOR_RGB2GRAY)


def _blur(view: np.ndarray, kernel: np.ndarray, sigma_px: float) -> np.ndarray:
    middle, radius = len(kernel) // 2, int(np.ceil(3 * sigma_px))
    weights = kernel[middle - radius : middle + radius + 1]
    return cv2.sepFilter2D(view, -1, weights, weights, borderType=cv2.BORDER_REPLICATE)


def _trimmed(taps: np.ndarray) -> np.ndarray:
    """Trim zeros at both ends."""
    beside = (len(taps) - np.count_nonzero(taps)) // 2
    return taps[beside : len(taps) - beside]


def _turns(draws: Draws, recipe: ViewRecipe) -> np.ndarray:
    """Return ``upright_maps`` between pixel indices, pixel centres at integers as in OpenCV."""
    maps = upright_maps(draws, recipe.size_px)
    maps[:, :, 2] += maps[:, :, :2].sum(axis=2) / 2 - 0.5
    return maps


def _turn(view: np.ndarray, to_upright: np.ndarray, angle_deg: float, flip: bool) -> np.ndarray:
    if angle_deg == 0:
        return cv2.flip(view, 1) if flip else view
    return cv2.warpAffine(view, to_upright, view.shape[1::-1], flags=_NEAREST, borderMode=cv2.BORDER_CONSTANT)


def _room(shape: tuple[int, ...]) -> np.ndarray:
    """Return a thread's own float32 array, reused, since fresh memory costs as much as the work."""
    if getattr(_OWN, "room", np.empty(0)).shape != shape:
        _OWN.room = np.empty(shape, np.float32)
    room: np.ndarray = _OWN.room
    return room


def _normalise(views: np.ndarray, scale: np.ndarray, shift: np.ndarray, room: np.ndarray, out: np.ndarray) -> None:
    """Normalise views below each other, (n·S, S) or (n·S, S, 3) uint8, into (n, S, S, 3), with room for 4 planes."""
    values, *planes = room
    channels = [views] if views.ndim == 2 else cv2.split(views)
    for number, plane in enumerate(planes):
        if number < len(channels):
            values[:] = channels[number]
        np.multiply(values, scale[number], out=plane)
        np.add(plane, shift[number], out=plane)
    cv2.merge(planes, dst=out.reshape(*views.shape[:2], 3))
