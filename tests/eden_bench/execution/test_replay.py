"""What a replay compares: everything that is stored, and nothing that came after it."""

from types import SimpleNamespace

import numpy as np
import pytest

from eden_bench.execution.replay import Replayed, _holds, _holds_arrays
from eden_bench.records import cases_csv, encode

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


ARRAYS = {"draws": np.array([1.0, np.nan])}


@pytest.mark.parametrize(
    ("stored", "found", "same"),
    [
        ({}, ARRAYS, True),
        (ARRAYS, {**ARRAYS, "films": np.zeros(2)}, True),
        (ARRAYS, {"draws": np.array([1.0, 2.0])}, False),
        (ARRAYS, {"draws": ARRAYS["draws"].astype(np.float32)}, False),
        (ARRAYS, {}, False),
    ],
)
def test_arrays_that_came_later_are_passed_over_and_others_are_not(stored, found, same):
    content = encode(stored) if stored else b""
    record = SimpleNamespace(arrays=lambda: stored, arrays_bytes=lambda: content)
    assert _holds_arrays(encode(found) if found else b"", record) == same


def test_a_column_or_a_row_that_is_gone_is_noticed():
    assert not _holds(cases_csv({"case": CASES["case"], "patient": CASES["patient"]}), cases_csv(CASES))
    assert not _holds(cases_csv({name: values[:1] for name, values in CASES.items()}), cases_csv(CASES))


@pytest.mark.parametrize(
    ("scores", "identical"),
    [({"dice": 0.5}, True), ({"dice": 0.5, "hd95": 3.0}, True), ({"dice": 0.25}, False), ({"hd95": 3.0}, False)],
)
def test_a_score_that_came_later_is_not_compared(scores, identical):
    assert Replayed(SimpleNamespace(scores={"dice": 0.5}), scores, True).identical == identical
