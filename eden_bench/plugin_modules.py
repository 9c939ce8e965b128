"""Find plugin modules behind entry points, list their names and summaries without importing them, and import them."""

from __future__ import annotations

import ast
import functools
import importlib
import importlib.util
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any


@dataclass
class Source:
    """Where a plugin module comes from, and its name and summary before it is imported."""

    module: str
    origin: str
    """Distribution and entry point, or the file, for messages."""
    path: Path | None
    stem: str
    """The name its file promises: ``moco_v2.py`` is ``moco-v2``."""

    def summary(self) -> str:
        """First line of the module's docstring, read without importing it."""
        if self.path is None or not self.path.is_file():
            return ""
        try:
            docstring = ast.get_docstring(ast.parse(self.path.read_bytes())) or ""
        except (SyntaxError, ValueError, RecursionError, OSError):
            return ""
        return docstring.partition("\n")[0]


def installed(group: str) -> list[EntryPoint]:
    """Return the entry points of a group over all installed distributions."""
    return list(_all_installed().select(group=group))


@functools.cache
def _all_installed() -> Any:  # noqa: ANN401 - SelectableGroups in Python 3.11, EntryPoints from 3.12
    """Read and cache the entry points of every distribution; it takes 20 ms each time."""
    return entry_points()


def sources_of(point: EntryPoint) -> list[Source]:
    """Return the plugin modules that an entry point names: one, or every public module of a package.

    Raises:
        ImportError: there is no such module.
    """
    spec = importlib.util.find_spec(point.module)
    if spec is None:
        raise ImportError(f"no module named {point.module!r}")
    if spec.submodule_search_locations is None:
        return [Source(point.module, origin_of(point), Path(spec.origin) if spec.origin else None, point.name)]
    files = sorted(file for place in spec.submodule_search_locations for file in Path(place).glob("[!_]*.py"))
    return [
        Source(f"{point.module}.{file.stem}", f"{origin_of(point)}.{file.stem}", file, file.stem.replace("_", "-"))
        for file in files
    ]


def origin_of(point: EntryPoint) -> str:
    """Return distribution, name and value of an entry point, for messages."""
    return f"{point.dist.name if point.dist else 'unknown distribution'}: {point.name} = {point.value}"


def try_import(module: str) -> str:
    """Import a module; return the error in one line, "" on success."""
    try:
        importlib.import_module(module)
    except (Exception, SystemExit) as error:
        return in_a_line(error)
    return ""


def in_a_line(error: BaseException) -> str:
    """Format an error as its type and the first line of its text."""
    text = str(error).partition("\n")[0]
    return f"{type(error).__name__}: {text}"
