"""What the probes of parts, wholes and places have in common as data: bare scores, and the films they run on."""

from __future__ import annotations

from eden_bench.contracts import ScoreDefinition
from tasks.probes.definitions import ProbeTask
from tasks.probes.protocol import ProbeProtocol

FILMS = {"": ("chestxray14", "ChestX-ray14"), "-scr": ("scr", "SCR")}
"""Suffix of the task's name to its dataset and what a title calls it; the papers' figures are of the first."""


def bare(
    name: str, text: str, statistic: str = "mean", low: float | None = None, high: float | None = 1.0
) -> ScoreDefinition:
    """Define a bare number that stands beside a primary score."""
    return ScoreDefinition(name=name, text=text, statistic=statistic, unit="", decimals=3, bounds=(low, high))


def share(name: str, text: str, statistic: str = "mean") -> ScoreDefinition:
    """Define a share that stands beside a primary score."""
    return ScoreDefinition(name=name, text=text, statistic=statistic)


def by_name(*definitions: ScoreDefinition) -> dict[str, str | ScoreDefinition]:
    """Return definitions as a score's alternatives."""
    return {each.name: each for each in definitions}


def on_films(
    name: str,
    title: str,
    score: ScoreDefinition,
    opens: str,
    paper: ProbeProtocol,
    quick: ProbeProtocol,
    ceilings: tuple[str, ...] = (),
) -> list[ProbeTask]:
    """Return a probe that needs no truth but geometry as a task on each dataset of ``FILMS``."""
    return [
        ProbeTask(
            name=name + suffix,
            dataset=dataset,
            title=f"{title}, {films}",
            score=score,
            opens=opens,
            paper=paper,
            quick=quick,
            ceilings=ceilings,
        )
        for suffix, (dataset, films) in FILMS.items()
    ]
