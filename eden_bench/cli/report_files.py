"""Build the report of a folder, and write it to OUT/report in every format."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import typer

from eden_bench import garbage, records
from eden_bench.audit.storage import load as load_audits
from eden_bench.cli.stored_records import stored_in
from eden_bench.errors import EdenError
from eden_bench.execution import locks
from eden_bench.figures import Figure, for_report
from eden_bench.files import atomic
from eden_bench.forking import each_of
from eden_bench.records import Warn
from eden_bench.report import reference
from eden_bench.report.build import build, select
from eden_bench.report.missing import excused, failure_notes, with_absent
from eden_bench.report.outputs import latex, markdown, table_csv, table_json
from eden_bench.report.tables import Report
from eden_bench.report.workers import workers

FORMS = ("md", "tex", "csv", "json", "html")
_RENDER = {"md": markdown.render, "tex": latex.render, "csv": table_csv.render, "json": table_json.render}


def of_folder(
    out: Path,
    tasks: Iterable[str] = (),
    method: str = "",
    *,
    allow_unequal: bool = False,
    reference_in: Path | None = None,
    warn: Warn = records.warn_stderr,
) -> Report:
    """Build the report of all records of a folder; what cannot be used is warned of, and named in the report.

    Args:
        out: the folder.
        tasks: names, globs or groups; none for all.
        method: as in ``build``.
        allow_unequal: as in ``build``.
        reference_in: cache in which the reference results lie, which then stand beside; None for none.
        warn: called with one line for each record or file that cannot be used.

    Raises:
        UsageError: there are no records, or none of these names.
        DataMissing: all records are damaged.
    """
    with garbage.uncollected():
        stored, damaged = stored_in(out, warn)
        failed = records.failures(out, warn)
        audits = load_audits(out, warn)
        chosen = select(stored, tasks)
        added = reference.beside(chosen, reference_in) if reference_in else reference.NONE
        tested = method or added.tested(chosen)
        made = build(
            [*chosen, *added.records], method=tested, allow_unequal=allow_unequal, audits=audits, diagnosed=True
        )
    built = added.noted(made)
    tables = tuple(with_absent(built.tables, excused(failed)))
    return replace(built, tables=tables, failures=(*built.failures, *damaged, *failure_notes(failed)))


def rendered(out: Path, report: Report, *, probes: bool = True, figures: bool = False) -> dict[str, str]:
    """Render a report in every form.

    Args:
        out: the folder whose audits the page tells of.
        report: what to render.
        probes: draw the figures of probes too, which take seconds.
        figures: also write the page's figures to OUT/report/figures, as .svg and .pdf.
    """
    from eden_bench.report.html.page import render

    audits = load_audits(out, lambda line: None)
    with garbage.passed_over():
        with locks.writing(out):
            drawn = _figures(report, probes, out / "report" / "figures" if figures else None)

        def made(form: str) -> str:
            return render(report, drawn, audits) if form == "html" else _RENDER[form](report)

        return dict(zip(FORMS, each_of(FORMS, made, workers(report.tables)), strict=True))


def write(out: Path, files: Mapping[str, str]) -> None:
    """Write a report's files to OUT/report, and say in one line where the page lies.

    A folder that cannot be written is a warning, since the tables are printed anyway.
    """
    folder = out / "report"
    try:
        with locks.writing(out):
            for form, content in files.items():
                atomic.write_text(folder / f"report.{form}", content)
    except (EdenError, OSError) as error:
        typer.echo(f"warning: the report's files are not written: {error}", err=True)
        return
    typer.echo(f"the whole report: {folder / 'report.html'} (beside it .md, .tex, .csv and .json)", err=True)


def _figures(report: Report, probes: bool, folder: Path | None) -> Sequence[Figure]:
    """Draw the figures, and write them to a folder; one that cannot be written is a warning."""
    try:
        drawn = for_report(report, folder, probes=probes)
    except (EdenError, OSError) as error:
        typer.echo(f"warning: the report's figures are not written: {error}", err=True)
        return for_report(report, probes=probes)
    if folder is not None:
        typer.echo(f"figures in {folder}: {', '.join(each.name for each in drawn if each.svg) or 'none'}", err=True)
    return drawn
