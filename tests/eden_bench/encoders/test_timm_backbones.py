"""Any of timm's backbones: at another side as timm has it, in a U-Net, and by names that can do no harm."""

import pytest
import timm
import torch

from eden_bench.encoders import build_encoder
from eden_bench.encoders.unet import UNetDecoder
from eden_bench.errors import UsageError

DINO = "vit_small_patch14_dinov2@56+depth=4+embed_dim=64+num_heads=2"
SWIN = "swinv2_tiny_window8_256@128+embed_dim=16+depths=(1,1,1,1)+num_heads=(1,2,4,8)+pretrained_window_sizes=(8,8,8,4)"
CONV = "convnext_tiny@any+depths=(1,1,1,1)+dims=(16,16,32,32)"


def images(size_px):
    return torch.randn(1, 3, size_px, size_px, generator=torch.Generator().manual_seed(0))


@torch.inference_mode()
def test_at_another_side_positions_are_interpolated_as_timm_does():
    encoder = build_encoder(DINO, 0).eval()
    theirs = timm.create_model(
        "vit_small_patch14_dinov2", img_size=56, depth=4, embed_dim=64, num_heads=2, num_classes=0
    ).eval()
    theirs.load_state_dict({name.removeprefix("body."): value for name, value in encoder.state_dict().items()})
    theirs.set_input_size(img_size=(84, 84))
    other = encoder.for_size(84)
    assert other.arch == DINO.replace("@56", "@84")
    assert other.embed(images(84)).allclose(theirs(images(84)), atol=1e-5)
    assert encoder.for_size(56) is encoder


def test_a_swin_of_version_2_keeps_what_a_shift_means_where_its_window_is_cut():
    wide, narrow = build_encoder(SWIN, 0), build_encoder(SWIN, 0).for_size(64)
    for stage, cut in ((0, 0), (1, 0), (2, 4), (3, 2)):
        place = f"body.layers.{stage}.blocks.0.attn.relative_coords_table"
        ours, theirs = narrow.get_buffer(place), wide.get_buffer(place)
        end = theirs.shape[1] - cut
        assert ours.allclose(theirs[:, cut:end, cut:end], atol=1e-6)
    assert all(value.equal(narrow.state_dict()[name]) for name, value in wide.state_dict().items())


@pytest.mark.parametrize(("arch", "size_px"), [(DINO, 56), (CONV, 64), (SWIN, 128)])
def test_a_unet_reaches_every_weight_but_the_norm_behind_the_pooling(arch, size_px):
    encoder = build_encoder(arch, 0)
    decoder = UNetDecoder(encoder, 2, (16, 16, 8, 8, 8))
    x = images(224 if arch == DINO else size_px)
    encoder = encoder.for_size(x.shape[-1])
    maps = encoder.maps(x)
    assert [one.shape[1] for one in maps] == list(encoder.channels)
    decoder(x, maps).square().sum().backward()
    unreached = {name for name, value in encoder.named_parameters() if value.grad is None}
    assert unreached == ({"body.head.norm.weight", "body.head.norm.bias"} if arch == CONV else set())


def test_no_chance_is_left_in_training():
    encoder = build_encoder(SWIN, 0).train()
    assert encoder.embed(images(128)).equal(encoder.embed(images(128)))


@pytest.mark.parametrize(
    ("arch", "match"),
    [
        ("vit_small_patch14_dinov2@60", "its side must be a multiple of 14 pixels, not 60"),
        ("vit_small_patch14_dinov2@any", "its patches need a side in pixels"),
        ("vit_smal_patch14_dinov2@56", "Did you mean 'vit_small_patch14_dinov2'"),
        ("vit_small_patch14_dinov2@56+pretrained=True", "unknown option of arch .* 'pretrained'"),
        ("vit_small_patch14_dinov2@56+checkpoint_path=mine.pth", "unknown option of arch .* 'checkpoint_path'"),
        ("hf-hub:someone/network@56", "expected NAME@SIDE or NAME@any of timm's"),
        ("resnet18@64", "cannot be built by timm"),
    ],
)
def test_an_arch_that_is_not_understood_or_reaches_for_files_is_refused(arch, match):
    with pytest.raises(UsageError, match=match):
        build_encoder(arch, 0)
