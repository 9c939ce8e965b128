"""Validate plugins against their protocol classes: missing members, and misspelt names of optional ones."""

from __future__ import annotations

import inspect
from abc import ABC
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Generic, Protocol, get_args

from eden_bench.contracts.checks import one_of
from eden_bench.contracts.datasets import Dataset, DatasetOptions
from eden_bench.contracts.methods import (
    EncoderSource,
    Method,
    MethodConfig,
    MethodDefaults,
    PretrainConfig,
    SourceDefaults,
)
from eden_bench.contracts.tasks import Kind, Seeds, Task, TaskDefaults
from eden_bench.errors import PluginError

_OBJECTS = {"task": (Task, TaskDefaults), "dataset": (Dataset, DatasetOptions)}
_CHOICES: Mapping[str, Mapping[str, tuple[str, ...]]] = {"task": {"kind": get_args(Kind), "repeats": get_args(Seeds)}}
"""Members that are one of a few words."""
_SHORTEST = 5
"""Shorter members are one slip away from too many honest names."""


def is_source(method: type) -> bool:
    """Return whether a method brings its encoder along instead of being pretrained here."""
    return hasattr(method, "load_encoder")


def complete_method(name: str, method: type) -> None:
    """Validate a method class and its config; add the optional members that they lack.

    Raises:
        PluginError: a required member is missing, or a public name is one slip away from a member.
    """
    contract, defaults = (EncoderSource, SourceDefaults) if is_source(method) else (Method, MethodDefaults)
    _refuse_slips(f"method {name!r}", method, Method, EncoderSource)
    _refuse_missing(f"method {name!r}", method, _required_of_class(contract), contract)
    config: Any = method.Config  # type: ignore[attr-defined]
    wanted = MethodConfig if is_source(method) else PretrainConfig
    if not (is_dataclass(config) and isinstance(config, type) and (is_source(method) or issubclass(config, wanted))):
        raise PluginError(
            f"method {name!r}: Config is {config!r}, expected a frozen dataclass"
            f"{'' if is_source(method) else ' that inherits from PretrainConfig'}"
        )
    _refuse_slips(f"the Config of method {name!r}", config, wanted)
    _fill_in(config, MethodConfig)
    _fill_in(method, defaults)


def check_object(kind: str, name: str, plugin: object) -> None:
    """Validate a task or dataset; add the optional members that it lacks.

    Raises:
        PluginError: a required member is missing, a public name is one slip away from a member, or a member that is
            one of a few words is another.
    """
    contract, options = _OBJECTS[kind]
    _refuse_slips(f"{kind} {name!r}", plugin, contract, options)
    _refuse_missing(f"{kind} {name!r}", plugin, sorted(members(contract) - members(options)), contract)
    _fill_in(type(plugin), options)
    for member, known in _CHOICES.get(kind, {}).items():
        try:
            one_of(member, getattr(plugin, member), known)
        except ValueError as error:
            raise PluginError(f"{kind} {name!r}: {error}") from error


def members(*contracts: type) -> set[str]:
    """Return the public names that contracts and their bases define or annotate."""
    names = {name for owner in _contract_classes(contracts) for name in _names_in(owner)}
    return {name for name in names if not name.startswith("_")}


def one_slip(name: str, member: str) -> bool:
    """Return whether two names differ by one letter omitted, inserted, replaced or swapped; digits must agree."""
    if len(name) != len(member):
        short, long = sorted((name, member), key=len)
        return any(long[:i] + long[i + 1 :] == short and not long[i].isdigit() for i in range(len(long)))
    wrong = [i for i, (mine, theirs) in enumerate(zip(name, member, strict=True)) if mine != theirs]
    if len(wrong) == 2:
        first, second = wrong
        return second == first + 1 and name[first] + name[second] == member[second] + member[first]
    return len(wrong) == 1 and not name[wrong[0]].isdigit()


def _refuse_slips(what: str, plugin: Any, *contracts: type) -> None:  # noqa: ANN401 - a class or an object
    known, settings = members(*contracts), {field.name for field in fields(plugin)} if is_dataclass(plugin) else set()
    absent = [name for name in sorted(known) if len(name) >= _SHORTEST and not _has(plugin, name, contracts)]
    for name in sorted({*dir(plugin), *settings} - known):
        for member in absent:
            if one_slip(name, member) and _alike(plugin, name, member, contracts, settings):
                raise PluginError(f"{what} has no member {name!r}: did you mean {member!r}?")


def _alike(plugin: object, name: str, member: str, contracts: Iterable[type], settings: Container[str]) -> bool:
    """Return whether both are functions, or neither; a dataclass field matches settings only."""
    kinds = [vars(owner).get(member) for owner in _contract_classes(contracts)]
    is_function = callable(inspect.getattr_static(plugin, name, None))
    return any(map(callable, kinds)) == is_function and (name not in settings or _is_setting(member, contracts))


def _refuse_missing(what: str, plugin: object, wanted: Iterable[str], contract: type) -> None:
    lacking = [name for name in wanted if not _has(plugin, name, (contract,))]
    if lacking:
        raise PluginError(f"{what} lacks {', '.join(map(repr, lacking))}: see eden_bench.{contract.__name__}")


def _required_of_class(contract: type) -> list[str]:
    """Return what a class itself must define: the contract's own functions and class variables, not its bases'."""
    annotated = {name for name, kind in inspect.get_annotations(contract).items() if str(kind).startswith("ClassVar")}
    return sorted(annotated | (vars(contract).keys() & members(contract)))


def _fill_in(cls: type, defaults: type) -> None:
    """Add to a class the members of defaults that it lacks, as ``functools.total_ordering`` does."""
    for name in members(defaults) & vars(defaults).keys():
        if not hasattr(cls, name):
            setattr(cls, name, vars(defaults)[name])


def _has(plugin: object, name: str, contracts: Iterable[type]) -> bool:
    """Return whether a plugin has a member of its own, neither inherited from its contracts nor filled in."""
    contract = _contract_classes(contracts)
    defaults = [vars(owner)[name] for owner in contract if name in vars(owner)]
    cls = plugin if isinstance(plugin, type) else type(plugin)
    values = [vars(owner).get(name) for owner in cls.__mro__ if owner not in contract and name in _names_in(owner)]
    values += [value for key, value in getattr(plugin, "__dict__", {}).items() if key == name and plugin is not cls]
    return any(all(value is not default for default in defaults) for value in values)


def _is_setting(member: str, contracts: Iterable[type]) -> bool:
    """Return whether a member may be a dataclass's field: it is annotated as one, or a property."""
    for owner in _contract_classes(contracts):
        kind = str(inspect.get_annotations(owner).get(member, "ClassVar"))
        if not kind.startswith("ClassVar") or isinstance(vars(owner).get(member), property):
            return True
    return False


def _contract_classes(contracts: Iterable[type]) -> set[type]:
    return {owner for contract in contracts for owner in contract.__mro__} - {object, Protocol, Generic, ABC}


def _names_in(owner: type) -> Iterator[str]:
    yield from vars(owner)
    yield from inspect.get_annotations(owner)
