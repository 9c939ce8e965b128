"""Keep stdout for a command's data: what a plugin or a library prints meanwhile goes to stderr."""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable
from typing import Any, TextIO

import typer

_stdout: list[TextIO] = []
"""Streams that commands write their data to; the last is that of the command that runs."""


def alone_on_stdout(command: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a command: whatever else prints while it works does so to stderr."""

    @functools.wraps(command)
    def run(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - a command's own
        _stdout.append(stdout())
        try:
            with contextlib.redirect_stdout(sys.stderr):
                return command(*arguments, **options)
        finally:
            _stdout.pop()

    return run


def stdout() -> TextIO:
    """Return the stream that a command's data go to."""
    return _stdout[-1] if _stdout else sys.stdout


def print_text(text: str, *, end: str = "\n") -> None:
    """Print text that is data."""
    typer.echo(text + end, file=stdout(), nl=False)
