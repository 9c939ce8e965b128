"""Select the epoch whose encoder is saved: that of the lowest meaningful validation loss, or the last."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from eden_bench.contracts import Method, PretrainConfig
from eden_bench.encoders import Encoder
from pretrain.engine import history
from pretrain.engine.state import TrainingState


def keep_if_best(at: TrainingState, method: Method, loss: float) -> None:
    """Keep a copy of the encoder if its validation loss is the lowest so far and meaningful.

    It means nothing while the queue is not real and where the pruner left no negatives.
    """
    says = method.ready and not history.is_exhausted(at.history[-1])
    if says and (at.best is None or loss < at.best["loss"]):
        weights = {name: value.detach().cpu().clone() for name, value in method.encoder.state_dict().items()}
        at.best = {"loss": loss, "epoch": at.epoch, "encoder": weights}


def selected(at: TrainingState, config: PretrainConfig, encoder: Encoder) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the selected encoder's weights and their epoch."""
    last = {"rule": "last", "stage": config.stages[-1].name, **_summary(at.history[-1])}
    if config.select == "last" or at.best is None:
        return encoder.state_dict(), last
    best = at.best
    chosen = next(e for e in at.history if (e["stage"], e["epoch"]) == (last["stage"], best["epoch"]))
    return best["encoder"], {**last, "rule": "best", **_summary(chosen)}


def _summary(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {name: entry[name] for name in ("epoch", "validation_loss")}
