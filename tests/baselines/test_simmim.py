import math

import pytest
import torch
from torch import nn

from baselines import simmim
from baselines.simmim import SimMIMConfig, masked_l1
from eden_bench.contracts import Stage
from eden_bench.errors import UsageError
from pretrain.parts.masking import enlarged
from tests.pretrain.tiny import method, views

TINY = {"arch": "swin_mini_patch4_window4_64", "mask_unit_px": 16, "lr": 1e-3}
"""Values of the tests' tiny config; see ``tests.pretrain.tiny``."""


def batch(seed=0, count=2, size_px=8):
    draw = torch.Generator().manual_seed(seed)
    predicted, images = torch.randn(2, count, 3, size_px, size_px, generator=draw)
    return predicted, images, torch.rand(count, size_px, size_px, generator=draw) < 0.6


@pytest.mark.trap("simmim", "L1 on hidden pixels only, mean over pixels and channels", "plain loop")
def test_the_loss_is_the_formula_in_a_plain_loop():
    predicted, images, hidden = batch()
    total, pixels = 0.0, 0
    for b in range(2):
        for y in range(8):
            for x in range(8):
                if hidden[b, y, x]:
                    pixels += 1
                    total += sum(abs(float(predicted[b, c, y, x]) - float(images[b, c, y, x])) for c in range(3))
    assert float(masked_l1(predicted, images, hidden)) == pytest.approx(total / (pixels + 1e-5) / 3)


def test_an_error_of_one_everywhere_costs_one_however_much_is_hidden():
    for share in (1, 4, 8):
        hidden = torch.zeros(2, 8, 8, dtype=torch.bool)
        hidden[:, :share] = True
        assert float(masked_l1(torch.ones(2, 3, 8, 8), torch.zeros(2, 3, 8, 8), hidden)) == pytest.approx(1)


@pytest.mark.trap("simmim", "L1 on hidden pixels only, mean over pixels and channels")
def test_only_hidden_pixels_count():
    predicted, images, hidden = batch()
    other = torch.where(hidden[:, None], predicted, predicted + 9)
    assert masked_l1(other, images, hidden).equal(masked_l1(predicted, images, hidden))


def test_nothing_hidden_costs_nothing():
    predicted, images, hidden = batch()
    assert float(masked_l1(predicted, images, torch.zeros_like(hidden))) == 0


@pytest.mark.trap(
    "simmim", "visible patches stay in the encoder; the token replaces embeddings before positions", "held"
)
@pytest.mark.parametrize("arch", ["swin_mini_patch4_window4_64", "vit_mini_patch8_64"])
def test_hidden_units_become_mask_tokens_and_visible_patches_stay(arch, monkeypatch):
    made = method("simmim", arch=arch)
    seen = []
    monkeypatch.setattr(made.encoder, "maps_of", lambda patches: seen.append(patches) or (patches,))
    images = views().images[0]
    units = torch.zeros(8, 4, 4, dtype=torch.bool)
    units[:, 1, 2] = True
    made.encode(images, units)
    (given,), embedded = seen, made.encoder.patches(images)
    hidden = enlarged(units, 16 // made.encoder.patch_px)
    assert given.shape == embedded.shape
    assert (given[hidden] == made.mask_token).all()
    assert given[~hidden].equal(embedded[~hidden])


@pytest.mark.trap("simmim", "visible patches stay in the encoder; the token replaces embeddings before positions")
def test_what_is_hidden_cannot_be_seen_and_what_is_visible_can():
    made = method("simmim").eval()
    images = views().images[0]
    units = torch.zeros(8, 4, 4, dtype=torch.bool)
    units[:, 1, 2] = True
    pixels = enlarged(units, 16)[:, None]
    before = made.encode(images, units)
    assert made.encode(torch.where(pixels, 7.0, images), units).equal(before)
    assert not made.encode(torch.where(pixels, images, 7.0), units).allclose(before)


@torch.no_grad()
def test_the_loss_is_that_of_the_hidden_pixels(monkeypatch):
    made = method("simmim").eval()
    units = torch.zeros(8, 4, 4, dtype=torch.bool)
    units[:, 0, 3] = units[:, 2] = True
    monkeypatch.setattr(simmim, "draw_mask", lambda count, side, masked, generator: units)
    images = views().images[0]
    loss = made.losses(views())["l1"]
    difference = (made.decoder(made.encode(images, units)) - images).abs()
    hidden = enlarged(units, 16)[:, None].expand(-1, 3, -1, -1)
    assert float(loss) == pytest.approx(float(difference[hidden].mean()), rel=1e-5)


def test_the_mask_follows_the_steps_generator():
    made = method("simmim").eval()
    first, other = views(), views()
    assert made.losses(first)["l1"].equal(made.losses(other)["l1"])
    other.generator.manual_seed(5)
    assert not made.losses(other)["l1"].equal(made.losses(views())["l1"])


@pytest.mark.trap("simmim", "decoder: one 1×1 convolution and a pixel shuffle", "held")
@pytest.mark.parametrize(("arch", "stride"), [("swin_mini_patch4_window4_64", 32), ("vit_mini_patch16_64", 16)])
def test_the_decoder_is_one_convolution_to_pixels(arch, stride):
    convolution, shuffle = method("simmim", arch=arch).decoder
    assert isinstance(convolution, nn.Conv2d)
    assert (convolution.kernel_size, convolution.out_channels) == ((1, 1), stride**2 * 3)
    assert (type(shuffle), shuffle.upscale_factor) == (nn.PixelShuffle, stride)


@pytest.mark.trap(
    "simmim",
    (
        "no decay on vectors, biases, mask token; position tables decay (the official keyword against it matches "
        "no name)"
    ),
    "held",
)
@pytest.mark.trap("released code", "SimMIM's tables and cosine", "tables decay; the cosine counts the warm-up")
def test_neither_vectors_nor_the_mask_token_decay_and_relative_positions_do():
    made = method("simmim")
    names = {id(parameter): name for name, parameter in made.named_parameters()}
    decayed, plain = made.optimisers()["main"].param_groups
    assert (decayed["weight_decay"], plain["weight_decay"], decayed["betas"]) == (0.05, 0, (0.9, 0.999))
    skipped = {"encoder.relative_position_bias_table"}  # the released keyword; no name contains it
    expected = {
        name
        for name, parameter in made.named_parameters()
        if len(parameter.shape) > 1 and name != "mask_token" and not any(keyword in name for keyword in skipped)
    }
    assert {names[id(parameter)] for parameter in decayed["params"]} == expected
    assert {names[id(parameter)] for parameter in plain["params"]} == set(names.values()) - expected
    tables = [parameter for parameter in decayed["params"] if names[id(parameter)].endswith("position_bias_table")]
    blocks = [block for stage in made.encoder.children() for block in stage.modules() if hasattr(block, "num_heads")]
    assert len(tables) == len(blocks) > 0
    assert [tuple(table.shape) for table in tables] == [
        ((2 * block.window_size[0] - 1) ** 2, block.num_heads) for block in blocks
    ]


def test_nor_do_a_vits_positions_and_class_token():
    made = method("simmim", arch="vit_mini_patch16_64")
    plain = {id(parameter) for parameter in made.optimisers()["main"].param_groups[1]["params"]}
    assert {id(made.encoder.pos_embed), id(made.encoder.cls_token)} <= plain


@pytest.mark.trap(
    "simmim",
    "warm-up by step, cosine to 1e-5, scaled, counted from step 0",
    "held; the warm-up starts at 0, not 5e-7, said on the card",
)
def test_the_rate_warms_up_step_by_step_and_goes_on_along_the_whole_runs_cosine_to_a_twentieth():
    schedule = method("simmim", warmup_epochs=10).schedule("main")
    least = 1e-5 * 256 / 512
    after = [least + (1e-4 - least) * (1 + math.cos(math.pi * epoch / 100)) / 2 for epoch in (10, 70.25, 100)]
    rates = [1e-4 * schedule.factor(epoch, 100) for epoch in (0, 5.5, 10, 70.25, 100)]
    assert rates == pytest.approx([0, 5.5e-5, *after])
    assert rates[2] == pytest.approx(1e-4 / 1.024, rel=1e-3)


def test_views_are_cropped_as_published():
    (recipe,) = method("simmim").recipes(Stage("whole", 1))
    assert (recipe.crop_scale, recipe.flip_p, recipe.std) == ((0.67, 1.0), 0.5, (0.229, 0.224, 0.225))


def test_units_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="mask_unit_px must divide size_px = 192, not 40"):
        SimMIMConfig(mask_unit_px=40)
    with pytest.raises(UsageError, match="mask_unit_px is 8, expected a multiple of the encoder's patch, 16 px"):
        method("simmim", arch="vit_mini_patch16_64", mask_unit_px=8)


def test_a_network_without_patches_is_refused():
    with pytest.raises(UsageError, match="simmim: arch is 'resnet18-w16', expected a Swin or a ViT"):
        method("simmim", arch="resnet18-w16")
