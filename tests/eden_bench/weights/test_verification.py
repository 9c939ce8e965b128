"""A test vector is what its printed recipe gives, by plain numpy and timm; a file of another network is refused."""

import json
import zlib
from dataclasses import replace

import numpy as np
import pytest
import timm
import torch

from eden_bench.errors import WeightsRefused
from eden_bench.weights import families
from eden_bench.weights.verification import verification
from tests.eden_bench.weights import published
from tests.eden_bench.weights.dialects import weights

pytestmark = pytest.mark.usefixtures("read_here")
CASE = published.cases()["rad-dino"]


@pytest.fixture
def small(monkeypatch):
    """RAD-DINO as a small network of its kind."""
    family, model = families.model("rad-dino")
    model = replace(model, network=CASE.small_arch, size_px=CASE.size_px)
    one = replace(family, models=(model,), networks=(CASE.small_arch,))
    monkeypatch.setattr(families, "load", lambda: (one,))


def normalised():
    pixels = np.random.default_rng(0).random((3, 56, 56))
    return torch.from_numpy((pixels - 0.5307) / 0.2583)[None].float()


@torch.inference_mode()
def test_without_a_file_the_vector_is_that_of_the_printed_recipe(small):
    told = verification("rad-dino")
    network = published.build(CASE)
    for name, value in network.state_dict().items():
        noise = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(value.shape)
        value.copy_(torch.from_numpy(0.02 * noise + (name.endswith("weight") and value.ndim == 1)))
    expected = network(normalised())[0]
    assert torch.tensor(told["first_values"]).allclose(expected[:8], atol=1e-4)
    assert told["reads"] == "class token, after the last norm"
    assert "embeddings\\.mask_token" in " ".join(told["left_out"])
    assert json.loads(json.dumps(told)) == told


@torch.inference_mode()
def test_with_a_file_the_vector_is_that_of_its_weights(small, tmp_path):
    network = published.build(CASE)
    torch.save(published.content(CASE, network.state_dict()), tmp_path / "file.pth")
    told = verification("rad-dino", tmp_path / "file.pth")
    assert torch.tensor(told["first_values"]).allclose(network(normalised())[0, :8], atol=1e-4)
    assert told["tensors"] == "62 of 62 of the network"
    assert told["weights"] == "those of file.pth"
    assert told["digest"] != verification("rad-dino")["digest"]


def test_a_file_of_another_network_is_refused(small, tmp_path):
    torch.save(weights(), tmp_path / "file.pth")
    with pytest.raises(WeightsRefused, match=r"holds resnet18-w16, expected vit_base_patch14_dinov2@56.* of rad-dino"):
        verification("rad-dino", tmp_path / "file.pth")


def test_timms_networks_of_the_families_are_in_this_version():
    assert all(timm.is_model(arch.partition("@")[0]) for family in families.load() for arch in family.networks)
