"""Tables of traps, from the marks of the tests that hold them.

``@pytest.mark.trap("adam", "pruning is off at level 0", "off")`` on a test makes a row of the table ``adam``. Tests
that hold one row together have the same first two words; one of them says what is done now.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path


class BadMark(ValueError):
    """A mark from which no row can be made."""


@dataclass
class Row:
    """A row of a table: what goes wrong, what is done about it, and the tests that hold it."""

    what: str
    now: str = ""
    tests: list[str] = field(default_factory=list)
    """For example "tests/tasks/test_scr.py::test_img_files_are_read_as_films"."""


def tables(root: Path) -> dict[str, list[Row]]:
    """Return the rows of each table; first those that the test file of its own name holds.

    Raises:
        BadMark: a mark's words are not written out, or two tests say differently what is done now.
    """
    found: dict[str, dict[str, Row]] = {}
    for table, what, now, test in sorted(_marks(root), key=_own_first):
        row = found.setdefault(table, {}).setdefault(what, Row(what))
        if now and row.now not in ("", now):
            raise BadMark(f"{test}: trap {what!r} is {now!r}, but {row.now!r} at {row.tests[0]}: say it once")
        row.now = row.now or now
        row.tests.append(test)
    return {table: list(rows.values()) for table, rows in found.items()}


def as_table(rows: Sequence[Row], headings: Sequence[str]) -> str:
    """Return rows as a Markdown table; with two headings it tells only what went wrong and the tests.

    >>> print(as_table([Row("queue not copied", "copied", ["tests/a.py::test_b"])], ["trap", "now", "test"]))
    | trap | now | test |
    |---|---|---|
    | queue not copied | copied | `tests/a.py::test_b` |
    """
    lines = [_line(headings), "|" + "---|" * len(headings)]
    for row in rows:
        cells = [row.what, row.now, ", ".join(f"`{test}`" for test in row.tests)]
        lines.append(_line(cells if len(headings) == 3 else [cells[0], cells[2]]))
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _own_first(mark: tuple[str, str, str, str]) -> bool:
    """Sort key, on marks that stand in the order of their files: False for those in the table's own test file."""
    table, _, _, test = mark
    return f"/test_{table.replace('-', '_')}" not in test


def _marks(root: Path) -> Iterator[tuple[str, str, str, str]]:
    """Yield table, what, now and test of every mark, in the order of files and lines."""
    for path in sorted((root / "tests").rglob("test_*.py")):
        for node in ast.parse(path.read_bytes()).body:
            if isinstance(node, ast.FunctionDef):
                name = f"{path.relative_to(root).as_posix()}::{node.name}"
                yield from ((*_words(call, name), name) for call in node.decorator_list if _is_trap(call))


def _is_trap(node: ast.expr) -> bool:
    return ast.unparse(node).startswith("pytest.mark.trap")


def _words(call: ast.expr, test: str) -> tuple[str, str, str]:
    """Return a mark's words, "" for what is done now where it is not said."""
    given = [ast.literal_eval(word) for word in call.args] if isinstance(call, ast.Call) else []
    if len(given) not in (2, 3) or not all(isinstance(word, str) and word for word in given) or call.keywords:
        raise BadMark(
            f"{test}: expected @pytest.mark.trap(table, what) or (table, what, now), found {ast.unparse(call)}"
        )
    return given[0], given[1], given[2] if len(given) == 3 else ""
