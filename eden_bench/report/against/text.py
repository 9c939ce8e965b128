"""Lay out comparisons with published numbers or with another folder as sheets."""

from __future__ import annotations

from collections.abc import Sequence

from eden_bench.report.against.moments import Moments
from eden_bench.report.against.pages import Compared, Page, page_json
from eden_bench.report.number_text import p_text, shown, shown_range
from eden_bench.report.sheets import Sheet

_COLUMNS = (
    "method",
    "ours",
    "n",
    "theirs",
    "n",
    "from",
    "difference",
    "95 % interval",
    "by Holm",
    "verdict",
    "differs in",
)


def sheets(pages: Sequence[Page], theirs: str) -> list[Sheet]:
    """Return a sheet for each page, and what all verdicts mean.

    Args:
        pages: from ``against``.
        theirs: what is compared with, in words.
    """
    count = sum(row.adjusted_p is not None for page in pages for row in page.rows)
    made = [_sheet(page, theirs) for page in pages]
    return [
        *made,
        Sheet(title="What the verdicts mean", notes=tuple(_legend(count)), content={"legend": _legend(count)}),
    ]


def _sheet(page: Page, theirs: str) -> Sheet:
    return Sheet(
        title=f"{page.table.heading}: {page.table.score.name} against {theirs}",
        columns=_COLUMNS,
        rows=tuple(_row(row, page) for row in page.rows),
        notes=page.notes,
        content=page_json(page),
    )


def _row(row: Compared, page: Page) -> tuple[str, ...]:
    score, found = page.table.score, row.contrast
    return (
        *(
            row.method,
            _value(row.ours, page),
            str(row.ours.n),
            _value(row.theirs, page),
            str(row.theirs.n),
            row.theirs_from,
        ),
        *(shown(found.test.difference, score, "+"), shown_range(*row.interval, score, "+")),
        *("–" if row.adjusted_p is None else p_text(row.adjusted_p), row.verdict, "; ".join(row.named) or "–"),
    )


def _value(group: Moments, page: Page) -> str:
    score = page.table.score
    return shown(group.mean, score) + ("" if group.sd is None else f" ± {shown(group.sd, score)}")


def _legend(count: int) -> list[str]:
    return [
        "ours and theirs: mean ± s.d. over n fine-tunings, or over pretrainings where a row has several; difference: "
        "ours minus theirs",
        f"better, worse, equivalent, undecided: ours, at the 0.05 level, by Holm over {count} comparisons; of these "
        "checkpoints, unless it says of the methods",
        "against another folder: interval and test over fine-tuning seeds and patients, as in a report",
        "against published numbers: by Welch from mean, s.d. and n, which covers other fine-tunings on these test "
        "images, not other patients or pretrainings",
        "not comparable: shown, and no claim is made",
    ]
