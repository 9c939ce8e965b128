"""``eden-bench compare``: a run against published numbers or another folder, and the published marks tested again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from eden_bench.cli.options import Json, Out
from eden_bench.cli.stored_records import stored_in
from eden_bench.cli.streams import print_text
from eden_bench.errors import UsageError
from eden_bench.report.against.pages import with_folder, with_published
from eden_bench.report.against.published_text import star_sheets
from eden_bench.report.against.text import sheets
from eden_bench.report.build import build, select
from eden_bench.report.sheets import need_format, rendered
from eden_bench.settings import gather

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eden_bench.report.sheets import Sheet
    from eden_bench.report.tables import Table


def compare(
    published: Annotated[bool, typer.Option("--published", help="With the published numbers of each task.")] = False,
    other: Annotated[Path | None, typer.Option("--with", metavar="OUT", help="With another results folder.")] = None,
    published_stars: Annotated[
        bool, typer.Option("--published-stars", help="Test the paper's significance marks again; needs no records.")
    ] = False,
    out: Out = None,
    tasks: Annotated[list[str] | None, typer.Option(help="Names, globs or @groups; commas or repeats.")] = None,
    form: Annotated[str, typer.Option("--format", help="terminal, md or json.")] = "terminal",
    as_json: Json = False,
) -> None:
    """Compare results with published numbers or another results folder: difference, interval and verdict."""
    if sum((published, other is not None, published_stars)) != 1:
        raise UsageError("compare with what: name one of --published, --with OUT and --published-stars")
    need_format(form)
    if published_stars:
        found = star_sheets()
    else:
        found = (
            _with_folder(gather(out=out).out, other, tasks or ()) if other else _published(gather(out=out).out, tasks)
        )
    print_text(rendered(found, "json" if as_json else form))


def _published(folder: Path, tasks: Sequence[str] | None) -> list[Sheet]:
    pages = with_published(_tables(folder, tasks or ()))
    if not pages:
        raise UsageError(
            f"{folder}: nothing is published of its tasks and shots; 'eden-bench compare --with OUT' takes any"
        )
    return sheets(pages, "published numbers")


def _with_folder(folder: Path, other: Path, tasks: Sequence[str]) -> list[Sheet]:
    pages = with_folder(_tables(folder, tasks), _tables(other, ()), (str(folder), str(other)))
    return sheets(pages, str(other))


def _tables(folder: Path, tasks: Sequence[str]) -> Sequence[Table]:
    return build(select(stored_in(folder).records, tasks)).tables
