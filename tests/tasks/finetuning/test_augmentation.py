"""Augmentation: image and mask aligned exactly, fields against formulas, draws by address."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import functional as chain_of

from tasks.finetuning import augmentation, crops, warps
from tasks.finetuning.augmentation import Augmentation
from tasks.finetuning.protocol import ClassificationProtocol, SegmentationProtocol

CPU = torch.device("cpu")
SIDE = 64
ALWAYS = SegmentationProtocol(size_px=SIDE, distortion_p=1.0, crop_p=1.0, intensity_p=0.0)
NEVER = SegmentationProtocol(size_px=SIDE, distortion_p=0.0, crop_p=0.0, intensity_p=0.0)
ROWS = np.arange(24)


def noise_images(count=24):
    return torch.randint(0, 256, (count, 1, SIDE, SIDE), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def sources(protocol, seed=0):
    draws = augmentation.draw(protocol, seed, 0, ROWS)
    return Augmentation(protocol, seed, CPU).source(draws, ROWS, ROWS, 0, SIDE)


def test_without_chances_nothing_changes():
    images = noise_images()
    masks = (images > 128).to(torch.uint8)
    grey, out = Augmentation(NEVER, 0, CPU)(images, masks, ROWS, 0)
    assert torch.equal(grey, images / 255)
    assert torch.equal(out, masks.float())


@pytest.mark.parametrize("kind", ["elastic", "grid", "optical"])
def test_image_and_mask_are_read_at_the_same_places_exactly(kind):
    """Ramps read bilinearly tell where each pixel came from; the mask must be what stands at the nearest place."""
    source = sources(dataclasses.replace(ALWAYS, distortions=(kind,), optical_limit=0.4, grid_limit=0.1))
    ramp = torch.arange(SIDE, dtype=torch.float32)
    ramps = torch.stack((ramp.expand(SIDE, -1), ramp[:, None].expand(-1, SIDE))).expand(24, -1, -1, -1)
    mask = (noise_images() > 128).float()
    came_from = warps.sample(ramps.contiguous(), source, "bilinear")
    read = warps.sample(mask, source, "nearest")
    places = came_from.round().long()
    expected = mask[torch.arange(24)[:, None, None], 0, places[:, 1], places[:, 0]]
    clear = ((came_from - came_from.floor() - 0.5).abs() > 1e-3).all(dim=1)  # a tie may round to either side
    assert clear.float().mean() > 0.98
    assert torch.equal(read[:, 0][clear], expected[clear])


def test_augmented_masks_hold_zeros_and_ones_only_and_stand_where_the_image_shows_them():
    masks = (noise_images() > 128).to(torch.uint8)
    shown, out = Augmentation(ALWAYS, 0, CPU)(masks * 255, masks, ROWS, 0)
    assert set(out.unique().tolist()) == {0.0, 1.0}
    certain = (shown < 0.1) | (shown > 0.9)
    assert (out[certain] == shown[certain].round()).float().mean() > 0.999


@pytest.mark.parametrize("kind", ["elastic", "grid", "optical"])
def test_every_distortion_moves_pixels_and_differs_between_samples(kind):
    source = sources(dataclasses.replace(ALWAYS, distortions=(kind,), crop_p=0.0))
    centres = torch.arange(SIDE, dtype=torch.float32)
    moved = (source - torch.stack(torch.meshgrid(centres, centres, indexing="xy"), dim=-1)).abs().amax(dim=(1, 2, 3))
    assert (moved > 0.3).all()
    assert len(torch.unique(moved)) == 24


def test_a_samples_draws_depend_on_seed_epoch_and_sample_only():
    images = noise_images()
    protocol = SegmentationProtocol(size_px=SIDE, distortion_p=0.8, crop_p=0.5, intensity_p=0.8)
    whole = Augmentation(protocol, 3, CPU)(images, images, ROWS, 5)[0]
    order = np.array([7, 2, 19])
    some = Augmentation(protocol, 3, CPU)(images[order], images[order], order, 5)[0]
    torch.testing.assert_close(some, whole[order])
    for seed, epoch in ((4, 5), (3, 6)):
        assert not torch.equal(Augmentation(protocol, seed, CPU)(images, images, ROWS, epoch)[0], whole)


@pytest.mark.parametrize("kind", ["elastic", "grid", "optical"])
def test_a_cpu_and_a_device_make_the_same_of_the_same_draws(kind):
    protocol = dataclasses.replace(ALWAYS, distortions=(kind,), crop_p=0.5, intensity_p=0.7)
    images = noise_images().repeat(1, 3, 1, 1)
    masks = (images > 128).to(torch.uint8)
    grey, moved = Augmentation(protocol, 0, CPU)(images, masks, ROWS, 0)
    draws = augmentation.draw(protocol, 0, 0, ROWS)
    source = Augmentation(protocol, 0, CPU).source(draws, ROWS, ROWS, 0, SIDE)
    expected = warps.sample(augmentation.intensities(images / 255, draws), source, "bilinear")
    torch.testing.assert_close(grey, expected, atol=1e-4, rtol=0)
    assert (moved != warps.sample(masks.float(), source, "nearest")).float().mean() < 1e-3


def test_batches_of_unequal_size_are_right_although_they_share_memory():
    augment, images = Augmentation(ALWAYS, 0, CPU), noise_images()
    for rows in (ROWS, ROWS[:5], ROWS[3:20]):
        alone = Augmentation(ALWAYS, 0, CPU)(images[rows], images[rows] // 255, rows, 1)
        shared = augment(images[rows], images[rows] // 255, rows, 1)
        assert all(torch.equal(one, other) for one, other in zip(alone, shared, strict=True))


def test_the_chances_are_those_of_the_protocol():
    draws = augmentation.draw(SegmentationProtocol(), 0, 0, np.arange(20_000))
    assert (draws.distortion != "").mean() == pytest.approx(0.3, abs=0.01)
    for kind in ("elastic", "grid", "optical"):
        assert (draws.distortion == kind).mean() == pytest.approx(0.1, abs=0.01)
    assert draws.brightens.mean() == pytest.approx(0.15, abs=0.01)
    assert draws.bends.mean() == pytest.approx(0.15, abs=0.01)
    assert not (draws.brightens & draws.bends).any()
    assert (draws.crop[:, 2] < 1).mean() == pytest.approx(0.25, abs=0.01)
    assert draws.crop[:, 2].min() == pytest.approx(156 / 224, abs=0.01)
    assert (draws.crop[:, 0] + draws.crop[:, 2] <= 1).all()


def test_where_a_crop_lies_says_nothing_of_the_distortion():
    draws = augmentation.draw(ALWAYS, 0, 0, np.arange(5_000))
    place = draws.crop[:, :2] / (1 - draws.crop[:, 2:])
    others = np.column_stack((draws.affine.reshape(-1, 6), draws.stretch.reshape(5_000, -1), draws.optical))
    correlation = np.corrcoef(place.T, others.T)[:2, 2:]
    assert np.abs(correlation).max() < 0.06


def test_the_elastic_field_has_the_moments_of_smoothed_pixel_noise():
    """White noise in ± alpha through a Gaussian of sigma: its deviation, and its correlation at one sigma."""
    from scipy.ndimage import gaussian_filter

    alpha, sigma, side = 120.0, 6.0, 224
    random = np.random.default_rng(0)
    smoothed = np.stack([gaussian_filter(random.uniform(-alpha, alpha, (side, side)), sigma) for _ in range(20)])
    count = len(warps.knots(side, sigma))
    noise = torch.from_numpy(random.standard_normal((20, 2, count, count)).astype(np.float32))
    at = torch.arange(side, dtype=torch.float32).expand(20, -1)
    field = warps.smooth_field(at, at, noise, sigma).numpy() * warps.field_deviation(alpha, sigma)
    assert field.std() == pytest.approx(smoothed[:, 24:-24, 24:-24].std(), rel=0.05)

    def correlation(f):
        return (f[:, :, 6:] * f[:, :, :-6]).mean() / (f**2).mean()

    assert correlation(field[..., 0]) == pytest.approx(correlation(smoothed[:, 24:-24, 24:-24]), abs=0.05)


def test_the_elastic_distortion_moves_as_far_as_its_field_should():
    protocol = dataclasses.replace(ALWAYS, crop_p=0.0, distortions=("elastic",), elastic_affine_px=0.0)
    at = torch.arange(SIDE, dtype=torch.float32)
    moved = sources(protocol) - torch.stack((at.expand(SIDE, -1), at[:, None].expand(-1, SIDE)), dim=-1)
    expected = warps.field_deviation(protocol.elastic_alpha_px, protocol.elastic_sigma_px) * SIDE / 224
    assert moved.std().item() == pytest.approx(expected, rel=0.03)
    assert moved.mean().item() == pytest.approx(0, abs=0.03 * expected)


def test_the_smooth_field_equals_a_plain_loop():
    noise = torch.randn(1, 2, 9, 9, generator=torch.Generator().manual_seed(0))
    at = torch.tensor([[0.0, 2.5, 7.0]])
    places = warps.knots(3, 4.0)
    field = warps.smooth_field(at, at, noise[:, :, : len(places), : len(places)], 4.0)

    def weights(v):
        w = [math.exp(-0.5 * ((v - p) / 4) ** 2) for p in places]
        return [x / math.sqrt(sum(y * y for y in w)) for x in w]

    for row, y in enumerate(at[0].tolist()):
        for column, x in enumerate(at[0].tolist()):
            value = sum(
                wy * wx * noise[0, 0, i, j].item() for i, wy in enumerate(weights(y)) for j, wx in enumerate(weights(x))
            )
            assert field[0, row, column, 0].item() == pytest.approx(value, abs=1e-5)


def test_a_grid_of_equal_cells_changes_nothing_and_a_wider_first_column_moves_the_second():
    at = torch.arange(10, dtype=torch.float32)[None]
    same = warps.stretched(at, at, torch.ones(1, 2, 5), 10)
    torch.testing.assert_close(same[0, 0, :, 0], at[0])
    wider = torch.ones(1, 2, 5)
    wider[0, 0, 0] = 1.5
    moved = warps.stretched(at, at, wider, 10)
    torch.testing.assert_close(moved[0, 0, 2:, 0], at[0, 2:] + 1)
    torch.testing.assert_close(moved[0, :, 0, 1], at[0])


def test_optical_distortion_is_the_formula():
    corner = torch.zeros(1, 1, 1, 2)
    r2 = 2 * (31.5 / 64) ** 2
    found = warps.radial(corner, torch.tensor([0.5]), 64)
    assert found[0, 0, 0, 0].item() == pytest.approx(31.5 - 31.5 * (1 + 0.5 * (r2 + r2**2)), abs=1e-4)


def test_the_affine_map_moves_the_three_corners_as_told():
    centre, reach = 31.5, 64 / 3
    corners = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, -1.0]]) * reach + centre
    moves = torch.tensor([[[1.0, 2.0], [-3.0, 0.5], [0.0, -1.0]]])
    torch.testing.assert_close(warps.affine_of(corners[None, None], moves, 64)[0, 0], corners + moves[0])


def test_a_crop_reads_what_cv2_would_read():
    import cv2

    image = noise_images(1)[0, 0].float()
    crop = torch.tensor([[8 / 64, 4 / 64, 48 / 64]])
    x, y = warps.cropped(crop, SIDE)
    source = torch.stack((x[:, None, :].expand(-1, SIDE, -1), y[:, :, None].expand(-1, -1, SIDE)), -1)
    ours = warps.sample(image[None, None], source, "bilinear")[0, 0]
    theirs = cv2.resize(image[4:52, 8:56].numpy(), (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(ours[2:-2, 2:-2], theirs[2:-2, 2:-2], atol=0.05)


def test_intensities_are_the_formulas():
    draws = augmentation.draw(dataclasses.replace(NEVER, intensity_p=1.0), 0, 0, ROWS)
    images = noise_images()
    grey, _ = Augmentation(dataclasses.replace(NEVER, intensity_p=1.0), 0, CPU)(images, images, ROWS, 0)
    for i in range(24):
        v = images[i] / 255
        v = (v * draws.contrast[i] + draws.brightness[i]).clamp(0, 1) if draws.brightens[i] else v ** draws.gamma[i]
        torch.testing.assert_close(grey[i], v.float(), atol=1e-6, rtol=1e-5)


def crop_draws(box, flip, angle):
    return crops.CropDraws(np.array([box], dtype=float), np.array([flip]), np.array([angle]))


def test_a_whole_crop_of_equal_size_is_the_image_and_a_flip_its_mirror():
    image = noise_images(1)
    whole = crops.random_crops(image, crop_draws((0, 0, SIDE, SIDE), False, 0.0), SIDE)
    torch.testing.assert_close(whole, image / 255, atol=1e-4, rtol=0)
    flipped = crops.random_crops(image, crop_draws((0, 0, SIDE, SIDE), True, 0.0), SIDE)
    torch.testing.assert_close(flipped, image.flip(-1) / 255, atol=1e-4, rtol=0)


@pytest.mark.parametrize("flip", [False, True])
def test_random_crops_equal_torchvisions_chain(flip):
    """Crop, enlarge, flip, rotate: on a smooth image one warp is the chain of resamplings."""
    axis = torch.linspace(0, 3, 96)
    image = ((torch.sin(axis)[None] * torch.cos(2 * axis)[:, None] + 1) * 127).round().to(torch.uint8)[None, None]
    ours = crops.random_crops(image, crop_draws((10, 20, 48, 40), flip, math.radians(7)), SIDE)
    chain = chain_of.resized_crop(image.float(), 20, 10, 40, 48, [SIDE, SIDE], antialias=False)
    chain = chain_of.hflip(chain) if flip else chain
    chain = chain_of.rotate(chain, 7, chain_of.InterpolationMode.BILINEAR)
    difference = (ours * 255 - chain)[..., 10:-10, 10:-10].abs()
    assert difference.max() < 1.5
    assert ours[0, 0, 0, 0] == ours[0, 0, -1, -1] == 0


def test_crop_sizes_stay_in_the_image_and_in_their_range():
    protocol = ClassificationProtocol()
    draws = crops.draw(protocol, 0, 0, np.arange(5_000))
    left, top, width, height = draws.box.T
    assert (left >= 0).all()
    assert (left + width <= 256).all()
    assert (top >= 0).all()
    assert (top + height <= 256).all()
    share = width * height / 256**2
    assert share.min() > 0.07
    assert share.max() <= 1
    assert draws.flips.mean() == pytest.approx(0.5, abs=0.03)
    assert np.abs(np.rad2deg(draws.angle)).max() == pytest.approx(7, abs=0.1)


def test_ten_crops_are_torchvisions():
    image = noise_images(2)
    theirs = chain_of.ten_crop(image, [48, 48])
    ours = crops.ten_crops(image, 48)
    for crop in theirs:
        assert any(torch.equal(crop, mine) for mine in ours)
    assert len(ours) == 10
