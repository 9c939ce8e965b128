"""Maps: the plain loop over channels, the grad-cam package, and layers whose outputs are changed in place."""

import numpy as np
import pytest
import torch
from torch import nn

from eden_bench.encoders import build_encoder
from tasks.finetuning.networks import Classifier
from tasks.gradcam import maps

SIZE_PX = 64
ARCHS = ("resnet18-w16", "resnet50-w16", "densenet121", "vit_mini_patch8_64", "swin_mini_patch4_window4_64")


def classifier(arch: str) -> Classifier:
    network = Classifier(build_encoder(arch, 1), 5, seed=2)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        network.head.weight.copy_(torch.randn(network.head.weight.shape, generator=generator))
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):  # as after training: no channel is like another
                module.weight.copy_(0.5 + torch.rand(module.weight.shape, generator=generator))
                module.bias.copy_(0.2 * torch.randn(module.bias.shape, generator=generator))
    return network.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.randn(3, 3, SIZE_PX, SIZE_PX, generator=torch.Generator().manual_seed(4))


COLUMNS = torch.tensor([0, 3, 1])


def by_hand(activations: torch.Tensor, gradients: torch.Tensor) -> np.ndarray:
    """Grad-CAM of one image, channel by channel: (C, h, w) each."""
    total = np.zeros(activations.shape[1:])
    for activation, gradient in zip(activations.double().numpy(), gradients.double().numpy(), strict=True):
        total += gradient.sum() / gradient.size * activation
    total = np.where(total > 0, total, 0)
    total = total - total.min()
    return total / (total.max() + 1e-7)


def test_a_pooled_and_linear_head_gives_the_weighted_sum_of_the_maps(images):
    network = classifier("resnet18-w16")
    layer = maps.layer_of(network.encoder, "last")
    (found,) = maps.grad_cam(network, [layer], images, COLUMNS)
    for one, last, column in zip(found, network.encoder(images), COLUMNS, strict=True):
        plain = (network.head.weight[column][:, None, None] * last).sum(dim=0).clamp(min=0)  # CAM (Zhou et al., 2016)
        plain = plain - plain.min()
        torch.testing.assert_close(one, plain / (plain.max() + 1e-7), atol=1e-5, rtol=0)


@pytest.mark.parametrize("form", ["last", "evax"])
@pytest.mark.parametrize("arch", ARCHS)
def test_maps_are_the_plain_loop_over_channels(arch, form, images):
    network = classifier(arch)
    layer = maps.layer_of(network.encoder, form)
    if layer is None:
        pytest.skip("EVA-X's form names no layer of it")
    (found,) = maps.grad_cam(network, [layer], images, COLUMNS)
    activations, gradients = by_differences(network, layer, images)
    expected = [by_hand(a, g) for a, g in zip(activations, gradients, strict=True)]
    assert np.abs(found.numpy() - np.stack(expected)).max() < 1e-5
    assert found.amax(dim=(1, 2)).max() > 0.9


def by_differences(network: Classifier, layer: maps.Layer, images: torch.Tensor):
    """Activations before anything changes them in place, and gradients from adding a zero to them."""
    kept = {}

    def add_zero(_module, _inputs, output):
        kept["activations"] = output.detach().clone()
        kept["zero"] = torch.zeros_like(output, requires_grad=True)
        return output + kept["zero"]

    handle = layer.module.register_forward_hook(add_zero)
    try:
        network(images).gather(1, COLUMNS[:, None]).sum().backward()
    finally:
        handle.remove()
    return layer.as_map(kept["activations"]), layer.as_map(kept["zero"].grad)


@pytest.mark.parametrize("arch", ["resnet18-w16", "resnet50-w16"])
def test_a_residual_sum_in_place_does_not_reach_the_norm_that_is_explained(arch, images):
    network = classifier(arch)
    norm = maps.layer_of(network.encoder, "evax").module
    with maps._outputs_of([maps.Layer(norm)]) as kept:
        network(images)
    assert kept[0].min() < 0  # after the sum and the ReLU nothing is


def test_both_layers_in_one_pass_are_those_of_one_each(images):
    network = classifier("resnet50-w16")
    layers = [maps.layer_of(network.encoder, form) for form in ("last", "evax")]
    both = maps.grad_cam(network, layers, images, COLUMNS)
    for layer, one in zip(layers, both, strict=True):
        torch.testing.assert_close(maps.grad_cam(network, [layer], images, COLUMNS)[0], one)


def test_tokens_become_a_map_row_by_row_without_the_class_token():
    tokens = torch.tensor([-1.0, 0, 1, 2, 3, 4, 5, 6, 7, 8])[None, :, None].expand(1, 10, 2)
    made = maps.Layer(nn.Identity(), tokens=True).as_map(tokens)
    assert made.shape == (1, 2, 3, 3)
    assert made[0, 1].tolist() == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]


def test_no_hook_stays_behind(images):
    network = classifier("vit_mini_patch8_64")
    before = network(images)
    maps.grad_cam(network, [maps.layer_of(network.encoder, "last")], images, COLUMNS)
    assert not any(module._forward_hooks for module in network.modules())
    assert torch.equal(network(images), before)


def test_a_constant_map_becomes_zero_and_any_other_reaches_one():
    assert not maps.scaled(torch.full((1, 7, 7), 0.3)).any()
    assert not maps.enlarged(torch.zeros(1, 7, 7), 28).any()
    ramp = maps.enlarged(torch.arange(49.0).reshape(1, 7, 7), 28)
    assert ramp.min() == 0
    assert ramp.max() == pytest.approx(1, abs=1e-6)


def test_enlarging_is_opencvs_bilinear():
    import cv2

    small = torch.rand(1, 7, 7, generator=torch.Generator().manual_seed(0))
    large = cv2.resize(small[0].numpy(), (224, 224))
    large = (large - large.min()) / ((large - large.min()).max() + 1e-7)
    assert np.abs(maps.enlarged(small, 224)[0] - large).max() < 1e-5


class Copied(nn.Module):
    """A layer and a copy of its output: the package keeps a view, which a change in place would reach on a CPU."""

    def __init__(self, layer: nn.Module):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return self.layer(x).clone()


@pytest.mark.parametrize("form", ["last", "evax"])
@pytest.mark.parametrize("arch", ["resnet18-w16", "resnet50-w16", "densenet121", "vit_mini_patch8_64"])
def test_maps_are_those_of_the_grad_cam_package(arch, form, images):
    package = pytest.importorskip("pytorch_grad_cam", reason="the package grad-cam is not installed")
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    network = classifier(arch)
    layer = maps.layer_of(network.encoder, form)
    ours = maps.enlarged(maps.grad_cam(network, [layer], images, COLUMNS)[0], SIZE_PX)
    owner, name = next(
        (owner, name) for owner in network.modules() for name, child in owner.named_children() if child is layer.module
    )
    setattr(owner, name, Copied(layer.module)) if layer.module is not network.encoder else None
    network.requires_grad_(True)
    reshape = layer.as_map if layer.tokens else None
    with package.GradCAM(network, [layer.module], reshape_transform=reshape) as cam:
        theirs = cam(images, [ClassifierOutputTarget(int(column)) for column in COLUMNS])
    assert np.abs(ours - theirs).max() < 1e-5
