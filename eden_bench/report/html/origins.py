"""The sections on where numbers come from: data and licences, leakage, machines and versions, what to cite."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from eden_bench import registry
from eden_bench.audit.storage import Audits
from eden_bench.errors import EdenError
from eden_bench.printable import printable_line
from eden_bench.records import Record
from eden_bench.report.html.methods import paper_of
from eden_bench.report.tables import Report

CITE = (
    "Cite eden-bench with its version, the paper of every method compared and the source of every dataset used. "
    "Say the protocol, the seeds and the marks."
)
_MACHINE = ("device", "device_name", "cpu_capability", "cuda", "cudnn", "platform", "git")
_LEAKS = ("leakage", "pretraining used")


def records_of(report: Report) -> Iterator[Record]:
    """Yield the records behind all rows."""
    return (record for table in report.tables for row in table.rows for record in row.cells.values())


def datasets(report: Report) -> list[dict[str, str]]:
    """Return one line for each dataset and digest: counts, split rule, licence."""
    found: dict[tuple[str, str], Record] = {}
    for record in records_of(report):
        found.setdefault((record.task.dataset, record.cell.data), record)
    return [_dataset(name, record) for (name, _), record in sorted(found.items())]


def leakage(report: Report, audits: Audits) -> list[str]:
    """Return what is known of test images that were seen before, and what was not looked at."""
    notes = [f"{table.task}: {note}" for table in report.tables for note in table.notes if note.startswith(_LEAKS)]
    names = dict.fromkeys(table.dataset for table in report.tables)
    audited = [f"{name}: {each['text']}" for name in names for each in audits.get(name, {}).get("findings", ())]
    missing = [name for name in names if name not in audits]
    asked = (
        [f"Not audited here: {', '.join(missing)} ('eden-bench data audit {' '.join(missing)}')."] if missing else []
    )
    return [printable_line(line) for line in dict.fromkeys((*notes, *audited, *asked))]


def environment(report: Report) -> list[tuple[str, str]]:
    """Return versions, devices and threads, each value with the number of cells where there are several."""
    alike: dict[tuple[Any, ...], list[Record]] = {}
    for record in records_of(report):
        alike.setdefault((id(record.provenance.versions), *_machine(record)), []).append(record)
    told: dict[str, Counter[str]] = {}
    for records in alike.values():
        for name, value in _told(records[0]):
            told.setdefault(name, Counter())[value] += len(records)
    return [(name, printable_line(_values(values))) for name, values in told.items()]


def citations(report: Report) -> list[str]:
    """Return what to cite: the bench, then methods' papers, then datasets."""
    records = list(records_of(report))
    versions = sorted({str(record.provenance.versions.get("eden-bench", "")) for record in records} - {""})
    bench = f"eden-bench {' and '.join(versions)} (CITATION.cff of its repository)".replace("  ", " ")
    methods = {record.method.title or record.cell.method: record for record in records}
    papers = {name: paper_of(record) for name, record in methods.items()}
    sources = {name: _card(name).get("citation", "") for name in sorted({record.task.dataset for record in records})}
    named = [f"{name}: {text}" for name, text in (*sorted(papers.items()), *sources.items()) if text]
    return [printable_line(line) for line in (CITE, bench, *named)]


def _dataset(name: str, record: Record) -> dict[str, str]:
    content: Any = record.content.get("data")
    told = content if isinstance(content, Mapping) else {}
    card = _card(name)
    line = {
        "dataset": card.get("title", name),
        "images": record.data.counts,
        "split": str(told.get("split_rule", "")),
        "digest": record.cell.data[:12],
        "licence": str(told.get("licence", "") or card.get("licence", "")),
        "source": card.get("source", ""),
    }
    return {key: printable_line(value) for key, value in line.items()}


def _card(name: str) -> Mapping[str, str]:
    """Return title, licence, citation and source of an installed dataset; empty if there is none of this name."""
    try:
        card = registry.datasets.get(name).card
    except EdenError:
        return {}
    return {field: str(getattr(card, field, "")) for field in ("title", "licence", "citation", "source")}


def _told(record: Record) -> Iterable[tuple[str, str]]:
    """Yield what a record says of its versions and machine."""
    for name, version in record.provenance.versions.items():
        yield str(name), str(version)
    *machine, threads, code = _machine(record)
    yield from ((name.replace("_", " "), told) for name, told in zip(_MACHINE, machine, strict=True) if told)
    yield "threads", threads if threads != "0" else "on a GPU"
    yield "version of the numbers", code


def _machine(record: Record) -> tuple[str, ...]:
    """Return what a record says of _MACHINE, "" for nothing, its threads, and the version of the numbers."""
    content: Any = record.content.get("provenance")
    told = content if isinstance(content, Mapping) else {}
    return *(str(told.get(name) or "") for name in _MACHINE), str(record.cell.threads), str(record.cell.code)


def _values(values: Counter[str]) -> str:
    if len(values) == 1:
        return next(iter(values))
    return "; ".join(f"{value} ({count:,} cells)" for value, count in sorted(values.items()))
