"""Show progress bars on stderr, only on a terminal, and only for what takes over two seconds."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from eden_bench.contracts import Progress, no_progress
from eden_bench.printable import bare, printable_line

_PATIENCE_S = 2.0


@contextmanager
def bars() -> Iterator[Progress]:
    """Yield a progress function; off a terminal it is silent."""
    if not sys.stderr.isatty():
        yield no_progress
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    drawn = Bars(*columns, console=Console(file=bare(sys.stderr)), transient=True)
    known: dict[str, tuple[float, int | None]] = {}

    def progress(what: str, done: int, total: int) -> None:
        began, bar = known.setdefault(what, (time.monotonic(), None))
        if bar is None and done < total and time.monotonic() - began > _PATIENCE_S:
            bar = drawn.add_task(printable_line(what), total=total)
            known[what] = (began, bar)
        if bar is not None:
            drawn.update(bar, completed=done, total=total)  # type: ignore[arg-type]

    with drawn:
        yield progress
