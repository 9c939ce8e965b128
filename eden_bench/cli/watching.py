"""Show a run's progress on stderr: bars on a terminal, sparse lines off it."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from eden_bench.cli.progress import bars
from eden_bench.contracts import Progress, no_progress
from eden_bench.execution.watch import Silent, Watch
from eden_bench.printable import printable

_EVERY_S = 10.0


class Shown:
    """A ``Watch`` that prints lines, and cells as a bar on a terminal or as a line every ten seconds off it."""

    def __init__(self, progress: Progress, terminal: bool) -> None:
        self.progress = progress
        self._terminal = terminal
        self._last = 0.0

    def say(self, line: str) -> None:
        """Print one line."""
        typer.echo(printable(line), err=True)  # bars take over the stream while they are drawn

    def cell(self, done: int, total: int, line: str) -> None:
        """Report how many cells have ended; the first, the last and every failure get a line of their own."""
        if self._terminal:
            self.progress("cells", done, total)
        is_due = time.monotonic() - self._last >= _EVERY_S
        if ": failed: " in line or (not self._terminal and (is_due or done == total)):
            self._last = time.monotonic()
            self.say(f"[{done}/{total}] {line}")


@contextmanager
def watching(quiet: bool) -> Iterator[Watch]:
    """Yield a ``Watch`` that shows progress, or discards it if quiet."""
    if quiet:
        yield Silent()
        return
    terminal = sys.stderr.isatty()
    with bars() as progress:
        yield Shown(progress if terminal else no_progress, terminal)
