"""Locality (paper, section 3.3 and Fig. 4.1): landmarks told apart across patients, scored from features."""

from __future__ import annotations

from eden_bench.contracts import ScoreDefinition
from eden_bench.registry import register_task
from tasks.probes.definitions import ProbeTask
from tasks.probes.protocol import LANDMARKS, QUICK_LANDMARKS


def _error(name: str, text: str, unit: str = "%") -> ScoreDefinition:
    return ScoreDefinition(
        name=name, text=text, unit=unit, bounds=(0.0, None), higher_is_better=False, decimals=1, statistic=""
    )


def _index(name: str, text: str) -> ScoreDefinition:
    return ScoreDefinition(name=name, text=text, unit="", bounds=(-1, 1), decimals=3, statistic="")


_FOUND = (
    "mean distance of a landmark of a searched test film from the place of a grid whose patch is most like the "
    "template, the mean direction of training films' patches, in % of the diagonal of the box about both lungs (about "
    "the film's landmarks, where a dataset has no masks of lungs); places that tie count alike"
)

IDENTIFICATION = ScoreDefinition(
    name="identification",
    text=(
        "Share of patches about landmarks of test films whose nearest patch of another patient, by cosine of features "
        "centred by the mean over training patches, shows the same landmark; ties count by their chance."
    ),
    alternatives={
        "identification_raw": "the same with features that are not centred: the published form",
        "identification_inside": "of the patches that lie in their film, so that no border is repeated in them",
        "identification_small": "the same with the protocol's smaller patches",
        "identification_large": "the same with the protocol's larger patches",
        "purity": "share of the 10 nearest patches of other films that show the same landmark, ties by their chance",
        "map": "mean average precision of ranking all patches of other films, expected over orders of ties",
        "silhouette": _index("silhouette", "silhouette of the landmarks, cosine distance of centred features"),
        "ami": _index("ami", "adjusted mutual information of landmarks and as many k-means clusters"),
        "ari": _index("ari", "adjusted Rand index of landmarks and as many k-means clusters"),
        "cosine_same_raw": _index("cosine_same_raw", "mean cosine, not centred, of the same landmark in two films"),
        "cosine_other_raw": _index("cosine_other_raw", "mean cosine, not centred, of two landmarks in two films"),
        "linear_probe": "accuracy of a linear classifier, folds by patient",
        "radial_error": _error("radial_error", _FOUND),
        "template_error_<films>": _error(
            "template_error_<films>", "radial_error with templates from the first one or few training films alone"
        ),
        "radial_error_mean_place": _error(
            "radial_error_mean_place", "the floor of radial_error: the landmark's mean place in training films"
        ),
        "radial_error_grid": _error("radial_error_grid", "its ceiling: the place of the grid nearest to the landmark"),
        "radial_error_px": _error("radial_error_px", "radial_error in the files' own pixels", "px"),
        "within_2": "share of landmarks found within 2 % of that diagonal",
        "within_5": "share of landmarks found within 5 % of that diagonal",
    },
)

register_task(
    ProbeTask(
        name="locality",
        dataset="scr",
        title="Locality: landmarks told apart across patients",
        score=IDENTIFICATION,
        opens="tasks.probes.locality:OpenLocality",
        paper=LANDMARKS,
        quick=QUICK_LANDMARKS,
        ceilings=("position",),  # a patch lies where its landmark is
    )
)
