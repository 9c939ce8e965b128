import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from eden_bench import seeds
from eden_bench.contracts import Anchor, ViewRecipe
from pretrain.views import opencv_renderer, torch_renderer
from pretrain.views.draws import WIDTH, Draws, anchor_maps, draw_views, upright_maps
from pretrain.views.pixels import adjust, blur_kernels, normalisation
from pretrain.views.windows import cut
from tests.pretrain.published_views import by_pil, psnr

ADAM = {
    "crop_scale": (0.2, 1.0), "jitter_p": 0.8, "brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1,
    "blur_p": 0.5, "rotation_deg": 30.0,
}  # fmt: skip
EVERYTHING = ADAM | {"grey_p": 0.2, "solarise_p": 0.3, "flip_p": 0.5}


def smooth(count, side_px, channels=1, seed=0):
    """Images like radiographs: smooth shapes and a little noise, (count, side, side[, 3]) uint8."""
    draw = np.random.default_rng(seed)
    images = []
    for _ in range(count):
        shapes = cv2.resize(draw.normal(size=(12, 12, channels)), (side_px, side_px), interpolation=cv2.INTER_CUBIC)
        noisy = 128 + 45 * shapes + draw.normal(size=shapes.shape) * 2
        images.append(np.clip(noisy, 0, 255).astype(np.uint8))
    return np.stack(images)


def draw(recipe, count, side_px, seed=0):
    return draw_views(seeds.uniforms(seed, "view", rows=np.arange(count), width=WIDTH), recipe, side_px, side_px)


def neutral(size_px, crop, **changes):
    """The draws of one view that is cropped, and changed as said."""
    plain = draw(ViewRecipe(size_px=size_px), 1, 64)
    return plain._replace(crop=np.array([crop]), **{name: np.array([value]) for name, value in changes.items()})


def windows_of(cells, draws, recipe):
    anchors = [Anchor((cell,), (0, 0, *cell.shape[:2]), cell.shape[:2]) for cell in cells]
    return [cut(anchor, crop, recipe.size_px) for anchor, crop in zip(anchors, draws.crop.tolist(), strict=True)]


def with_opencv(cells, draws, recipe):
    views = np.stack(list(opencv_renderer.render_levels(windows_of(cells, draws, recipe), draws, recipe)))
    return views[..., None] if views.ndim == 3 else views


def with_torch(cells, draws, recipe):
    stack = torch_renderer.stack(windows_of(cells, draws, recipe))
    return torch_renderer.render_levels(stack, draws, recipe).permute(0, 2, 3, 1).numpy()


RENDERERS = pytest.mark.parametrize("render", [with_opencv, with_torch])


@RENDERERS
@pytest.mark.parametrize(("channels", "options"), [(1, ADAM), (1, EVERYTHING), (3, ADAM), (3, EVERYTHING)])
def test_views_equal_the_pil_chain_to_38_db_where_crops_are_enlarged(render, channels, options):
    recipe = ViewRecipe(size_px=128, **options)
    cells = smooth(24, 128, channels)
    draws = draw(recipe, 24, 128)
    for i, view in enumerate(render(cells, draws, recipe)):
        assert psnr(view, by_pil(cells[i], draws, i, recipe)) >= 38


@RENDERERS
def test_reduced_views_stay_close_to_pils_antialiased_ones(render):
    recipe = ViewRecipe(size_px=32, **ADAM)
    cells = smooth(24, 128)
    draws = draw(recipe, 24, 128)
    found = [psnr(view, by_pil(cells[i], draws, i, recipe)) for i, view in enumerate(render(cells, draws, recipe))]
    assert np.median(found) >= 38


@RENDERERS
@pytest.mark.parametrize("side_px", [128, 130])
def test_stripes_finer_than_a_view_pixel_do_not_alias(render, side_px):
    stripes = np.zeros((side_px, side_px), np.uint8)
    stripes[:, ::3] = 255  # 1/3 cycle a pixel; every fourth pixel alone would show strong bands
    view = render([stripes], neutral(32, (0, 0, side_px, side_px)), ViewRecipe(size_px=32))
    assert view.std() < 35
    assert np.ascontiguousarray(stripes[::4, ::4]).std() > 100


@pytest.mark.parametrize(("channels", "size_px"), [(1, 128), (1, 32), (3, 128), (3, 32)])
def test_both_renderers_agree_within_rounding(channels, size_px):
    recipe = ViewRecipe(size_px=size_px, **EVERYTHING)
    cells = smooth(24, 128, channels)
    draws = draw(recipe, 24, 128)
    ours, theirs = with_opencv(cells, draws, recipe), with_torch(cells, draws, recipe)
    for a, b in zip(ours, theirs, strict=True):
        apart = np.abs(a.astype(float) - b)
        assert np.median(apart) <= 1
        assert psnr(a, b) >= 44  # pixels whose nearest neighbour is a tie, and hue in whole levels, are all
        assert channels == 3 or (apart > 1).mean() < 0.04  # jitter and contrast enlarge a level's difference


@pytest.mark.parametrize("size_px", [128, 100, 32])
def test_crops_alone_differ_by_a_level_where_one_renderer_rounds_once_more(size_px):
    recipe = ViewRecipe(size_px=size_px, crop_scale=(0.2, 1.0))
    cells = smooth(24, 128)
    draws = draw(recipe, 24, 128)
    apart = np.abs(with_opencv(cells, draws, recipe).astype(float) - with_torch(cells, draws, recipe))
    assert apart.max() <= 1


def test_normalised_images_agree_and_are_channels_last():
    recipe = ViewRecipe(size_px=48, mean=(0.4, 0.5, 0.6), std=(0.1, 0.2, 0.3), **ADAM)
    cells, draws = smooth(4, 64), draw(recipe, 4, 64)
    out = np.empty((4, 48, 48, 3), np.float32)
    windows = windows_of(cells, draws, recipe)
    opencv_renderer.render(windows, draws, recipe, out)
    levels = with_opencv(cells, draws, recipe)
    assert out == pytest.approx((levels / 255 - recipe.mean) / recipe.std, abs=1e-5)
    images = torch_renderer.render(torch_renderer.stack(windows), draws, recipe)
    assert images.shape == (4, 3, 48, 48)
    assert images.dtype == torch.float32
    assert images.is_contiguous(memory_format=torch.channels_last)
    torch_levels = torch.from_numpy(with_torch(cells, draws, recipe)).permute(0, 3, 1, 2)
    mean, std = torch.tensor(recipe.mean)[:, None, None], torch.tensor(recipe.std)[:, None, None]
    torch.testing.assert_close(images * std + mean, (torch_levels / 255).expand(-1, 3, -1, -1), atol=1e-5, rtol=0)


def coordinates():
    """A 64-px anchor whose red is 4x, green 4y and blue 200; ``where`` reads it back."""
    y, x = np.mgrid[:64, :64].astype(np.uint8) * 4
    return np.stack([x, y, np.full_like(x, 200)], axis=2)


def where(view):
    """Return the anchor coordinates (…, 2) of a view of ``coordinates``; pixel centres are at +0.5."""
    return view[..., :2] / 4 + 0.5


@RENDERERS
@pytest.mark.parametrize(("size_px", "flip_p"), [(64, 0.0), (64, 1.0), (30, 0.0), (8, 1.0)])
def test_the_map_to_the_anchor_says_where_each_pixel_came_from(render, size_px, flip_p):
    recipe = ViewRecipe(size_px=size_px, crop_scale=(0.2, 1.0), rotation_deg=30.0, flip_p=flip_p)
    draws = draw(recipe, 8, 64)
    views = render([coordinates()] * 8, draws, recipe).astype(float)
    centres = np.stack([*np.meshgrid(np.arange(size_px) + 0.5, np.arange(size_px) + 0.5), np.ones((size_px,) * 2)])
    for view, to_anchor, (_, _, height, width) in zip(views, anchor_maps(draws, size_px), draws.crop, strict=True):
        inside = cv2.erode((view[..., 2] == 200).astype(np.uint8), np.ones((3, 3))).astype(bool)
        apart = (where(view) - np.moveaxis(np.tensordot(to_anchor, centres, 1), 0, -1))[inside]
        step = np.array([width, height]) / size_px  # anchor pixels a view pixel; rotation takes the nearest
        assert (np.abs(apart.mean(axis=0)) < 0.1 * step + 0.05).all()
        assert (np.abs(apart) <= 0.75 * step + 0.3).all()


@RENDERERS
@pytest.mark.parametrize("size_px", [64, 32, 16])
def test_without_rotation_the_map_is_exact_to_rounding(render, size_px):
    recipe = ViewRecipe(size_px=size_px, crop_scale=(0.2, 0.9), flip_p=0.5)
    draws = draw(recipe, 8, 64)
    views = render([coordinates()] * 8, draws, recipe).astype(float)
    for view, to_anchor in zip(views, anchor_maps(draws, size_px), strict=True):
        columns, rows = np.array([2, size_px - 4]), np.array([3, size_px - 3])
        expected = to_anchor @ [columns + 0.5, rows + 0.5, [1, 1]]
        assert where(view[rows, columns]) == pytest.approx(expected.T, abs=0.2)


@RENDERERS
def test_a_flip_mirrors_the_finished_view(render):
    recipe = ViewRecipe(size_px=64, **ADAM)
    cells, draws = smooth(6, 128), draw(recipe, 6, 128)
    plain = render(cells, draws, recipe).astype(float)
    flipped = render(cells, draws._replace(flip=np.ones(6, bool)), recipe)[:, :, ::-1]
    assert (np.abs(plain - flipped) > 1).mean() < 0.02  # ties of the nearest neighbour fall the other way


@RENDERERS
def test_rotation_takes_the_nearest_pixel_and_leaves_black_corners(render):
    cell, size = smooth(1, 64)[0], 64
    draws = neutral(size, (0, 0, 64, 64), angle_deg=25.0)
    view = render([cell], draws, ViewRecipe(size_px=size))[0, ..., 0]
    expected = np.zeros_like(cell)
    for y in range(size):  # the definition, pixel by pixel
        for x in range(size):
            from_x, from_y = np.floor(upright_maps(draws, size)[0] @ [x + 0.5, y + 0.5, 1]).astype(int)
            if 0 <= from_x < size and 0 <= from_y < size:
                expected[y, x] = cell[from_y, from_x]
    assert (view != expected).mean() < 0.01
    assert view[0, 0] == view[-1, -1] == view[0, -1] == view[-1, 0] == 0


@RENDERERS
def test_rotation_goes_counter_clockwise_as_in_torchvision(render):
    cell = np.zeros((64, 64), np.uint8)
    cell[28:36, 50:60] = 255  # at three o'clock
    view = render([cell], neutral(64, (0, 0, 64, 64), angle_deg=30.0), ViewRecipe(size_px=64))[0, ..., 0]
    assert np.argwhere(view > 128)[:, 0].mean() < 24  # upwards


@RENDERERS
@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 1, 2, 0)])
def test_contrast_pivots_on_the_mean_of_what_it_is_given(render, order):
    cell = np.repeat(np.array([[40, 200]], np.uint8), 32, axis=1).repeat(64, axis=0)
    factors = np.float32([1.4, 0.5, 1.7, 0.1])
    view = render([cell], neutral(64, (0, 0, 64, 64), factors=factors, order=order), ViewRecipe(size_px=64))
    bright_first = [round(155.5 + (level - 155.5) * 0.5) for level in (56, 255)]  # 200 · 1.4 is cut to 255 before
    contrast_first = [(120 + (level - 120) * 0.5) * 1.4 for level in (40, 200)]
    expected = bright_first if order[0] == 0 else contrast_first
    assert view[0, 32, [0, 63], 0] == pytest.approx(expected, abs=1)


@RENDERERS
@pytest.mark.parametrize("sigma_px", [0.1, 0.5, 1.3, 2.0])
def test_a_blur_keeps_flat_areas_and_matches_a_gaussian(render, sigma_px):
    flat = np.full((32, 32), 255, np.uint8)
    draws = neutral(32, (0, 0, 32, 32), sigma_px=sigma_px)
    assert (render([flat], draws, ViewRecipe(size_px=32)) == 255).all()
    cell = smooth(1, 32)[0]
    expected = cv2.GaussianBlur(cell.astype(float), (15, 15), sigma_px, borderType=cv2.BORDER_REPLICATE)
    assert np.abs(render([cell], draws, ViewRecipe(size_px=32))[0, ..., 0] - expected).max() <= 1.5


@given(st.lists(st.floats(0, 3), min_size=1, max_size=8))
def test_blur_kernels_sum_to_one_and_are_symmetric(sigmas):
    kernels = blur_kernels(np.array(sigmas))
    assert (kernels.sum(axis=1) == 1).all()
    assert (kernels == kernels[:, ::-1]).all()
    assert (kernels >= 0).all()
    assert kernels.shape[1] % 2 == 1


@given(st.lists(st.integers(0, 255), min_size=1, max_size=20), st.integers(0, 255), st.floats(0, 2))
def test_adjusting_equals_pils_blend(levels, pivot, factor):
    image = Image.fromarray(np.array([levels], np.uint8))
    blended = np.asarray(Image.blend(Image.new("L", image.size, pivot), image, factor))
    ours = adjust(np.array([levels], np.float32), np.float32(pivot), np.float32(factor))
    assert np.abs(ours - blended).max() <= 1  # equal but where float32 lands beside a whole level
    assert (ours == blended).mean() >= 0.5 or len(levels) < 4


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.integers(20, 90), st.integers(20, 90), st.sampled_from([16, 24, 40]))
def test_any_anchor_shape_renders_alike_on_both(seed, height, width, size_px):
    recipe = ViewRecipe(size_px=size_px, **EVERYTHING)
    cell = np.ascontiguousarray(smooth(1, 96, seed=seed)[0, :height, :width])
    draws = draw_views(seeds.uniforms(seed, "view", rows=np.arange(1), width=WIDTH), recipe, height, width)
    apart = np.abs(with_opencv([cell], draws, recipe).astype(float) - with_torch([cell], draws, recipe))
    assert np.median(apart) <= 1
    assert (apart > 2).mean() < 0.06


def test_normalisation_is_the_recipes():
    recipe = ViewRecipe()
    scale, shift = normalisation(recipe)
    assert 255 * scale + shift == pytest.approx((1 - np.array(recipe.mean)) / recipe.std, abs=1e-6)
    assert shift == pytest.approx(-np.array(recipe.mean) / recipe.std, abs=1e-6)


def test_rendering_leaves_the_anchor_alone():
    recipe = ViewRecipe(size_px=64, **EVERYTHING)
    for channels in (1, 3):
        cells = smooth(8, 64, channels)
        kept = cells.copy()
        draws: Draws = draw(recipe, 8, 64)
        with_opencv(cells, draws._replace(crop=np.tile([0, 0, 64, 64], (8, 1))), recipe)
        with_torch(cells, draws, recipe)
        assert (cells == kept).all()
