"""Published models of the networks that are our own classes: RETFound, BiomedCLIP, Ark, PEAC, Ark+, torchxrayvision."""

import pytest
import torch
import torchvision
from timm.models.swin_transformer import SwinTransformer
from timm.models.vision_transformer import VisionTransformer

from eden_bench.encoders import build_encoder
from eden_bench.weights import families
from eden_bench.weights.importing import import_weights
from tests.eden_bench.weights.dialects import DENSENET, VIT, original_swin, under, weights

pytestmark = pytest.mark.usefixtures("read_here")


def images(size_px):
    return torch.randn(2, 3, size_px, size_px, generator=torch.Generator().manual_seed(0))


def imported(content, tmp_path):
    torch.save(content, tmp_path / "file.pth")
    return import_weights(tmp_path / "file.pth")


@pytest.mark.parametrize(
    ("prefix", "content"),
    [
        ("model/", lambda own: {"model": own, "epoch": 799}),
        (
            "visual.trunk.",
            lambda own: under("visual.trunk.", own) | {"visual.head.proj.weight": torch.zeros(8, 8)}
            | {f"text.transformer.{n}.weight": torch.zeros(8, 8) for n in range(9)},
        ),
    ],
)  # fmt: skip
@torch.inference_mode()
def test_retfounds_and_biomedclips_vit_is_timms(prefix, content, tmp_path):
    found = imported(content(weights(VIT)), tmp_path)
    theirs = VisionTransformer(img_size=64, patch_size=8, embed_dim=128, depth=4, num_heads=4, num_classes=0).eval()
    theirs.load_state_dict(weights(VIT))
    encoder, tokens = found.encoder().eval(), theirs.forward_features(images(64))
    assert found.coverage.prefix == prefix
    assert encoder(images(64)).flatten(2).transpose(1, 2).allclose(tokens[:, 1:], atol=1e-5)
    assert encoder.class_token(images(64)).allclose(tokens[:, 0], atol=1e-5)


@torch.inference_mode()
def test_arks_swin_at_another_side_is_timms_of_the_window_it_was_trained_with(tmp_path):
    held = {"teacher": under("module.", original_swin()), "student": under("module.", weights("resnet18-w16"))}
    encoder = imported(held, tmp_path).encoder().for_size(128).eval()
    theirs = SwinTransformer(
        img_size=128, window_size=[4, 4, 4, 2], embed_dim=32, depths=(1, 1, 2, 1), num_heads=(1, 2, 4, 8), num_classes=0
    ).eval()
    theirs.load_state_dict(encoder.state_dict())
    assert encoder.windows == (4, 4, 4, 2)
    assert encoder(images(128)).permute(0, 2, 3, 1).allclose(theirs.forward_features(images(128)), atol=1e-5)


@pytest.mark.parametrize(("name", "window", "side"), [("ark", 7, 224), ("peac", 7, 448), ("ark-plus", 12, 768)])
def test_a_published_swins_window_is_part_of_its_network(name, window, side):
    _, model = families.model(name)
    with torch.device("meta"):
        encoder = build_encoder(model.network)
    assert (encoder.windows, encoder.size_px) == ((window,) * 4, side)
    for block in (block for layer in encoder.layers for block in layer.blocks):
        assert block.window_size == (window, window)
    native = model.network.replace(f"_{side}", f"_{32 * window}")
    assert build_meta(native).resized_name(side) == model.network


def build_meta(arch):
    with torch.device("meta"):
        return build_encoder(arch)


@torch.inference_mode()
def test_torchxrayvisions_grey_densenet_sees_three_equal_channels_as_one(tmp_path):
    network = torchvision.models.densenet121(weights=None).eval()
    network.load_state_dict(weights(DENSENET), strict=False)
    grey = network.features.conv0.weight.sum(1, keepdim=True)
    found = imported({**weights(DENSENET), "features.conv0.weight": grey, "classifier.bias": torch.zeros(18)}, tmp_path)
    network.features.conv0 = torch.nn.Conv2d(1, 64, 7, 2, 3, bias=False)
    network.features.conv0.weight.copy_(grey)
    one = images(64)[:, :1]
    expected = network.features(one).relu().mean((2, 3))
    assert found.encoder().eval().embed(one.expand(-1, 3, -1, -1)).allclose(expected, atol=1e-5)
