"""Fair comparison: what a protocol makes alike for all methods, where the default is each paper's own.

    [fair]
    epochs_total = 600          # epochs over all stages of a method; or images_seen = 45_000_000
    augmentation = "adam"       # of the methods that leave the choice
    normalisation = "imagenet"  # of the views
    select = "last"             # or "best", by validation loss

A method that cannot take one of them keeps its own, and the report says of each pretraining what was equal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from eden_bench.digests import digest
from eden_bench.errors import UsageError, nearest

if TYPE_CHECKING:
    from eden_bench.records import Record

SHARED = ("augmentation", "normalisation", "select")
"""Switches that are fields of the methods' configs."""
SWITCHES = ("epochs_total", "images_seen", *SHARED)


def check(switches: Mapping[str, Any], where: str) -> None:
    """Refuse switches that mean nothing.

    Raises:
        UsageError: names the key, and the nearest one that is known.
    """
    for name in switches:
        if name not in SWITCHES:
            raise UsageError(
                f"{where}: unknown switch {name!r}.{nearest(name, SWITCHES)} Known: {', '.join(SWITCHES)}."
            )
    if {"epochs_total", "images_seen"} <= set(switches):
        raise UsageError(f"{where}: epochs_total and images_seen say the same thing: give one")
    for name in ("epochs_total", "images_seen"):
        value = switches.get(name, 1)
        if type(value) is not int or value < 1:
            raise UsageError(f"{where}: {name} is {value!r}, expected a whole number of at least 1")


def shared(switches: Mapping[str, Any], config: object) -> dict[str, Any]:
    """Return the switches that a config has as fields, and does not keep its own."""
    open_to = {f.name for f in fields(config)} - set(getattr(config, "keeps", ()))  # type: ignore[arg-type]
    return {name: switches[name] for name in SHARED if name in switches and name in open_to}


def with_epochs_total(config: Any, total: int) -> Any:  # noqa: ANN401 - each method has its own dataclass
    """Return a config whose stages have, as nearly as whole epochs allow, so many epochs together."""
    return _nearest(config, total, lambda each: sum(stage.epochs for stage in each.stages))


def with_images_seen(config: Any, images: int, train: int) -> Any:  # noqa: ANN401
    """Return a config under which, as nearly as whole epochs allow, so many images are seen.

    Args:
        config: of a pretrained method; one whose stages are not about whole images says how many images an epoch has in
            ``images_of(stage, train)``.
        images: seen over all stages, one seen twice counted twice.
        train: images to pretrain on; the ragged last batch of an epoch is dropped.
    """
    return _nearest(config, images, lambda each: sum(s.epochs * _per_epoch(each, s, train) for s in each.stages))


def _per_epoch(config: Any, stage: Any, train: int) -> int:  # noqa: ANN401
    images: int = config.images_of(stage, train) if hasattr(config, "images_of") else train
    return max(1, images // config.batch_size * config.batch_size)


def _nearest(config: Any, wanted: int, size: Callable[[Any], int]) -> Any:  # noqa: ANN401
    """Return a config with such ``epochs`` that its size, which grows with them, is as near as can be."""
    guess = round(config.epochs * wanted / size(config))
    tried = [replace(config, epochs=epochs) for epochs in range(max(1, guess - 2), max(1, guess) + 3)]
    return min(tried, key=lambda each: abs(size(each) - wanted))


def facts(record: Record) -> dict[str, Any]:
    """Return what a row's pretraining is compared by, name to value; only the backbone where there was none."""
    card = record.content["checkpoint"].get("card") or {}
    arch = card.get("arch", record.cell.method_config.get("arch"))
    found = {"backbone": arch, **{name: read(card) for name, read in _READ.items() if card}}
    return {name: value for name, value in found.items() if value is not None}


def compared(rows: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Say what was equal and what was not.

    Args:
        rows: label to ``facts``. Only rows that were pretrained have a fact beside the backbone, and nothing is said
            of one that fewer than two rows have.
    """
    told: dict[str, dict[str, Any]] = {}
    for label, row in rows.items():
        for name, value in row.items():
            told.setdefault(name, {})[label] = value
    several = {name: values for name, values in told.items() if len(values) > 1}
    equal = [f"{name} ({_text(next(iter(v.values())))})" for name, v in several.items() if _is_one(v)]
    other = [f"{name} ({_each(v)})" for name, v in several.items() if not _is_one(v)]
    parts = (("equal", equal), ("not equal", other))
    return [f"pretraining compared, {word}: {'; '.join(texts)}" for word, texts in parts if texts]


def _is_one(values: Mapping[str, Any]) -> bool:
    return len({digest(value) for value in values.values()}) == 1


def _each(values: Mapping[str, Any]) -> str:
    """Tell each row's value; of numbers also how many times the least it is."""
    least = min((value for value in values.values() if isinstance(value, int)), default=0)
    times = {k: f", {v / least:.1f} times the least" for k, v in values.items() if isinstance(v, int) and v > least > 0}
    return ", ".join(f"{label} {_text(value)}{times.get(label, '')}" for label, value in values.items())


def _text(value: object) -> str:
    if isinstance(value, Mapping):
        return str(value.get("family", value))
    return f"{value:,}" if isinstance(value, int) else str(value)


def _rule(card: Mapping[str, Any]) -> str | None:
    rule = (card.get("selected") or {}).get("rule")
    return {"best": "lowest validation loss", "last": "last epoch"}.get(str(rule))


def _normalisation(card: Mapping[str, Any]) -> str | None:
    pairs = card.get("normalisation")
    return None if pairs is None else " and ".join(f"mean {_list(m)}, s.d. {_list(s)}" for m, s in pairs)


def _list(values: Iterable[float]) -> str:
    return " ".join(f"{value:g}" for value in dict.fromkeys(values))


_READ: Mapping[str, Callable[[Mapping[str, Any]], Any]] = {
    "epochs": lambda card: card.get("epochs"),
    "images seen": lambda card: card.get("images_seen"),
    "views of each": lambda card: card.get("views"),
    "augmentation": lambda card: card.get("augmentation"),
    "normalisation": _normalisation,
    "checkpoint": _rule,
}
