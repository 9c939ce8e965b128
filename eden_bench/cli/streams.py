"""Keep stdout for a command's data: what a plugin or a library prints meanwhile goes to stderr."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import TextIO

import typer

_stdout: list[TextIO] = []
"""Streams that commands write their data to; the last is that of the command that runs."""


@contextlib.contextmanager
def data_alone_on_stdout() -> Iterator[None]:
    """Let whatever else prints within do so to stderr."""
    _stdout.append(stdout())
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        _stdout.pop()


def stdout() -> TextIO:
    """Return the stream that a command's data go to."""
    return _stdout[-1] if _stdout else sys.stdout


def print_text(text: str, *, end: str = "\n") -> None:
    """Print text that is data."""
    typer.echo(text + end, file=stdout(), nl=False)
