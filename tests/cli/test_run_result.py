"""What a run ends with in a folder of more cells than are shown: its own table where that is small, and how to see all."""

import pytest

from eden_bench.cli import run_result
from tests.cli.test_run import BASE, command, fakes, here  # noqa: F401 - fixtures


@pytest.fixture
def crowded(command, monkeypatch):  # noqa: F811 - a fixture
    """Return the command line, a folder of four cells behind it, where more than three are many."""
    assert command(*BASE, "--methods", "fake-random", "--seeds", "0-3")[0] == 0
    monkeypatch.setattr(run_result, "MOST_SHOWN", 3)
    return command


def told(result):
    return result[2].splitlines()[-1]


def test_a_small_plan_shows_its_own_table_and_leaves_the_whole_report_to_its_command(crowded):
    page = crowded.out / "report" / "report.html"
    page.unlink()
    shown = crowded(*BASE, "--methods", "fake-random", "--seeds", "0-1")
    assert shown[0] == 0
    assert "fake-random" in shown[1]
    assert shown[1].splitlines()[3].endswith("0-1")  # its seeds
    assert told(shown) == (
        "4 cells are stored there: 'eden-bench report' writes the whole report, which takes about a minute"
    )
    assert not page.exists()
    assert crowded("report")[0] == 0
    assert page.is_file()


def test_a_large_plan_is_counted(crowded):
    shown = crowded(*BASE, "--methods", "fake-random", "--seeds", "0-3")
    assert (shown[0], shown[1]) == (0, "")
    assert "4 reused" in shown[2].splitlines()
    assert told(shown).startswith("4 cells are stored there")
