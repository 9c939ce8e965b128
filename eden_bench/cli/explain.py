"""``eden-bench explain``: any number of a report back to its formula, its cells and the commands that re-run them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from eden_bench import records
from eden_bench.cli.options import Json, Out
from eden_bench.cli.stored_records import stored_in
from eden_bench.cli.streams import print_text
from eden_bench.errors import UsageError
from eden_bench.report.build import build
from eden_bench.report.explain import Explainer
from eden_bench.report.sheets import need_format, rendered
from eden_bench.settings import gather

if TYPE_CHECKING:
    from eden_bench.report.sheets import Sheet


def explain(
    names: Annotated[
        list[str],
        typer.Argument(metavar="ID | TASK METHOD [METHOD]", help="A record's id; a row; or two rows, a pair."),
    ],
    shots: Annotated[str | None, typer.Option(help="Number of shots, or full [all].")] = None,
    score: Annotated[str, typer.Option(help="A score beside the primary one.")] = "",
    tested: Annotated[str, typer.Option("--method", help="As given to report: whose pairs are the family.")] = "",
    out: Out = None,
    form: Annotated[str, typer.Option("--format", help="terminal, md or json.")] = "terminal",
    as_json: Json = False,
) -> None:
    """Trace a number of the report to its formula, its cells and the commands that compute them again."""
    need_format(form)
    folder = gather(out=out).out
    stored = stored_in(folder).records
    explainer = Explainer(build(stored, method=tested), stored, folder)
    print_text(rendered(_sheets(explainer, names, _shots(shots), score), "json" if as_json else form))


def _sheets(explainer: Explainer, names: list[str], shots: int | str | None, score: str) -> list[Sheet]:
    if len(names) == 1:
        return explainer.cell(records.find(explainer.out, names[0]), score)
    if len(names) > 3:
        raise UsageError(f"explain {' '.join(names)}: expected an id, a task and a method, or a task and two methods")
    if score and len(names) > 2:
        raise UsageError(f"--score {score}: pairs are compared by the primary score alone, so name a row: TASK METHOD")
    task, method, *other = names
    return explainer.row(task, method, other="".join(other), shots=shots, score=score)


def _shots(text: str | None) -> int | str | None:
    """Parse a number of shots: None for the full training set, "" for all."""
    if text is None or text == "full":
        return "" if text is None else None
    if not text.isdecimal():
        raise UsageError(f"--shots {text}: expected a number of training images, or full")
    return int(text)
