"""Cross-scale consistency (paper, Fig. 8): landmarks found among those of their film at another scale."""

from __future__ import annotations

from itertools import permutations

from eden_bench.contracts import ScoreDefinition
from eden_bench.registry import register_task
from tasks.probes.definitions import ProbeTask
from tasks.probes.protocol import FACTORS, LANDMARKS, QUICK_LANDMARKS

CROSS_SCALE = ScoreDefinition(
    name="cross_scale",
    text=(
        "Share of landmarks whose patch at one scale is most alike to that of the same landmark, among all landmarks "
        "of its own film at another scale (half, one and two times the patch, all six ordered pairs), by cosine of "
        "features centred at each scale by training patches; ties count by their chance."
    ),
    alternatives={
        "cross_scale_raw": "the same with features that are not centred",
        "cross_scale_others": "the same with candidates of all other patients' films, all landmarks, at another scale",
        **{f"{a}_to_{b}": f"the same for queries at {a} and candidates at {b}" for a, b in permutations(FACTORS, 2)},
    },
)

register_task(
    ProbeTask(
        name="cross-scale",
        dataset="scr",
        title="Cross-scale: landmarks found at another scale",
        score=CROSS_SCALE,
        opens="tasks.probes.cross_scale:OpenCrossScale",
        paper=LANDMARKS,
        quick=QUICK_LANDMARKS,
        ceilings=("position",),  # a patch lies where its landmark is
    )
)
