"""Parts, wholes and places in the embedding: compositionality, decomposability, inter- and extrapolation.

They need no truth but geometry, so they run on ChestX-ray14 as the papers' figures do, and on SCR.
"""

from __future__ import annotations

from eden_bench.registry import register_task
from tasks.probes.part_tasks import CompositionalityTask, DecomposabilityTask, InterpolationTask

for _suffix, _dataset, _films in (("", "chestxray14", "ChestX-ray14"), ("-scr", "scr", "SCR")):
    for _kind, _task, _title in (
        ("compositionality", CompositionalityTask, "Compositionality"),
        ("decomposability", DecomposabilityTask, "Decomposability"),
        ("interpolation", InterpolationTask, "Inter- and extrapolation"),
    ):
        register_task(_task(name=_kind + _suffix, dataset=_dataset, title=f"{_title} on {_films}"))
