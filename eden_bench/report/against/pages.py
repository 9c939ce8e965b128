"""Compare a run's tables with published numbers, or with another results folder: method by method.

Per method: ours, theirs, the difference with its interval, and a verdict in words: by Welch's test from mean, s.d. and
n for published numbers, by the report's own analysis of pairs for another folder (seeds, patients, pretrainings).
What makes two numbers answers to different questions (phantom, part of the data, other data, splits or score) leaves
no verdict; what is merely another setting (protocol, quick, versions, threads, pretraining data) is named beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from eden_bench.report.against import published_stars
from eden_bench.report.against.moments import Contrast, Moments, contrast
from eden_bench.report.against.published import Published, published
from eden_bench.report.against.table_differences import other_scores, refusals, settings, weights
from eden_bench.report.findings import Pair
from eden_bench.report.outputs.pair_json import pair_json
from eden_bench.report.pairs.paired import Family, with_pairs
from eden_bench.report.tables import Row, Table, ranges


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
    two: tuple[Row, Row] | None = None
    """The rows themselves, where both have records."""
    pair: Pair | None = None
    """Their analysis as in a report; None for published numbers and probes."""

    @property
    def interval(self) -> tuple[float | None, float | None]:
        """The 95 % interval of the difference."""
        found = self.contrast if self.pair is None else self.pair.checkpoints
        return found.low, found.high


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
    pages = [_folder_page(table, theirs, names) for table in ours]
    return _decided(_with_pairs(pages, names[1]))


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
        contrast=contrast(ours, theirs, table.score.equivalence_margin),
        refused=(*table.marks.words, *(f"pretrained on {name}, not {other.source.pretraining}" for name in data)),
        named=tuple(filter(None, [*protocol, other.note])),
    )


# ── another folder ───────────────────────────────────────────────────────────────────────────────


def _folder_page(table: Table, theirs: Sequence[Table], names: tuple[str, str]) -> Page:
    same = [each for each in theirs if (each.task, each.shots) == (table.task, table.shots)]
    if not same:
        return Page(table=table, rows=(), notes=(f"{names[1]} has no record of this task and number of shots",))
    other = min(same, key=lambda each: (len(refusals(table, each)), len(settings(table, each))))
    pairs = [(row, found) for row in table.rows if (found := _counterpart(row, other.rows))]
    rows = [_beside_row(row, found, table, other, names) for row, found in pairs]
    lacking = [row.label for row in table.rows if not _counterpart(row, other.rows)]
    further = [row.label for row in other.rows if row not in [found for _, found in pairs]]
    notes = [*([f"not in {names[1]}: {', '.join(lacking)}"] if lacking else [])]
    notes += [f"not in {names[0]}: {', '.join(further)}"] if further else []
    return Page(table=table, rows=tuple(rows), notes=(*notes, *other_scores(pairs, names)))


def _with_pairs(pages: Sequence[Page], name: str) -> list[Page]:
    """Analyse every two rows that are not refused as the report does its pairs; all of them are one family."""
    open_ = [(page, row) for page in pages for row in page.rows if row.two and not row.refused]
    tables = [replace(page.table, rows=_labelled(row, name), pairs=(), comparisons=()) for page, row in open_]
    found = with_pairs(tables, Family.of(tables, allow_unequal=True))
    pairs = {id(row): table.pairs[0] for (_, row), table in zip(open_, found, strict=True) if table.pairs}
    return [replace(page, rows=tuple(replace(row, pair=pairs.get(id(row))) for row in page.rows)) for page in pages]


def _labelled(compared: Compared, name: str) -> tuple[Row, ...]:
    """Return both rows under labels of their own; neither is the headline, so that every pair is of the family."""
    if compared.two is None:
        return ()
    row, other = compared.two
    return replace(row, headline=False), replace(other, headline=False, label=f"{other.label} in {name}")


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
    refused = [*refusals(table, others), *(["the same cells in both"] if same else [])]
    named = [*settings(table, others), *weights(row, other)]
    named += [f"seeds {ranges(row.seeds)} against {ranges(other.seeds)}"] if row.seeds != other.seeds else []
    named += [f"{len(shared)} cells in both"] if shared and not same else []
    return Compared(
        method=row.label,
        ours=ours,
        theirs=theirs,
        theirs_from=names[1],
        contrast=contrast(ours, theirs, table.score.equivalence_margin),
        refused=tuple(refused),
        named=tuple(named),
        two=(row, other),
    )


# ── verdicts ─────────────────────────────────────────────────────────────────────────────────────


def _moments(row: Row) -> Moments:
    return Moments(row.summary.n, row.summary.mean, row.summary.sd)


def _decided(pages: Sequence[Page]) -> list[Page]:
    """Decide every comparison that is not refused, by Holm over all of them."""
    open_ = [row for page in pages for row in page.rows if not row.refused and row.pair is None]
    p = published_stars.by_holm([row.contrast.test.p for row in open_])
    equivalent = published_stars.by_holm([row.contrast.equivalence_p for row in open_])
    decided = {id(row): adjusted for row, adjusted in zip(open_, zip(p, equivalent, strict=True), strict=True)}
    return [replace(page, rows=tuple(_verdict(row, page, decided) for row in page.rows)) for page in pages]


def _verdict(row: Compared, page: Page, decided: Mapping[int, tuple[float | None, float | None]]) -> Compared:
    if row.refused:
        return replace(row, verdict=f"not comparable: {'; '.join(row.refused)}")
    if row.pair is not None:
        return _by_pair(row, row.pair, page)
    p, equivalence_p = decided[id(row)]
    if p is None:
        return replace(row, verdict=f"no claim: {row.contrast.test.note}{page.marks}")
    sign = 1 if page.table.score.higher_is_better else -1
    found = published_stars.verdict(sign * row.contrast.test.difference, p, equivalence_p)
    return replace(row, verdict=f"{found}{page.marks}", adjusted_p=p)


def _by_pair(row: Compared, pair: Pair, page: Page) -> Compared:
    """Put the report's verdict in words, for these checkpoints and for the methods, with the table's marks."""
    found = pair.checkpoints
    note = f" ({found.note})" if found.note else ""
    verdict = f"{found.verdict}{note}{page.marks}; the methods: {pair.methods.verdict}{page.marks}"
    return replace(row, verdict=verdict, adjusted_p=found.adjusted_p)


def page_json(page: Page) -> dict[str, Any]:
    """Return a page as JSON: numbers as stored, each with the id of its formula."""
    table = page.table
    rows = [
        {
            "method": row.method,
            "ours": row.ours._asdict(),
            "theirs": {**row.theirs._asdict(), "from": row.theirs_from},
            "welch": {**asdict(row.contrast.test), "low": row.contrast.low, "high": row.contrast.high},
            "pair": pair_json(row.pair) if row.pair else None,
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
