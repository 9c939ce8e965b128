"""What differs between two tables, or two rows, of two results folders, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from eden_bench.records import Record
from eden_bench.report.tables import Row, Table

_SHORT = 12


def refusals(table: Table, other: Table) -> list[str]:
    """Name what makes two tables answers to different questions."""
    score = (table.score.name, table.score.version), (other.score.name, other.score.version)
    differing = {
        "phantom against real data": table.marks.phantom != other.marks.phantom,
        "another part of the data": table.marks.part != other.marks.part,
        f"data {table.data[:_SHORT]} against {other.data[:_SHORT]}": table.data != other.data,
        f"splits {table.splits[:_SHORT]} against {other.splits[:_SHORT]}": table.splits != other.splits,
        f"score {score[0][0]} {score[0][1]} against {score[1][0]} {score[1][1]}": score[0] != score[1],
    }
    return [words for words, differs in differing.items() if differs]


def settings(table: Table, other: Table) -> list[str]:
    """Name settings that differ between two tables."""
    one, two = _of_cells(table), _of_cells(other)
    named = [f"protocol {table.protocol} against {other.protocol}"] if one["protocol"] != two["protocol"] else []
    named += ["quick against not quick"] if table.marks.quick != other.marks.quick else []
    named += [
        f"{name} {one[name] or 'none'} against {two[name] or 'none'}"
        for name in ("numbers version", "pretraining data")
        if one[name] != two[name]
    ]
    return named


def _of_cells(table: Table) -> dict[str, str]:
    first = _first(table.rows)
    return {
        "protocol": first.protocol_digest,
        "numbers version": str(first.cell.code),
        "pretraining data": table.pretrain_data[:_SHORT],
    }


def weights(row: Row, other: Row) -> Iterator[str]:
    """Name how two rows' pretrainings and threads differ."""
    if row.backbone.config != other.backbone.config:
        yield "another config of the method"
    elif row.backbone.checkpoint != other.backbone.checkpoint:
        yield "other weights"
    if row.backbone.threads != other.backbone.threads:
        yield f"{row.backbone.threads or 'GPU'} against {other.backbone.threads or 'GPU'} threads"


def other_scores(pairs: Sequence[tuple[Row, Row]], names: tuple[str, str]) -> list[str]:
    """Name the cells that both folders hold with other scores: they should be equal to the last bit."""
    found = []
    for row, other in pairs:
        theirs = {record.id: record for record in other.cells.values()}
        for record in row.cells.values():
            if record.id in theirs and record.scores != theirs[record.id].scores:
                found.append(
                    f"cell {record.id[:_SHORT]} is {record.value!r} in {names[0]} and {theirs[record.id].value!r} in "
                    f"{names[1]}, expected the same: 'eden-bench run --replay {record.id[:_SHORT]}' on both"
                )
    return found


def _first(rows: Sequence[Row]) -> Record:
    return next(iter(rows[0].cells.values()))
