"""Locality (paper, section 3.3 and Fig. 4.1): landmarks told apart across patients, scored from features."""

from __future__ import annotations

from eden_bench.contracts import ScoreDefinition
from eden_bench.registry import register_task
from tasks.probes.definitions import ProbeTask
from tasks.probes.protocol import LANDMARKS, QUICK_LANDMARKS


def _error(name: str, text: str) -> ScoreDefinition:
    return ScoreDefinition(
        name=name,
        text=text,
        unit="% of the film's side",
        bounds=(0.0, 142.0),
        higher_is_better=False,
        statistic="",
    )


IDENTIFICATION = ScoreDefinition(
    name="identification",
    text=(
        "Share of patches about landmarks of test films whose nearest patch of another patient, by cosine of features "
        "centred by the mean over training patches, shows the same landmark; ties count by their chance."
    ),
    alternatives={
        "identification_raw": "the same with features that are not centred: the published form",
        "purity": "share of the 10 nearest patches of other films that show the same landmark",
        "map": "mean average precision of ranking all patches of other films",
        "silhouette": ScoreDefinition(
            name="silhouette",
            text="silhouette of the landmarks, cosine",
            unit="",
            bounds=(-1, 1),
            decimals=3,
            statistic="",
        ),
        "ami": ScoreDefinition(
            name="ami", text="adjusted mutual information of k-means", unit="", bounds=(-1, 1), decimals=3, statistic=""
        ),
        "ari": ScoreDefinition(
            name="ari", text="adjusted Rand index of k-means", unit="", bounds=(-1, 1), decimals=3, statistic=""
        ),
        "linear_probe": "accuracy of a linear classifier, folds by patient",
        "radial_error": _error("radial_error", "mean distance of the best-fitting place to the landmark"),
        "radial_error_mean_place": _error(
            "radial_error_mean_place", "the same of the landmark's mean place in training films"
        ),
        "within_2": "share of landmarks found within 2 % of the film's side",
        "within_5": "share of landmarks found within 5 % of the film's side",
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
