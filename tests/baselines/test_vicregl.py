import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from baselines import vicregl
from baselines.vicregl import (
    ExpandedEncoder,
    VICRegLConfig,
    cell_centres,
    closest_matches,
    hinge,
    make_expander,
    matched_terms,
    off_diagonal,
    vic_terms,
)
from eden_bench.contracts import View, ViewRecipe
from eden_bench.encoders import build_encoder, parameter_count
from pretrain.engine.lars import LARS
from pretrain.views.draws import Draws, anchor_maps
from tests.pretrain.tiny import config, method, train_step, views

TINY = {"expander": (16, 16, 16), "local_expander": (12, 12, 12), "num_matches": (3, 1)}
"""Values of the tests' tiny config; see ``tests.pretrain.tiny``."""


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


# ── plain loops, written from the formulas ───────────────────────────────────────────────────────


def plain_invariance(first, second):
    pairs = list(zip(first.flatten().tolist(), second.flatten().tolist(), strict=True))
    return sum((a - b) ** 2 for a, b in pairs) / len(pairs)


def plain_hinge(z):
    """The mean over dimensions of max(0, 1 − sqrt(var + 1e-4)); z is (N, D)."""
    columns = [z[:, d].tolist() for d in range(z.shape[1])]
    return sum(max(0.0, 1 - math.sqrt(np.var(c, ddof=1) + 1e-4)) for c in columns) / len(columns)


def plain_covariance(z):
    """Σ_{a≠b} C[a, b]² / D; z is (N, D)."""
    count, dim = z.shape
    centred = (z - z.mean(dim=0)).tolist()
    total = 0.0
    for a in range(dim):
        for b in range(dim):
            if a != b:
                total += (sum(row[a] * row[b] for row in centred) / (count - 1)) ** 2
    return total / dim


def plain_terms(first, second):
    return (
        plain_invariance(first, second),
        (plain_hinge(first) + plain_hinge(second)) / 2,
        (plain_covariance(first) + plain_covariance(second)) / 2,
    )


def plain_matches(cells, others, count):
    """The closest matches of one image, row by row: a mask over the cells says which are kept; plain lists."""
    pairs = []
    for p, cell in enumerate(cells):
        apart = [math.dist(cell, other) for other in others]
        pairs.append((min(apart), p, apart.index(min(apart))))
    kept = [rank in sorted(pairs)[:count] for rank in pairs]
    return [(p, q) for (_, p, q), keep in zip(pairs, kept, strict=True) if keep]


def plain_matched(cells, others, by_cells, by_others, count):
    """The terms of matched cells: each slot's statistics over the batch, then the mean over slots."""
    matched = [plain_matches(a.tolist(), b.tolist(), count) for a, b in zip(by_cells, by_others, strict=True)]
    slots = []
    for slot in range(len(matched[0])):
        x = torch.stack([cells[i, pairs[slot][0]] for i, pairs in enumerate(matched)])
        y = torch.stack([others[i, pairs[slot][1]] for i, pairs in enumerate(matched)])
        slots.append(plain_terms(x, y))
    return np.mean(slots, axis=0)


def plain_local(cells, by, counts):
    """Mean over both ordered pairs of ½ (v(i → j) + v(j → i)): counts[0] from i to j, counts[1] back."""
    pairs = []
    for i, j in ((0, 1), (1, 0)):
        there = plain_matched(cells[i], cells[j], by[i], by[j], counts[0])
        back = plain_matched(cells[j], cells[i], by[j], by[i], counts[1])
        pairs.append((there + back) / 2)
    return np.mean(pairs, axis=0)


def plain_centres(view, side):
    """Centres of the cells in the anchor, through crop, rotation and flip."""
    step = view.image.shape[-1] / side
    points = [((c + 0.5) * step, (r + 0.5) * step, 1.0) for r in range(side) for c in range(side)]
    maps = view.to_anchor.double().numpy()
    return np.array([[m @ point for point in points] for m in maps])


# ── terms ────────────────────────────────────────────────────────────────────────────────────────


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), count=st.integers(2, 6), dim=st.integers(1, 8))
def test_the_three_terms_are_the_formulas(seed, count, dim):
    """Both products of the covariance term are reached: the batch is smaller or larger than the dimension."""
    first, second = noise(count, dim, seed=seed), 0.3 * noise(count, dim, seed=seed + 1)
    assert [float(t) for t in vic_terms(first, second)] == pytest.approx(plain_terms(first, second), abs=1e-5)


def test_a_constant_embedding_has_the_largest_hinge_and_spread_has_none():
    assert float(hinge(torch.ones(4, 3))) == pytest.approx(1 - 0.01)
    assert float(hinge(torch.tensor([[-2.0], [2.0]]))) == 0


def test_covariance_has_divisor_n_minus_1_and_is_of_off_diagonals():
    z = torch.tensor([[1.0, 1.0], [-1.0, -1.0]])
    assert float(off_diagonal(z)) == pytest.approx(2 * 2.0**2 / 2)  # C = [[2, 2], [2, 2]], D = 2
    assert float(off_diagonal(z * torch.tensor([1.0, 0.0]))) == 0


def test_embeddings_are_not_normalised():
    first, second = noise(5, 4), noise(5, 4, seed=1)
    assert float(vic_terms(2 * first, 2 * second).invariance) == pytest.approx(
        4 * float(vic_terms(first, second).invariance)
    )


def test_gradients_flow_into_both_views():
    first, second = noise(4, 3).requires_grad_(), noise(4, 3, seed=1).requires_grad_()
    vic_terms(first, second).invariance.backward()
    assert first.grad.abs().min() > 0
    assert first.grad.equal(-second.grad)


def test_a_single_image_has_terms_and_no_nan():
    assert all(term.isfinite() for term in vic_terms(noise(1, 4), noise(1, 4, seed=1)))


# ── matching ─────────────────────────────────────────────────────────────────────────────────────


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), cells=st.integers(1, 6), others=st.integers(1, 6), count=st.integers(1, 8))
def test_matches_are_the_closest_pairs_in_the_order_of_the_cells(seed, cells, others, count):
    first, second = noise(2, cells, 3, seed=seed), noise(2, others, 3, seed=seed + 1)
    at, to = closest_matches(torch.cdist(first, second), count)
    for b in range(2):
        expected = plain_matches(first[b].tolist(), second[b].tolist(), count)
        assert list(zip(at[b].tolist(), to[b].tolist(), strict=True)) == expected


def test_all_matches_keep_the_order_of_the_cells():
    first, second = noise(2, 5, 3), noise(2, 5, 3, seed=1)
    at, to = closest_matches(torch.cdist(first, second), None)
    assert at.tolist() == [list(range(5))] * 2
    assert to.equal(torch.cdist(first, second).argmin(dim=2))


@pytest.mark.parametrize("counts", [(4, 2), (9, 1), (None, None)])
def test_local_terms_are_the_loops_slot_by_slot(counts):
    cells = [noise(3, 9, 4, seed=seed) for seed in (0, 1)]
    apart = torch.cdist(*cells)
    given_counts = (None,) if counts[0] is None else counts
    found = matched_terms(*cells, apart, given_counts)
    assert [float(t) for t in found] == pytest.approx(plain_local(cells, cells, counts), rel=1e-4)


def test_as_many_matches_as_cells_are_all_of_them():
    apart = torch.cdist(noise(5, 9, 4), noise(5, 9, 4, seed=1))
    for kept, every in zip(closest_matches(apart, 9), closest_matches(apart, None), strict=True):
        assert kept.equal(every)


def selected(cells, mask):
    """What a mask over the cells keeps, image by image: (B, n, D)."""
    return torch.masked_select(cells, mask[..., None]).view(len(cells), -1, cells.shape[2])


@pytest.mark.parametrize("spread", [0.2, 0.5])
def test_slots_keep_the_places_of_the_cells_where_features_depend_on_place(spread):
    """As in aligned radiographs. Slots by rank of distance mix places, which would pass for variance of patients."""
    place = noise(1, 9, 16, seed=5)
    cells = [place + spread * noise(64, 9, 16, seed=seed) for seed in (0, 1)]
    apart = torch.cdist(*cells, compute_mode="donot_use_mm_for_euclid_dist")
    found, ranked = [], []
    for own, other, by in ((*cells, apart), (*cells[::-1], apart.mT)):
        nearest, partner = by.min(dim=2)
        paired = torch.stack([other[b, partner[b]] for b in range(64)])
        mask = nearest <= nearest.sort(dim=1).values[:, 3:4]
        found.append([selected(own, mask), selected(paired, mask)])
        ranks = nearest.sort(dim=1).indices[:, :4]
        ranked.append([torch.stack([part[b, ranks[b]] for b in range(64)]) for part in (own, paired)])
    by_raster, by_rank = (
        np.mean([plain_terms(x[:, slot], y[:, slot]) for x, y in pairs for slot in range(4)], axis=0)
        for pairs in (found, ranked)
    )
    terms = [float(term) for term in matched_terms(*cells, apart, (4,))]
    assert terms == pytest.approx(by_raster, rel=1e-4)
    assert terms[0] == pytest.approx(by_rank[0], rel=1e-4)  # the invariance knows no order
    assert terms[1] > 1.1 * by_rank[1]


def test_statistics_of_all_slots_together_would_be_another_loss():
    cells = [noise(3, 9, 4, seed=seed) for seed in (0, 1)]
    apart = torch.cdist(*cells)
    at, to = closest_matches(apart, 4)
    taken = [c.gather(1, i[..., None].expand(-1, -1, 4)) for c, i in zip(cells, (at, to), strict=True)]
    flat = vic_terms(*(c.flatten(0, 1) for c in taken))
    assert not flat.covariance.isclose(matched_terms(*cells, apart, (4,)).covariance, rtol=0.05)


# ── places ───────────────────────────────────────────────────────────────────────────────────────


def view_of(crop, *, flip=False, angle_deg=0.0, size_px=56):
    """One view of one anchor, as the stream makes it: crop is top, left, height, width."""
    unused, angles = np.zeros(1), np.array([angle_deg])
    draws = Draws(np.array([crop]), unused, unused, unused, unused, unused, angles, np.array([flip]))
    maps = torch.from_numpy(anchor_maps(draws, size_px).astype(np.float32))
    return View(torch.zeros(1, 3, size_px, size_px), maps, torch.tensor([flip]))


def place_matches(first, second, side=7, *, flip_grid=True):
    places = [cell_centres(view, side, flip_grid=flip_grid) for view in (first, second)]
    apart = vicregl._apart(*places)
    _, to = closest_matches(apart, None)
    return to[0], apart[0].gather(1, to[0][:, None])[:, 0]


CROP = (20, 40, 130, 170)
REVERSED = torch.arange(49).view(7, 7).flip(1).flatten()


def test_a_cells_centre_is_where_the_crop_puts_it():
    top, left, height, width = CROP
    centres = cell_centres(view_of(CROP), 7)[0].view(7, 7, 2)
    for r in range(7):
        for c in range(7):
            expected = left + width / 7 * (c + 0.5), top + height / 7 * (r + 0.5)
            assert centres[r, c].tolist() == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("flip_grid", [True, False])
def test_identical_crops_match_each_cell_with_itself_at_distance_zero(flip_grid):
    to, apart = place_matches(view_of(CROP), view_of(CROP), flip_grid=flip_grid)
    assert to.equal(torch.arange(49))
    assert apart.abs().max() == 0


def test_a_mirrored_crop_is_matched_column_by_column_in_reverse():
    to, apart = place_matches(view_of(CROP), view_of(CROP, flip=True))
    assert to.equal(REVERSED)
    assert apart.abs().max() < 1e-3


def test_the_released_codes_default_does_not_mirror_the_grid():
    to, _ = place_matches(view_of(CROP), view_of(CROP, flip=True), flip_grid=False)
    assert to.equal(torch.arange(49))


def test_a_quarter_turn_is_undone():
    square = (0, 0, 112, 112)
    to, apart = place_matches(view_of(square), view_of(square, angle_deg=90.0))
    assert apart.abs().max() < 1e-3
    assert to.view(7, 7).equal(torch.rot90(torch.arange(49).view(7, 7), k=-1)) or to.view(7, 7).equal(
        torch.rot90(torch.arange(49).view(7, 7), k=1)
    )


def test_shifted_crops_overlap_where_they_overlap():
    first, second = view_of((0, 0, 70, 70)), view_of((0, 20, 70, 70))
    to, apart = place_matches(first, second)
    there = apart.view(7, 7) < 1e-3
    assert there[:, 2:].all()
    assert not there[:, :2].any()
    assert to.view(7, 7)[:, 2:].equal(torch.arange(49).view(7, 7)[:, :5])


# ── the method ───────────────────────────────────────────────────────────────────────────────────


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


def test_defaults_are_the_published_ones():
    c = VICRegLConfig()
    assert (c.alpha, c.lr, c.weight_decay, c.momentum, c.warmup_epochs) == (0.75, 0.3, 1e-6, 0.9, 10)
    assert (c.invariance_weight, c.variance_weight, c.covariance_weight) == (25, 25, 1)
    assert (c.expander, c.local_expander, c.num_matches) == ((8192,) * 3, (512,) * 3, (20, 4))
    assert (c.l2_all_matches, c.flip_grid, c.augmentation, c.bn_groups) == (False, True, "vicregl", 1)


@pytest.mark.parametrize(("batch_size", "lr"), [(256, 0.3), (512, 0.6), (64, 0.075)])
def test_lars_has_a_rate_in_proportion_to_the_batch(batch_size, lr):
    optimiser = method("vicregl", batch_size=batch_size, lr=0.3).optimisers()["main"]
    assert isinstance(optimiser, LARS)
    (group,) = optimiser.param_groups
    assert group["lr"] == pytest.approx(lr)
    assert (group["momentum"], group["weight_decay"], group["trust"]) == (0.9, 1e-6, 0.001)


def test_the_rate_warms_up_step_by_step_and_ends_at_a_thousandth():
    schedule = method("vicregl").schedule("main")
    assert [schedule.factor(e, 100) for e in (0, 0.5, 5, 10)] == pytest.approx([0, 0.05, 0.5, 1])
    assert schedule.factor(100, 100) == pytest.approx(0.001)
    assert schedule.factor(55, 100) == pytest.approx(0.001 + 0.999 * 0.5)


@pytest.mark.parametrize(("arch", "norm"), [("resnet18-w16", "bn2"), ("resnet50-w16", "bn3")])
def test_every_residual_block_begins_as_the_identity(arch, norm):
    encoder = ExpandedEncoder(config("vicregl", arch=arch)).encoder
    scales = [value for key, value in encoder.state_dict().items() if key.endswith(f"{norm}.weight")]
    assert scales
    assert not any(scale.any() for scale in scales)
    plain = build_encoder(arch, 0)
    assert encoder.bn1.weight.equal(plain.bn1.weight)


def test_an_expander_has_batch_norm_twice_and_a_last_layer_without_bias():
    made = make_expander(6, (5, 4, 3))
    assert [type(layer).__name__ for layer in made] == [*["Linear", "BatchNorm1d", "ReLU"] * 2, "Linear"]
    assert [layer.bias is None for layer in made if isinstance(layer, torch.nn.Linear)] == [False, False, True]
    assert made(noise(4, 6)).shape == (4, 3)


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


def test_the_full_size_network_has_the_published_widths():
    with torch.device("meta"):
        made = ExpandedEncoder(VICRegLConfig())
    counts = [parameter_count(part) for part in (made.encoder, made.expander, made.local_expander)]
    wide, narrow = 8192, 512
    assert counts[0] == 23_508_032
    assert counts[1] == 2048 * wide + 2 * wide * wide + 2 * 3 * wide  # two biases, two batch norms
    assert counts[2] == 2048 * narrow + 2 * narrow * narrow + 2 * 3 * narrow
