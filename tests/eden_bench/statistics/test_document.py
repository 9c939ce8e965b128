"""The page on statistics names formulas by the ids that a report's JSON has."""

import re
from pathlib import Path

from eden_bench.report.formulas import FORMULAS

PAGE = Path(__file__).parents[3] / "docs" / "explanation" / "statistics.md"


def test_formula_ids_of_the_page_are_those_of_the_reports():
    rows = [line.split(" | ") for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    ids = {found for row in rows if len(row) > 3 for found in re.findall(r"`([^`]+)`", row[2])}
    assert len(ids) >= 12
    assert ids <= set(FORMULAS)
