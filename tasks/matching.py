"""Matching (Adam, Fig. 5.1 and 9): landmarks found in a view of the film, in another film, in another patient."""

from __future__ import annotations

from dataclasses import replace

from eden_bench.contracts import ScoreDefinition
from eden_bench.registry import register_task
from tasks.probes.definitions import ProbeTask
from tasks.probes.matching_protocol import MatchingProtocol
from tasks.probes.part_definitions import by_name, share
from tasks.probes.protocol import quick


def _error(name: str, text: str) -> ScoreDefinition:
    unit = "% of the film's side"
    return ScoreDefinition(name=name, text=text, unit=unit, bounds=(0.0, 142.0), higher_is_better=False)


_CONTROLS = (
    "the same of a control: chance (any place of the grid), copy_the_coordinates, mean_place (of the landmark in "
    "training films) or oracle (the nearest place of the grid)"
)


def _besides(prefix: str, where: str) -> list[ScoreDefinition]:
    return [
        share(f"{prefix}pck_2", f"share of landmarks found within 2 % of the film's side {where}"),
        _error(f"{prefix}radial_error", f"mean distance from the true place to the one found {where}"),
        share(
            f"{prefix}cycle",
            "share of landmarks from whose found place the way leads back, on the first film, to within 5 % of them, "
            f"right or wrong, so no score by itself: found {where}",
        ),
        *(share(f"{prefix}{name}_of_<control>", _CONTROLS) for name in ("pck_2", "pck_5")),
        _error(f"{prefix}radial_error_of_<control>", _CONTROLS),
    ]


def _parts(prefix: str, where: str) -> list[ScoreDefinition]:
    """Return the scores of the landmarks in a finding's extent, and of those outside it."""
    return [
        share(f"{prefix}pck_5", f"share found within 5 % of the film's side, {where}"),
        _error(f"{prefix}radial_error", f"mean distance of the place found from the true one, {where}"),
        share(f"{prefix}pck_5_of_<control>", _CONTROLS),
        _error(f"{prefix}radial_error_of_<control>", _CONTROLS),
    ]


_VIEW = "in an augmented view of the same film (rotation, scale, gamma), those that it shows"
_PHANTOM = "; of the phantom only, since no real film tells where a landmark went, and absent on real films"
_AGAIN = f"in another film of the same patient (other pose, breath and exposure), those that it shows{_PHANTOM}"
_ILL = f"in that other film of the same patient with a finding added and nothing else changed{_PHANTOM}"
PCK = ScoreDefinition(
    name="pck_5",
    text=(
        "Share of landmarks of a test film found in another patient's film within 5 % of its side: of a grid of places "
        "the one whose patch is most alike to the patch about the landmark, by cosine of features centred by the mean "
        "over training patches; places that tie count alike."
    ),
    alternatives=by_name(
        share("pck_5_raw", "the same with features that are not centred"),
        *_besides("", "in another patient's film"),
        share("augmented_pck_5", f"share of landmarks found {_VIEW}, within 5 % of the film's side"),
        *_besides("augmented_", _VIEW),
        share("refilmed_pck_5", f"share of landmarks found within 5 % of the film's side {_AGAIN}"),
        *_besides("refilmed_", _AGAIN),
        share("diseased_pck_5", f"share of landmarks found within 5 % of the film's side {_ILL}"),
        *_besides("diseased_", _ILL),
        *_parts("diseased_inside_", f"of landmarks that the finding lies on {_ILL}"),
        *_parts("diseased_outside_", f"of landmarks that the finding does not lie on {_ILL}"),
    ),
)

PAPER = MatchingProtocol()

register_task(
    ProbeTask(
        name="matching",
        dataset="scr",
        title="Matching: landmarks found in another patient's film",
        score=PCK,
        opens="tasks.probes.matching:OpenMatching",
        paper=PAPER,
        quick=replace(quick(PAPER), grid=16, searched_films=10),
    )
)
