"""Corruptions: what each does to pixels, that severities rise, and that nothing but the image's id is drawn from."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from tasks.finetuning.corruptions import CORRUPTIONS, SEVERITIES


@pytest.fixture(scope="module")
def films(tiny_data):
    files = sorted((tiny_data / "chestxray14").rglob("*.png"))[:4]
    return {file.stem: cv2.resize(cv2.imread(str(file), 0), (96, 96), interpolation=cv2.INTER_AREA) for file in files}


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_severities_rise_on_the_phantom_and_repeat(films, name):
    assert films
    for film, image in films.items():
        made = [CORRUPTIONS[name](image, severity, film) for severity in range(1, SEVERITIES + 1)]
        away = [float(np.square(one.astype(float) - image).mean()) for one in made]
        assert all(one < more for one, more in zip([0, *away], away, strict=False)), (film, away)
        assert all(one.dtype == np.uint8 and one.shape == image.shape for one in made)
        assert np.array_equal(CORRUPTIONS[name](image, 3, film), made[2])


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_colour_photographs_are_corrupted_too(name):
    image = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    assert CORRUPTIONS[name](image, 2, "a").shape == image.shape


def test_each_is_its_formula():
    image = np.arange(256, dtype=np.uint8).reshape(16, 16)
    greys = [CORRUPTIONS["exposure"](image, 3, str(i)).astype(float)[8, 0] / 255 for i in range(20)]
    gammas = {round(float(np.log(grey) / np.log(128 / 255)), 1) for grey in greys}
    assert gammas == {0.5, 2.0}
    small = CORRUPTIONS["low-resolution"](image, 1, "a")
    expected = cv2.resize(image.reshape(8, 2, 8, 2).mean(axis=(1, 3)).round().astype(np.uint8), (16, 16))
    assert np.abs(small.astype(int) - expected).max() <= 1
    flat = np.full((200, 200), 128, np.uint8)
    noise = CORRUPTIONS["noise"](flat, 1, "a").astype(float)
    assert noise.std() == pytest.approx(255 * 0.03, rel=0.05)
    assert noise.mean() == pytest.approx(128, abs=0.2)
    dot = np.zeros((101, 101), np.uint8)
    dot[10:13, 49:52] = 255
    turned = {np.unravel_index(CORRUPTIONS["rotation"](dot, 5, str(i)).argmax(), dot.shape)[1] > 50 for i in range(20)}
    assert turned == {True, False}


def test_jpeg_of_a_colour_photograph_is_pils():
    """Red weighs more than blue in JPEG's brightness: channels in the wrong order lose others' detail."""
    image = np.zeros((64, 64, 3), np.uint8)
    image[:, ::2, 0] = 255  # stripes of red alone, a pixel wide
    for severity, quality in ((1, 35), (3, 12)):
        content = io.BytesIO()
        Image.fromarray(image).save(content, "JPEG", quality=quality)
        expected = np.array(Image.open(content)).astype(int)
        found = CORRUPTIONS["jpeg"](image, severity, "a").astype(int)
        assert np.abs(found - expected).mean() < 3
