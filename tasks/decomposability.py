"""Decomposability (Adam-v2, arXiv:2404.15672): the features of a whole's quadrants told from the whole's."""

from __future__ import annotations

from eden_bench.contracts import ScoreDefinition
from eden_bench.registry import register_task
from tasks.probes.part_definitions import bare, by_name, on_films, share
from tasks.probes.part_protocols import QUICK_WHOLES, WHOLES

QUADRANTS_R2 = ScoreDefinition(
    name="quadrants_r2",
    text=(
        "R² of the features of a whole's four quadrants told from the whole's features by a ridge that is fitted on "
        "training patients: 1 - Σ error / Σ squared distance to the quadrant's mean in training, mean over the four, "
        "0 for one that does not vary. Wholes are squares of 0.4 to 0.8 of the film. Chance 0."
    ),
    statistic="quadrants_r2",
    unit="",
    decimals=3,
    bounds=(None, 1.0),
    alternatives=by_name(
        bare("box_r2", "the same told from the coordinates of the whole alone", "box_r2"),
        bare(
            "r2_beyond_box",
            "by how much its features tell more than its coordinates",
            "r2_beyond_box",
            high=None,
        ),
        share("top1_own", "share of quadrants that stand first by centred cosine among their whole's four; chance 1/4"),
        share("top1_others", "share that stand first among themselves and those of 99 other wholes; chance 1/100"),
    ),
)

for _task in on_films(
    "decomposability",
    "Decomposability: quadrants told from their whole",
    QUADRANTS_R2,
    "tasks.probes.decomposability:OpenDecomposability",
    WHOLES,
    QUICK_WHOLES,
    ceilings=("position",),
):
    register_task(_task)
