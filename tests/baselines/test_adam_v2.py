"""Adam-v2: losses by loops and closed forms, schedules, gradients, views and windows, a step at full size."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from baselines._adam_v2 import terms
from baselines._adam_v2.networks import LocalisabilityHead, part_head
from baselines._adam_v2.training import ClippedAdamW, cosine, grouped, warmed_up
from baselines._adam_v2.views import multi_crop, whole_crops_and_parts
from baselines.adam_v2 import AdamV2, AdamV2Config
from eden_bench.contracts import Stage, View, Views
from eden_bench.encoders import seeded
from pretrain.views.draws import WIDTH, draw_views, draw_windows

TINY = {"local_px": 64, "directions": 7, "hidden_dim": 6, "bottleneck_dim": 5, "warmup_epochs": 0, "lr": 0.05}
"""What it has instead of what every tiny method shares (``tests.pretrain.tiny``)."""
SMALL = AdamV2Config(
    arch="resnet18-w16", size_px=32, local_px=32, batch_size=2, epochs=5, warmup_epochs=1,
    directions=7, hidden_dim=6, bottleneck_dim=5,
)  # fmt: skip
LOCAL, PARTS = SMALL.stages


def made(config=SMALL, mode=LOCAL, train=8):
    with seeded(0, "method"):
        method = AdamV2(config)
    method.start_stage(mode)
    method.stage_data(mode, type("Data", (), {"train": np.arange(train)}), 0)
    return method


def batch(method, mode, seed=0, count=2):
    generator = torch.Generator().manual_seed(seed)
    images = [torch.randn(count, 3, r.size_px, r.size_px, generator=generator) for r in method.recipes(mode)]
    flat, no = torch.zeros(count, 2, 3), torch.zeros(count, dtype=torch.bool)
    return Views(views=tuple(View(image, flat, no) for image in images), samples=torch.arange(count))


def temperatures(**changes):
    return {"student_temperature": 0.1, "teacher_temperature": 0.04, "skip_same": False, **changes}


# ── losses ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.trap(
    "adam-v2",
    "DINO's cross-entropy: temperatures 0.04 and 0.1, centre before the teacher's softmax",
    "1.0601318 of one pair by hand; 18 pairs in mode L, 9 in LCD",
)
def test_localisability_of_one_pair_is_the_published_number():
    teacher, student = torch.tensor([[0.04 * math.log(2), 0, 0]]), torch.tensor([[0.1 * math.log(3), 0, 0]])
    found = terms.localisability([student], [teacher], torch.zeros(1, 3), **temperatures())
    assert found.item() == pytest.approx(1.0601318, abs=1e-6)
    flat = torch.zeros(1, 65_536)
    assert terms.localisability([flat], [flat], flat, **temperatures()).item() == pytest.approx(11.0903549, abs=1e-5)


@pytest.mark.parametrize("skip", [True, False])
def test_localisability_equals_loops_over_pairs_samples_and_outputs(skip):
    generator = torch.Generator().manual_seed(1)
    student = [torch.randn(3, 5, generator=generator) for _ in range(4)]
    teacher = [torch.randn(3, 5, generator=generator) for _ in range(2)]
    centre = torch.randn(1, 5, generator=generator)
    pairs = []
    for i, target in enumerate(teacher):
        for j, guess in enumerate(student):
            if skip and i == j:
                continue
            total = 0.0
            for row in range(3):
                t = [math.exp((target[row, k].item() - centre[0, k].item()) / 0.04) for k in range(5)]
                s = [math.exp(guess[row, k].item() / 0.1) for k in range(5)]
                total -= sum(t[k] / sum(t) * math.log(s[k] / sum(s)) for k in range(5))
            pairs.append(total / 3)
    assert len(pairs) == (6 if skip else 8)
    found = terms.localisability(student, teacher, centre, **temperatures(skip_same=skip))
    assert found.item() == pytest.approx(sum(pairs) / len(pairs), rel=1e-5)


@pytest.mark.parametrize(
    ("composed", "whole", "expected"), [((3, 4), (6, 8), 0), ((1, 0), (0, 2), 1), ((1, 0), (-5, 0), 2)]
)
def test_composability_is_two_minus_twice_the_cosine_over_d(composed, whole, expected):
    found = terms.composability(torch.tensor([composed]).float(), torch.tensor([whole]).float())
    assert found.item() == pytest.approx(expected, abs=1e-6)
    summed = terms.composability(torch.tensor([composed]).float(), torch.tensor([whole]).float(), "sum")
    assert summed.item() == pytest.approx(2 * expected, abs=1e-6)


@pytest.mark.trap(
    "adam-v2",
    "squared differences are averaged over features, so part terms are some 10,000 times smaller",
    'as released; `part_loss = "sum"` is there',
)
def test_composability_of_orthogonal_features_at_full_width():
    one, other = torch.zeros(2, 1, 2048)
    one[0, 0], other[0, 1] = 1, 1
    assert terms.composability(one, other).item() == pytest.approx(9.765625e-4)


PART = [torch.tensor([part]).float() for part in ((1, 0), (0, 1), (3, 4), (0, -2))]
UNIT = torch.tensor([[1, 0, 0, 1, 0.6, 0.8, 0, -1]])


@pytest.mark.trap(
    "adam-v2",
    "what is decomposed is normalised over all parts together: the least value is 1/(4d)",
    'as released; `decompose_norm = "each"` is there',
)
@pytest.mark.parametrize(("decomposed", "expected"), [(UNIT, 0.125), (-UNIT, 1.125), (torch.eye(8)[:1], 0.375)])
def test_decomposability_has_the_released_codes_values(decomposed, expected):
    assert terms.decomposability(decomposed, PART).item() == pytest.approx(expected, abs=1e-6)
    assert terms.decomposability(7 * decomposed, [3 * p for p in PART]).item() == pytest.approx(expected, abs=1e-6)


def test_decomposability_part_by_part_can_reach_zero_and_equals_a_loop():
    assert terms.decomposability(UNIT, PART, "each").item() == pytest.approx(0, abs=1e-7)
    generator = torch.Generator().manual_seed(2)
    decomposed, parts = (
        torch.randn(3, 8, generator=generator),
        [torch.randn(3, 2, generator=generator) for _ in range(4)],
    )
    total = 0.0
    for i, part in enumerate(parts):
        for row in range(3):
            u, length = decomposed[row, 2 * i : 2 * i + 2], part[row].norm()
            total += sum(float(u[k] / u.norm() - part[row, k] / length) ** 2 for k in range(2)) / (2 * 3 * 4)
    assert terms.decomposability(decomposed, parts, "each").item() == pytest.approx(total, rel=1e-5)


def test_the_order_of_parts_matters():
    swapped = [PART[1], PART[0], *PART[2:]]
    assert terms.decomposability(UNIT, swapped).item() > terms.decomposability(UNIT, PART).item() + 0.1


# ── networks ──────────────────────────────────────────────────────────────────────────────────────


def count(module):
    return sum(p.numel() for p in module.parameters())


@pytest.mark.trap("adam-v2", "heads: 25,760,000, 20,975,616 and 20,981,760 parameters for a ResNet-50", "held")
def test_networks_have_the_released_codes_sizes():
    with torch.device("meta"):
        head = LocalisabilityHead(2048, 2048, 256, 65_536)
        assert count(head) + 65_536 == 25_760_000  # the gain there is a parameter that is not trained
        assert count(LocalisabilityHead(1024, 2048, 256, 65_536)) + 65_536 == 23_662_848
        assert (count(part_head(2048, 4, composes=True)), count(part_head(2048, 4, composes=False))) == (
            20_975_616,
            20_981_760,
        )
        assert (count(part_head(1024, 4, composes=True)), count(part_head(1024, 4, composes=False))) == (
            5_244_928,
            5_248_000,
        )


def test_outputs_are_cosines_and_views_of_one_size_go_together():
    method = made()
    images = [torch.randn(2, 3, 32, 32), torch.randn(2, 3, 32, 32), torch.randn(2, 3, 64, 64)]
    calls = []
    method.student.encoder.register_forward_pre_hook(lambda m, args: calls.append(tuple(args[0].shape)))
    found = method.student.views(images)
    assert [tuple(one.shape) for one in found] == [(2, 7)] * 3
    assert calls == [(4, 3, 32, 32), (2, 3, 64, 64)]
    features = torch.nn.functional.normalize(method.student.head.mlp(torch.randn(2, 128)), dim=1)
    assert all((one.abs() <= 1 + 1e-5).all() for one in found)
    assert features.norm(dim=1).tolist() == pytest.approx([1.0, 1.0])


# ── schedules and optimiser ───────────────────────────────────────────────────────────────────────


@pytest.mark.trap(
    "adam-v2",
    "rates, decay and momentum by step, the warm-up's end included, the cosine's not; lowest rate 1e-6",
    "held",
)
def test_schedules_are_the_released_codes():
    rates = [warmed_up(i, 10, 2, 1.0, 0.1) for i in range(10)]
    assert rates == pytest.approx([0, 1, 1, 0.96575, 0.86820, 0.72221, 0.55, 0.37779, 0.23180, 0.13425], abs=1e-5)
    decays = [cosine(i, 10, 0.04, 0.4) for i in range(10)]
    assert decays == pytest.approx(
        [0.04, 0.04881, 0.07438, 0.1142, 0.16438, 0.22, 0.27562, 0.3258, 0.36562, 0.39119], abs=1e-5
    )
    momenta = [cosine(i, 10, 0.996, 1) for i in range(10)]
    assert (momenta[0], momenta[5], momenta[9]) == pytest.approx((0.996, 0.998, 0.999902), abs=1e-6)
    steps = [(200 * 147, 6.73e-4), (400 * 147, 1.00e-4)]
    assert [warmed_up(i, 500 * 147, 10 * 147, 1e-3, 1e-6) for i, _ in steps] == pytest.approx(
        [v for _, v in steps], rel=5e-3
    )


@pytest.mark.trap(
    "adam-v2", "gradients are clipped tensor by tensor to 3; the last layer is held for an epoch of each mode", "held"
)
def test_each_tensor_is_clipped_by_itself_and_one_may_be_held():
    one, two, held = (torch.nn.Parameter(torch.zeros(2, 2)) for _ in range(3))
    optimiser = ClippedAdamW([{"params": [one, two, held], "decays": True}], 0.1, clip_norm=3.0)
    one.grad, two.grad, held.grad = torch.full((2, 2), 30.0), torch.full((2, 2), 0.5), torch.ones(2, 2)
    optimiser.held = held
    optimiser.step()
    assert one.grad.norm().item() == pytest.approx(3, abs=1e-4)
    assert (two.grad == 0.5).all()
    assert not held.any()
    assert held not in optimiser.state


def test_weights_decay_and_biases_do_not():
    decays, rest = grouped([torch.nn.Linear(3, 2), torch.nn.BatchNorm2d(4)])
    assert ([p.ndim for p in decays["params"]], [p.ndim for p in rest["params"]]) == ([2], [1, 1, 1])
    assert (decays["decays"], rest["decays"]) == (True, False)


# ── the method ────────────────────────────────────────────────────────────────────────────────────


def stepped(method, mode, steps=1):
    (optimiser,) = method.optimisers().values()
    method.train()
    for number in range(steps):
        losses = method.losses(batch(method, mode, number))
        optimiser.zero_grad(set_to_none=True)
        sum(losses.values()).backward()
        optimiser.step()
        method.after_step()
    return losses


def test_mode_l_has_18_terms_and_the_last_layer_is_held_for_an_epoch():
    method = made()
    before = {name: value.clone() for name, value in method.student.state_dict().items()}
    losses = stepped(method, LOCAL, steps=3)
    assert set(losses) == {"localisability"}
    after = method.student.state_dict()
    assert torch.equal(after["head.directions"], before["head.directions"])
    assert not torch.equal(after["head.mlp.0.weight"], before["head.mlp.0.weight"])
    stepped(method, LOCAL, steps=3)
    assert not torch.equal(method.student.state_dict()["head.directions"], before["head.directions"])


@pytest.mark.trap(
    "adam-v2", "gradients: none in the teacher; parts compose the student's, the student's whole is decomposed", "held"
)
def test_gradients_go_where_they_should():
    method = made(mode=PARTS)
    method.train()
    losses = method.losses(batch(method, PARTS))
    assert set(losses) == {"localisability", "composability", "decomposability"}

    def reached(loss):
        method.zero_grad(set_to_none=True)
        loss.backward(retain_graph=True)
        return {
            name.split(".")[0] if "head" not in name else "student.head"
            for name, p in method.named_parameters()
            if p.grad is not None
        }

    assert reached(losses["localisability"]) == {"student", "student.head"}
    assert reached(losses["composability"]) == {"student", "compose"}
    assert reached(losses["decomposability"]) == {"student", "decompose"}


def test_mode_l_leaves_the_heads_of_parts_alone():
    method = made()
    assert not any(p.requires_grad for head in (method.compose, method.decompose) for p in head.parameters())


def test_losses_are_those_of_the_networks_features():
    method = made(mode=PARTS).eval()
    views = batch(method, PARTS)
    with torch.no_grad():
        found = method.losses(views)
        features = [method.student.features(image) for image in views.images]
        whole = method.teacher.features(views.images[0])
        composed = method.compose(torch.cat(features[-4:], dim=1))
    assert found["composability"].item() == pytest.approx(terms.composability(composed, whole).item())
    swapped = replace(views, views=(*views.views[:-4], views.views[-3], views.views[-4], *views.views[-2:]))
    assert method.losses(swapped)["composability"].item() != found["composability"].item()


def test_the_centre_moves_after_the_loss_by_the_mean_of_the_teachers_outputs():
    method = made()
    method.train()
    method._see([torch.tensor([[1.0] + [0] * 6]), torch.tensor([[0.0, 1] + [0] * 5])])
    method.after_step()
    assert method.centre[0, :3].tolist() == pytest.approx([0.05, 0.05, 0])
    method.eval()
    method._see([torch.ones(1, 7)])
    assert method._seen is None


@pytest.mark.trap("adam-v2", "the teacher's backbone of the last epoch is handed on", "held")
def test_the_teacher_follows_and_its_encoder_is_handed_on():
    method = made()
    method.taken[0] = method._step = 1
    stepped(method, LOCAL)
    momentum = cosine(1, 20, 0.996, 1)
    first = made()
    expected = momentum * first.teacher.head.mlp[0].weight + (1 - momentum) * method.student.head.mlp[0].weight
    assert torch.allclose(method.teacher.head.mlp[0].weight, expected, atol=1e-7)
    assert method.encoder is method.teacher.encoder


def test_a_resumed_mode_goes_on_at_its_step():
    method, again = made(), made()
    stepped(method, LOCAL, steps=3)
    again.load_state_dict(method.state_dict())
    again.start_stage(LOCAL)
    assert again._now == (3, 20)
    again.start_stage(PARTS)
    assert again._now == (0, PARTS.epochs * 4)


# ── windows and views ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.trap(
    "adam-v2", "granularities 0, 1, 2: 200 / 200 / 100 and 10 / 90 / 165 epochs; nothing restarts between them", "held"
)
def test_stages_are_the_released_codes():
    local, parts = AdamV2Config().stages
    assert (local.epochs, [local.grid(e) for e in (0, 199, 200, 399, 400)]) == (
        500,
        [(1, 1), (1, 1), (2, 2), (2, 2), (4, 4)],
    )
    assert (parts.epochs, [parts.grid(e) for e in (9, 10, 99, 100)]) == (265, [(1, 1), (2, 2), (2, 2), (4, 4)])
    assert AdamV2Config(modes="l").stages == (local,)


@pytest.mark.trap("adam-v2", "mode LCD's windows keep 50 px of the film's edge", "held")
@pytest.mark.parametrize(("cells", "least", "most"), [(1, 0, 0), (2, 50, 462), (4, 50, 718)])
def test_windows_lie_anywhere_but_in_the_margin(cells, least, most):
    table = np.random.default_rng(0).random((2000, 2))
    places = draw_windows(table, cells, cells, 50 / 1024) * (1024 // cells)
    assert places.min() >= least
    assert places.max() <= most
    assert np.ptp(places) >= 0.98 * (most - least)


@pytest.mark.trap(
    "adam-v2",
    "mode LCD's 14 views of one window: whole, nine centred crops, 2 × 2 parts cut before any augmentation",
    "held",
)
def test_centred_crops_and_parts():
    recipes = whole_crops_and_parts(224, 96)
    assert len(recipes) == 14
    table = np.random.default_rng(1).random((500, WIDTH))
    draws = [draw_views(table, recipe, 512, 512).crop for recipe in recipes]
    assert (draws[0] == [0, 0, 512, 512]).all()
    for recipe, crops in zip(recipes[1:10], draws[1:10], strict=True):
        assert (np.abs(crops[:, :2] + crops[:, 2:] / 2 - 256) <= 0.5).all()
        share, ratio = crops[:, 2] * crops[:, 3] / 512**2, crops[:, 3] / crops[:, 2]
        assert recipe.crop_scale[0] - 0.01 <= share.min() <= share.max() <= recipe.crop_scale[1] + 0.01
        assert recipe.crop_ratio[0] - 0.01 <= ratio.min() <= ratio.max() <= recipe.crop_ratio[1] + 0.01
    corners = [(0, 0), (0, 256), (256, 0), (256, 256)]
    assert [tuple(crops[0]) for crops in draws[10:]] == [(*corner, 256, 256) for corner in corners]


def test_multi_crop_is_two_global_and_eight_local_views():
    recipes = multi_crop(224, 96)
    assert [r.size_px for r in recipes] == [224] * 2 + [96] * 8
    assert [r.blur_p for r in recipes[:3]] == [1.0, 0.1, 0.5]
    assert {r.rotation_deg for r in recipes} == {30.0}
    assert {r.rotation_deg for r in whole_crops_and_parts(224, 96)} == {10.0}
    assert {(r.flip_p, r.grey_p, r.solarise_p) for r in (*recipes, *whole_crops_and_parts(224, 96))} == {(0, 0, 0)}


def test_a_stage_without_finer_grids_is_as_it_was():
    assert Stage("n2", 3, 2, 2, 2).grid(2) == (2, 2)
    assert Stage("n2", 3, 2, 2, 2).margin is None


def test_a_step_at_full_size():
    config = AdamV2Config(batch_size=2)
    method = made(config, config.stages[1], train=4)
    losses = stepped(method, config.stages[1])
    assert losses["localisability"].item() == pytest.approx(11.09, abs=1.5)
    assert 0 <= losses["composability"].item() <= 4 / 2048
    assert 1 / (4 * 2048) <= losses["decomposability"].item() <= 9 / (4 * 2048)
    assert count(method.student) == 49_268_032 - 65_536
