"""Registry of methods, tasks and datasets by name, built-in and installed plugins alike.

A plugin arrives in one of three ways:

- an entry point in group ``eden_bench.methods``, ``eden_bench.tasks`` or ``eden_bench.datasets``. It names
  a module, or a package whose every top-level module is a plugin (``baselines`` and ``tasks`` are such
  packages: the folder is the list);
- ``--plugin FILE.py``, a file whose decorators register, or ``--plugin FILE.toml``, which describes a task;
- a decorator in a running script.

Names of methods are listed from file names and docstrings, without importing a module (and so without torch).
"""

from __future__ import annotations

import fnmatch
import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from eden_bench.contracts.members import check_object, complete_method
from eden_bench.errors import PluginError, unknown
from eden_bench.plugin_modules import Source, in_a_line, installed, origin_of, sources_of, try_import

P = TypeVar("P")
M = TypeVar("M", bound=type)


@dataclass
class Registry:
    """Registry of the plugins of one kind, by name.

    Attributes:
        kind: "method", "task" or "dataset".
        file_is_name: a module holds one plugin, named like its file (methods).
        warn: called with one line for each plugin that cannot be loaded.
    """

    kind: str
    file_is_name: bool = False
    warn: Callable[[str], None] = field(default=lambda line: print(f"warning: {line}", file=sys.stderr))  # noqa: T201
    _made: dict[str, Any] = field(default_factory=dict)
    _origins: dict[str, str] = field(default_factory=dict)
    _sources: list[Source] | None = None
    _tried: dict[str, str] = field(default_factory=dict)
    """Module to error, "" where it loaded."""
    _unfound: dict[str, str] = field(default_factory=dict)
    """Entry point to error, for those that lead to no module."""

    def register(self, name: str, plugin: P, module: str = "") -> P:
        """Register a plugin under a name and return it unchanged.

        Args:
            name: what users call it.
            plugin: a class or an object.
            module: the module that registers it; needed for an object, whose class may be defined elsewhere.

        Raises:
            PluginError: the name is taken; shows both places.
        """
        origin = _defined_in(plugin, module)
        if name in self._made and self._origins[name] != origin:
            raise PluginError(
                f"{self.kind} {name!r} is defined twice, in {self._origins[name]} and in {origin}: rename one."
            )
        self._made[name], self._origins[name] = plugin, origin
        return plugin

    def names(self) -> list[str]:
        """Return all known names, sorted."""
        if self.file_is_name:
            return sorted({*self._made, *(source.stem for source in self.sources())})
        self.load_all()
        return sorted(self._made)

    def summary(self, name: str) -> str:
        """Return one line about a plugin; if it cannot be loaded and has no docstring, the error."""
        source = self._source_of(name)
        if source is not None and (text := source.summary()):
            return text
        try:
            made = self.get(name)
        except PluginError as error:
            return str(error).removeprefix(f"{self.kind} {name!r} ")
        return str(getattr(made, "title", "") or (made.__doc__ or "").partition("\n")[0])

    def get(self, name: str) -> Any:  # noqa: ANN401 - three kinds of plugin
        """Return a plugin by name, importing its module if needed.

        Raises:
            UsageError: no plugin has this name; names the nearest.
            PluginError: its module cannot be imported.
        """
        source = self._source_of(name)
        if name not in self._made and source is not None:
            error = self._load(source)
            if error:
                raise PluginError(f"{self.kind} {name!r} cannot be loaded: {error}")
        elif name not in self._made:
            self.load_all()
        if name not in self._made and source is not None:
            raise PluginError(
                f"{self.kind} {name!r} cannot be loaded: {source.origin} registers no {self.kind} of this name"
            )
        if name not in self._made:
            raise unknown(self.kind, name, self.names())
        return self._made[name]

    def origin(self, name: str) -> str:
        """Return the distribution and entry point, or the file, that a plugin comes from."""
        source = self._source_of(name) or self._source_in(self._origins.get(name, ""))
        return source.origin if source else self._origins.get(name, "")

    def select(self, patterns: Iterable[str]) -> list[str]:
        """Resolve names, globs ('scr-*') and groups ('@all', '@segmentation', '@scr'), in the order given.

        Raises:
            UsageError: a pattern matches nothing.
        """
        chosen: list[str] = []
        for pattern in (part.strip() for text in patterns for part in text.split(",") if part.strip()):
            chosen += [name for name in self._matching(pattern) if name not in chosen]
        return chosen

    def load_all(self) -> None:
        """Import every module; each failure is one warning line."""
        for source in self.sources():
            self._load(source)

    def failures(self) -> dict[str, str]:
        """Return the errors of plugins that failed to load, by origin."""
        sources = {source.module: source.origin for source in self.sources()}
        failed = {sources[module]: error for module, error in self._tried.items() if error and module in sources}
        return {**self._unfound, **failed}

    def sources(self) -> list[Source]:
        """List every plugin module that entry points offer, without importing it."""
        if self._sources is None:
            self._sources = []
            for point in installed(f"eden_bench.{self.kind}s"):
                try:
                    self._sources += sources_of(point)
                except (Exception, SystemExit) as error:  # finding a module runs the packages above it
                    self._unfound[origin_of(point)] = in_a_line(error)
                    self.warn(f"plugin {origin_of(point)} is left out: {in_a_line(error)}")
        return self._sources

    def _matching(self, pattern: str) -> list[str]:
        names = self.names()
        if pattern == "@all":  # but for controls, which have no weights to fine-tune
            return [name for name in names if "controls" not in self._groups_of(name)]
        if pattern.startswith("@"):
            found = [name for name in names if pattern[1:] in self._groups_of(name)]
        else:
            found = fnmatch.filter(names, pattern)
        if not found:
            groups = {f"@{group}" for name in names for group in groups_of(self._made.get(name))}
            raise unknown(self.kind, pattern, [*names, "@all", *groups])
        return found

    def _groups_of(self, name: str) -> set[str]:
        """Return the groups of a plugin; none if it cannot be loaded, which the registry has warned of."""
        try:
            return set(groups_of(self.get(name)))
        except PluginError:
            return set()

    def _source_of(self, name: str) -> Source | None:
        if not self.file_is_name:
            return None
        return next((source for source in self.sources() if source.stem == name), None)

    def _source_in(self, origin: str) -> Source | None:
        return next((source for source in self.sources() if source.path and str(source.path) == origin), None)

    def _load(self, source: Source) -> str:
        if source.module not in self._tried:
            self._tried[source.module] = try_import(source.module)
            if self._tried[source.module]:
                self.warn(f"plugin {source.origin} is left out: {self._tried[source.module]}")
        return self._tried[source.module]


methods = Registry("method", file_is_name=True)
tasks = Registry("task")
datasets = Registry("dataset")


def register_method(name: str) -> Callable[[M], M]:
    """Register a method class: ``@register_method("mine")`` above ``class Mine(PretrainMethod)``.

    A class that lacks optional members is given their defaults.

    Raises:
        PluginError: the name is taken, a required member is missing, or a name is one slip away from a member.
    """

    def add(method: M) -> M:
        complete_method(name, method)
        return methods.register(name, method)

    return add


def register_task(task: P) -> P:
    """Register a task under its own ``name``; returns it. Raises as ``register_method``."""
    name = str(getattr(task, "name", ""))
    check_object("task", name, task)
    return tasks.register(name, task, _caller())


def register_dataset(dataset: P) -> P:
    """Register a dataset reader under its own ``name``; returns it. Raises as ``register_method``."""
    name = str(getattr(dataset, "name", ""))
    check_object("dataset", name, dataset)
    return datasets.register(name, dataset, _caller())


def load_plugin_files(paths: Iterable[Path] | None) -> None:
    """Load every plugin file of a command line; None loads none. Raises as ``load_plugin_file``."""
    for path in paths or ():
        load_plugin_file(path)


def load_plugin_file(path: Path) -> None:
    """Load a plugin file: run FILE.py, whose decorators register, or call the loader of another file type.

    Loaders come from entry points ``eden_bench.plugin_files``, named like the ending: ``toml`` describes a task.

    Raises:
        PluginError: the file is absent or fails.
    """
    if not path.is_file():
        raise PluginError(f"--plugin {path}: {'it is no regular file' if path.exists() else 'no such file'}")
    for point in installed("eden_bench.plugin_files"):
        if path.suffix == f".{point.name}":
            point.load()(path)
            return
    spec = importlib.util.spec_from_file_location(f"eden_bench_plugin_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise PluginError(f"--plugin {path}: expected a file ending in .py or .toml")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except PluginError as error:
        raise PluginError(f"--plugin {path}: {error}") from error
    except (Exception, SystemExit) as error:
        raise PluginError(f"--plugin {path}: {type(error).__name__}: {error}") from error


def engine() -> Any:  # noqa: ANN401 - the module behind the entry point
    """Return the pretraining engine, found by its entry point, because ``eden_bench`` imports no method."""
    (point,) = (point for point in installed("eden_bench.engines") if point.name == "default")
    return point.load()


def groups_of(plugin: object) -> Iterator[str]:
    """Yield the groups of a plugin: a task's kind and dataset, and those in ``groups``."""
    for name in ("kind", "dataset"):
        if value := getattr(plugin, name, None):
            yield str(value)
    yield from getattr(plugin, "groups", ())


def _caller() -> str:
    """Return the name of the module that called the function that calls this one."""
    return str(sys._getframe(2).f_globals.get("__name__", ""))


def _defined_in(plugin: object, module: str = "") -> str:
    owner = plugin if isinstance(plugin, type) else type(plugin)
    name = module or owner.__module__
    place = str(getattr(sys.modules.get(name), "__file__", None) or name)
    return f"{place}:{owner.__qualname__}" if isinstance(plugin, type) else place
