"""Validate values of configs and requests; report progress."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import TypeVar

from eden_bench.errors import UsageError, nearest

C = TypeVar("C")

Progress = Callable[[str, int, int], None]
"""Called with (what is being done, done so far, total); must be cheap."""


def no_progress(what: str, done: int, total: int) -> None:
    """Discard progress."""


def in_range(name: str, value: float, low: float, high: float) -> None:
    """Validate low ≤ value ≤ high. Raises ValueError "name must be in [low, high], not value".

    >>> in_range("momentum", 1.5, 0, 1)
    Traceback (most recent call last):
    ValueError: momentum must be in [0, 1], not 1.5
    """
    if not low <= value <= high:
        raise ValueError(f"{name} must be in [{low:g}, {high:g}], not {value!r}")


def at_least(name: str, value: float, low: float) -> None:
    """Validate value ≥ low (NaN fails). Raises ValueError "name must be at least low, not value"."""
    if not value >= low:
        raise ValueError(f"{name} must be at least {low:g}, not {value!r}")


def one_of(name: str, value: object, known: Sequence[str]) -> None:
    """Validate that value is one of some. Raises ValueError "name must be one of …, not value", with the nearest.

    >>> one_of("split", "training", ("train", "test"))
    Traceback (most recent call last):
    ValueError: split must be one of train, test, not 'training'. Did you mean 'train'?
    """
    if value not in known:
        close = nearest(str(value), known)
        raise ValueError(f"{name} must be one of {', '.join(known)}, not {value!r}{close and f'.{close}'}")


def with_overrides(config: C, overrides: Mapping[str, object], where: str) -> C:
    """Return config with some fields replaced; a mapping replaces fields of a field that is a dataclass itself.

    Raises:
        UsageError: a key is not a field of config, or its value is refused (inf and nan always are); names the
            nearest field.
    """
    names = [f.name for f in fields(config)]  # type: ignore[arg-type]
    for name, value in overrides.items():
        if name not in names:
            raise UsageError(f"{where}: unknown option {name!r}.{nearest(name, names)} Known: {', '.join(names)}.")
        if not _is_finite(value):
            raise UsageError(f"{where}: {name} must be finite, not {value!r}")
    values = {name: _fitted(getattr(config, name), value, f"{where}, {name}") for name, value in overrides.items()}
    try:
        return replace(config, **values)  # type: ignore[type-var]
    except (ValueError, TypeError) as error:
        raise UsageError(f"{where}: {error}") from error


def _fitted(now: object, value: object, where: str) -> object:
    """Convert a value read from TOML to the type of the field that it replaces."""
    if is_dataclass(now) and not isinstance(now, type) and isinstance(value, Mapping):
        return with_overrides(now, value, where)
    return tuple(value) if isinstance(value, list) else value


def _is_finite(value: object) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_is_finite, value))
    return not isinstance(value, float) or math.isfinite(value)


def shots_are_valid(shots: int | None, train: int) -> None:
    """Validate 2 ≤ shots ≤ number of training images. Raises UsageError."""
    if shots is not None and not 2 <= shots <= train:
        raise UsageError(f"--shots {shots}: expected 2 to {train}, the number of training images")


def steps_per_epoch(images: int, batch_size: int) -> int:
    """Return the optimiser steps in one epoch, the ragged last batch included.

    >>> steps_per_epoch(10, 4)
    3
    """
    return math.ceil(images / batch_size)
