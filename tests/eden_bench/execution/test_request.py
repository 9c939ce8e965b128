"""What a command asks for: numbers are bounded before they are counted out."""

import pytest

from eden_bench.errors import UsageError
from eden_bench.execution import request


def test_seeds_are_read_from_ranges_and_lists():
    assert request.parse_seeds("0-2,7,1") == (0, 1, 2, 7)
    assert len(request.parse_seeds("0-9999")) == 10_000


@pytest.mark.parametrize("text", ["0-10000", "0-2000000000", "0-5000,5001-10001"])
def test_too_many_seeds_are_refused(text):
    with pytest.raises(UsageError, match="seeds are asked for, expected at most 10,000"):
        request.parse_seeds(text)


def test_too_many_seeds_by_number_are_refused():
    with pytest.raises(UsageError, match="10,001 seeds are asked for"):
        request.parse_seeds(None, 10_001)


def test_a_number_of_thousands_of_digits_is_refused():
    with pytest.raises(UsageError, match="is not a seed"):
        request.parse_seeds("9" * 5000)
    with pytest.raises(UsageError, match="is not 'full' or a number"):
        request.parse_shots(["9" * 5000])
