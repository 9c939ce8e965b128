import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from torchvision import transforms

from eden_bench import seeds
from eden_bench.contracts import ViewRecipe
from pretrain.views.draws import UNCHANGED, WIDTH, anchor_maps, central_crop, draw_cells, draw_views

ALPHA = 0.001
ADAM = ViewRecipe(
    crop_scale=(0.2, 1.0), jitter_p=0.8, brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1, blur_p=0.5,
    solarise_p=0.3, grey_p=0.2, rotation_deg=30.0, flip_p=0.4,
)  # fmt: skip


def table(count, *address):
    return seeds.uniforms(7, "test", *address, rows=np.arange(count), width=WIDTH)


@pytest.fixture
def torch_seed():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        yield


@pytest.mark.parametrize(("height", "width"), [(256, 256), (512, 256)])
def test_crops_follow_torchvisions_law(torch_seed, height, width):
    ours = draw_views(table(3000), ADAM, height, width).crop
    image = torch.empty(1, height, width)
    theirs = np.array([transforms.RandomResizedCrop.get_params(image, [0.2, 1.0], [3 / 4, 4 / 3]) for _ in range(3000)])
    for column in range(4):  # top, left, height, width
        assert stats.ks_2samp(ours[:, column], theirs[:, column]).pvalue > ALPHA
    assert stats.ks_2samp(np.prod(ours[:, 2:], axis=1), np.prod(theirs[:, 2:], axis=1)).pvalue > ALPHA


def test_jitter_follows_torchvisions_law(torch_seed):
    recipe = ViewRecipe(jitter_p=1.0, brightness=0.4, contrast=0.3, saturation=1.0, hue=0.1)
    ours = draw_views(table(3000), recipe, 64, 64)
    bounds = [0.6, 1.4], [0.7, 1.3], [0.0, 2.0], [-0.1, 0.1]
    drawn = [transforms.ColorJitter.get_params(*bounds) for _ in range(3000)]
    for jitter in range(4):
        assert stats.ks_2samp(ours.factors[:, jitter], [draw[1 + jitter] for draw in drawn]).pvalue > ALPHA
    orders, counts = np.unique(ours.order, axis=0, return_counts=True)
    assert len(orders) == 24
    assert stats.chisquare(counts).pvalue > ALPHA


def test_rotation_blur_and_probabilities_follow_their_laws(torch_seed):
    draws = draw_views(table(4000), ADAM, 64, 64)
    angles = [transforms.RandomRotation.get_params([-30.0, 30.0]) for _ in range(4000)]
    assert stats.ks_2samp(draws.angle_deg, angles).pvalue > ALPHA
    assert stats.kstest(draws.sigma_px[draws.sigma_px > 0], stats.uniform(0.1, 1.9).cdf).pvalue > ALPHA
    jittered = (draws.factors != np.float32(UNCHANGED)).any(axis=1)
    shares = {"jitter": (jittered, 0.8), "blur": (draws.sigma_px > 0, 0.5), "flip": (draws.flip, 0.4),
              "grey": (draws.grey, 0.2), "solarise": (draws.solarise, 0.3)}  # fmt: skip
    for chosen, p in shares.values():
        assert stats.binomtest(int(chosen.sum()), len(chosen), p).pvalue > ALPHA


def test_draws_are_uncorrelated():
    draws = draw_views(table(4000), ADAM, 256, 256)
    columns = np.column_stack([draws.crop, draws.factors, draws.sigma_px, draws.angle_deg, draws.flip, draws.grey])
    correlation = stats.spearmanr(np.delete(columns, [0, 1], axis=1)).statistic  # a position depends on its crop's size
    related = {(0, 1), *((a, b) for a in range(2, 6) for b in range(a))}  # sizes; factors jittered together
    for a in range(len(correlation)):
        for b in range(a):
            assert (b, a) in related or (a, b) in related or abs(correlation[a, b]) < 0.07


def test_the_default_recipe_changes_nothing():
    draws = draw_views(table(50), ViewRecipe(), 512, 200)
    assert (draws.crop == [0, 0, 512, 200]).all()
    assert (draws.factors == UNCHANGED).all()
    assert not (draws.grey | draws.solarise | draws.flip).any()
    assert not draws.sigma_px.any()
    assert not draws.angle_deg.any()


@pytest.mark.parametrize("ratio", [(3.0, 4.0), (0.2, 0.25), (0.9, 1.1)])
def test_where_no_try_fits_the_crop_is_torchvisions_central_one(ratio):
    recipe = ViewRecipe(crop_scale=(0.99999, 1.0), crop_ratio=ratio)
    theirs = transforms.RandomResizedCrop.get_params(torch.empty(1, 100, 120), [50.0, 60.0], list(ratio))
    assert central_crop(recipe, 100, 120) == theirs
    never = np.full((1, WIDTH), 0.5)
    never[:, :10] = 0.999  # every area drawn is (nearly) the whole, which no such ratio can hold
    assert tuple(draw_views(never, recipe, 100, 120).crop[0]) == theirs


@given(st.integers(0, 2**32), st.integers(8, 300), st.integers(8, 300))
def test_crops_lie_within_the_anchor(seed, height, width):
    uniform = seeds.uniforms(seed, "crop", rows=np.arange(20), width=WIDTH)
    top, left, tall, wide = draw_views(uniform, ADAM, height, width).crop.T
    assert (top >= 0).all()
    assert (left >= 0).all()
    assert (top + tall <= height).all()
    assert (left + wide <= width).all()
    assert (np.minimum(tall, wide) > 0).all()


def test_cells_are_drawn_evenly():
    cells = draw_cells(seeds.uniforms(0, "cell", rows=np.arange(8000), width=2), 2, 4)
    counts = np.bincount(cells[:, 0] * 4 + cells[:, 1], minlength=8)
    assert len(counts) == 8
    assert stats.chisquare(counts).pvalue > ALPHA


def test_the_map_to_the_anchor_by_hand():
    draws = draw_views(table(1), ViewRecipe(size_px=10), 100, 100)
    draws = draws._replace(crop=np.array([[20, 40, 50, 30]]), angle_deg=np.array([90.0]))
    upright = anchor_maps(draws._replace(angle_deg=np.array([0.0])), 10)[0] @ [[0, 10], [0, 10], [1, 1]]
    assert upright == pytest.approx(np.array([[40, 70], [20, 70]]))
    top_left = anchor_maps(draws, 10)[0] @ [0, 0, 1]  # a quarter turn counter-clockwise brings the top right here
    assert top_left == pytest.approx([70, 20])
    mirrored = anchor_maps(draws._replace(flip=np.array([True])), 10)[0] @ [0, 0, 1]  # then mirrored: the bottom right
    assert mirrored == pytest.approx([70, 70])
