"""Audits kept beside the records, in OUT/audit: one file a dataset for the report, and every pair for the researcher.

Reads nothing but JSON, and needs no numpy.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eden_bench import atomic
from eden_bench.audit.rules import origin

if TYPE_CHECKING:
    from eden_bench.audit.auditing import Audit
    from eden_bench.audit.findings import Finding

Stored = Mapping[str, Mapping[str, Any]]
"""Dataset to what its last audit found."""

_FORMAT = 1
_SHOWN = 3
_COLUMNS = (
    *("finding", "dataset", "image", "split", "patient"),
    *("other_dataset", "other_image", "other_split", "other_patient", "same_pixels"),
)


def summary(audit: Audit) -> list[dict[str, Any]]:
    """Return what was found about each dataset, as JSON."""
    return [
        {
            "format": _FORMAT,
            "dataset": index.dataset,
            "phantom": index.phantom,
            "part": index.part,
            "images": len(index.items),
            "test": len(index.split("test")),
            "together_with": [other.dataset for other in audit.indexes if other is not index],
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


def load(out: Path) -> Stored:
    """Read the audits kept under out; what cannot be read is passed over, for a report can do without."""
    found = {}
    for path in sorted((out / "audit").glob("*.json")):
        try:
            content = json.loads(path.read_bytes())
        except (OSError, ValueError):
            continue
        if isinstance(content, dict) and content.get("format") == _FORMAT:
            found[str(content["dataset"])] = content
    return found


def leakage(stored: Stored, data: Mapping[str, Any], dataset: str, pretrained_on: str) -> list[str]:
    """Return the sentences that a table owes its reader.

    Args:
        stored: from ``load``.
        data: a record's provenance of the task's data.
        dataset: the task's.
        pretrained_on: the dataset of the table's pretraining; empty where it is unknown.
    """
    audit = stored.get(dataset, {})
    fits = (audit.get("phantom"), audit.get("test")) == (data.get("phantom"), data.get("test"))
    leaks = [each for each in audit.get("findings", ()) if fits and _concerns(each, pretrained_on)]
    said = [f"leakage: {leak['text']} (eden-bench data audit)" for leak in leaks]
    rule = origin(dataset, pretrained_on)
    counted = fits and pretrained_on in audit.get("together_with", ())
    if rule and not counted:
        said.append(
            f"leakage: {rule.text}, on whose training split these rows were pretrained, so test images may have been "
            f"seen: count them with 'eden-bench data audit {dataset}'"
        )
    return said


def _concerns(finding: Mapping[str, Any], pretrained_on: str) -> bool:
    """Tell whether a stored finding raises the scores of a table whose rows were pretrained on a dataset."""
    seen = finding["kind"] == "test images pretrained on"
    return bool(finding["level"] == "leak" and (not seen or finding["other"] == pretrained_on))


def plain(audit: Audit, finding: Finding) -> dict[str, Any]:
    """Return one finding as JSON."""
    told = {name: getattr(finding, name) for name in ("level", "kind", "dataset", "other", "count", "total", "text")}
    return told | {"examples": examples(audit, finding)}


def examples(audit: Audit, finding: Finding) -> list[str]:
    """Name the first few images of a finding, and the images they were found beside."""
    films, pairs = audit.films, list(finding.pairs.items())[:_SHOWN]
    return [
        films.shots[row].item.id if row == other else f"{films.shots[row].item.id} = {films.shots[other]}"
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
                writer.writerow([finding.kind, *_cells(audit, row), *_cells(audit, other), int(same)])
    return text.getvalue()


def _cells(audit: Audit, row: int) -> tuple[str, str, str, str]:
    dataset, item, _ = audit.films.shots[row]
    return dataset, item.id, item.split, item.patient
