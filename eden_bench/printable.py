r"""Escape text that came from files, so that it cannot control a terminal, a table, a page or a spreadsheet.

A control character (C0, DEL, C1), one that turns the direction of writing, a line separator or half a surrogate pair
is shown as ``\u001b``, which is also how JSON writes it.
"""

from __future__ import annotations

import codecs
import contextlib
import io
import re
from collections.abc import Iterator
from typing import Any, TextIO, cast

from eden_bench.errors import OutputFailed

_ACTING = (
    *(*range(0x20), *range(0x7F, 0xA0)),  # C0, DEL, C1
    *(0x061C, 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A)),  # separators, directions
    *(*range(0xD800, 0xE000), 0xFEFF),
)
_SHOWN = {code: f"\\u{code:04x}" for code in _ACTING}
_LINES = {code: shown for code, shown in _SHOWN.items() if chr(code) not in "\n\t"}
_ACTS = re.compile("[" + "".join(map(chr, _LINES)) + "]")
_PLAIN = str.maketrans({"–": "-", "—": "-", "…": "...", "≥": ">=", "≤": "<=", "×": "x", "·": "-"})
_FORMULA = ("=", "+", "-", "@")


def printable(text: str) -> str:
    """Escape control characters that act on a terminal; keep lines and tabs."""
    return text.translate(_LINES) if _ACTS.search(text) else text


def printable_line(text: str) -> str:
    """Escape control characters, line breaks and tabs too: text in one line."""
    return text if text.isprintable() else text.translate(_SHOWN)


def markdown_text(text: str) -> str:
    """Escape text for Markdown, so that it cannot break a table or become HTML, a link or an image.

    >>> markdown_text("a <b>")
    'a &lt;b>'
    """
    plain = printable(" ".join(text.split())).replace("\\", "\\\\")
    return plain.replace("|", "\\|").replace("<", "&lt;").replace("](", "]\\(")


def csv_cell(value: object) -> object:
    """Format and escape a CSV cell: booleans in lower case, no text that a spreadsheet evaluates as a formula.

    >>> csv_cell("=1+1"), csv_cell(True), csv_cell(0.5)
    ("'=1+1", 'true', 0.5)
    """
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str):
        return value
    shown = printable_line(value)
    return f"'{shown}" if shown.lstrip().startswith(_FORMULA) else shown


class Legible:
    """A text stream that escapes control characters and encodes every character, whatever its encoding.

    Everything else is the stream's own. What draws on a terminal writes to ``bare(stream)``.
    """

    def __init__(self, stream: TextIO) -> None:
        self.bare = stream

    def write(self, text: str) -> int:
        """Write text; characters that the encoding lacks become "-", "..." or an escape.

        Raises:
            OutputFailed: the stream takes no more.
        """
        shown, encoding = printable(text), self.bare.encoding or "utf-8"
        try:
            shown.encode(encoding)
        except UnicodeEncodeError:
            shown = shown.translate(_PLAIN).encode(encoding, "backslashreplace").decode(encoding)
        with _explained():
            return self.bare.write(shown)

    def flush(self) -> None:
        """Flush buffered text.

        Raises:
            OutputFailed: the stream takes no more.
        """
        with _explained():
            self.bare.flush()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the stream has
        """Forward everything else to the stream."""
        return getattr(self.bare, name)


def legible(stream: TextIO) -> TextIO:
    """Wrap a stream as a Legible one; ASCII becomes UTF-8, as typer has it."""
    if isinstance(stream, io.TextIOWrapper):
        ascii_only = codecs.lookup(stream.encoding).name == "ascii"
        stream.reconfigure(encoding="utf-8" if ascii_only else None, errors="backslashreplace")
    return cast("TextIO", Legible(stream))


def bare(stream: TextIO) -> TextIO:
    """Unwrap a Legible stream, for bars and colours."""
    return cast("TextIO", getattr(stream, "bare", stream))


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise  # whoever read has read enough
    except OSError as error:
        raise OutputFailed(
            f"the output cannot be written ({error.strerror}): send it where there is room; what was computed is stored"
        ) from error
