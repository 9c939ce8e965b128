"""ViT and Swin keep timm's names, sizes and arithmetic, at any input size, in a U-Net and in a checkpoint."""

import subprocess
import sys

import pytest
import timm
import torch
from timm.models.swin_transformer import SwinTransformer
from timm.models.vision_transformer import VisionTransformer
from torch.nn import functional

from eden_bench.encoders import TRANSFORMERS, build_encoder, parameter_count
from eden_bench.encoders.transformers import fitted
from eden_bench.encoders.unet import UNetDecoder
from eden_bench.errors import UsageError
from eden_bench.weights.checkpoints import write_checkpoint

VIT, SWIN = "vit_mini_patch8_64", "swin_mini_patch4_window4_64"


def images(size_px=64, count=2):
    return torch.randn(count, 3, size_px, size_px, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("arch", "peer", "parameters"),
    [
        ("vit_base_patch16_224", "vit_base_patch16_224", 85_798_656),
        ("vit_small_patch16_224", "vit_small_patch16_224", 21_665_664),
        ("swin_base_patch4_window7_224", "swin_base_patch4_window7_224", 86_743_224),
        ("swin_base_patch4_window6_192", None, 86_743_224 - (13**2 - 11**2) * (2 * 4 + 2 * 8 + 18 * 16 + 2 * 32)),
    ],
)
def test_full_sizes_have_timms_names_and_shapes(arch, peer, parameters):
    with torch.device("meta"):
        encoder = build_encoder(arch)
        if peer:
            theirs = timm.create_model(peer, num_classes=0).state_dict()
            ours = encoder.state_dict()
            assert {key: value.shape for key, value in ours.items()} == {key: v.shape for key, v in theirs.items()}
    assert parameter_count(encoder) == parameters


@pytest.mark.parametrize("arch", TRANSFORMERS)
def test_no_dropout_and_no_stochastic_depth_draw_from_the_global_generator(arch):
    with torch.device("meta"):
        modules = list(build_encoder(arch).modules())
    assert not [m for m in modules if type(m).__name__ == "DropPath" or (isinstance(m, torch.nn.Dropout) and m.p)]


@torch.no_grad()
def test_a_vit_computes_what_timms_does():
    encoder = build_encoder(VIT, 0)
    tokens = VisionTransformer.forward_features(encoder, images())
    assert encoder(images()).flatten(2).transpose(1, 2).equal(tokens[:, 1:])


@torch.no_grad()
def test_a_swin_computes_what_timms_does():
    encoder = build_encoder(SWIN, 0)
    features = SwinTransformer.forward_features(encoder, images())
    assert encoder(images()).permute(0, 2, 3, 1).equal(features)
    assert encoder.embed(images()).allclose(SwinTransformer.forward_head(encoder, features), atol=1e-6)


@torch.no_grad()
def test_a_vits_maps_are_the_tokens_after_each_quarter_of_the_blocks():
    encoder = build_encoder("vit_tiny_patch16_32", 0)
    tokens, kept = encoder.positioned(encoder.patches(images(32)).flatten(1, 2)), []
    for number, block in enumerate(encoder.blocks, 1):
        tokens = block(tokens)
        if number in (3, 6, 9, 12):
            kept.append(tokens)
    kept[-1] = encoder.norm(kept[-1])
    for one, expected in zip(encoder.maps(images(32)), kept, strict=True):
        assert one.flatten(2).transpose(1, 2).equal(expected[:, 1:])


@pytest.mark.trap(
    "medical-mae",
    "global pool: mean patch token, `fc_norm` instead of `norm`",
    "standardised; the head takes scale and shift",
)
@torch.no_grad()
def test_a_vits_embedding_is_the_mean_patch_token_standardised_over_its_channels():
    encoder = build_encoder(VIT, 0)
    mean = encoder.blocks(encoder.positioned(encoder.patches(images()).flatten(1, 2)))[:, 1:].mean(dim=1)
    centred = mean - mean.mean(dim=1, keepdim=True)
    expected = centred / (centred.square().mean(dim=1, keepdim=True) + 1e-6).sqrt()
    assert encoder.embed(images()).allclose(expected, atol=1e-5)


@pytest.mark.parametrize("arch", [VIT, SWIN])
def test_maps_have_the_declared_channels_and_strides(arch):
    encoder = build_encoder(arch, 0)
    maps = encoder.maps(images())
    assert [m.shape[1] for m in maps] == list(encoder.channels)
    assert [64 // m.shape[2] for m in maps] == list(encoder.strides)
    assert encoder.arch == arch


@pytest.mark.parametrize("arch", [VIT, SWIN])
def test_weights_follow_the_seed_alone(arch):
    one, two, other = (build_encoder(arch, seed).patch_embed.proj.weight for seed in (7, 7, 8))
    assert one.equal(two)
    assert not one.equal(other)


@pytest.mark.parametrize("arch", [VIT, SWIN])
def test_at_its_own_size_an_encoder_is_itself(arch):
    encoder = build_encoder(arch, 0)
    assert encoder.for_size(64) is encoder


@pytest.mark.parametrize(
    ("arch", "resized", "size_px"),
    [
        (VIT, "vit_mini_patch8_96", 96),
        ("swin_mini_patch4_window6_192", "swin_mini_patch4_window6_224", 224),
        (SWIN, "swin_mini_patch4_window4-4-4-2_96", 96),
    ],
)
def test_at_another_size_only_a_vits_positions_change(arch, resized, size_px):
    encoder = build_encoder(arch, 0)
    other = encoder.for_size(size_px)
    assert other.arch == resized
    assert other.maps(images(size_px, 1))[0].shape[2] == size_px // other.strides[0]
    for key, value in encoder.state_dict().items():
        assert key == "pos_embed" or other.state_dict()[key].equal(value)
    assert build_encoder(resized, 0).state_dict().keys() == other.state_dict().keys()
    assert {k: v.shape for k, v in build_encoder(resized, 0).state_dict().items()} == {
        k: v.shape for k, v in other.state_dict().items()
    }


@pytest.mark.trap(
    "simmim",
    "window 6 to 7 at 224 px, tables interpolated",
    "not so: a Swin keeps the windows it was trained with at every size",
)
@pytest.mark.trap("released code", "a Swin at another size", "keeps its windows, equal to timm's")
@torch.no_grad()
@pytest.mark.parametrize(
    ("arch", "size_px", "window"),
    [("swin_mini_patch4_window7_224", 448, 7), ("swin_mini_patch4_window12_384", 768, 12)],
)
def test_a_swin_at_another_size_is_timms_of_that_size_and_its_own_window(arch, size_px, window):
    """Positions of the window are drawn large, so that a stretched table or another window shows."""
    encoder = build_encoder(arch, 0).eval()
    for name, value in encoder.named_parameters():
        if name.endswith("bias_table"):
            value.normal_(0, 2, generator=torch.Generator().manual_seed(len(value)))
    theirs = SwinTransformer(
        img_size=size_px, window_size=window, embed_dim=32, depths=(1, 1, 2, 1), num_heads=(1, 2, 4, 8), num_classes=0
    ).eval()
    theirs.load_state_dict(encoder.state_dict())
    x, expected = images(size_px, 1), []
    tokens = theirs.patch_embed(x)
    for layer in theirs.layers:
        tokens = layer(tokens)
        expected.append(tokens)
    expected[-1] = theirs.norm(tokens)
    for one, other in zip(encoder.for_size(size_px).maps(x), expected, strict=True):
        assert one.permute(0, 2, 3, 1).allclose(other, atol=1e-5)


def test_a_window_narrower_than_trained_keeps_the_bias_of_each_shift():
    table = torch.randn(23 * 23, 3, generator=torch.Generator().manual_seed(0))
    found = fitted({"relative_position_bias_table": table}, {"relative_position_bias_table": torch.empty(13 * 13, 3)})
    for rows in range(-6, 7):
        for columns in range(-6, 7):
            ours = found["relative_position_bias_table"][(rows + 6) * 13 + columns + 6]
            assert ours.equal(table[(rows + 11) * 23 + columns + 11])


@torch.no_grad()
def test_a_swin_keeps_its_windows_through_sizes():
    encoder = build_encoder("swin_mini_patch4_window7_224", 0)
    assert encoder.for_size(192).windows == (7, 7, 7, 6)
    assert encoder.for_size(192).arch == "swin_mini_patch4_window7_192"
    assert encoder.for_size(448).for_size(224).arch == encoder.arch
    assert (
        build_encoder(SWIN, 0).for_size(128).for_size(64).embed(images()).equal(build_encoder(SWIN, 0).embed(images()))
    )


def test_positions_are_interpolated_bicubically_and_the_class_tokens_is_kept():
    table = torch.randn(1, 1 + 14 * 14, 6, generator=torch.Generator().manual_seed(0))
    found = fitted({"pos_embed": table}, {"pos_embed": torch.empty(1, 1 + 16 * 16, 6)})["pos_embed"]
    grid = table[:, 1:].reshape(1, 14, 14, 6).permute(0, 3, 1, 2)
    expected = functional.interpolate(grid, (16, 16), mode="bicubic").permute(0, 2, 3, 1).reshape(1, 256, 6)
    assert found[:, :1].equal(table[:, :1])
    assert found[:, 1:].allclose(expected, atol=1e-6)


def test_interpolation_to_the_same_shape_changes_no_bit():
    encoder = build_encoder(SWIN, 0)
    weights = encoder.state_dict()
    assert all(value.equal(weights[key]) for key, value in fitted(weights, weights).items())


def test_a_constant_table_stays_constant():
    found = fitted({"pos_embed": torch.ones(1, 5, 3)}, {"pos_embed": torch.empty(1, 50, 3)})["pos_embed"]
    assert found.allclose(torch.ones(1, 50, 3))


@pytest.mark.parametrize("arch", [VIT, SWIN])
def test_a_unet_reaches_every_weight_of_the_encoder(arch):
    encoder = build_encoder(arch, 0)
    decoder = UNetDecoder(encoder, 2, (32, 16, 16, 8, 8))
    logits = decoder(images(), encoder.maps(images()))
    assert logits.shape == (2, 2, 64, 64)
    logits.square().sum().backward()
    assert [key for key, value in encoder.named_parameters() if value.grad is None or not value.grad.any()] == []


@pytest.mark.parametrize("arch", [VIT, SWIN])
def test_a_checkpoint_gives_the_same_encoder_back(arch, tmp_path):
    encoder = build_encoder(arch, 3)
    checkpoint = write_checkpoint(tmp_path, encoder.state_dict(), {"method": "simmim", "arch": encoder.arch})
    loaded = checkpoint.load_encoder()
    assert loaded.arch == arch
    with torch.no_grad():
        assert loaded.embed(images()).equal(encoder.embed(images()))


@pytest.mark.parametrize(
    ("arch", "message"),
    [
        ("vit_bas_patch16_224", r"unknown arch 'vit_bas_patch16_224'. Did you mean 'vit_base_patch16_224'\?"),
        ("swin_base_patch4_window7-7_224", "unknown arch 'swin_base_patch4_window7-7_224'"),
        ("swin_base_patch4_224", "unknown arch 'swin_base_patch4_224'"),
        ("vit_base_patch16_window7_224", "unknown arch 'vit_base_patch16_window7_224'"),
        ("vit_base_patch16_220", "'vit_base_patch16_220': its side must be a multiple of 16 pixels, not 220"),
        ("swin_base_patch4_window7_200", "'swin_base_patch4_window7_200': its side must be a multiple of 32 pixels"),
    ],
)
def test_a_name_that_is_not_understood_is_refused(arch, message):
    with pytest.raises(UsageError, match=message):
        build_encoder(arch, 0)


def test_timm_is_imported_only_for_a_transformer():
    build = "from eden_bench.encoders import build_encoder; build_encoder('resnet18-w16', 0)"
    told = subprocess.run(
        [sys.executable, "-c", f"{build}; import sys; print('timm' in sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout == "False\n"
