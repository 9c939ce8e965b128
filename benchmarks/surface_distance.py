"""C8: HD95 and normalised surface distance of 49 images with 20 ribs each, against MONAI and google's surface-distance.

    python -m benchmarks.surface_distance     # install monai and surface-distance; without one its bar is skipped

Equality: MONAI's HD95 and NSD are ours to 1e-5. Google's measures lengths of contours between pixels instead of
counting surface pixels, so its values differ from MONAI's and ours by definition: its bar says by how much.
"""

from __future__ import annotations

import warnings

import numpy as np
import torch

from benchmarks.timing import Bar, Equality, Side, arguments, compare, report, skipped, wanted
from tasks.finetuning.surfaces import Surfaces

IMAGES, RIBS, SIDE_PX, TOLERANCE_PX = 49, 20, 256, 2.0
TITLE = f"HD95 and NSD, {IMAGES} images x {RIBS} ribs of {SIDE_PX}²"
_DEFINED_ALIKE = 1e-5
_DEFINED_OTHERWISE_PX = 1.0


def ribs(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw predicted and true ribs, (49, 20, 256, 256) bool: arcs of ten heights on two sides, and the same bent."""
    draw = np.random.default_rng(seed)
    y, x = np.mgrid[:SIDE_PX, :SIDE_PX] / SIDE_PX
    shape = (IMAGES, RIBS, SIDE_PX, SIDE_PX)
    true, predicted = np.empty(shape, bool), np.empty(shape, bool)
    for image, rib in np.ndindex(IMAGES, RIBS):
        side, height = rib % 2, 0.1 + 0.07 * (rib // 2)
        middle = (0.28 if side else 0.72) + draw.normal(0, 0.01)
        for masks in (true, predicted):
            radius, top, thick = (
                0.16 + draw.normal(0, 0.004),
                height + draw.normal(0, 0.005),
                0.014 + draw.normal(0, 0.001),
            )
            ring = np.hypot((x - middle) / 1.2, (y - top - radius) * 1.3)
            masks[image, rib] = (np.abs(ring - radius) < thick) & (y < top + 0.8 * radius)
    return predicted, true


def ours(predicted: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Return HD95 and NSD, (2, 49, 20)."""
    return np.stack(Surfaces.of(predicted, true, TOLERANCE_PX))


def against_monai(predicted: np.ndarray, true: np.ndarray, repeats: int) -> Bar:
    """Time ours against MONAI."""
    try:
        from monai.metrics import compute_hausdorff_distance, compute_surface_dice
    except ImportError:
        return skipped("C8", f"{TITLE}, MONAI", "monai is not installed: pip install monai")
    warnings.filterwarnings("ignore", category=FutureWarning)
    given = [torch.from_numpy(masks).float() for masks in (predicted, true)]

    def monai() -> np.ndarray:
        hd95 = compute_hausdorff_distance(*given, include_background=True, percentile=95)
        nsd = compute_surface_dice(*given, [TOLERANCE_PX] * RIBS, include_background=True)
        return np.stack([hd95.numpy(), nsd.numpy()])

    far = np.abs(ours(predicted, true) - monai()).max(axis=(1, 2))
    text = f"largest differences: HD95 {far[0]:.1e} px, NSD {far[1]:.1e}, bound {_DEFINED_ALIKE:.0e}"
    clause = Equality(bool((far <= _DEFINED_ALIKE).all()), text)
    sides = Side("box, exact distance transform", lambda: ours(predicted, true)), Side("MONAI", monai)
    return compare("C8", f"{TITLE}, MONAI", *sides, target=8, equality=clause, repeats=repeats)


def against_google(predicted: np.ndarray, true: np.ndarray, repeats: int) -> Bar:
    """Time ours against google's surface-distance."""
    try:
        import surface_distance
    except ImportError:
        return skipped(
            "C8", f"{TITLE}, surface-distance", "surface-distance is not installed: pip install surface-distance"
        )

    def one(found: np.ndarray, drawn: np.ndarray) -> tuple[float, float]:
        distances = surface_distance.compute_surface_distances(drawn, found, (1.0, 1.0))
        return (
            surface_distance.compute_robust_hausdorff(distances, 95),
            surface_distance.compute_surface_dice_at_tolerance(distances, TOLERANCE_PX),
        )

    def google() -> np.ndarray:
        each = [one(predicted[place], true[place]) for place in np.ndindex(IMAGES, RIBS)]
        return np.array(each).reshape(IMAGES, RIBS, 2).transpose(2, 0, 1)

    far = np.abs(ours(predicted, true) - google()).max(axis=(1, 2))
    text = f"another definition: HD95 differs by up to {far[0]:.2f} px, NSD by up to {far[1]:.3f}"
    clause = Equality(bool(far[0] <= _DEFINED_OTHERWISE_PX), text)
    sides = Side("box, exact distance transform", lambda: ours(predicted, true)), Side("surface-distance", google)
    return compare("C8", f"{TITLE}, surface-distance", *sides, target=2.5, equality=clause, repeats=repeats)


def main() -> None:
    """Run the bars."""
    options = arguments(__doc__)
    made = ribs(0)
    bars = [bar(*made, options.repeats) for bar in (against_monai, against_google)] if wanted(options, "C8") else []
    report(bars, as_json=options.json)


if __name__ == "__main__":
    main()
