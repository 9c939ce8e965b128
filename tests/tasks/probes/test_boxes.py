"""Boxes against a plain loop over pixels, PIL's and NumPy's resizing, and encoders' own features."""

import numpy as np
import pytest
import torch

from eden_bench.contracts import Features
from eden_bench.encoders import build_encoder, features
from tasks.probes.boxes import cut, encoded

FILM = np.random.default_rng(0).integers(0, 256, (40, 40)).astype(np.uint8)


def test_pixels_outside_repeat_the_border():
    box = np.array([-5, 33, 3, 41])
    wanted = [[FILM[min(max(y, 0), 39), min(max(x, 0), 39)] / 255 for x in range(-5, 3)] for y in range(33, 41)]
    assert cut(FILM, box, 8)[0].numpy() == pytest.approx(np.array(wanted), abs=1e-7)


def test_what_shrinks_is_averaged_by_area_along_each_axis():
    found = cut(FILM, np.array([2, 4, 26, 36]), 8)[0].numpy()
    wanted = FILM[4:36, 2:26].reshape(8, 4, 8, 3).mean(axis=(1, 3)) / 255
    assert found == pytest.approx(wanted, abs=1e-6)


def test_what_grows_is_bilinear_and_an_axis_that_shrinks_is_still_averaged():
    found = cut(FILM, np.array([4, 0, 8, 16]), 8)[0].numpy()
    narrow = FILM[:16, 4:8].reshape(8, 2, 4).mean(axis=1) / 255
    at = np.clip((np.arange(8) + 0.5) / 2 - 0.5, 0, 3)
    wanted = np.stack([np.interp(at, range(4), row) for row in narrow])
    assert found == pytest.approx(wanted, abs=1e-6)


def test_the_features_are_the_encoders_own_of_each_patch():
    encoder, wanted = build_encoder("resnet18-w16", 0), Features(size_px=32)
    boxes = np.array([[[0, 0, 32, 32], [8, 0, 40, 32]], [[-4, 2, 12, 18], [0, 0, 40, 20]]])
    found = encoded(encoder, FILM, boxes, wanted)
    assert found.shape[:2] == (2, 2)
    alone = features(encoder, torch.from_numpy(FILM[:32, :32].copy())[None], wanted)
    assert found[0, 0] == pytest.approx(alone[0], abs=1e-5)
    last = features(encoder, cut(FILM, boxes[1, 1], 32)[None], wanted)
    assert found[1, 1] == pytest.approx(last[0], abs=1e-5)
