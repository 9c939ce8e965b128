"""Controls of probes: a constant, pixels, position; named, and never among @all."""

import numpy as np
import pytest
import torch

from eden_bench import registry
from eden_bench.contracts import Features
from eden_bench.encoders import features
from eden_bench.errors import UsageError
from tasks.probes.ranks import directions


def encoder(name):
    made = registry.methods.get(name)
    return made(made.Config()).load_encoder(0)


def test_they_are_a_group_that_all_leaves_out():
    assert registry.methods.select(["@controls"]) == ["constant", "pixels", "position"]
    assert not {"constant", "pixels", "position"} & set(registry.methods.select(["@all"]))


def test_the_constant_has_no_direction_after_centring():
    images = np.random.default_rng(0).integers(0, 256, (4, 64, 64), dtype=np.uint8)
    found = features(encoder("constant"), images, Features(size_px=64))
    assert not directions(found, found.mean(axis=0)).any()


def test_pixels_are_the_image_at_sixteen():
    images = np.random.default_rng(0).integers(0, 256, (3, 64, 64), dtype=np.uint8)
    found = features(encoder("pixels"), images, Features(size_px=64, normalisation="none"))
    assert np.allclose(found, images.reshape(3, 16, 4, 16, 4).mean(axis=(2, 4)).reshape(3, -1) / 255, atol=1e-6)


def test_an_encoder_of_pixels_reads_no_boxes():
    assert not encoder("pixels").reads_boxes
    assert encoder("position").reads_boxes
    with pytest.raises(UsageError, match="features: pixels reads pixels, expected an encoder that reads where"):
        encoder("pixels").embed_boxes(np.zeros((1, 4)))


def test_position_reads_boxes_alone():
    position = encoder("position")
    box = np.array([[0.25, 0.0, 0.75, 0.5]])  # centre (0.5, 0.25), sides 0.5
    found = position.embed_boxes(box)[0]
    places = [0.5, 0.25, 0.5, 0.5]
    angles = np.array([np.pi * 2.0**k * place for place in places for k in range(3)])
    assert np.allclose(found, [*np.sin(angles), *np.cos(angles)])
    with pytest.raises(UsageError, match="only a probe of patches can score it"):
        position.maps(torch.zeros(1, 3, 8, 8))
