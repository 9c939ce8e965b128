import functools

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from baselines._transvw import perturbations
from baselines._transvw.perturbations import bezier, elastic, in_painted, out_painted, perturbed, shuffled


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def patches(count=8, size=70, seed=0):
    one = torch.rand(count, 1, size, size, generator=generator(seed))
    return one.expand(-1, 3, -1, -1).contiguous()


@pytest.mark.trap(
    "transvw",
    (
        "elastic always (α 991, σ 8 along all three axes of a 64 × 64 × 32 patch: s.d. 0.05 of the side), then "
        "one of four, 25 % each"
    ),
)
@pytest.mark.parametrize("length", [64, 32])
def test_the_field_is_smoothed_as_scipy_smooths_it(length):
    noise = np.random.default_rng(0).uniform(-1, 1, (length, length))
    smooth = perturbations._smoothing(length).double().numpy()
    expected = gaussian_filter(noise, 8, mode="constant")
    assert np.allclose(smooth @ noise @ smooth.T, expected, atol=1e-6)


def strength(shift):
    """Root mean square along an axis, mean length, 95 % length in sides; share of folded places. (B, 2, H, W) x, y."""
    inner = shift[:, :, shift.shape[2] // 3 : -(shift.shape[2] // 3), shift.shape[3] // 3 : -(shift.shape[3] // 3)]
    length = np.hypot(inner[:, 0], inner[:, 1])
    (x_down, x_across), (y_down, y_across) = (
        np.gradient(inner[:, axis] * shift.shape[2], axis=(1, 2)) for axis in (0, 1)
    )
    folded = (1 + x_across) * (1 + y_down) - x_down * y_across < 0
    return np.sqrt(np.mean(inner**2)), length.mean(), np.quantile(length, 0.95), folded.mean()


@functools.cache
def published_shift(volumes=40):
    """The shift in sides of four slices of each of some volumes: noise smoothed along all three axes, times 991."""
    draw, slices = np.random.default_rng(0), []
    for _ in range(volumes):
        volume = [991 * gaussian_filter(draw.uniform(-1, 1, (64, 64, 32)), 8, mode="constant") for _ in range(2)]
        slices += [np.stack(volume)[..., depth] / 64 for depth in range(4, 32, 8)]
    return np.stack(slices)


@pytest.mark.trap(
    "transvw",
    (
        "elastic always (α 991, σ 8 along all three axes of a 64 × 64 × 32 patch: s.d. 0.05 of the side), then "
        "one of four, 25 % each"
    ),
)
@pytest.mark.trap(
    "released code", "TransVW's elastic field six times too strong", "as strong as a slice of the released volumes"
)
@pytest.mark.parametrize("size", [64, 224])
def test_a_patch_is_deformed_as_strongly_as_a_slice_of_the_published_volume_at_every_size(size):
    places = (torch.arange(size) + 0.5) / size
    columns, rows = torch.meshgrid(places, places, indexing="xy")
    ramps = torch.stack((columns, rows, rows)).expand(150, -1, -1, -1)
    shift = (elastic(ramps, generator()) - ramps)[:, :2].numpy()
    *lengths, folded = strength(shift)
    *published, published_folded = strength(published_shift())
    assert lengths == pytest.approx(published, rel=0.1)
    assert lengths[0] == pytest.approx(0.054, rel=0.1)
    assert folded < 0.01 > published_folded


def test_without_strength_nothing_is_moved(monkeypatch):
    monkeypatch.setattr(perturbations, "ALPHA", 0.0)
    assert torch.allclose(elastic(patches(), generator()), patches(), atol=1e-4)


def test_channels_are_moved_alike():
    moved = elastic(patches(), generator())
    assert moved[:, 0].equal(moved[:, 2])


@pytest.mark.trap(
    "transvw", "shuffling in 5 blocks, Bézier curve, in-painting 1/6 to 1/3, out-painting 3/7 to 4/7", "held"
)
def test_pixels_are_shuffled_within_small_blocks_only():
    before = torch.arange(70.0 * 70).view(1, 1, 70, 70).expand(20, 3, 70, 70).contiguous()
    after = shuffled(before, generator())
    assert after.flatten(2).sort(dim=2).values.equal(before.flatten(2))
    changed = after[:, 0] != before[:, 0]
    assert 0 < changed.sum(dim=(1, 2)).float().mean() < 5 * 49
    there, here = after[:, 0][changed].long(), before[:, 0][changed].long()
    for axis in (lambda p: p // 70, lambda p: p % 70):
        assert (axis(there) - axis(here)).abs().max() < 5 * 7


@pytest.mark.trap("transvw", "shuffling in 5 blocks, Bézier curve, in-painting 1/6 to 1/3, out-painting 3/7 to 4/7")
def test_a_bezier_curve_by_hand():
    curve = perturbations._curve(np.array([0.2, 0.9]), np.array([0.4, 0.1]), falling=False)
    t = np.linspace(0, 1, 2001)
    x = 3 * t * (1 - t) ** 2 * 0.2 + 3 * t**2 * (1 - t) * 0.9 + t**3
    y = 3 * t * (1 - t) ** 2 * 0.4 + 3 * t**2 * (1 - t) * 0.1 + t**3
    expected = np.interp(np.linspace(0, 1, 256), x, np.sort(y))
    assert np.allclose(curve, expected, atol=2e-3)
    falling = perturbations._curve(np.array([0.2, 0.9]), np.array([0.4, 0.1]), falling=True)
    assert np.array_equal(falling, curve[::-1])


def test_intensities_rise_or_fall_as_often_and_keep_black_and_white():
    ramp = torch.linspace(0, 1, 70).expand(150, 3, 70, 70).contiguous()
    bent = bezier(ramp, generator())[:, 0, 0]
    rises = (bent.diff(dim=1) >= -1e-6).all(dim=1)
    falls = (bent.diff(dim=1) <= 1e-6).all(dim=1)
    assert (rises ^ falls).all()
    assert rises.float().mean().item() == pytest.approx(0.5, abs=0.07)
    assert torch.allclose(bent[rises][:, [0, -1]], torch.tensor([0.0, 1.0]))


@pytest.mark.trap("transvw", "shuffling in 5 blocks, Bézier curve, in-painting 1/6 to 1/3, out-painting 3/7 to 4/7")
@pytest.mark.parametrize(
    ("change", "shares", "outside"), [(in_painted, (1 / 6, 1 / 3), False), (out_painted, (3 / 7, 4 / 7), True)]
)
def test_noise_fills_a_block_or_all_but_a_block(change, shares, outside):
    before = torch.full((60, 3, 84, 84), 7.0)
    after = change(before, generator())
    noisy = (after != 7)[:, 0]
    block = noisy != outside
    for axis in (1, 2):
        sides = block.any(dim=axis).sum(dim=1) / 84
        assert shares[0] - 1e-6 <= sides.min() < sides.max() <= shares[1] + 1e-6
    assert (block.sum(dim=(1, 2)) == block.any(dim=1).sum(dim=1) * block.any(dim=2).sum(dim=1)).all()
    noise = after[:, 0][noisy]
    assert (noise.min() >= 0, noise.max() <= 1, round(noise.mean().item(), 1)) == (True, True, 0.5)
    assert after[:, 0].equal(after[:, 2])


@pytest.mark.trap(
    "transvw",
    (
        "elastic always (α 991, σ 8 along all three axes of a 64 × 64 × 32 patch: s.d. 0.05 of the side), then "
        "one of four, 25 % each"
    ),
    "held: two axes, with the strength that the third leaves to a slice",
)
def test_each_patch_is_deformed_and_one_of_four_things_is_done(monkeypatch):
    monkeypatch.setattr(perturbations, "elastic", lambda p, _: p + 1)
    for power, name in enumerate(("shuffled", "bezier", "in_painted", "out_painted")):
        monkeypatch.setattr(perturbations, name, lambda p, _, by=10 ** (power + 1): p * by)
    found = perturbed(torch.zeros(4000, 3, 4, 4), generator())[:, 0, 0, 0]
    kinds, counts = found.unique(return_counts=True)
    assert kinds.tolist() == [10, 100, 1000, 10_000]
    assert (counts / 4000).tolist() == pytest.approx([0.25] * 4, abs=0.03)


def test_patches_are_spoilt_in_full_precision_also_under_autocast():
    alone = perturbed(patches(), generator(3))
    with torch.autocast("cpu", torch.bfloat16):
        assert perturbed(patches(), generator(3)).equal(alone)


def test_the_same_generator_spoils_alike_and_leaves_the_patches_alone():
    before = patches()
    first, second = perturbed(before, generator(3)), perturbed(before, generator(3))
    assert first.equal(second)
    assert before.equal(patches())
    assert not first.equal(before)
