"""Example predictions of a classification, against a plain loop."""

from types import SimpleNamespace

import numpy as np
import pandas as pd

from eden_bench.errors import DataMissing
from eden_bench.report.html.extremes import extremes

DRAW = np.random.default_rng(4)
CASES = pd.DataFrame(
    {
        "case": [f"film {k}" for k in range(30)],
        "probability_Mass": DRAW.random(30).round(3),
        "target_Mass": (DRAW.random(30) < 0.4).astype(float),
        "probability_Hernia": DRAW.random(30).round(3),
        "target_Hernia": 0.0,
    }
)


def table(cases=CASES, columns=None):
    def read(only):
        if cases is None:
            raise DataMissing("damaged")
        return cases[list(only)]

    def row(label, seed, headline=False):
        record = SimpleNamespace(
            label=label,
            id="abcdef0123456789",
            cell=SimpleNamespace(seed=seed),
            cases=read,
            facts=SimpleNamespace(cases=SimpleNamespace(columns=tuple(columns or CASES.columns))),
        )
        return SimpleNamespace(label=label, headline=headline, control=False, cells={("d", seed): record})

    return SimpleNamespace(rows=(row("a", 1), row("z", 2, headline=True)))


def test_they_are_those_of_the_plain_loop():
    found = extremes(table())
    told = dict(zip(CASES["case"], zip(CASES["probability_Mass"], CASES["target_Mass"], strict=True), strict=True))
    ranked = sorted(told, key=lambda case: told[case][0])
    without, having = ([case for case in ranked if told[case][1] == has] for has in (0, 1))
    expected = [ranked[-1], without[-1], ranked[0], having[0]]
    assert found["rows"][0] == ["Mass", *(f"{case}: {told[case][0]:.3f}" for case in expected)]
    assert found["rows"][1][-1] == "–"  # no image has it
    assert len(found["columns"]) == len(found["rows"][0])


def test_the_cell_is_stated_and_is_the_tested_rows():
    assert extremes(table())["of"] == "z, seed 2 (cell abcdef012345)"


def test_tables_without_probabilities_or_with_damaged_cases_have_none():
    assert extremes(table(columns=["case", "dice"])) is None
    assert extremes(table(cases=None)) is None
    assert extremes(SimpleNamespace(rows=())) is None
