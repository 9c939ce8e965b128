"""Parse and validate stored JSON as dataclasses, by their field types; the first entry that differs is named.

A record is checked so when it is written and when it is read, so a report meets nothing that it cannot show.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints

if TYPE_CHECKING:
    from eden_bench.records.shared import Shared

T = TypeVar("T")
_MOST_DIGITS, _LARGEST = 12, 2**63
_ABSENT = object()


class Misshapen(ValueError):
    """An entry is absent or of another type; the message names it, the value and what was expected."""


class Kind(NamedTuple):
    """A type of entry: its name, which values fit, and how a fitting value is converted."""

    name: str
    fits: Callable[[Any], bool]
    read: Callable[[Any], Any] = lambda value: value


def is_number(value: Any) -> bool:  # noqa: ANN401 - JSON, here and below
    """Return whether a value is a finite number of a size that a report can show."""
    return type(value) in (int, float) and -_LARGEST < value < _LARGEST


def _is_whole(value: Any) -> bool:  # noqa: ANN401
    return type(value) is int and 0 <= value < _LARGEST


def _is_list(fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and all(map(fits, value))


def _is_text(value: Any) -> bool:  # noqa: ANN401
    return isinstance(value, str)


def _is_mean_and_sd(value: Any) -> bool:  # noqa: ANN401
    return isinstance(value, list) and len(value) == 2 and all(map(_is_list(is_number), value))


def _is_stage(value: Any) -> bool:  # noqa: ANN401
    starved = value.get("without_negatives") if isinstance(value, dict) else _ABSENT
    return starved is None or is_number(starved)


def _are_numbers(value: Any) -> bool:  # noqa: ANN401
    return isinstance(value, dict) and all(map(is_number, value.values()))


TEXT = Kind("text", _is_text)
FLAG = Kind("true or false", lambda value: isinstance(value, bool))
WHOLE = Kind("a whole number of at least 0", _is_whole)
NUMBER = Kind("a number", is_number)
OBJECT = Kind("an object", lambda value: isinstance(value, dict))
TEXTS = Kind("a list of text", _is_list(_is_text), tuple)
SECONDS = Kind("a number of at least 0", lambda value: is_number(value) and value >= 0, float)
DIGITS = Kind(f"0 to {_MOST_DIGITS}", lambda value: _is_whole(value) and value <= _MOST_DIGITS)
NUMBERS = Kind("numbers", _are_numbers, lambda value: {name: float(number) for name, number in value.items()})
STAGES = Kind("a list of stages", _is_list(_is_stage), tuple)
VALUES = Kind("pairs of mean and s.d.", _is_list(_is_mean_and_sd), tuple)
ANYTHING = Kind("anything", lambda value: True)
_EXACT = {TEXT.name: str, FLAG.name: bool, OBJECT.name: dict}
_BY_TYPE = {str: TEXT, bool: FLAG, int: WHOLE, float: NUMBER, tuple: TEXTS, Mapping: OBJECT, Any: ANYTHING}


class _Entry(NamedTuple):
    kind: Kind
    nested: type | None
    required: bool
    nullable: bool


def parse(kind: type[T], content: Mapping[str, Any], place: str = "", shared: Shared | None = None) -> T:
    """Parse JSON into a dataclass by field names; further entries are ignored.

    A field's type says what fits: str, bool, int (of at least 0), float, ``tuple[str, ...]``, ``Mapping``, another
    dataclass, or ``Annotated`` with a ``Kind``. One with a default may be absent, one that may be None may be null.
    Objects and lists that are equal in several records are parsed once, where these are shared.

    Raises:
        Misshapen: for example "its cell.seed is '3', expected a whole number of at least 0".
    """
    values: dict[str, Any] = {}
    owner: Any = kind
    for name, exact, entry in _entries(owner):
        value = content.get(name, _ABSENT)
        if type(value) is exact or (value is None and entry.nullable):
            values[name] = value
        elif shared and type(value) in (dict, list):
            values[name] = shared.once(_read, entry.nested or entry.kind.name, value, entry, place, name, shared)
        elif value is not _ABSENT or entry.required:
            values[name] = _read(value, entry, place, name, shared)
    return kind(**values)


def _read(value: Any, entry: _Entry, place: str, name: str, shared: Shared | None) -> Any:  # noqa: ANN401
    """Validate and convert a value."""
    if not entry.kind.fits(value):
        raise Misshapen(f"its {place}{name} is {_shown(value)}, expected {entry.kind.name}")
    return parse(entry.nested, value, f"{place}{name}.", shared) if entry.nested else entry.kind.read(value)


@functools.cache
def _entries(owner: Any) -> list[tuple[str, type | None, _Entry]]:  # noqa: ANN401 - a dataclass
    """List a dataclass' fields: name, the type whose every value fits and is kept as it is, and what else fits."""
    hints = get_type_hints(owner, include_extras=True)
    found = {
        each.name: _entry(hints[each.name], each.default is MISSING and each.default_factory is MISSING)
        for each in fields(owner)
        if each.init
    }
    return [(name, None if entry.nested else _EXACT.get(entry.kind.name), entry) for name, entry in found.items()]


def _entry(hint: Any, required: bool) -> _Entry:  # noqa: ANN401 - a type
    nullable = get_origin(hint) in (Union, types.UnionType)
    if nullable:
        (hint,) = (part for part in get_args(hint) if part is not types.NoneType)
    if get_origin(hint) is Annotated:
        return _Entry(get_args(hint)[1], None, required, nullable)
    if is_dataclass(hint):
        return _Entry(OBJECT, hint if isinstance(hint, type) else None, required, nullable)
    return _Entry(_BY_TYPE[get_origin(hint) or hint], None, required, nullable)


def _shown(value: Any) -> str:  # noqa: ANN401
    text = "absent" if value is _ABSENT else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
