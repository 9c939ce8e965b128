"""Print a run's table again without building the report, where nothing it is made of has changed since it was written.

So a command that finds everything stored ends in seconds, however many cells there are. What was printed lies in
``OUT/report/.shown.json``, with a digest of what it was made of: records and failures by their files' stamps, what
``data audit`` found, and the code.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

import eden_bench
from eden_bench.cli.streams import stdout
from eden_bench.contracts import NUMBERS_VERSION
from eden_bench.digests import digest
from eden_bench.errors import EdenError
from eden_bench.files import atomic, plain_text
from eden_bench.records import overview

_COLOURED_UP_TO = 2_000
"""Cells up to which a terminal's table is built anew, in colours."""


def state_of(out: Path, cells: Iterable[str]) -> str:
    """Return a digest of everything that a folder's report, and the table of some of its cells, are made of."""
    package = Path(eden_bench.__file__).parent
    code = sorted((str(file.relative_to(package)), file.stat().st_mtime_ns) for file in package.rglob("*.py"))
    others = [
        [path.name, *seen] for name in ("failures", "audit") for path, seen in atomic.identities(out / name).items()
    ]
    return digest([NUMBERS_VERSION, code, sorted(others), overview.state(out), sorted(cells)])


def kept(out: Path, state: str, cells: int) -> str | None:
    """Return what was printed of this state; None where it is another, or the report's files are not there."""
    if (stdout().isatty() and cells <= _COLOURED_UP_TO) or not (out / "report" / "report.html").is_file():
        return None
    try:
        found = plain_text.read_json(_file(out))
    except (OSError, ValueError):
        return None
    text = found.get("text")
    return text if found.get("of") == state and isinstance(text, str) else None


def keep(out: Path, state: str, text: str) -> None:
    """Keep what is printed of a state; without it the next command takes longer, no more."""
    with contextlib.suppress(EdenError, OSError):
        atomic.write_json(_file(out), {"of": state, "text": text})


def _file(out: Path) -> Path:
    return out / "report" / ".shown.json"
