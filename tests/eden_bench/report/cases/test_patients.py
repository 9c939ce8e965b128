"""Intervals over patients in a report: what they need, what they cover, and what is said where there are none."""

import subprocess
import sys

import pytest

from eden_bench.contracts import ScoreDefinition
from eden_bench.report.build import build
from eden_bench.report.outputs import text
from tests.eden_bench.report.made import notes_below
from tests.eden_bench.stored import patients, store


def test_a_statistic_that_is_not_known_is_said():
    score = ScoreDefinition(name="dice", text="", statistic="of-a-plugin")
    (table,) = build([store(None, "adam", 0.8, 0, score=score)]).tables
    assert "no interval over patients: no function of cases that is known here gives dice" in notes_below(table)


def test_more_resampled_cases_than_seconds_allow_are_said_where_the_score_is_no_mean(monkeypatch):
    monkeypatch.setattr("eden_bench.report.cases.patients.MOST_ELSEWHERE", 2000 * 4)
    score = ScoreDefinition(name="auc", text="", statistic="auc")
    cases = [patients([0.0] * 5, "auc", target_a=[0, 0, 1, 1, 1], probability_a=[0.1, 0.5, 0.2, 0.7, 0.9])]
    cases.append({name: column[:4] for name, column in cases[0].items()})
    five, four = (build([store(None, "adam", value, 0, score=score, cases=each)]).tables[0].patients["adam"]
                  for value, each in zip((5 / 6, 0.75), cases, strict=True))  # fmt: skip
    assert five.note == "2,000 resamples of 5 cases are too many for a score that is no mean"
    assert four.note == "too many resamples have no score"  # one in eight draws one class alone


@pytest.mark.parametrize(
    ("statistic", "cases", "expected"),
    [
        ("mean", {"case": ["a", "b"], "patient": ["a", "b"]}, "no numbers in a column 'dice'"),
        ("mean", {"case": ["a", "b"], "patient": ["a", "b"], "dice": ["x", "y"]}, "no numbers in a column 'dice'"),
        ("mean", {"case": [], "patient": [], "dice": []}, "at least 2 patients, not 0"),
        ("mean", {"dice": [0.5, 0.5], "case": ["a", "b"]}, "2 cases"),
        ("iou_thresholds", {"case": ["a", "b"], "patient": ["a", "b"]}, "no dice (KeyError: 'overlap_px')"),
        ("mean_over_labels", {"case": ["a", "b"], "dice": [1.0, 0.0], "label": ["a", "b"]}, "2 cases"),
    ],
    ids=["absent", "text", "none", "no patients", "columns of another", "no patients, by label"],
)  # fmt: skip
def test_cases_that_cannot_be_used_never_cost_the_report(statistic, cases, expected):
    score = ScoreDefinition(name="dice", text="", statistic=statistic)
    shown = text.render(build([store(None, "adam", 0.5, 0, score=score, cases=cases)]))
    assert expected in shown


def test_several_pretrainings_are_drawn_and_seeds_averaged():
    shifts = {0: -0.1, 1: 0.0, 2: 0.1}
    stored = [
        store(None, "adam", 0.8 + shift + bend, seed, checkpoint=f"{number}" * 64, card={"seed": number},
              cases=patients([0.8 + shift + bend] * 12))
        for number, shift in shifts.items()
        for seed, bend in ((0, -0.05), (1, 0.05))
    ]  # fmt: skip
    (table,) = build(stored).tables
    found = table.patients["adam"]
    # two of the three means 0.7, 0.8, 0.9 are drawn: 0.7 and 0.9 twice each with probability 1/9
    assert (found.low, found.high) == pytest.approx((0.7, 0.9))
    assert any("pretrainings of adam drawn too" in sentence for sentence in notes_below(table))


def test_a_report_finds_the_statistic_of_every_task_that_nothing_has_opened():
    """As a process of its own, since opening a task here would register it."""
    code = (
        "from eden_bench import registry; from eden_bench.report.cases.patients import known_statistic\n"
        "for name in registry.tasks.names():\n"
        "    score = registry.tasks.get(name).score\n"
        "    assert not score.statistic or known_statistic(name, score), (name, score.statistic)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
