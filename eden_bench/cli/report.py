"""``eden-bench report``: tables, intervals and the paper's test from the stored records."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from eden_bench import records
from eden_bench.audit.storage import load as load_audits
from eden_bench.cli.options import Json, Out
from eden_bench.cli.output import print_table
from eden_bench.errors import EdenError, unknown
from eden_bench.files import atomic
from eden_bench.report import formats
from eden_bench.report.build import build, need, select
from eden_bench.report.missing import excused, failure_notes, with_absent
from eden_bench.settings import gather

if TYPE_CHECKING:
    from eden_bench.report.tables import Table

FORMATS = ("terminal", "md", "csv", "json")


def report(
    out: Out = None,
    method: Annotated[str | None, typer.Option(help="Method to test [adam if present, else the best].")] = None,
    tasks: Annotated[list[str] | None, typer.Option(help="Names, globs or @groups; commas or repeats.")] = None,
    form: Annotated[str, typer.Option("--format", help="terminal, md, csv or json.")] = "terminal",
    allow_unequal: Annotated[
        bool, typer.Option("--allow-unequal", help="Test rows even if their seeds differ.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show mean, s.d., n, 95 % interval and the paper's t-test; write report.md, .csv and .json to OUT/report."""
    if form not in FORMATS:
        raise unknown("format", form, FORMATS)
    folder = gather(out=out).out
    stored = records.load(folder)
    need(stored, folder)
    chosen = select(stored, tasks or ())
    built = build(chosen, method=method or "", allow_unequal=allow_unequal, audits=load_audits(folder))
    failed = records.failures(folder)
    tables, failures = with_absent(built.tables, excused(failed)), failure_notes(failed)
    _write(folder / "report", tables, failures)
    show(tables, failures, "json" if as_json else form)


def show(tables: Sequence[Table], failures: Sequence[str] = (), form: str = "terminal") -> None:
    """Print a report in a format: "terminal" is rich tables on a terminal, aligned text elsewhere."""
    if form == "terminal" and sys.stdout.isatty():
        _print_rich(tables, failures)
        return
    make = {"terminal": formats.plain, "md": formats.markdown, "json": formats.as_json}
    typer.echo(formats.as_csv(tables) if form == "csv" else make[form](tables, failures), nl=form == "terminal")


def _print_rich(tables: Sequence[Table], failures: Sequence[str]) -> None:
    for table in tables:
        top, below = formats.heading(table)
        print_table(formats.columns(table), formats.cells(table), top)
        typer.echo("\n".join([below, *formats.sentences(table), ""]))
    typer.echo("\n".join([formats.legend(tables), *failures]))


def _write(folder: Path, tables: Sequence[Table], failures: Sequence[str]) -> None:
    """Write the report's files. An unwritable folder is a warning, since the tables are printed anyway."""
    try:
        atomic.write_text(folder / "report.md", formats.markdown(tables, failures))
        atomic.write_text(folder / "report.csv", formats.as_csv(tables))
        atomic.write_text(folder / "report.json", formats.as_json(tables, failures))
    except (EdenError, OSError) as error:
        typer.echo(f"warning: the report's files are not written: {error}", err=True)
