import numpy as np
import pytest
import torch

from baselines.vicregl import ExpandedEncoder, VICRegLConfig, make_expander
from eden_bench.contracts import View, ViewRecipe
from eden_bench.encoders import build_encoder, parameter_count
from pretrain.engine.lars import LARS
from tests.baselines._vicregl.plain import noise, plain_centres, plain_local, plain_terms, view_of
from tests.pretrain.tiny import config, method, train_step, views

TINY = {"expander": (16, 16, 16), "local_expander": (12, 12, 12), "num_matches": (3, 1)}
"""Values of the tests' tiny config; see ``tests.pretrain.tiny``."""


def placed(seed=0, count=4):
    """Noise views with crops, flips and rotations of their own."""
    plain = views(count=count, seed=seed, size_px=96)
    draw = np.random.default_rng(seed)
    made = []
    for view in plain.views:
        parts = [
            view_of((*draw.integers(0, 40, 2), *draw.integers(60, 100, 2)), flip=bool(draw.integers(2)), size_px=96)
            for _ in range(count)
        ]
        maps, flipped = torch.cat([p.to_anchor for p in parts]), torch.cat([p.flipped for p in parts])
        made.append(View(view.image, maps, flipped))
    return type(plain)(tuple(made), plain.samples)


@pytest.mark.trap("vicregl", "location and feature terms, and both directions, are added, not overwritten", "held")
@pytest.mark.parametrize(
    "changes",
    [
        {"alpha": 0.75},
        {"alpha": 0.3, "invariance_weight": 2.0, "variance_weight": 3.0, "covariance_weight": 5.0},
        {"l2_all_matches": True},
    ],
)
def test_the_losses_are_the_formulas(changes):
    made = method("vicregl", local_expander=(6, 6, 6), expander=(7, 7, 7), num_matches=(4, 2), **changes).eval()
    batch, c = placed(), config("vicregl", **changes)
    with torch.no_grad():
        found = made.losses(batch)
        maps = [made.encoder(image) for image in batch.images]
        wholes = [made.student.expander(m.mean(dim=(2, 3))) for m in maps]
        cells = [
            torch.stack([made.student.local_expander(m[:, :, r, s]) for r in range(3) for s in range(3)], dim=1)
            for m in maps
        ]
    centres = [torch.from_numpy(plain_centres(view, 3)) for view in batch.views]
    by_place = plain_local(cells, centres, (4, 2))
    by_feature = plain_local(cells, cells, (None, None) if c.l2_all_matches else (4, 2))
    weights = {"invariance": c.invariance_weight, "variance": c.variance_weight, "covariance": c.covariance_weight}
    whole, local = plain_terms(*wholes), by_place + by_feature
    for place, (name, weight) in enumerate(weights.items()):
        assert float(found[name]) == pytest.approx(c.alpha * weight * whole[place], rel=1e-3, abs=1e-6), name
        expected = (1 - c.alpha) * weight * local[place]
        assert float(found[f"local_{name}"]) == pytest.approx(expected, rel=1e-3, abs=1e-6), name


def test_matches_are_clamped_to_the_cells_there_are():
    made = method("vicregl", num_matches=(20, 4)).eval()
    with torch.no_grad():
        assert all(loss.isfinite() for loss in made.losses(views()).values())


@pytest.mark.trap("vicregl", "α 0.75; weights 25, 25, 1; LARS 0.3, decay 1e-6, warm-up 10; 20 and 4 matches", "held")
def test_defaults_are_the_published_ones():
    c = VICRegLConfig()
    assert (c.alpha, c.lr, c.weight_decay, c.momentum, c.warmup_epochs) == (0.75, 0.3, 1e-6, 0.9, 10)
    assert (c.invariance_weight, c.variance_weight, c.covariance_weight) == (25, 25, 1)
    assert (c.expander, c.local_expander, c.num_matches) == ((8192,) * 3, (512,) * 3, (20, 4))
    assert (c.l2_all_matches, c.flip_grid, c.augmentation, c.bn_groups) == (False, True, "vicregl", 1)


@pytest.mark.trap("vicregl", "rate base · batch / 256; per step, to a thousandth", "held")
@pytest.mark.parametrize(("batch_size", "lr"), [(256, 0.3), (512, 0.6), (64, 0.075)])
def test_lars_has_a_rate_in_proportion_to_the_batch(batch_size, lr):
    optimiser = method("vicregl", batch_size=batch_size, lr=0.3).optimisers()["main"]
    assert isinstance(optimiser, LARS)
    (group,) = optimiser.param_groups
    assert group["lr"] == pytest.approx(lr)
    assert (group["momentum"], group["weight_decay"], group["trust"]) == (0.9, 1e-6, 0.001)


@pytest.mark.trap("vicregl", "rate base · batch / 256; per step, to a thousandth")
def test_the_rate_warms_up_step_by_step_and_ends_at_a_thousandth():
    schedule = method("vicregl").schedule("main")
    assert [schedule.factor(e, 100) for e in (0, 0.5, 5, 10)] == pytest.approx([0, 0.05, 0.5, 1])
    assert schedule.factor(100, 100) == pytest.approx(0.001)
    assert schedule.factor(55, 100) == pytest.approx(0.001 + 0.999 * 0.5)


@pytest.mark.trap("vicregl", "residual branches begin at zero", "held")
@pytest.mark.parametrize(("arch", "norm"), [("resnet18-w16", "bn2"), ("resnet50-w16", "bn3")])
def test_every_residual_block_begins_as_the_identity(arch, norm):
    encoder = ExpandedEncoder(config("vicregl", arch=arch)).encoder
    scales = [value for key, value in encoder.state_dict().items() if key.endswith(f"{norm}.weight")]
    assert scales
    assert not any(scale.any() for scale in scales)
    plain = build_encoder(arch, 0)
    assert encoder.bn1.weight.equal(plain.bn1.weight)


@pytest.mark.trap("vicregl", "expanders 8192 × 3 and 512 × 3, batch norm twice, no last bias")
def test_an_expander_has_batch_norm_twice_and_a_last_layer_without_bias():
    made = make_expander(6, (5, 4, 3))
    assert [type(layer).__name__ for layer in made] == [*["Linear", "BatchNorm1d", "ReLU"] * 2, "Linear"]
    assert [layer.bias is None for layer in made if isinstance(layer, torch.nn.Linear)] == [False, False, True]
    assert made(noise(4, 6)).shape == (4, 3)


@pytest.mark.trap("vicregl", "local batch norm over all cells of the batch", "held")
def test_the_local_expanders_batch_norm_sees_all_cells_of_the_batch():
    made = method("vicregl").student
    images = views().images[0]
    with torch.no_grad():
        made(images)
        rows = made.local_expander[0](made.encoder(images).flatten(2).transpose(1, 2).flatten(0, 1))
    assert rows.shape[0] == 8 * 4
    assert made.local_expander[1].num_batches_tracked == 1


def test_the_official_views_are_blurred_and_solarised_unequally():
    first, second = method("vicregl").recipes(config("vicregl").stages[0])
    assert isinstance(first, ViewRecipe)
    assert (first.blur_p, second.blur_p, first.solarise_p, second.solarise_p) == (1.0, 0.1, 0.0, 0.2)


def test_the_released_codes_switches_change_the_loss():
    made = {name: method("vicregl", **{name: value}).eval() for name, value in (("flip_grid", False), ("alpha", 0.9))}
    made["l2_all_matches"] = method("vicregl", l2_all_matches=True).eval()
    with torch.no_grad():
        plain = float(sum(method("vicregl").eval().losses(placed()).values()))
        for name, other in made.items():
            assert float(sum(other.losses(placed()).values())) != pytest.approx(plain, rel=1e-6), name


def test_a_step_changes_the_loss():
    made = method("vicregl", lr=10.0)
    assert train_step(made) != train_step(made)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("alpha", 1.5, r"alpha must be in \[0, 1\], not 1.5"),
        ("num_matches", (20,), r"num_matches must be two numbers, not \(20,\)"),
        ("num_matches", (20, 0), "each of num_matches must be at least 1, not 0"),
        ("expander", (), "each of expander must be at least 1, not 0"),
        ("variance_weight", -1.0, "variance_weight must be at least 0, not -1.0"),
        ("bn_groups", 0, "bn_groups must be at least 1, not 0"),
    ],
)
def test_nonsense_is_refused(field, value, message):
    with pytest.raises(ValueError, match=message):
        VICRegLConfig(**{field: value})


@pytest.mark.trap("vicregl", "expanders 8192 × 3 and 512 × 3, batch norm twice, no last bias", "held")
def test_the_full_size_network_has_the_published_widths():
    with torch.device("meta"):
        made = ExpandedEncoder(VICRegLConfig())
    counts = [parameter_count(part) for part in (made.encoder, made.expander, made.local_expander)]
    wide, narrow = 8192, 512
    assert counts[0] == 23_508_032
    assert counts[1] == 2048 * wide + 2 * wide * wide + 2 * 3 * wide  # two biases, two batch norms
    assert counts[2] == 2048 * narrow + 2 * narrow * narrow + 2 * 3 * narrow
