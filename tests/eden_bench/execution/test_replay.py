"""What a replay compares: everything that is stored, and nothing that came after it."""

from types import SimpleNamespace

import pytest

from eden_bench.execution.replay import Replayed, _holds
from eden_bench.records import cases_csv

CASES = {"case": ["a", "b, c"], "patient": ["1", "2"], "dice": [0.5, 0.25]}


@pytest.mark.parametrize(
    ("changed", "same"),
    [
        ({}, True),
        ({"hd95": [1.5, 2.5]}, True),
        ({"dice": [0.5, 0.125]}, False),
        ({"case": ["a", "c"]}, False),
    ],
)
def test_columns_that_came_later_are_passed_over_and_others_are_not(changed, same):
    assert _holds(cases_csv({**CASES, **changed}), cases_csv(CASES)) == same


def test_a_column_or_a_row_that_is_gone_is_noticed():
    assert not _holds(cases_csv({"case": CASES["case"], "patient": CASES["patient"]}), cases_csv(CASES))
    assert not _holds(cases_csv({name: values[:1] for name, values in CASES.items()}), cases_csv(CASES))


@pytest.mark.parametrize(
    ("scores", "identical"),
    [({"dice": 0.5}, True), ({"dice": 0.5, "hd95": 3.0}, True), ({"dice": 0.25}, False), ({"hd95": 3.0}, False)],
)
def test_a_score_that_came_later_is_not_compared(scores, identical):
    assert Replayed(SimpleNamespace(scores={"dice": 0.5}), scores, True).identical == identical
