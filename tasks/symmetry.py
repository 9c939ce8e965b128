"""Symmetry: is a mirrored patch taken for its counterpart on the other side, and is its own side told?"""

from __future__ import annotations

from eden_bench.contracts import ScoreDefinition
from eden_bench.registry import register_task
from tasks.probes.definitions import ProbeTask
from tasks.probes.protocol import LANDMARKS, QUICK_LANDMARKS

MIRRORED = ScoreDefinition(
    name="mirrored",
    text=(
        "Share of patches about paired landmarks (names alike but for left and right) of test films that, mirrored, "
        "are most alike to a patch of their counterpart, among the paired landmarks of the other side in all other "
        "patients, by cosine of features centred by the mean over training patches, mirrored or not as they are; ties "
        "count by their chance."
    ),
    alternatives={
        "mirrored_raw": "the same with features that are not centred",
        "unmirrored": ScoreDefinition(
            name="unmirrored", text="the same with the patch as it is: what needs no symmetry to be found"
        ),
        "mirrored_gain": ScoreDefinition(
            name="mirrored_gain", text="mirrored less unmirrored, patch by patch", bounds=(-1.0, 1.0)
        ),
        "laterality": ScoreDefinition(
            name="laterality",
            text="share of patches, not mirrored, whose nearest of all paired landmarks in other patients is of their "
            "own side; chance is a half",
        ),
    },
)

register_task(
    ProbeTask(
        name="symmetry",
        dataset="scr",
        title="Symmetry: mirrored patches found on the other side",
        score=MIRRORED,
        opens="tasks.probes.symmetry:OpenSymmetry",
        paper=LANDMARKS,
        quick=QUICK_LANDMARKS,
    )
)
