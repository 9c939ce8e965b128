"""Compare a run's tables with published numbers, or with another results folder: method by method.

Per method: ours, theirs, the difference with its Welch interval, and a verdict in words. It is of these checkpoints.
What makes two numbers answers to different questions (phantom, part of the data, other data, splits or score) leaves
no verdict; what is merely another setting (protocol, quick, versions, threads, pretraining data) is named beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from eden_bench.contracts import NETWORK_OF, PERCENT
from eden_bench.digests import digest
from eden_bench.records import Record
from eden_bench.report import published_stars
from eden_bench.report.moments import Contrast, Moments, contrast
from eden_bench.report.published import Published, published
from eden_bench.report.tables import Row, Table

_SHORT = 12


@dataclass(frozen=True, kw_only=True)
class Compared:
    """One method's number beside another's."""

    method: str
    ours: Moments
    theirs: Moments
    theirs_from: str
    contrast: Contrast
    refused: tuple[str, ...] = ()
    """Why there is no verdict, in words."""
    named: tuple[str, ...] = ()
    """What differs beside."""
    verdict: str = ""
    adjusted_p: float | None = None


@dataclass(frozen=True, kw_only=True)
class Page:
    """A table of ours, each of its methods beside another's number."""

    table: Table
    rows: tuple[Compared, ...]
    notes: tuple[str, ...] = ()

    @property
    def marks(self) -> str:
        """The table's marks in brackets; empty for whole real data under the paper's protocol."""
        return f" [{'; '.join(self.table.marks.words)}]" if self.table.marks.words else ""


def with_published(tables: Iterable[Table]) -> list[Page]:
    """Compare tables with what is published of their tasks and shots; tables of other tasks have no page."""
    pages = []
    for table in tables:
        known = [row for row in published() if (row.task, row.shots) == (table.task, table.shots)]
        if known:
            pages.append(_published_page(table, known))
    return _decided(pages)


def with_folder(ours: Sequence[Table], theirs: Sequence[Table], names: tuple[str, str]) -> list[Page]:
    """Compare the tables of two results folders; each of ours with the one of theirs that differs least.

    Args:
        ours: of the first folder.
        theirs: of the other.
        names: of both folders, for the notes.
    """
    return _decided([_folder_page(table, theirs, names) for table in ours])


# ── published numbers ────────────────────────────────────────────────────────────────────────────


def _published_page(table: Table, known: Sequence[Published]) -> Page:
    there = {row.backbone.method for row in table.rows}
    used = {each.source.name for each in known if each.method in there} or {known[0].source.name}
    known = [each for each in known if each.source.name in used]
    rows = [_beside(row, each, table) for row in table.rows for each in known if each.method == row.backbone.method]
    lacking = dict.fromkeys(each.method for each in known if each.method not in there)
    sources = dict.fromkeys(f"{each.source.text}; {' '.join(each.source.how.split())}" for each in known)
    notes = [f"published: {source}" for source in sources]
    notes += [f"published too, and not in this run: {', '.join(lacking)}"] if lacking else []
    return Page(table=table, rows=tuple(rows), notes=(*notes, _UNKNOWN))


_UNKNOWN = (
    "half error bars are read as s.d.; the published split lists, threshold and way of averaging are not told, so a "
    "difference may be theirs"
)


def _beside(row: Row, other: Published, table: Table) -> Compared:
    ours, theirs = _moments(row), published_stars.moments(other, "s.d.")
    used = dict.fromkeys(record.pretraining.dataset for record in row.cells.values())
    data = [name for name in used if name and name != other.source.pretraining]
    protocol = [] if table.protocol == "paper" else [f"protocol {table.protocol}"]
    return Compared(
        method=row.label,
        ours=ours,
        theirs=theirs,
        theirs_from=other.source.where,
        contrast=contrast(ours, theirs, published_stars.MARGIN),
        refused=(*table.marks.words, *(f"pretrained on {name}, not {other.source.pretraining}" for name in data)),
        named=tuple(filter(None, [*protocol, other.note])),
    )


# ── another folder ───────────────────────────────────────────────────────────────────────────────


def _folder_page(table: Table, theirs: Sequence[Table], names: tuple[str, str]) -> Page:
    same = [each for each in theirs if (each.task, each.shots) == (table.task, table.shots)]
    if not same:
        return Page(table=table, rows=(), notes=(f"{names[1]} has no record of this task and number of shots",))
    other = min(same, key=lambda each: (len(_refusals(table, each)), len(_settings(table, each))))
    pairs = [(row, found) for row in table.rows if (found := _counterpart(row, other.rows))]
    rows = [_beside_row(row, found, table, other, names) for row, found in pairs]
    lacking = [row.label for row in table.rows if not _counterpart(row, other.rows)]
    further = [row.label for row in other.rows if row not in [found for _, found in pairs]]
    notes = [*([f"not in {names[1]}: {', '.join(lacking)}"] if lacking else [])]
    notes += [f"not in {names[0]}: {', '.join(further)}"] if further else []
    return Page(table=table, rows=tuple(rows), notes=(*notes, *_other_scores(pairs, names)))


def _counterpart(row: Row, others: Sequence[Row]) -> Row | None:
    """Return the row of the same weights, else of the same recipe, else the only one of the method."""
    same = [other for other in others if other.backbone.method == row.backbone.method]
    for fits in (
        lambda other: other.backbone == row.backbone,
        lambda other: other.backbone.config == row.backbone.config,
        lambda other: True,
    ):
        if len(found := [other for other in same if fits(other)]) == 1:
            return found[0]
    return None


def _beside_row(row: Row, other: Row, table: Table, others: Table, names: tuple[str, str]) -> Compared:
    shared = {record.id for record in row.cells.values()} & {record.id for record in other.cells.values()}
    ours, theirs = _moments(row), _moments(other)
    same = len(shared) == len(row.cells) == len(other.cells)
    refused = [*_refusals(table, others), *(["the same cells in both"] if same else [])]
    named = [*_settings(table, others), *_weights(row, other)]
    named += [f"{len(shared)} cells in both"] if shared and not same else []
    return Compared(
        method=row.label,
        ours=ours,
        theirs=theirs,
        theirs_from=names[1],
        contrast=contrast(ours, theirs, published_stars.MARGIN if table.score.unit == PERCENT else None),
        refused=tuple(refused),
        named=tuple(named),
    )


def _refusals(table: Table, other: Table) -> list[str]:
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


def _settings(table: Table, other: Table) -> list[str]:
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
    cell = _first(table.rows).cell
    protocol = {name: value for name, value in cell.protocol.items() if name != NETWORK_OF}
    return {
        "protocol": digest(protocol),
        "numbers version": str(cell.code),
        "pretraining data": table.pretrain_data[:_SHORT],
    }


def _weights(row: Row, other: Row) -> Iterator[str]:
    """Name how two rows' pretrainings and threads differ."""
    if row.backbone.config != other.backbone.config:
        yield "another config of the method"
    elif row.backbone.checkpoint != other.backbone.checkpoint:
        yield "other weights"
    if row.backbone.threads != other.backbone.threads:
        yield f"{row.backbone.threads or 'GPU'} against {other.backbone.threads or 'GPU'} threads"


def _other_scores(pairs: Sequence[tuple[Row, Row]], names: tuple[str, str]) -> list[str]:
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


# ── verdicts ─────────────────────────────────────────────────────────────────────────────────────


def _moments(row: Row) -> Moments:
    return Moments(row.summary.n, row.summary.mean, row.summary.sd)


def _decided(pages: Sequence[Page]) -> list[Page]:
    """Decide every comparison that is not refused, by Holm over all of them."""
    open_ = [row for page in pages for row in page.rows if not row.refused]
    p = published_stars.by_holm([row.contrast.test.p for row in open_])
    equivalent = published_stars.by_holm([row.contrast.equivalence_p for row in open_])
    decided = {id(row): adjusted for row, adjusted in zip(open_, zip(p, equivalent, strict=True), strict=True)}
    return [replace(page, rows=tuple(_verdict(row, page, decided) for row in page.rows)) for page in pages]


def _verdict(row: Compared, page: Page, decided: Mapping[int, tuple[float | None, float | None]]) -> Compared:
    if row.refused:
        return replace(row, verdict=f"not comparable: {'; '.join(row.refused)}")
    p, equivalence_p = decided[id(row)]
    if p is None:
        return replace(row, verdict=f"no claim: {row.contrast.test.note}{page.marks}")
    sign = 1 if page.table.score.higher_is_better else -1
    found = published_stars.verdict(sign * row.contrast.test.difference, p, equivalence_p)
    return replace(row, verdict=f"{found}{page.marks}", adjusted_p=p)


def page_json(page: Page) -> dict[str, Any]:
    """Return a page as JSON: numbers as stored, each with the id of its formula."""
    table = page.table
    rows = [
        {
            "method": row.method,
            "ours": row.ours._asdict(),
            "theirs": {**row.theirs._asdict(), "from": row.theirs_from},
            "welch": {**asdict(row.contrast.test), "low": row.contrast.low, "high": row.contrast.high},
            "adjusted_p": row.adjusted_p,
            "equivalence_p": row.contrast.equivalence_p,
            "verdict": row.verdict,
            "comparable": not row.refused,
            "differs": list(row.named),
            "marks": list(table.marks.words),
            "formula": {"welch": "welch-t", "adjusted_p": "holm", "equivalence_p": "tost"},
        }
        for row in page.rows
    ]
    where = {"task": table.task, "shots": table.shots, "protocol": table.protocol, "score": table.score.name}
    return {"heading": table.heading, **where, "rows": rows, "notes": list(page.notes)}
