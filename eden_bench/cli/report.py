"""``eden-bench report``: tables, intervals, tests and verdicts from the stored records."""

from __future__ import annotations

from typing import Annotated

import typer

from eden_bench.cli.options import Json, Out, Reference
from eden_bench.cli.report_files import FORMS, of_folder, rendered, write
from eden_bench.cli.streams import print_text, stdout
from eden_bench.errors import unknown
from eden_bench.printable import bare
from eden_bench.report.outputs import text
from eden_bench.report.tables import Report
from eden_bench.settings import gather

FORMATS = ("terminal", *FORMS)


def report(
    out: Out = None,
    method: Annotated[str | None, typer.Option(help="Method to test [adam if present, else the best].")] = None,
    tasks: Annotated[list[str] | None, typer.Option(help="Names, globs or @groups; commas or repeats.")] = None,
    form: Annotated[str, typer.Option("--format", help="terminal, md, tex, csv, json or html.")] = "terminal",
    allow_unequal: Annotated[
        bool, typer.Option("--allow-unequal", help="Test rows even if their seeds differ.")
    ] = False,
    with_reference: Reference = False,
    figures: Annotated[bool, typer.Option("--figures", help="Also write OUT/report/figures/*.svg and .pdf.")] = False,
    as_json: Json = False,
) -> None:
    """Show tables, intervals and verdicts; write report.html, .md, .tex, .csv and .json to OUT/report."""
    if form not in FORMATS:
        raise unknown("format", form, FORMATS)
    settings = gather(out=out)
    folder, cache = settings.out, settings.cache if with_reference else None
    built = of_folder(folder, tasks or (), method or "", allow_unequal=allow_unequal, reference_in=cache)
    files = rendered(folder, built, figures=figures)
    if as_json or form in files:
        print_text(files["json" if as_json else form], end="")
    else:
        show(built)
    write(folder, files)


def show(built: Report) -> None:
    """Print a report: with rules and colours on a terminal, as aligned text elsewhere."""
    if stdout().isatty():
        from eden_bench.report.outputs import coloured

        coloured.show(built, bare(stdout()))
    else:
        print_text(text.render(built))
