"""Columns of cases: however they are parsed, text is text and a number has the bits that were written."""

import csv
import io
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eden_bench.records import cases_csv
from eden_bench.records import columns as module
from eden_bench.records.columns import columns

NUMBERS = st.one_of(st.floats(), st.integers(-(10**9), 10**9), st.just(""))
NAMES = st.one_of(
    st.integers(0, 99).map(str), st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=5)
)


def plain(content, name):
    """One column by Python's csv module, an entry at a time."""
    texts = [row[name] for row in csv.DictReader(io.StringIO(content.decode(), newline=""))]
    if name in ("case", "patient", "sex", "view"):
        return texts
    try:
        return [float(text) if text else math.nan for text in texts]
    except ValueError:
        return texts


def both(monkeypatch, content, wanted, rows):
    for most in (10**9, -1):
        monkeypatch.setattr(module, "_MOST_SPLIT", most)
        yield columns(content, wanted, rows)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(NAMES.filter(bool), NUMBERS, NUMBERS, NAMES), min_size=1, max_size=6))
def test_splitting_and_parsing_give_what_an_entry_at_a_time_gives(rows):
    case, first, second, view = zip(*rows, strict=True)
    content = cases_csv({"case": case, "dice": first, "hd95": second, "view": view})
    with pytest.MonkeyPatch.context() as patch:
        for found in both(patch, content, ["view", "dice", "case"], len(rows)):
            assert list(found) == ["view", "dice", "case"]
            for name, values in found.items():
                assert repr(values.tolist()) == repr(plain(content, name))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b'case,dice\n"a,b",0.5\nc,0.25\n', ["a,b", "c"]),
        (b"case,dice\n\na,0.5\n\nc,0.25", ["a", "c"]),
        (b"case,dice\r\na,0.5\r\nc,0.25\r\n", ["a", "c"]),
    ],
    ids=["quoted", "blank lines", "carriage returns"],
)
def test_a_file_of_another_writer_is_read_alike(monkeypatch, content, expected):
    for found in both(monkeypatch, content, ["case", "dice"], 2):
        assert found["case"].tolist() == expected
        assert found["dice"].tolist() == [0.5, 0.25]


def test_an_entry_too_few_and_one_too_many_shift_no_column(monkeypatch):
    content = b"case,dice,iou\na,0.5\nb,0.25,0.125,0.75\n"
    for found in both(monkeypatch, content, ["case", "dice"], 2):
        assert found["case"].tolist() == ["a", "b"]
        assert found["dice"].tolist() == [0.5, 0.25]


def test_text_further_down_makes_a_column_text(monkeypatch):
    for found in both(monkeypatch, b"case,label,age\na,1,50\nb,none,\n", ["label", "age"], 2):
        assert found["label"].tolist() == ["1", "none"]
        assert np.array_equal(found["age"], [50.0, math.nan], equal_nan=True)
