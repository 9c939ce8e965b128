"""The section on methods: what each row's weights are, by whom, under which licence and config."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from eden_bench import registry
from eden_bench.errors import EdenError
from eden_bench.printable import printable_line
from eden_bench.records import Record
from eden_bench.report.tables import Report, Row


def rows(report: Report) -> list[dict[str, Any]]:
    """Return one entry for each label, config and origin, sorted by label."""
    found: dict[tuple[str, str, str], Row] = {}
    for table in report.tables:
        for row in table.rows:
            found.setdefault((row.label, row.backbone.config, row.origin), row)
    return [_entry(row) for _, row in sorted(found.items())]


def paper_of(record: Record) -> str:
    """Return a method's paper, as its record says; of an older record, what the installed method says of itself."""
    return record.method.paper or _summary(record.cell.method)


def _entry(row: Row) -> dict[str, Any]:
    record = next(iter(row.cells.values()), None)
    if record is None:
        return {"label": printable_line(row.label), "origin": row.origin, "told": {}, "config": "", "card": ""}
    told = {
        "title": record.method.title,
        "paper": paper_of(record),
        "licence of the original": record.method.licence,
        "weights": row.origin,
        "digest of the weights": row.backbone.checkpoint,
        "warnings": "; ".join(row.warnings),
    }
    return {
        "label": printable_line(row.label),
        "origin": printable_line(row.origin),
        "told": {name: printable_line(text) for name, text in told.items() if text},
        "config": _text(record.cell.method_config),
        "card": _text(_card(record)),
    }


def _card(record: Record) -> Mapping[str, Any]:
    """Return the checkpoint's card as the record repeats it; empty for weights that were brought along."""
    found = record.content.get("checkpoint")
    card = found.get("card") if isinstance(found, Mapping) else None
    return card if isinstance(card, Mapping) else {}


def _text(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=1, ensure_ascii=False) if content else ""


def _summary(name: str) -> str:
    """Return the first line of an installed method's docstring; "" if there is none of this name."""
    try:
        return registry.methods.summary(name) if name in registry.methods.names() else ""
    except EdenError:
        return ""
