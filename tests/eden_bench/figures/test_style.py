"""The one style: looks that differ, names that fit."""

import itertools

import pytest

from eden_bench.figures import style
from tests.eden_bench.figures.reports import row


def luminance(colour):
    """Relative luminance of a colour (WCAG 2.1)."""
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_two_of_the_first_hundred_looks_differ_in_colour_or_marker():
    found = {(style.look(k).colour, style.look(k).marker) for k in range(100)}
    assert len(found) == 100
    first = [style.look(k) for k in range(len(style.COLOURS))]
    for one, other in itertools.combinations(first, 2):
        assert one.colour != other.colour
        assert one.marker != other.marker


@pytest.mark.parametrize("colour", style.COLOURS)
def test_each_colour_is_seen_on_white(colour):
    assert 1.05 / (luminance(colour) + 0.05) > 2


def test_a_method_looks_the_same_whichever_tables_show_it_first():
    rows = [row("densecl", [0.5]), row("adam", [0.5]), row("random", [0.5]), row("zed", [0.5])]
    assert list(style.looks(rows)) == list(style.looks(rows[::-1])) == ["adam", "densecl", "zed", "random"]


def test_a_long_name_keeps_both_ends_and_acts_on_nothing():
    assert style.word("a" * 20 + "\n" + "b" * 20) == "a" * 15 + "…" + "b" * 14
    assert len(style.word("x" * 200)) == 30
    assert style.word("a\x1b[31m") == "a\\u001b[31m"
