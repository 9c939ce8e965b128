"""Save and load audits in OUT/audit: one file a dataset for the report, and a table of all pairs.

Reads nothing but JSON, and needs no numpy.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from eden_bench.audit.known_origins import origins
from eden_bench.files import atomic, plain_text
from eden_bench.printable import csv_cell
from eden_bench.records import Warn, warn_stderr
from eden_bench.records.shape import Kind, Misshapen, parse

if TYPE_CHECKING:
    from eden_bench.audit.audit import Audit
    from eden_bench.audit.leaks import AuditFinding

Audits = Mapping[str, Mapping[str, Any]]
"""Dataset to what its last audit found."""


def _has(value: Any, *names: str) -> bool:  # noqa: ANN401 - JSON
    return isinstance(value, dict) and all(isinstance(value.get(name), str) for name in names)


_PARTNERS = Kind(
    "objects with part and train_list",
    lambda value: isinstance(value, dict) and all(_has(each, "part", "train_list") for each in value.values()),
)
_FINDINGS = Kind(
    "findings",
    lambda value: isinstance(value, list) and all(_has(each, "level", "kind", "other", "text") for each in value),
)


@dataclass(frozen=True, kw_only=True)
class _Stored:
    """Schema of an audit's file; a report skips a file that does not fit it."""

    dataset: str
    together_with: Annotated[Mapping[str, Any], _PARTNERS]
    findings: Annotated[tuple[Any, ...], _FINDINGS]
    test_list: str | None = None


_FORMAT = 2
_SHOWN = 3
_COLUMNS = (
    *("finding", "dataset", "image", "split", "patient"),
    *("other_dataset", "other_image", "other_split", "other_patient", "same_pixels"),
)


def summary(audit: Audit) -> list[dict[str, Any]]:
    """Return the findings of each dataset, as JSON."""
    return [
        {
            "format": _FORMAT,
            "dataset": index.dataset,
            "phantom": index.phantom,
            "part": index.part,
            "images": len(index.items),
            "test_list": index.split_digest("test"),
            "together_with": {
                other.dataset: {"part": other.part, "train_list": other.split_digest("train")}
                for other in audit.indexes
                if other is not index
            },
            "findings": [plain(audit, each) for each in audit.findings if each.dataset == index.dataset],
        }
        for index in audit.indexes
    ]


def write(out: Path, audits: Sequence[Audit]) -> Path:
    """Write each dataset's findings and all pairs to out/audit; return the folder.

    Raises:
        UsageError: it cannot be written.
    """
    folder = out / "audit"
    for audit in audits:
        for content in summary(audit):
            atomic.write_json(folder / f"{content['dataset']}.json", content)
    atomic.write_text(folder / "pairs.csv", _pairs(audits))
    return folder


def load(out: Path, warn: Warn = warn_stderr) -> Audits:
    """Load the audits saved under out; skip one that cannot be used, with a warning that names it."""
    found = {}
    for path in sorted((out / "audit").glob("*.json")):
        try:
            content = plain_text.read_json(path)
        except (OSError, ValueError) as error:
            wrong = str(error)
        else:
            format_, wrong = content.get("format"), _misshapen(content)
            wrong = wrong if format_ == _FORMAT else f"its format is {format_!s:.20}, expected {_FORMAT}"
        if wrong:
            warn(f"{path} cannot be used ({wrong}); what it says on leakage is left out: 'eden-bench data audit' again")
        else:
            found[str(content["dataset"])] = content
    return found


def _misshapen(content: Mapping[str, Any]) -> str:
    try:
        parse(_Stored, content)
    except Misshapen as error:
        return str(error)
    return ""


def leakage(
    audits: Audits, dataset: str, pretrained_on: Mapping[str, str], *, test: object, phantom: bool
) -> list[str]:
    """Return the notes on leakage to print below a table.

    Args:
        audits: from ``load``; one of other data, phantom or real, or of other test images is passed over.
        dataset: the task's.
        pretrained_on: the datasets of the table's pretrainings, each with ``DatasetIndex.split_digest("train")``.
        test: ``DatasetIndex.split_digest("test")`` of the task's data.
        phantom: whether the task's data are the phantom.
    """
    audit = audits.get(dataset, {})
    if (audit.get("phantom"), audit.get("test_list")) != (phantom, test):
        audit = {}
    counted = _counted(audit.get("together_with", {}), pretrained_on)
    leaks = [each["text"] for each in audit.get("findings", ()) if _concerns(each, pretrained_on, counted)]
    rules = [rule for rule in origins(dataset) if rule.source in pretrained_on and rule.source not in counted]
    return [
        *(f"leakage: {text} ('eden-bench data audit')" for text in leaks),
        *(
            f"leakage: {rule.text}, on which these rows were pretrained, so test images may have been seen: count them "
            f"with 'eden-bench data audit {dataset}'"
            for rule in rules
        ),
    ]


def _counted(partners: Mapping[str, Any], pretrained_on: Mapping[str, str]) -> set[str]:
    """Name the datasets whose audit covered all that was pretrained on: the whole dataset, or the same list."""
    return {
        name
        for name, partner in partners.items()
        if not partner["part"] or partner["train_list"] == pretrained_on.get(name)
    }


def _concerns(finding: Mapping[str, Any], pretrained_on: Mapping[str, str], counted: Collection[str]) -> bool:
    """Return whether a stored finding can raise the scores of rows that were pretrained on some datasets.

    A known origin is said with its count where all was counted; elsewhere the rule itself is said.
    """
    if finding["kind"] == "known origin":
        return finding["other"] in pretrained_on and finding["other"] in counted
    seen = finding["kind"] == "test images pretrained on"
    return bool(finding["level"] == "leak" and (not seen or finding["other"] in pretrained_on))


def plain(audit: Audit, finding: AuditFinding) -> dict[str, Any]:
    """Return one finding as JSON."""
    told = {name: getattr(finding, name) for name in ("level", "kind", "dataset", "other", "count", "total", "text")}
    return told | {"examples": examples(audit, finding)}


def examples(audit: Audit, finding: AuditFinding) -> list[str]:
    """Name the first few images of a finding, and the images they were found beside."""
    films, pairs = audit.films, list(finding.pairs.items())[:_SHOWN]
    return [
        films.images[row].item.id if row == other else f"{films.images[row].item.id} = {films.images[other]}"
        for row, other in pairs
    ]


def _pairs(audits: Sequence[Audit]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for audit in audits:
        for finding in audit.findings:
            for row, other in finding.pairs.items():
                same = audit.films.same_pixels(row, other)
                line = [finding.kind, *_cells(audit, row), *_cells(audit, other), int(same)]
                writer.writerow(map(csv_cell, line))
    return text.getvalue()


def _cells(audit: Audit, row: int) -> tuple[str, str, str, str]:
    dataset, item, _ = audit.films.images[row]
    return dataset, item.id, item.split, item.patient
