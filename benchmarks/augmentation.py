"""C9: the paper's segmentation augmentation of image and mask, in batches, against albumentations 2.0.8.

    python -m benchmarks.augmentation                        # C9-224 and C9-512; needs albumentations, else skipped
    python -m benchmarks.augmentation --only C9-224-always   # every sample gets every kind of change
    python -m benchmarks.augmentation --only C9-224-grey     # the peer is given one channel and not three

Both sides make float batches in [0, 1] from uint8 arrays. The peer is the released code's pipeline, sample by sample:
radiographs converted to RGB, then augmented, then divided by 255. Ours keeps the one channel that three equal ones
hold and expands it without a copy; how much of the ratio that is, the bars in grey show. Equality: image and mask are
read at the same places exactly, and the elastic field has the peer's standard deviation and correlation within 5 %.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import torch

from benchmarks.timing import Bar, Equality, Side, arguments, compare, report, skipped, wanted
from tasks.finetuning import augmentation, warps
from tasks.finetuning.augmentation import Augmentation
from tasks.finetuning.protocol import SegmentationProtocol

FIELDS = 24
BATCH = {224: 32, 512: 16}
"""Images a step of the paper's protocols."""
TARGET = 5.0


def protocol(size_px: int, always: bool) -> SegmentationProtocol:
    """Return the paper's protocol at a size; always: every change applied to every sample."""
    made = SegmentationProtocol(size_px=size_px)
    return replace(made, intensity_p=1.0, distortion_p=1.0, crop_p=1.0) if always else made


def pipeline(made: SegmentationProtocol) -> Any:  # noqa: ANN401 - albumentations' type
    """Build the released code's transformations with the protocol's chances and strengths, scaled to its size."""
    import albumentations as A  # noqa: N812

    size, (alpha, sigma) = made.size_px, elastic_px(made)
    bends = [
        A.ElasticTransform(alpha=alpha, sigma=sigma, p=1),
        A.GridDistortion(num_steps=made.grid_cells, distort_limit=made.grid_limit, p=1),
        A.OpticalDistortion(distort_limit=made.optical_limit, p=1),
    ]
    greys = [A.RandomBrightnessContrast(p=1), A.RandomGamma(p=1)]
    crop = A.RandomSizedCrop((round(made.crop_min_share * size), size), (size, size), p=made.crop_p)
    return A.Compose([A.OneOf(greys, p=made.intensity_p), A.OneOf(bends, p=made.distortion_p), crop], seed=0)


def elastic_px(made: SegmentationProtocol) -> tuple[float, float]:
    """Return alpha and sigma at the protocol's size: displacements grow with the image, so alpha with its square."""
    scale = made.size_px / 224
    return made.elastic_alpha_px * scale**2, made.elastic_sigma_px * scale


def batch(size_px: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw smooth grey images and masks, each (B, H, H) uint8."""
    draw = np.random.default_rng(0)
    small = draw.uniform(0, 255, (BATCH[size_px], 9, 9)).astype(np.float32)
    images = np.stack([cv2.resize(one, (size_px, size_px), interpolation=cv2.INTER_CUBIC) for one in small])
    return images.clip(0, 255).astype(np.uint8), (images > 128).astype(np.uint8)


def aligned(made: SegmentationProtocol) -> Equality:
    """Check that image and mask are read at the same source pixels, by ramps; ties are skipped."""
    size, count = made.size_px, BATCH[made.size_px]
    ours, rows = Augmentation(made, 0, torch.device("cpu")), np.arange(count)
    source = ours.source(augmentation.draw(made, 0, 0, rows), rows, rows, 0, size)
    ramp = torch.arange(size, dtype=torch.float32)
    ramps = torch.stack((ramp.expand(size, -1), ramp[:, None].expand(-1, size))).expand(count, -1, -1, -1)
    mask = torch.from_numpy(np.random.default_rng(0).integers(0, 2, (count, 1, size, size))).float()
    read = warps.sample(mask, source, "nearest")[:, 0]
    places = warps.sample(ramps.contiguous(), source, "bilinear")
    clear = ((places - places.floor() - 0.5).abs() > 0.01).all(dim=1)
    at = places.round().long()
    wrong = int((read != mask[torch.arange(count)[:, None, None], 0, at[:, 1], at[:, 0]])[clear].sum())
    return Equality(wrong == 0, f"{wrong} of {int(clear.sum()):,} mask pixels read elsewhere than the image's")


def moments(made: SegmentationProtocol) -> Equality:
    """Compare the elastic field's standard deviation, and its correlation two sigma apart, with the peer's."""
    size, (alpha, sigma) = made.size_px, elastic_px(made)
    x = torch.arange(size, dtype=torch.float32).expand(FIELDS, -1)
    count = len(warps.knots(size, sigma))
    noise = torch.from_numpy(np.random.default_rng(0).uniform(-(3**0.5), 3**0.5, (FIELDS, 2, count, count))).float()
    ours = warps.smooth_field(x, x, noise, sigma) * warps.field_deviation(alpha, sigma)
    inside, lag = slice(round(4 * sigma), -round(4 * sigma)), round(2 * sigma)
    found = [_moments(fields[:, inside, inside], lag) for fields in (ours.numpy(), _their_fields(size, alpha, sigma))]
    (own, own_r), (theirs, their_r) = found
    holds = abs(own / theirs - 1) <= 0.05 and abs(own_r - their_r) <= 0.05
    return Equality(
        holds, f"elastic field s.d. {own:.2f} px, peer's {theirs:.2f}, r at 2σ {own_r:.2f} and {their_r:.2f}"
    )


def _their_fields(size: int, alpha: float, sigma: float) -> np.ndarray:
    from albumentations.augmentations.geometric.functional import generate_displacement_fields

    draw = np.random.default_rng(0)
    made = [
        generate_displacement_fields((size, size), alpha, sigma, False, (0, 0), draw, "uniform") for _ in range(FIELDS)
    ]
    return np.stack([np.stack(pair, axis=-1) for pair in made])


def _moments(fields: np.ndarray, lag: int) -> tuple[float, float]:
    return float(fields.std()), float(np.corrcoef(fields[:, lag:].ravel(), fields[:, :-lag].ravel())[0, 1])


def bar(size_px: int, always: bool, grey: bool, repeats: int) -> Bar:
    """Time ours against albumentations at one size."""
    title = f"segmentation augmentation at {size_px} px{', every change' * always}{', peer in grey' * grey}"
    id = name(size_px, always, grey)
    made = protocol(size_px, always)
    try:
        theirs = pipeline(made)
    except ImportError:
        return skipped(id, title, "albumentations is not installed")
    images, masks = batch(size_px)
    theirs_of = images[..., None].repeat(1 if grey else 3, axis=-1)
    ours, rows = Augmentation(made, 0, torch.device("cpu")), np.arange(len(images))
    at = iter(range(1_000_000))

    def in_batches() -> object:
        augmented, moved = ours(torch.from_numpy(images)[:, None], torch.from_numpy(masks)[:, None], rows, next(at))
        return augmented.expand(-1, 3, -1, -1), moved

    def one_by_one() -> object:
        done = [theirs(image=image, mask=mask) for image, mask in zip(theirs_of, masks, strict=True)]
        floats = [each["image"].astype(np.float32).transpose(2, 0, 1) / 255 for each in done]
        return np.stack(floats), np.stack([each["mask"][None].astype(np.float32) for each in done])

    place, field = aligned(replace(made, distortion_p=1.0, crop_p=1.0)), moments(made)
    clause = Equality(place.holds and field.holds, f"{place.text}; {field.text}")
    return compare(
        id, title, *_sides(in_batches, one_by_one, 4 * len(images)), target=TARGET, equality=clause, repeats=repeats
    )


def _sides(ours: Callable[[], object], peer: Callable[[], object], units: int) -> tuple[Side, Side]:
    """Build both sides of the comparison; a repeat is a few epochs, since a batch's draws determine its time."""

    def often(run: Callable[[], object]) -> Callable[[], object]:
        return lambda: [run() for _ in range(4)]

    return Side("one warp a batch", often(ours), units), Side("albumentations", often(peer), units)


def name(size_px: int, always: bool, grey: bool) -> str:
    """Id of a bar."""
    return f"C9-{size_px}{'-always' * always}{'-grey' * grey}"


def main() -> None:
    """Run the bars."""
    options = arguments(str(__doc__).partition("\n")[0])
    warnings.simplefilter("ignore")  # the peer warns of its age
    cv2.setNumThreads(torch.get_num_threads())
    kinds = itertools.product((224, 512), (False, True), (False, True))
    asked = [kind for kind in kinds if wanted(options, name(*kind))]
    report([bar(*each, options.repeats) for each in asked], as_json=options.json)


if __name__ == "__main__":
    main()
