"""The shape of what is stored: each entry of a record, a failure or an audit that is used later, and its type.

A record is checked by it when it is written and when it is read, so a report meets nothing that it cannot show.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

_MOST_DIGITS, _LARGEST = 12, 2**63
_ABSENT = object()


class Kind(NamedTuple):
    """A type of entry: what it is called and how it is told."""

    name: str
    fits: Callable[[Any], bool]

    @property
    def if_there(self) -> Kind:
        """The same, where the entry may also be absent."""
        return Kind(self.name, lambda value: value is _ABSENT or self.fits(value))

    @property
    def maybe(self) -> Kind:
        """The same, where the entry may also be absent or null."""
        return Kind(self.name, lambda value: value is None or value is _ABSENT or self.fits(value))


def _is_whole(value: Any) -> bool:  # noqa: ANN401 - JSON, here and below
    return type(value) is int and 0 <= value < _LARGEST


def _is_number(value: Any) -> bool:  # noqa: ANN401
    return type(value) in (int, float) and -_LARGEST < value < _LARGEST


def is_share(value: Any) -> bool:  # noqa: ANN401
    """Tell whether value is a number in [0, 1]: a score."""
    return _is_number(value) and 0 <= value <= 1


def _are_shares(value: Any) -> bool:  # noqa: ANN401
    return isinstance(value, dict) and all(is_share(score) for score in value.values())


def _is_list(fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and all(map(fits, value))


def _is_text(value: Any) -> bool:  # noqa: ANN401
    return isinstance(value, str)


def _is_mean_and_sd(value: Any) -> bool:  # noqa: ANN401
    return isinstance(value, list) and len(value) == 2 and all(map(_is_list(_is_number), value))


def _is_stage(value: Any) -> bool:  # noqa: ANN401
    return isinstance(value, dict) and _NUMBER.maybe.fits(value.get("without_negatives"))


_TEXT = Kind("text", _is_text)
_FLAG = Kind("true or false", lambda value: isinstance(value, bool))
_WHOLE = Kind("a whole number of at least 0", _is_whole)
_NUMBER = Kind("a number", _is_number)
_SECONDS = Kind("a number of at least 0", lambda value: _is_number(value) and value >= 0)
_DIGITS = Kind(f"0 to {_MOST_DIGITS}", lambda value: _is_whole(value) and value <= _MOST_DIGITS)
_OBJECT = Kind("an object", lambda value: isinstance(value, dict))
_TEXTS = Kind("a list of text", _is_list(_is_text))
_SCORES = Kind("numbers in [0, 1]", _are_shares)
_STAGES = Kind("a list of stages", _is_list(_is_stage))
_VALUES = Kind("pairs of mean and s.d.", _is_list(_is_mean_and_sd))

_RECORD: Mapping[str, Kind] = {
    "id": _TEXT,
    "cell": _OBJECT,
    **{f"cell.{name}": _TEXT for name in ("method", "checkpoint", "task", "data", "splits")},
    **{f"cell.{name}": _OBJECT for name in ("method_config", "protocol")},
    **{f"cell.{name}": _WHOLE for name in ("seed", "score_version", "threads", "code")},
    "cell.shots": _WHOLE.maybe,
    "scores": _SCORES,
    "score": _OBJECT,
    **{f"score.{name}": _TEXT for name in ("name", "text")},
    "score.version": _WHOLE,
    "score.decimals": _DIGITS,
    "score.pooled": _FLAG,
    "score.alternatives": _OBJECT,
    "cases": _OBJECT,
    **{f"cases.{name}": _WHOLE for name in ("rows", "bytes")},
    "cases.columns": _TEXTS,
    "cases.sha256": _TEXT,
    "training": _OBJECT.maybe,
    "training.steps_planned": _WHOLE.if_there,
    "task": _OBJECT,
    **{f"task.{name}": _TEXT for name in ("title", "kind", "dataset")},
    "method": _OBJECT.if_there,
    "method.variant": _TEXT.if_there,
    "data": _OBJECT,
    **{f"data.{name}": _WHOLE.maybe for name in ("train", "validation", "test")},
    **{f"data.{name}": _TEXTS.maybe for name in ("labels", "labels_without_auc")},
    "marks": _OBJECT,
    **{f"marks.{name}": _FLAG for name in ("phantom", "quick")},
    **{f"marks.{name}": _TEXT for name in ("protocol", "base")},
    "marks.part": _TEXT.maybe,
    "checkpoint": _OBJECT,
    "checkpoint.card": _OBJECT.if_there,
    "checkpoint.card.stages": _STAGES.maybe,
    "checkpoint.card.normalisation": _VALUES.maybe,
    "checkpoint.card.selected": _OBJECT.maybe,
    **{f"checkpoint.card.{name}": _NUMBER.maybe for name in ("epochs", "images_seen", "views", "seed")},
    "checkpoint.card.data.images": _WHOLE.if_there,
    "provenance": _OBJECT,
    "provenance.seconds": _SECONDS,
}
_FAILURE: Mapping[str, Kind] = {
    **dict.fromkeys(("what", "kind", "method", "error", "command"), _TEXT.maybe),
    "tasks": _TEXTS.maybe,
}
_AUDIT: Mapping[str, Kind] = {
    "dataset": _TEXT,
    "test_list": _TEXT.maybe,
    "together_with": Kind(
        "objects with part and train_list",
        lambda value: isinstance(value, dict) and all(_has(each, "part", "train_list") for each in value.values()),
    ),
    "findings": Kind("findings", _is_list(lambda each: _has(each, "level", "kind", "other", "text"))),
}


def _has(value: Any, *names: str) -> bool:  # noqa: ANN401
    return isinstance(value, dict) and all(isinstance(value.get(name), str) for name in names)


def misshapen_record(content: Mapping[str, Any]) -> str:
    """Say what of a record's content is not as a report needs it; "" where all is."""
    return next(_wrong(content, _RECORD), "") or _without_primary(content)


def misshapen_failure(content: Mapping[str, Any]) -> str:
    """Say the same of a stored failure."""
    return next(_wrong(content, _FAILURE), "")


def misshapen_audit(content: Mapping[str, Any]) -> str:
    """Say the same of a stored audit."""
    return next(_wrong(content, _AUDIT), "")


def _without_primary(content: Mapping[str, Any]) -> str:
    name = content["score"]["name"]
    return "" if name in content["scores"] else f"its scores lack the primary one, {name!r}"


def _wrong(content: Mapping[str, Any], shape: Mapping[str, Kind]) -> Iterator[str]:
    for path, kind in shape.items():
        value = _entry(content, path)
        if not kind.fits(value):
            yield f"its {path} is {_shown(value)}, expected {kind.name}"


def _entry(content: Any, path: str) -> Any:  # noqa: ANN401
    """Return what stands at a path such as "cell.seed"; _ABSENT where nothing does."""
    for name in path.split("."):
        content = content.get(name, _ABSENT) if isinstance(content, Mapping) else _ABSENT
    return content


def _shown(value: Any) -> str:  # noqa: ANN401
    text = "absent" if value is _ABSENT else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
