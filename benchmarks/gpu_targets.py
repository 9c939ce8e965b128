"""What a card has to show: every target that needs a GPU, by id, and the published ceiling of the figure, if any.

A bar with the id of a target, or with that id and a word behind a hyphen (``G1-n0``), measures it. What no bar measures
is listed as missing. Ceilings are rates a second on one H100: as published, or reckoned from what is.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from benchmarks.timing import Bar


class Ceiling(NamedTuple):
    """The most a card is known to allow."""

    rate: float
    """Units a second."""
    unit: str
    source: str


class Target(NamedTuple):
    """What one figure is, what it must reach, and the ceiling beside it."""

    id: str
    what: str
    asked: str
    ceiling: Ceiling | None = None
    no_part: str = ""
    """Why no part measures it; "" where one does."""


_MLPERF = "MLPerf's ResNet-50 on an H100, about 7,000 images/s supervised, by the work of a MoCo anchor"
_BYTES = "reckoned: 3.0 TB/s copied, each convolution's output (22.2 MB in bf16) written, read and written once"
_PRODUCTS = "reckoned: two products of 4.3 GFLOP at 67 TFLOP/s in float32 without TF32"
_ANCHORS = Ceiling(5_400, "anchors/s", _MLPERF)

TARGETS = (
    Target("G1", "Adam pretrained end to end from the store, ResNet-50, batch 256, four groups, each level",
           ">= 3,000 anchors/s, stretch 4,000; >= 2.8x a torchvision PIL loader", _ANCHORS),
    Target("G1b", "the same against lightly's MoCo example as shipped", ">= 3x", _ANCHORS,
           "has no part: lightly is no dependency; its step is the plain one of G4, its loader the peer of G1"),
    Target("G1c", "the step fed by the view stream against the step without data", ">= 0.95x, waits <= 2 %", _ANCHORS),
    Target("G1m", "every other method's step at the paper's batch: steps a second, memory, what bounds it", "stated"),
    Target("G2", "pruned InfoNCE, forward and backward, against a loop over samples", ">= 100x, memory <= 1/4",
           Ceiling(7_800, "losses/s", _PRODUCTS)),
    Target("G2b", "the same against plain logits and cross-entropy", ">= 1x, gradients within 1e-5 of float64",
           Ceiling(7_800, "losses/s", _PRODUCTS)),
    Target("G2c", "a step with the pruned loss against a step with the plain one", ">= 0.99x, loss <= 1 % of a step"),
    Target("G3", "views and masks augmented on the card against kornia", ">= 10x eager, >= 3x compiled"),
    Target("G4", "ResNet-50 MoCo step on data that stays, against plain torch in TF32", ">= 2.2x", _ANCHORS),
    Target("G5", "scr-heart at paper, ten seeds to ten records, against a process a seed with smp and albumentations",
           ">= 6x the jobs an hour, <= 10 s a seed"),
    Target("G5b", "packed seeds against the same seeds alone", "equal, or within 1e-3"),
    Target("G5f", "the three factors of a pack apart: start-up and data, capture or compilation, overlap", "stated"),
    Target("G6", "a few-shot grid, 4 methods x 2 tasks x 4 shots x 10 seeds", ">= 10x the jobs an hour"),
    Target("G7", "t-SNE of 10,000 x 2,048", ">= 10x scikit-learn, >= 2x openTSNE",
           no_part="has no part: figures use openTSNE on the processor"),
    Target("G8", "landmark patches embedded from the store against torchvision's network behind a PIL loader", ">= 5x",
           Ceiling(45_000, "patches/s", _BYTES)),
    Target("G9", "bootstrap over seeds and images, and of AUCs, 10,000 resamples on the card", ">= 10x our CPU's",
           no_part="has no part: statistics run on the processor, in seconds for the paper's tables"),
    Target("G10", "time and memory that --dry-run foretells after one run of the kind", "within 25 %"),
    Target("G11", "--deterministic: two runs bit-equal on the card, and its price", "equal, or the operation named"),
    Target("G12", "doctor's self-test beside what the card should reach", "within 10 s"),
    Target("G13", "launches a step and share of the time the GPU works, of the three hot loops", "stated"),
)  # fmt: skip
"""All ids of the bars that need a card, and of what else is asked of one."""


def target_of(id: str) -> Target | None:
    """Return the target that a bar measures: of its own id, or of the part before the first hyphen."""
    return next((each for each in TARGETS if each.id == id.partition("-")[0]), None)


def unmeasured(bars: Iterable[Bar]) -> list[Target]:
    """Return the targets that no bar measured; one that was skipped or failed measures nothing."""
    found = {bar.id.partition("-")[0] for bar in bars if bar.verdict not in ("skipped", "failed")}
    return [each for each in TARGETS if each.id not in found]
