"""Tell whoever watches a run how it goes."""

from __future__ import annotations

from typing import Protocol


class Watch(Protocol):
    """Receives messages and progress of a run."""

    def say(self, line: str) -> None:
        """Show one line."""
        ...

    def cell(self, done: int, total: int, line: str) -> None:
        """Report that a cell has ended."""
        ...

    def progress(self, what: str, done: int, total: int) -> None:
        """Report the progress of a part of the work."""
        ...


class Silent:
    """A ``Watch`` that discards all messages."""

    def say(self, line: str) -> None:
        """Discard it."""

    def cell(self, done: int, total: int, line: str) -> None:
        """Discard it."""

    def progress(self, what: str, done: int, total: int) -> None:
        """Discard it."""
