"""Hold once what the records of a folder have in common: settings, cards, versions, as read and as parsed."""

from __future__ import annotations

import hashlib
import marshal
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

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

    def _hold(self, value: Any) -> Any:  # noqa: ANN401
        key = hashlib.sha256(marshal.dumps(value, 2)).digest()  # of JSON; the fastest text of it that there is
        if key not in self._held:
            self._held[key] = value
            self._know(value)
        return self._held[key]

    def _know(self, value: Any) -> None:  # noqa: ANN401
        """Note an object and those within it, whose ids stand for them as long as they are held."""
        if isinstance(value, dict):
            self._known.add(id(value))
            for each in value.values():
                self._know(each)
