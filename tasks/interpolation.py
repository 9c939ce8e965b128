"""Inter- and extrapolation of layout (Adam-v2's poster): features at A and B mixed, and looked for on the line."""

from __future__ import annotations

from eden_bench.contracts import ScoreDefinition
from eden_bench.registry import register_task
from tasks.probes.part_definitions import bare, by_name, on_films, share
from tasks.probes.part_protocols import LINES, QUICK_LINES


def _error(name: str, text: str, others: dict[str, str | ScoreDefinition] | None = None) -> ScoreDefinition:
    return ScoreDefinition(
        name=name, text=text, unit="", decimals=3, bounds=(0.0, 0.75), higher_is_better=False, alternatives=others or {}
    )


def _besides(kind: str) -> list[ScoreDefinition]:
    return [
        _error(f"{kind}_swapped_error", f"the error of {kind} with 1 - t for t, as the weights are printed"),
        share(f"{kind}_right_weights", "share of t ≠ ½ at which the right weights come nearer than swapped; ties half"),
        bare(f"{kind}_skill", "1 - squared error / that of the best of E_A, E_B and the film's mean", "mixing_skill"),
        bare(f"{kind}_raw_cosine", "the published form, no score: mean cosine of mixture and truth", low=-1.0),
        bare(f"{kind}_raw_cosine_mismatched", "the same of the mixture and the other six candidates", low=-1.0),
    ]


INTERPOLATION_ERROR = _error(
    "interpolation_error",
    (
        "How far from t, in shares of AB, the square stands whose features are most like (1 - t) E_A + t E_B, by "
        "cosine of features centred by the mean over training patches: squares of 1/12 of the film at A, at B and at "
        "every eighth between them, none sharing a pixel; t = ¼, ½, ¾; ties count by their expectation. Mean over "
        "lines and t. Chance 0.262."
    ),
    by_name(
        _error("extrapolation_error", "the same beyond B, by E_B + t (E_B - E_A); chance 0.262"),
        *_besides("interpolation"),
        *_besides("extrapolation"),
    ),
)

for _task in on_films(
    "interpolation",
    "Inter- and extrapolation: what lies between two places and beyond",
    INTERPOLATION_ERROR,
    "tasks.probes.interpolation:OpenInterpolation",
    LINES,
    QUICK_LINES,
    ceilings=("position",),
):
    register_task(_task)
