"""Fair comparison: settings that a protocol makes equal for all methods, instead of each paper's own.

    [fair]
    epochs_total = 600          # epochs over all stages of a method; or images_seen = 45_000_000
    augmentation = "adam"       # of the methods that leave the choice
    normalisation = "imagenet"  # of the views
    select = "last"             # or "best", by validation loss

A method that cannot take one of them keeps its own, and the report says of each pretraining what was equal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Any

from eden_bench.errors import UsageError, nearest

SHARED = ("augmentation", "normalisation", "select")
"""Switches that are fields of the methods' configs."""
SWITCHES = ("epochs_total", "images_seen", *SHARED)


def check(switches: Mapping[str, Any], where: str) -> None:
    """Validate the switches.

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


def shared(switches: Mapping[str, Any], config: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return the switches that a config has as fields, unless it keeps its own."""
    open_to = {f.name for f in fields(config)} - set(config.keeps)
    return {name: switches[name] for name in SHARED if name in switches and name in open_to}


def with_epochs_total(config: Any, total: int) -> Any:  # noqa: ANN401 - each method has its own dataclass
    """Scale a config's epochs so that its stages together have as near to a total as whole epochs allow."""
    return _nearest(config, total, lambda each: sum(stage.epochs for stage in each.stages))


def with_images_seen(config: Any, images: int, train: int) -> Any:  # noqa: ANN401
    """Scale a config's epochs so that it sees as near to a number of images as whole epochs allow.

    Args:
        config: of a pretrained method; one whose stages are not about whole images says how many images an epoch has in
            ``images_of(stage, train)``.
        images: seen over all stages, one seen twice counted twice.
        train: images to pretrain on; the ragged last batch of an epoch is dropped.
    """
    return _nearest(config, images, lambda each: sum(s.epochs * _per_epoch(each, s, train) for s in each.stages))


def _per_epoch(config: Any, stage: Any, train: int) -> int:  # noqa: ANN401
    images: int = config.images_of(stage, train)
    return max(1, images // config.batch_size * config.batch_size)


def _nearest(config: Any, wanted: int, size: Callable[[Any], int]) -> Any:  # noqa: ANN401
    """Search ``epochs`` for the config whose size, which grows with them, is nearest to a target."""
    guess = round(config.epochs * wanted / size(config))
    tried = [replace(config, epochs=epochs) for epochs in range(max(1, guess - 2), max(1, guess) + 3)]
    return min(tried, key=lambda each: abs(size(each) - wanted))
