"""Hash values and files: canonical JSON and SHA-256, the identity of everything that can change a score."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

_BLOCK = 1 << 20


def canonical_json(value: object) -> str:
    """Serialise a value identically on every machine: sorted keys, no spaces, shortest round-trip floats.

    Raises:
        TypeError: value holds something that is neither JSON, a dataclass, a tuple nor a Path.
        ValueError: a float is NaN or infinite.

    >>> canonical_json({"b": (1, 2), "a": 0.1})
    '{"a":0.1,"b":[1,2]}'
    """
    return _ENCODER.encode(value)


def digest(value: object) -> str:
    """Return the SHA-256 (64 hex digits) of the canonical JSON of value.

    >>> digest({"lr": 0.03, "epochs": 20}) == digest({"epochs": 20, "lr": 0.03})
    True
    """
    return text_digest(canonical_json(value))


def text_digest(text: str) -> str:
    """Return the SHA-256 (64 hex digits) of a text as UTF-8."""
    return hashlib.sha256(text.encode()).hexdigest()


def file_digest(path: Path) -> str:
    """Return the SHA-256 (64 hex digits) of a file's bytes."""
    sha = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            sha.update(block)
    return sha.hexdigest()


def file_stamp(path: Path) -> tuple[int, int, int]:
    """Return a file's size and times of content and of status; a cache is stale if one of them changed.

    The time of content alone is kept by whatever copies or unpacks a file in another's place; the system sets that of
    status itself.

    Raises:
        OSError: the file is not there.
    """
    found = path.stat()
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _plain(value: object) -> Any:  # noqa: ANN401 - JSON has no narrower type
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no canonical JSON: {value!r}")


_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False, default=_plain)
