"""Lines on a film: squares at A and B, and seven between them or beyond B, every eighth of the way.

Eighths are whole pixels, so that no square is off its line. A box is (left, top, right, bottom) in pixels of a square
film. Every draw is a function of (seed, film).
"""

from __future__ import annotations

import math

import numpy as np

from eden_bench import seeds

EIGHTHS = 8
STEPS = np.arange(1, EIGHTHS) / EIGHTHS
"""Where the candidates stand: t = 1/8 … 7/8, of AB from A, or of AB beyond B."""
ASKED = (2, 4, 6)
"""Eighths at which the candidate is looked for: t = ¼, ½, ¾ as in the published figures."""


def draw_lines(seed: int, film: str, count: int, size_px: int, side_px: int, *, beyond: bool) -> np.ndarray:
    """Draw lines, all of whose squares lie in the film.

    Between A and B squares of neighbouring eighths share no pixel. Beyond B, where a line must be 15 eighths long,
    those asked for share none with A or B.

    Args:
        seed: of the task.
        film: id of the film.
        count: lines to draw.
        size_px: side of the film.
        side_px: side of the squares.
        beyond: candidates beyond B instead of between.

    Returns:
        (count, 9, 4) int64 boxes: A, B, then the seven candidates.

    Raises:
        ValueError: the squares are too large for such a line.
    """
    eighths = 2 * EIGHTHS - 1 if beyond else EIGHTHS
    least, most = math.ceil(side_px / 2) if beyond else side_px, (size_px - side_px) // eighths
    if least > most:
        raise ValueError(f"a line of {eighths} steps of {least} px does not fit {size_px} px: draw smaller squares")
    draws = seeds.generator(seed, "beyond" if beyond else "between", film).random((count, 5))
    step = _steps(draws, least, most)
    room = size_px - side_px - eighths * np.abs(step)
    start = (draws[:, 3:] * (room + 1)).astype(np.int64) + eighths * np.maximum(-step, 0)
    places = np.concatenate([[0, EIGHTHS], np.arange(1, EIGHTHS) + (EIGHTHS if beyond else 0)])
    corners = start[:, None] + places[:, None] * step[:, None]
    return np.concatenate([corners, corners + side_px], axis=-1)


def _steps(draws: np.ndarray, least: int, most: int) -> np.ndarray:
    """Return an eighth of each line, (N, 2) int64: along one axis ±[least, most], along the other at most as far."""
    far = least + (draws[:, 0] * (most - least + 1)).astype(np.int64)
    near = np.floor(draws[:, 1] * (2 * far + 1)).astype(np.int64) - far
    which = (draws[:, 2] * 4).astype(np.int64)
    far *= np.where(which % 2, 1, -1)
    return np.where(which[:, None] < 2, np.stack([far, near], axis=1), np.stack([near, far], axis=1))


def interpolated(a: np.ndarray, b: np.ndarray, t: float) -> np.ndarray:
    """Mix features by place: (1 - t) E_A + t E_B, any equal shapes. Printed with the weights swapped."""
    return (1 - t) * a + t * b


def extrapolated(a: np.ndarray, b: np.ndarray, t: float) -> np.ndarray:
    """Go on beyond B: E_B + t (E_B - E_A), any equal shapes."""
    return b + t * (b - a)


def error_in_t(cosines: np.ndarray, t: float) -> np.ndarray:
    """Return how far the candidate that is most alike stands from t, in shares of AB.

    Of candidates that are equally alike each is as likely to be taken, so an encoder that tells nothing apart errs by
    the mean over all seven.

    Args:
        cosines: (..., 7) of what was mixed to each candidate.
        t: where it belongs.

    Returns:
        (...)
    """
    best = cosines == cosines.max(axis=-1, keepdims=True)
    return (best * np.abs(STEPS - t)).sum(axis=-1) / best.sum(axis=-1)


CHANCE = float(np.mean([np.abs(STEPS - eighth / EIGHTHS).mean() for eighth in ASKED]))
"""Mean error of a guess: 11/42."""
