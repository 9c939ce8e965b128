"""Hold once what the records of a folder have in common: settings, cards, versions, as read and as parsed."""

from __future__ import annotations

import marshal
from collections.abc import Callable, Mapping
from json.encoder import encode_basestring_ascii
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
        self._made: dict[tuple[Any, int], Any] = {}
        self._known: set[int] = set()

    def content(self, content: Mapping[str, Any]) -> dict[str, Any]:
        """Return a record's content, made of parts that are held."""
        found = dict(content)
        for name in _SECTIONS:
            if name in found:
                found[name] = self._hold(found[name])
        for name, entries in _ENTRIES.items():
            if isinstance(section := found.get(name), dict):
                found[name] = {key: self._hold(each) if key in entries else each for key, each in section.items()}
        return found

    def once(self, make: Callable[[Any], T], key: object, value: Any) -> T:  # noqa: ANN401 - JSON, here and below
        """Return what is made of a part; once for each that is held, under a key that says how it is made."""
        if id(value) not in self._known:
            return make(value)
        if (key, id(value)) not in self._made:
            self._made[key, id(value)] = make(value)
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

    def _text(self, value: Any) -> str:  # noqa: ANN401
        if type(value) is str:
            return encode_basestring_ascii(value)
        return str(value) if type(value) is int else self.once(canonical_json, "canonical", value)

    def _hold(self, value: Any) -> Any:  # noqa: ANN401
        key = marshal.dumps(value, 2)  # of JSON; the fastest text of it that there is
        if key not in self._held:
            self._held[key] = value
            self._know(value)
        return self._held[key]

    def _know(self, value: Any) -> None:  # noqa: ANN401
        """Note an object or a list, and objects within it, whose ids stand for them as long as they are held."""
        if isinstance(value, dict | list):
            self._known.add(id(value))
        if isinstance(value, dict):
            for each in value.values():
                self._know(each)


def _joined(texts: Mapping[str, str]) -> str:
    """Join the entries of a JSON object, whose names are sorted."""
    return "{" + ",".join(f"{encode_basestring_ascii(name)}:{texts[name]}" for name in sorted(texts)) + "}"
