import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from baselines._vicregl.matching import cell_centres, closest_matches, distances, matched_terms
from baselines._vicregl.terms import vic_terms
from tests.baselines._vicregl.plain import noise, plain_local, plain_matches, plain_terms, view_of


@pytest.mark.trap(
    "vicregl", "closest pairs only, for features too (the official default keeps all)", "20 and 4; `l2_all_matches`"
)
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), cells=st.integers(1, 6), others=st.integers(1, 6), count=st.integers(1, 8))
def test_matches_are_the_closest_pairs_in_the_order_of_the_cells(seed, cells, others, count):
    first, second = noise(2, cells, 3, seed=seed), noise(2, others, 3, seed=seed + 1)
    at, to = closest_matches(torch.cdist(first, second), count)
    for b in range(2):
        expected = plain_matches(first[b].tolist(), second[b].tolist(), count)
        assert list(zip(at[b].tolist(), to[b].tolist(), strict=True)) == expected


@pytest.mark.trap("vicregl", "closest pairs only, for features too (the official default keeps all)")
def test_all_matches_keep_the_order_of_the_cells():
    first, second = noise(2, 5, 3), noise(2, 5, 3, seed=1)
    at, to = closest_matches(torch.cdist(first, second), None)
    assert at.tolist() == [list(range(5))] * 2
    assert to.equal(torch.cdist(first, second).argmin(dim=2))


@pytest.mark.trap("vicregl", "local statistics per match slot, not over all", "held")
@pytest.mark.parametrize("counts", [(4, 2), (9, 1), (None, None)])
def test_local_terms_are_the_loops_slot_by_slot(counts):
    cells = [noise(3, 9, 4, seed=seed) for seed in (0, 1)]
    apart = torch.cdist(*cells)
    given_counts = (None,) if counts[0] is None else counts
    found = matched_terms(*cells, apart, given_counts)
    assert [float(t) for t in found] == pytest.approx(plain_local(cells, cells, counts), rel=1e-4)


@pytest.mark.trap("vicregl", "a match slot is the n-th of the kept cells, row by row, not the n-th nearest")
def test_as_many_matches_as_cells_are_all_of_them():
    apart = torch.cdist(noise(5, 9, 4), noise(5, 9, 4, seed=1))
    for kept, every in zip(closest_matches(apart, 9), closest_matches(apart, None), strict=True):
        assert kept.equal(every)


def selected(cells, mask):
    """What a mask over the cells keeps, image by image: (B, n, D)."""
    return torch.masked_select(cells, mask[..., None]).view(len(cells), -1, cells.shape[2])


@pytest.mark.trap("vicregl", "a match slot is the n-th of the kept cells, row by row, not the n-th nearest", "held")
@pytest.mark.trap("released code", "VICRegL's match slots", "order of the cells")
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


@pytest.mark.trap("vicregl", "local statistics per match slot, not over all")
def test_statistics_of_all_slots_together_would_be_another_loss():
    cells = [noise(3, 9, 4, seed=seed) for seed in (0, 1)]
    apart = torch.cdist(*cells)
    at, to = closest_matches(apart, 4)
    taken = [c.gather(1, i[..., None].expand(-1, -1, 4)) for c, i in zip(cells, (at, to), strict=True)]
    flat = vic_terms(*(c.flatten(0, 1) for c in taken))
    assert not flat.covariance.isclose(matched_terms(*cells, apart, (4,)).covariance, rtol=0.05)


# ── places ───────────────────────────────────────────────────────────────────────────────────────


def place_matches(first, second, side=7, *, flip_grid=True):
    places = [cell_centres(view, side, flip_grid=flip_grid) for view in (first, second)]
    apart = distances(*places)
    _, to = closest_matches(apart, None)
    return to[0], apart[0].gather(1, to[0][:, None])[:, 0]


CROP = (20, 40, 130, 170)
REVERSED = torch.arange(49).view(7, 7).flip(1).flatten()


@pytest.mark.trap("vicregl", "cell centres: row with top and height, column with left and width", "held")
def test_a_cells_centre_is_where_the_crop_puts_it():
    top, left, height, width = CROP
    centres = cell_centres(view_of(CROP), 7)[0].view(7, 7, 2)
    for r in range(7):
        for c in range(7):
            expected = left + width / 7 * (c + 0.5), top + height / 7 * (r + 0.5)
            assert centres[r, c].tolist() == pytest.approx(expected, abs=1e-3)


@pytest.mark.trap(
    "vicregl",
    "nearest cells by exact distances (released: by products, which choose otherwise among equally near ones)",
    "exact, said on the card",
)
@pytest.mark.trap("vicregl", "identical crops match at distance 0", "held")
@pytest.mark.trap(
    "released code", "VICRegL's distances, PCRL's number of images", "exact distances kept, on the card; ⌈78,467 / 64⌉"
)
@pytest.mark.parametrize("flip_grid", [True, False])
def test_identical_crops_match_each_cell_with_itself_at_distance_zero(flip_grid):
    to, apart = place_matches(view_of(CROP), view_of(CROP), flip_grid=flip_grid)
    assert to.equal(torch.arange(49))
    assert apart.abs().max() == 0


@pytest.mark.trap(
    "vicregl", "flipped crops: the official default does not mirror the grid", "mirrored; `flip_grid=False`"
)
def test_a_mirrored_crop_is_matched_column_by_column_in_reverse():
    to, apart = place_matches(view_of(CROP), view_of(CROP, flip=True))
    assert to.equal(REVERSED)
    assert apart.abs().max() < 1e-3


@pytest.mark.trap("vicregl", "flipped crops: the official default does not mirror the grid")
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
