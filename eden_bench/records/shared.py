"""Hold once what the records of a folder have in common: settings, cards, versions, as read and as parsed."""

from __future__ import annotations

import functools
import json
import marshal
from collections.abc import Callable, Collection, Mapping
from json.encoder import encode_basestring_ascii
from sys import intern
from typing import Any, TypeVar

from eden_bench.digests import canonical_json

T = TypeVar("T")
_SECTIONS = ("method", "task", "data", "marks", "score", "checkpoint")
"""Equal in many records."""
_ENTRIES = {"cell": ("protocol", "method_config"), "cases": ("columns",), "provenance": ("versions",)}
"""Equal in many records, in sections that are not."""


class Shared:
    """Equal parts of records, of which each is held once."""

    def __init__(self) -> None:
        self._held: dict[bytes, Any] = {}
        self._read: dict[str, Any] = {}
        self._made: dict[tuple[Any, int], Any] = {}
        self._known: set[int] = set()

    def parsed(self, text: str) -> Any:  # noqa: ANN401 - JSON, here and below
        """Parse a record's JSON to content made of parts that are held; those of equal text are parsed once.

        Raises:
            ValueError: it is no JSON.
        """
        try:
            found = self._members(text.rstrip("\n"), 1, _SECTIONS)
        except ValueError:  # JSON of another layout, or none
            found = json.loads(text)
            return self.content(found) if isinstance(found, dict) else found
        return found

    def content(self, content: Mapping[str, Any], met: dict[int, Any] | None = None) -> dict[str, Any]:
        """Return a record's content, made of parts that are held.

        Args:
            content: of the record.
            met: ids of parts that were met before, and are there still, to what is held for them.
        """
        found, met = dict(content), {} if met is None else met
        for name in _SECTIONS:
            if name in found:
                found[name] = self._hold(found[name], met)
        for name, entries in _ENTRIES.items():
            if isinstance(section := found.get(name), dict):
                found[name] = section = dict(section)
                for entry in entries:
                    if entry in section:
                        section[entry] = self._hold(section[entry], met)
        return found

    def once(self, make: Callable[..., T], key: object, value: Any, *more: Any) -> T:  # noqa: ANN401
        """Return what is made of a part, called with it and more; once for each that is held.

        The key says how it is made.
        """
        if id(value) not in self._known:
            return make(value, *more)
        if (key, id(value)) not in self._made:
            self._made[key, id(value)] = make(value, *more)
        made: T = self._made[key, id(value)]
        return made

    def canonical(self, content: Mapping[str, Any]) -> str:
        """Serialise a record's content as ``canonical_json`` does, each part that is held once."""
        texts = {name: self.section(each) if name in _ENTRIES else self._text(each) for name, each in content.items()}
        return _joined(texts)

    def section(self, value: Any) -> str:  # noqa: ANN401
        """Serialise one section, as it stands within ``canonical``."""
        if type(value) is not dict:
            return canonical_json(value)
        return _joined({name: self._text(each) for name, each in value.items()})

    def _members(self, text: str, depth: int, held: Collection[str]) -> dict[str, Any]:
        """Parse an object in the layout of the store, where each of its members begins a line with so many spaces.

        Text that falls apart into members of an object can be nothing but that object.

        Raises:
            ValueError: it is of another layout, or no JSON.
        """
        start = f'\n{" " * depth}"'
        if not (text.startswith("{" + start) and text.endswith("}")):
            raise ValueError("no object of this layout")
        found: dict[str, Any] = {}
        plain: dict[str, str] = {}  # parts that are parsed together
        for part in text[len(start) + 1 : -1].split("," + start):
            name, _, value = part.partition('": ')
            name = intern(name)
            if name in found:
                raise ValueError("a name stands twice")
            if name in held:
                found[name] = self._value(value)
            elif depth == 1 and name in _ENTRIES:
                found[name] = self._members(value.rstrip(), 2, _ENTRIES[name])
            else:
                found[name] = None  # its place
                plain[name] = part
        rest = json.loads('{"' + ',"'.join(plain.values()) + "}") if plain else {}
        if rest.keys() != plain.keys():
            raise ValueError("a line holds several members, or a name is written otherwise")
        return found | {name: _once(value) for name, value in rest.items()}

    def _value(self, text: str) -> Any:  # noqa: ANN401
        """Parse a part's text, and hold it."""
        if text not in self._read:
            self._read[text] = self._hold(json.loads(text), {})
        return self._read[text]

    def _text(self, value: Any) -> str:  # noqa: ANN401
        if type(value) is str:
            return encode_basestring_ascii(value)
        return str(value) if type(value) is int else self.once(canonical_json, "canonical", value)

    def _hold(self, value: Any, met: dict[int, Any]) -> Any:  # noqa: ANN401
        """Return what is held for a value."""
        if id(value) not in met:
            key = marshal.dumps(value, 2)  # of JSON; the fastest text of it that there is
            if key not in self._held:
                self._held[key] = value
                self._know(value)
            met[id(value)] = self._held[key]
        return met[id(value)]

    def _know(self, value: Any) -> None:  # noqa: ANN401
        """Note an object or a list, and objects within it, whose ids stand for them as long as they are held."""
        if isinstance(value, dict | list):
            self._known.add(id(value))
        if isinstance(value, dict):
            for each in value.values():
                self._know(each)


def _once(value: Any) -> Any:  # noqa: ANN401
    """Return a value whose text, and that of its members, is held once in this process."""
    if type(value) is str:
        return intern(value)
    return {intern(name): _once(each) for name, each in value.items()} if type(value) is dict else value


def _joined(texts: Mapping[str, str]) -> str:
    """Join the entries of a JSON object, whose names are sorted."""
    return "{" + ",".join([begin + texts[name] for name, begin in _sorted(tuple(texts))]) + "}"


@functools.cache
def _sorted(names: tuple[str, ...]) -> list[tuple[str, str]]:
    """Sort names; return each with how its entry begins."""
    return [(name, f"{encode_basestring_ascii(name)}:") for name in sorted(names)]
