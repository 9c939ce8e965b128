"""Features by their declared contract: layer, pooling, norm, normalisation and size, against plain torch."""

import sys

import numpy as np
import pytest
import torch
from torch.nn import functional

from eden_bench.contracts import NORMALISATIONS, Features
from eden_bench.encoders import build_encoder, features
from eden_bench.errors import UsageError

DRAW = np.random.default_rng(0)
GREY = DRAW.integers(0, 256, (5, 64, 64), dtype=np.uint8)


@pytest.fixture(scope="module")
def resnet():
    return build_encoder("resnet18-w16", 0).eval()


@pytest.fixture(scope="module")
def vit():
    return build_encoder("vit_mini_patch8_64", 0).eval()


def by_hand(normalisation="imagenet"):
    mean, std = (torch.tensor(values)[:, None, None] for values in NORMALISATIONS[normalisation])
    return (torch.from_numpy(GREY).float()[:, None].expand(-1, 3, -1, -1) / 255 - mean) / std


def test_the_mean_of_a_layer_is_the_maps_own(resnet):
    with torch.inference_mode():
        maps = resnet.maps(by_hand())
    for layer in (0, 2, -1):
        found = features(resnet, GREY, Features(layer=layer, size_px=64))
        assert np.allclose(found, maps[layer].mean(dim=(2, 3)), atol=1e-6)


def test_a_map_keeps_its_positions_and_embed_is_the_encoders_own(vit):
    with torch.inference_mode():
        maps, embedded = vit.maps(by_hand("none")), vit.embed(by_hand("none"))
    assert np.allclose(features(vit, GREY, Features(pooling="map", normalisation="none", size_px=64)), maps[-1])
    found = features(vit, GREY, Features(pooling="embed", normalisation="none", size_px=64))
    assert np.allclose(found, embedded, atol=1e-6)


def test_before_and_after_the_norm_differ_by_the_norm(vit):
    before = features(vit, GREY, Features(pooling="class", norm="before", size_px=64))
    after = features(vit, GREY, Features(pooling="class", size_px=64))
    with torch.inference_mode():
        assert np.allclose(vit.norm(torch.from_numpy(before)), after, atol=1e-5)
        tokens = torch.from_numpy(features(vit, GREY, Features(pooling="map", norm="before", size_px=64)))
        normed = vit.norm(tokens.flatten(2).transpose(1, 2)).transpose(1, 2).reshape(tokens.shape)
    assert np.allclose(normed, features(vit, GREY, Features(pooling="map", size_px=64)), atol=1e-5)


def test_an_image_is_shrunk_by_area_and_grown_bilinearly(resnet):
    small = functional.interpolate(torch.from_numpy(GREY).float()[:, None], (32, 32), mode="area") / 255
    found = features(resnet, GREY, Features(size_px=32))
    assert np.allclose(found, features(resnet, small.expand(-1, 3, -1, -1), Features(size_px=32)), atol=1e-5)
    by_mean = small[0, 0, 0, 0] * 255
    assert by_mean == pytest.approx(GREY[0, :2, :2].mean(), rel=1e-6)


def test_the_batch_does_not_matter(resnet):
    wanted = Features(size_px=64)
    whole, single = features(resnet, GREY, wanted), features(resnet, GREY, wanted, batch_size=1)
    assert np.allclose(whole, single, rtol=1e-4, atol=1e-5)


def test_the_encoder_is_left_as_it_was(resnet):
    before = {name: value.clone() for name, value in resnet.state_dict().items()}
    features(resnet, GREY, Features(size_px=64))
    assert all(value.equal(before[name]) for name, value in resnet.state_dict().items())


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (Features(pooling="class"), "resnet18-w16 has no class token"),
        (Features(norm="before"), "resnet18-w16 has no final norm"),
        (Features(layer=9), "layer 9 of resnet18-w16, expected -5 to 4"),
        (Features(pooling="embed", layer=1), "pooling 'embed' is the encoder's own"),
    ],
)
def test_what_an_encoder_lacks_is_one_sentence(resnet, wanted, message):
    with pytest.raises(UsageError, match=message):
        features(resnet, GREY, wanted)


@pytest.mark.parametrize(
    "values",
    [{"pooling": "max"}, {"norm": "both"}, {"normalisation": "own"}, {"size_px": 4}, {"norm": "before", "layer": 0}],
)
def test_values_that_mean_nothing_are_refused(values):
    with pytest.raises(ValueError, match=r"must be|is about"):
        Features(**values)


def test_fast_features_are_those_of_float32_to_a_thousandth(resnet, monkeypatch):
    exact = features(resnet, GREY, Features(size_px=64))
    for precision, least in (("float32", 1.0), ("bfloat16", 0.999)):
        monkeypatch.setattr(
            sys.modules["eden_bench.encoders.features"], "fast_precision", lambda _, chosen=precision: chosen
        )
        fast = features(resnet, GREY, Features(size_px=64, precision="fast"))
        cosine = (fast * exact).sum(axis=1) / np.linalg.norm(fast, axis=1) / np.linalg.norm(exact, axis=1)
        assert fast.dtype == np.float32
        assert cosine.min() >= least - 1e-6
        assert np.array_equal(fast, exact) == (precision == "float32")
