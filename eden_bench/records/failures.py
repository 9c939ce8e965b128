"""Store, read and delete failures of cells, tasks and pretrainings: ``OUT/failures/<name>.json``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eden_bench.files import atomic, plain_text
from eden_bench.records.content import FailureContent
from eden_bench.records.record import reason
from eden_bench.records.shape import Misshapen, parse
from eden_bench.records.store import Warn, to_json, warn_stderr


def write_failure(out: Path, name: str, content: Mapping[str, Any]) -> Path:
    """Store why a cell or a pretraining failed, replacing an earlier attempt's failure."""
    path = out / "failures" / f"{name}.json"
    atomic.write_text(path, to_json(content))
    return path


def clear_failure(out: Path, name: str) -> None:
    """Delete a failure whose cell has been retried.

    Raises:
        StoreFailed: it cannot be removed.
    """
    path = out / "failures" / f"{name}.json"
    if os.path.lexists(path):
        with atomic.explained(path.parent):
            path.unlink(missing_ok=True)


def failures(out: Path, warn: Warn = warn_stderr) -> dict[str, FailureContent]:
    """Read all failures, keyed by cell id or checkpoint folder; damaged ones are skipped with a warning."""
    found = {}
    for path in sorted((out / "failures").glob("[!.]*.json")):
        try:
            found[path.stem] = parse(FailureContent, plain_text.read_json(path))
        except FileNotFoundError:  # another process has just redone it
            continue
        except Misshapen as error:
            warn(_left_out(path, str(error)))
        except (OSError, ValueError) as error:
            warn(_left_out(path, reason(error)))
    return found


def _left_out(path: Path, wrong: str) -> str:
    return f"{path} cannot be used ({wrong}); it is left out: remove it, or run its cell again"
