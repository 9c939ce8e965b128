import math

import numpy as np
import pytest
import torch

from baselines import pcrl
from baselines._pcrl.mixing import Mixing, blended, cut_out, draw_mixing, draw_moves, moved
from baselines.pcrl import PCRLConfig
from tests.pretrain.tiny import config, method, train_step, views

TINY = {"decoder_channels": (16, 8, 8, 8, 8)}
"""Values of the tests' tiny config; see ``tests.pretrain.tiny``."""

ORDER = torch.tensor([2, 0, 3, 1])
MIXING = Mixing(0.6, ORDER, 0.7, 0.8)


@pytest.fixture
def fixed(monkeypatch):
    """No cut-outs, known mixing, known moves."""
    moves = iter([MOVES[:4], MOVES[4:]] * 9)
    monkeypatch.setattr(pcrl, "cut_out", lambda images, generator: images)
    monkeypatch.setattr(pcrl, "draw_mixing", lambda count, generator, device: MIXING)
    monkeypatch.setattr(pcrl, "draw_moves", lambda count, generator: next(moves))


def with_another_teacher(**changes):
    made = method("pcrl", **changes).eval()
    with torch.no_grad():
        for parameter in made.teacher.parameters():
            parameter *= 0.9
    return made


MOVES = draw_moves(8, torch.Generator().manual_seed(4))


def mean_square(first, second):
    return (
        sum((float(a) - float(b)) ** 2 for a, b in zip(first.flatten(), second.flatten(), strict=True)) / first.numel()
    )


def mixed(batch):
    return torch.stack([0.6 * batch[i] + 0.4 * batch[int(ORDER[i])] for i in range(4)])


@torch.no_grad()
def decoded(made, maps, others=None, alpha=1.0):
    maps = maps if others is None else [alpha * a + (1 - alpha) * b for a, b in zip(maps, others, strict=True)]
    return made.student.decoder(torch.zeros(4, 3, 64, 64), tuple(maps))


def attended(network, maps, moves):
    return (*maps[:-1], maps[-1] * network.attention(moves)[:, :, None, None])


@pytest.mark.trap("pcrl", "SGD 1e-3, batch 64, 240 epochs, last weights; queue 16,384, τ 0.2, m 0.999", "held")
@pytest.mark.trap("pcrl", "n_data counts batches (quirk)", "1,227 = ⌈78,467 / 64⌉; it cancels but for ε")
@pytest.mark.trap("released code", "VICRegL's distances, PCRL's number of images")
def test_the_settings_are_the_released_ones():
    made = PCRLConfig()
    assert (made.epochs, made.batch_size, made.lr, made.momentum, made.weight_decay) == (240, 64, 1e-3, 0.9, 1e-4)
    assert (made.queue_size, made.temperature, made.embedding_dim, made.teacher_momentum) == (16_384, 0.2, 128, 0.999)
    assert (made.select, made.contrast) == ("last", "nce")
    assert made.nce_images == math.ceil(78_467 / made.batch_size)  # batches, the last one ragged
    with pytest.raises(ValueError, match="contrast must be 'nce' or 'info-nce', not 'mse'"):
        PCRLConfig(contrast="mse")


@pytest.mark.trap("pcrl", "views: rotation 10°, flip, grey 0.2, blur 0.5, jitter always (0.4 × 4); clean crops", "held")
def test_views_turn_and_mirror_and_their_clean_crops_come_along():
    first, second, *clean = method("pcrl").recipes(config("pcrl").stages[0])
    assert first == second
    assert (first.crop_scale, first.rotation_deg, first.flip_p, first.grey_p, first.blur_p) == (
        (0.2, 1),
        10,
        0.5,
        0.2,
        0.5,
    )
    assert (first.jitter_p, first.brightness, first.contrast, first.saturation, first.hue) == (1, 0.4, 0.4, 0.4, 0.4)
    assert [recipe.crop_of for recipe in clean] == [0, 1]
    assert all((r.rotation_deg, r.flip_p, r.jitter_p, r.blur_p, r.grey_p) == (0,) * 5 for r in clean)
    assert {recipe.mean for recipe in (first, *clean)} == {(0.485, 0.456, 0.406)}


@pytest.mark.trap("pcrl", "restoration: mean of four; the first target is the moved *input*", "plain loop")
@pytest.mark.trap("pcrl", "decoded once with and once without the teacher; blending covers skips", "held")
def test_restoration_is_that_of_a_plain_loop(fixed):
    made = with_another_teacher()
    batch = views(4, of=made)
    first, second, clean_first, clean_second = batch.images
    losses = made.losses(batch)
    with torch.no_grad():
        _, *own = made.student(first)
        _, *other = made.teacher(second)
        _, *own_mixed = made.student(mixed(first))
        _, *other_mixed = made.teacher(mixed(second))
        own, other = (attended(made.student, maps, by) for maps, by in ((own, MOVES[:4]), (other, MOVES[4:])))
    masks = [moved(first, MOVES[:4]), moved(second, MOVES[4:])]
    gts = [mixed(clean_first), mixed(clean_second)]
    expected = {
        "transformed": mean_square(decoded(made, own), masks[0]),
        "transformed-crossed": mean_square(decoded(made, own, other, 0.7), 0.7 * masks[0] + 0.3 * masks[1]),
        "mixed": mean_square(decoded(made, own_mixed), gts[0]),
        "mixed-crossed": mean_square(decoded(made, own_mixed, other_mixed, 0.8), 0.8 * gts[0] + 0.2 * gts[1]),
    }
    for name, value in expected.items():
        assert losses[name].item() == pytest.approx(value / 4, rel=1e-4), name


@pytest.mark.trap("pcrl", "contrast: mean of three; 3 B keys a step", "held")
def test_contrast_is_the_mean_of_three_comparisons(fixed):
    made = with_another_teacher(contrast="info-nce")
    batch = views(4, of=made)
    with torch.no_grad():
        query, key = made.student(batch.images[0])[0], made.teacher(batch.images[1])[0]
        query_mixed, key_mixed = made.student(mixed(batch.images[0]))[0], made.teacher(mixed(batch.images[1]))[0]
    total = 0.0
    for comparison in ((query, key), (query_mixed, key_mixed), (query_mixed, mixed(key))):
        queries, keys = (torch.nn.functional.normalize(rows, dim=1) for rows in comparison)
        scores = torch.cat([(queries * keys).sum(1, keepdim=True), queries @ made.queue.keys], dim=1) / 0.2
        total += -scores.log_softmax(dim=1)[:, 0].mean() / 3
    assert made.losses(batch)["contrast"].item() == pytest.approx(total.item(), rel=1e-5)


@pytest.mark.trap("pcrl", "the keys of each comparison enter the queue before the next one")
def test_held_out_images_are_no_negatives_of_each_other(fixed):
    """Batches of validation differ in number between processes, and what they leave would change the next step."""
    made = with_another_teacher()
    before = made.queue.keys.clone()
    first, again = (made.losses(views(4, of=made))["contrast"] for _ in range(2))
    assert first.equal(again)
    assert made.queue.keys.equal(before)


@pytest.mark.trap("pcrl", "no attention in the mixed pass", "held")
def test_attention_leaves_the_mixed_pass_alone(fixed):
    made = method("pcrl").eval()
    batch = views(4, of=made)
    with torch.no_grad():
        before = made.losses(batch)
        for network in (made.student, made.teacher):
            network.attention[2].bias -= 3
        after = made.losses(batch)
    assert {name for name in before if not before[name].equal(after[name])} == {"transformed", "transformed-crossed"}


@pytest.mark.trap("pcrl", "decoded once with and once without the teacher; blending covers skips")
def test_blending_covers_every_skip(fixed):
    made = method("pcrl").eval()
    batch = views(4, of=made)
    before = made.losses(batch)["mixed-crossed"]
    forward = made.teacher.forward
    for skip in range(1, 6):
        made.teacher.forward = lambda images, at=skip: tuple(
            out + 1 if i == at else out for i, out in enumerate(forward(images))
        )
        assert not made.losses(batch)["mixed-crossed"].isclose(before), skip


@pytest.mark.trap("pcrl", "no gradient to the teacher", "held")
def test_no_gradient_reaches_the_teachers_attention_or_maps():
    made = method("pcrl")
    sum(made.losses(views(of=made)).values()).backward()
    assert all(parameter.grad is None for parameter in made.teacher.parameters())
    assert all(parameter.grad is not None for parameter in made.student.attention.parameters())


@pytest.mark.trap("pcrl", "NCE with Z of the first batch; P_n, ε 1e-5")
def test_the_first_batch_fixes_the_normaliser_and_the_state_carries_it():
    made = method("pcrl")
    assert made.z == 0
    train_step(made)
    first = made.z.clone()
    assert first > 0
    train_step(made, seed=5)
    assert made.z.equal(first)
    assert made.state_dict()["z"].equal(first)


def test_validation_waits_for_no_other_process(monkeypatch):
    monkeypatch.setattr(pcrl.distributed, "from_first", lambda value: pytest.fail("a collective"))
    method("pcrl").eval().losses(views(of=method("pcrl")))


def test_validation_before_training_fixes_nothing():
    made = method("pcrl").eval()
    made.losses(views(of=made))
    assert made.z == 0


@pytest.mark.trap("pcrl", "contrast: mean of three; 3 B keys a step")
@pytest.mark.trap(
    "pcrl",
    "teacher after the optimiser's step; its batch norm shuffled, in train mode",
    "held; the last for the shared part only",
)
def test_each_step_enqueues_three_batches_of_keys_after_the_teacher_moved():
    made = method("pcrl", queue_size=40)
    train_step(made)
    assert int(made.queue.pushed) == 24
    made.losses(views(of=made))
    assert len(made._keys) == 3
    assert int(made.queue.pushed) == 24


@pytest.mark.trap("pcrl", "coefficients max(β, 1 − β); one permutation for both views", "held")
def test_coefficients_are_at_least_a_half():
    drawn = [draw_mixing(6, torch.Generator().manual_seed(seed), torch.device("cpu")) for seed in range(200)]
    for values in zip(*((m.share, m.transformed, m.mixed) for m in drawn), strict=True):
        assert 0.5 <= min(values) < 0.53
        assert max(values) > 0.97
        assert np.mean(values) == pytest.approx(0.75, abs=0.03)
    assert all(sorted(m.partners.tolist()) == list(range(6)) for m in drawn)


@pytest.mark.trap("pcrl", "moves: two coins, a quarter turn; in this order", "held")
def test_moves_are_two_coins_and_a_quarter_turn():
    moves = draw_moves(4000, torch.Generator().manual_seed(0))
    assert moves.shape == (4000, 6)
    assert moves[:, 2:].sum(dim=1).eq(1).all()
    assert moves.mean(dim=0).tolist() == pytest.approx([0.5, 0.5, 0.25, 0.25, 0.25, 0.25], abs=0.03)


@pytest.mark.trap("pcrl", "moves: two coins, a quarter turn; in this order")
@pytest.mark.parametrize("down", [0, 1])
@pytest.mark.parametrize("mirrored", [0, 1])
@pytest.mark.parametrize("quarters", range(4))
def test_images_are_moved_as_their_indicators_say(down, mirrored, quarters):
    image = torch.arange(12.0).view(1, 3, 2, 2)
    row = torch.tensor([[down, mirrored, *(float(quarters == q) for q in range(4))]])
    expected = image[0].numpy()
    expected = expected[:, ::-1] if down else expected
    expected = expected[:, :, ::-1] if mirrored else expected
    assert np.array_equal(moved(image, row)[0].numpy(), np.rot90(expected, quarters, (1, 2)))


@pytest.mark.trap("pcrl", "three holes of 32 of 224 px, zero after normalising", "held")
def test_three_holes_of_a_seventh_of_the_side_are_zero():
    images = torch.ones(300, 3, 224, 224)[:, :, :112, :112].contiguous()
    black = (cut_out(images, torch.Generator().manual_seed(0)) == 0).float()
    assert black[:, 0].equal(black[:, 2])
    areas = black[:, 0].sum(dim=(1, 2))
    assert areas.max() == 3 * 16 * 16
    assert areas.min() >= 8 * 8


def test_blending_weighs_the_first():
    assert blended(torch.tensor(1.0), torch.tensor(0.0), 0.7).item() == pytest.approx(0.7)


@pytest.mark.trap("pcrl", "projector, attention 6-256-2048 with sigmoid, decoder 256 to 16", "held")
def test_projector_attention_and_decoder_have_the_released_widths():
    with torch.device("meta"):
        made = pcrl.PCRLNetwork(PCRLConfig())
    kinds = [type(layer).__name__ for layer in made.attention]
    assert kinds == ["Linear", "ReLU", "Linear", "Sigmoid"]
    shapes = [tuple(part[i].weight.shape) for part in (made.projector, made.attention) for i in (0, 2)]
    assert shapes == [(128, 2048), (128, 128), (256, 6), (2048, 256)]
    assert PCRLConfig().decoder_channels == (256, 128, 64, 32, 16)
