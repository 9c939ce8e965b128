import pytest
import torch
from torch import nn

from pretrain.parts.discriminator import PatchDiscriminator, discriminator_loss, generator_loss


@pytest.mark.trap("dira", "discriminator: 64 to 512, instance norm thrice, 28 × 28 map, N(0, 0.02)")
def test_an_image_of_224_px_becomes_a_map_of_28():
    assert PatchDiscriminator()(torch.zeros(2, 1, 224, 224)).shape == (2, 1, 28, 28)


@pytest.mark.trap("dira", "discriminator: 64 to 512, instance norm thrice, 28 × 28 map, N(0, 0.02)", "held")
def test_the_layers_are_the_published_ones():
    layers = list(PatchDiscriminator())
    convolutions = [layer for layer in layers if isinstance(layer, nn.Conv2d)]
    assert [layer.out_channels for layer in convolutions] == [64, 128, 256, 512, 1]
    assert [layer.stride[0] for layer in convolutions] == [2, 2, 2, 1, 1]
    assert {layer.kernel_size for layer in convolutions} == {(3, 3)}
    assert [type(layer).__name__ for layer in layers[:3]] == ["Conv2d", "LeakyReLU", "Conv2d"]
    assert sum(isinstance(layer, nn.InstanceNorm2d) for layer in layers) == 3
    assert all(layer.negative_slope == 0.2 for layer in layers if isinstance(layer, nn.LeakyReLU))


@pytest.mark.trap("dira", "discriminator: 64 to 512, instance norm thrice, 28 × 28 map, N(0, 0.02)")
def test_weights_are_drawn_from_a_narrow_normal():
    weights = torch.cat([layer.weight.flatten() for layer in PatchDiscriminator() if isinstance(layer, nn.Conv2d)])
    assert weights.std().item() == pytest.approx(0.02, rel=0.02)
    assert weights.mean().item() == pytest.approx(0.0, abs=1e-3)


@pytest.mark.trap("dira", "least-squares game; generator first, then discriminator", "held")
def test_the_least_squares_game_by_hand():
    real, fake = torch.tensor([1.0, 0.5]), torch.tensor([0.0, 0.5, 1.0])
    assert generator_loss(fake).item() == pytest.approx((1 + 0.25 + 0) / 3)
    assert discriminator_loss(real, fake).item() == pytest.approx(0.5 * (0.25 / 2 + (0.25 + 1) / 3))
    assert discriminator_loss(torch.ones(4), torch.zeros(4)).item() == 0
