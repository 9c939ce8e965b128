import math

import pytest
import torch

from baselines import medical_mae
from baselines.medical_mae import MedicalMAEConfig, masked_error, sin_cos_positions
from eden_bench.contracts import Stage
from eden_bench.errors import UsageError
from pretrain.parts.masking import patchify
from tests.pretrain.tiny import method, views

TINY = {"arch": "vit_mini_patch16_64", "decoder_dim": 32, "decoder_blocks": 1, "decoder_heads": 2, "lr": 1e-3}
"""Values of the tests' tiny config; see ``tests.pretrain.tiny``."""


def batch(seed=0):
    draw = torch.Generator().manual_seed(seed)
    predicted, target = torch.randn(2, 3, 5, 12, generator=draw)
    return predicted, target, (torch.rand(3, 5, generator=draw) < 0.7).long()


def plain_loop(predicted, target, hidden, standardise):
    total, count = 0.0, 0
    for b in range(3):
        for n in range(5):
            pixels = [float(value) for value in target[b, n]]
            if standardise:
                mean = sum(pixels) / 12
                variance = sum((value - mean) ** 2 for value in pixels) / 11  # unbiased
                pixels = [(value - mean) / math.sqrt(variance + 1e-6) for value in pixels]
            if hidden[b, n]:
                count += 1
                total += sum((float(predicted[b, n, i]) - pixels[i]) ** 2 for i in range(12)) / 12
    return total / count


@pytest.mark.trap(
    "medical-mae", "squared error of hidden patches only; unbiased variance, ε 1e-6, off by default", "plain loop"
)
@pytest.mark.parametrize("standardise", [False, True])
def test_the_loss_is_the_formula_in_a_plain_loop(standardise):
    predicted, target, hidden = batch()
    loss = masked_error(predicted, target, hidden, standardise=standardise)
    assert float(loss) == pytest.approx(plain_loop(predicted, target, hidden, standardise), rel=1e-5)


@pytest.mark.trap("medical-mae", "squared error of hidden patches only; unbiased variance, ε 1e-6, off by default")
def test_only_hidden_patches_count():
    predicted, target, hidden = batch()
    other = predicted + 9 * (1 - hidden)[:, :, None]
    assert masked_error(other, target, hidden).equal(masked_error(predicted, target, hidden))


def test_standardising_forgets_a_patchs_level_and_spread():
    predicted, target, hidden = batch()
    loss = masked_error(predicted, target, hidden, standardise=True)
    assert float(masked_error(predicted, 50 * target + 3, hidden, standardise=True)) == pytest.approx(
        float(loss), rel=1e-3
    )


def with_order(monkeypatch, made, order):
    monkeypatch.setattr(medical_mae, "shuffled_places", lambda count, places, generator: order.expand(count, -1))
    return made.losses(views())["mse"]


@pytest.mark.trap("medical-mae", "the encoder sees visible patches only", "held")
def test_the_encoder_gets_the_class_token_and_the_visible_patches_only(monkeypatch):
    made = method("medical-mae", mask_ratio=0.75)
    lengths = []
    made.encoder.blocks[0].register_forward_hook(lambda module, given, result: lengths.append(given[0].shape[1]))
    made.losses(views())
    assert lengths == [1 + 4]


@torch.no_grad()
def test_hidden_pixels_reach_the_loss_as_targets_only_and_visible_ones_not_as_targets(monkeypatch):
    made = method("medical-mae", mask_ratio=0.75).eval()
    order = torch.arange(16).flip(0)  # patches 15 to 12, the lowest row, are visible
    images = views().images[0]
    loss = with_order(monkeypatch, made, order)
    visible = order[:4].expand(8, -1)
    tokens = made.encoder.norm(made.encoder.encode(images, visible))
    predicted = made.decoder(tokens, visible)
    errors = (predicted - patchify(images, 16)).square().mean(dim=2)
    assert float(loss) == pytest.approx(float(errors[:, :12].mean()), rel=1e-5)
    other = images.clone()
    other[:, :, :48] = 7.0
    assert made.encoder.encode(other, visible).equal(made.encoder.encode(images, visible))


@pytest.mark.trap("medical-mae", "tokens return to their places", "held")
def test_every_token_keeps_its_place():
    made = method("medical-mae").eval()
    images = views().images[0]
    everything = torch.arange(16).expand(8, -1)
    shuffled = torch.randperm(16, generator=torch.Generator().manual_seed(0))
    whole, same = made.encoder.encode(images), made.encoder.encode(images, everything)
    mixed = made.encoder.encode(images, everything[:, shuffled])
    assert whole.equal(same)
    assert mixed[:, 1:].allclose(whole[:, 1:][:, shuffled], atol=1e-5)
    decoded = made.decoder(whole, everything)
    assert made.decoder(mixed, everything[:, shuffled]).allclose(decoded, atol=1e-5)


@pytest.mark.trap("medical-mae", "tokens return to their places")
def test_hidden_places_get_the_mask_token_and_their_own_position():
    made = method("medical-mae").eval()
    seen = []
    made.decoder.blocks.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    tokens, visible = torch.randn(1, 3, 128, generator=torch.Generator().manual_seed(0)), torch.tensor([[9, 2]])
    made.decoder(tokens, visible)
    (given,), positions, known = seen, made.decoder.positions, made.decoder.embed(tokens)
    assert given[0, 1 + 9].allclose(known[0, 1] + positions[0, 10])
    assert given[0, 1 + 2].allclose(known[0, 2] + positions[0, 3])
    assert given[0, 0].allclose(known[0, 0])
    for place in set(range(16)) - {9, 2}:
        assert given[0, 1 + place].allclose(made.decoder.mask_token[0, 0] + positions[0, 1 + place])


@pytest.mark.trap("medical-mae", "fixed sine-cosine positions in both", "held")
def test_positions_are_sines_and_cosines_of_column_then_row():
    table = sin_cos_positions(16, 3)[0]
    assert table.shape == (10, 16)
    assert not table[0].any()
    for row in range(3):
        for column in range(3):
            waves = []
            for at in (column, row):
                angles = [at / 10_000 ** (i / 4) for i in range(4)]
                waves += [math.sin(angle) for angle in angles] + [math.cos(angle) for angle in angles]
            assert table[1 + 3 * row + column].tolist() == pytest.approx(waves, abs=1e-6)


@pytest.mark.trap("medical-mae", "fixed sine-cosine positions in both")
def test_positions_are_fixed_here_and_free_in_fine_tuning():
    made = method("medical-mae")
    assert not made.encoder.pos_embed.requires_grad
    assert made.encoder.pos_embed.equal(sin_cos_positions(128, 4))
    assert made.encoder.for_size(96).pos_embed.requires_grad


@pytest.mark.trap("medical-mae", "decay on matrices only; no clipping; half a cosine by step", "held")
def test_adamw_decays_matrices_only_with_the_published_betas():
    decayed, plain = method("medical-mae").optimisers()["main"].param_groups
    assert (decayed["weight_decay"], plain["weight_decay"], decayed["betas"]) == (0.05, 0, (0.9, 0.95))
    assert all(parameter.ndim > 1 for parameter in decayed["params"])
    assert all(parameter.ndim == 1 for parameter in plain["params"])


@pytest.mark.trap("medical-mae", "decay on matrices only; no clipping; half a cosine by step")
def test_the_rate_warms_up_and_falls_to_nothing_step_by_step():
    schedule = method("medical-mae", warmup_epochs=40).schedule("main")
    assert [schedule.factor(epoch, 800) for epoch in (0, 10.25, 40, 420, 800)] == pytest.approx([0, 0.25625, 1, 0.5, 0])


@pytest.mark.trap("medical-mae", "decay on matrices only; no clipping; half a cosine by step")
def test_gradients_are_not_shortened():
    assert MedicalMAEConfig().clip_norm is None


@pytest.mark.trap("medical-mae", "crop 0.5 to 1; ChestX-ray14's 0.5056 and 0.252", "held")
def test_views_are_cropped_and_normalised_as_published():
    (recipe,) = method("medical-mae").recipes(Stage("whole", 1))
    assert (recipe.crop_scale, recipe.flip_p) == ((0.5, 1.0), 0.5)
    assert (recipe.mean, recipe.std) == ((0.5056,) * 3, (0.252,) * 3)
    assert MedicalMAEConfig().normalisation == "own"


def test_a_network_that_is_no_vit_is_refused():
    with pytest.raises(UsageError, match="medical-mae: arch is 'resnet18-w16', expected a ViT"):
        method("medical-mae", arch="resnet18-w16")


def test_a_decoder_that_cannot_be_cut_into_heads_is_refused():
    with pytest.raises(ValueError, match=r"decoder_dim must be a multiple of 4 \* decoder_heads, not 30"):
        MedicalMAEConfig(decoder_dim=30, decoder_heads=4)
