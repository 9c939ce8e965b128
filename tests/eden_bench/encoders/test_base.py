"""Encoders keep torchvision's names, sizes and arithmetic."""

import pytest
import torch
import torchvision

from eden_bench.encoders import build_encoder, parameter_count, seeded
from eden_bench.errors import UsageError


@pytest.mark.trap("methods", "ResNet-50 without classifier", "23,508,032 parameters, 318 entries")
def test_resnet50_has_the_published_counts():
    encoder = build_encoder("resnet50", 0)
    assert parameter_count(encoder) == 23_508_032
    assert len(encoder.state_dict()) == 318


def test_resnet18_equals_torchvisions_with_the_same_weights():
    encoder, peer = build_encoder("resnet18", 0).eval(), torchvision.models.resnet18().eval()
    missing = peer.load_state_dict(encoder.state_dict(), strict=False)
    assert missing.missing_keys == ["fc.weight", "fc.bias"]
    assert missing.unexpected_keys == []
    peer.fc = torch.nn.Identity()
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(encoder.embed(images), peer(images), atol=1e-5)


@pytest.mark.parametrize("arch", ["resnet18-w16", "resnet18", "resnet50-w16"])
def test_maps_have_the_declared_channels_and_strides(arch):
    encoder = build_encoder(arch, 0)
    maps = encoder.maps(torch.zeros(1, 3, 64, 64))
    assert [m.shape[1] for m in maps] == list(encoder.channels)
    assert [64 // m.shape[2] for m in maps] == list(encoder.strides)
    assert encoder.arch == arch


def test_weights_follow_the_seed_alone():
    torch.manual_seed(1)
    one = build_encoder("resnet18-w16", 7).conv1.weight
    torch.manual_seed(2)
    two = build_encoder("resnet18-w16", 7).conv1.weight
    other = build_encoder("resnet18-w16", 8).conv1.weight
    assert torch.equal(one, two)
    assert not torch.equal(one, other)


def test_without_a_seed_the_surrounding_block_decides():
    with seeded(3, "method"):
        one = build_encoder("resnet18-w16").conv1.weight
    with seeded(4, "method"):
        two = build_encoder("resnet18-w16").conv1.weight
    assert not torch.equal(one, two)


def test_seeded_leaves_the_global_generator_as_it_was():
    before = torch.random.get_rng_state()
    build_encoder("resnet18-w16", 0)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_misspelt_arch_gets_the_nearest():
    with pytest.raises(UsageError, match=r"unknown arch 'resnet5'. Did you mean 'resnet50'\?"):
        build_encoder("resnet5", 0)


@pytest.mark.parametrize("width", [4, 8, 15])
def test_an_encoder_too_narrow_for_its_kernels_is_refused(width):
    with pytest.raises(UsageError, match=f"arch 'resnet18-w{width}' is narrower than 16: write resnet18-w16 or wider"):
        build_encoder(f"resnet18-w{width}", 0)
