"""Cross-scale consistency on ChestX-ray14, which has no landmarks: places of a grid stand in for them."""

from __future__ import annotations

from dataclasses import replace

from eden_bench.registry import register_task
from tasks.cross_scale import CROSS_SCALE
from tasks.probes.cross_scale_protocol import PLACES, QUICK_PLACES
from tasks.probes.definitions import ProbeTask

register_task(
    ProbeTask(
        name="cross-scale-chestxray14",
        dataset="chestxray14",
        title="Cross-scale: places of a film found at another scale",
        score=replace(
            CROSS_SCALE,
            text=CROSS_SCALE.text.replace("landmarks", "places").replace("landmark", "place")
            + " The places are those of a grid, the same in every film.",
        ),
        opens="tasks.probes.cross_scale_places:OpenCrossScalePlaces",
        paper=PLACES,
        quick=QUICK_PLACES,
        ceilings=("position",),  # a patch lies where its place is
    )
)
