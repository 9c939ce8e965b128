"""Compare the pretrainings of a table, and note below it what was equal and what differs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from eden_bench.digests import digest
from eden_bench.records.content import NO_CARD, Card

if TYPE_CHECKING:
    from eden_bench.records import Record


def facts(record: Record) -> dict[str, Any]:
    """Return the values by which a row's pretraining is compared; only the backbone without pretraining."""
    card = record.checkpoint.card
    arch = card.arch or record.cell.method_config.get("arch")
    found = {"backbone": arch, **{name: read(card) for name, read in _READ.items() if card is not NO_CARD}}
    return {name: value for name, value in found.items() if value is not None}


def compared(rows: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Describe what was equal among pretrainings and what was not.

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
    """List each row's value; of numbers also the ratio to the smallest."""
    least = min((value for value in values.values() if isinstance(value, int)), default=0)
    times = {k: f", {v / least:.1f} times the least" for k, v in values.items() if isinstance(v, int) and v > least > 0}
    return ", ".join(f"{label} {_text(value)}{times.get(label, '')}" for label, value in values.items())


def _text(value: object) -> str:
    if isinstance(value, Mapping):
        return str(value.get("family", value))
    return f"{value:,}" if isinstance(value, int) else str(value)


def _rule(card: Card) -> str | None:
    rule = (card.selected or {}).get("rule")
    return {"best": "lowest validation loss", "last": "last epoch"}.get(str(rule))


def _normalisation(card: Card) -> str | None:
    pairs = card.normalisation
    return None if pairs is None else " and ".join(f"mean {_list(m)}, s.d. {_list(s)}" for m, s in pairs)


def _list(values: Iterable[float]) -> str:
    return " ".join(f"{value:g}" for value in dict.fromkeys(values))


_READ: Mapping[str, Callable[[Card], Any]] = {
    "epochs": lambda card: card.epochs,
    "images seen": lambda card: card.images_seen,
    "views of each": lambda card: card.views,
    "augmentation": lambda card: card.augmentation,
    "normalisation": _normalisation,
    "checkpoint": _rule,
}
