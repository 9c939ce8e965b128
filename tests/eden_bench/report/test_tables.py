"""What tables are called in links and columns."""

from types import SimpleNamespace

import pytest

from eden_bench.report.tables import Table


@pytest.mark.parametrize(
    ("protocol", "shots", "expected"),
    [
        ("quick", None, "shenzhen"),
        ("paper", 3, "shenzhen, 3 shots"),
        ("linear", None, "shenzhen, linear"),
        ("knn-quick", 3, "shenzhen, 3 shots, knn-quick"),
    ],
)
def test_tables_of_one_task_under_frozen_protocols_are_told_apart(protocol, shots, expected):
    assert Table.short.fget(SimpleNamespace(task="shenzhen", shots=shots, protocol=protocol)) == expected
