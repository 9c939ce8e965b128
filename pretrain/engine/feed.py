"""A stage's batches, epoch by epoch: each epoch is in the making before the one in front of it has ended.

Draws depend on the epoch and not on when they are made, so beginning early changes no view.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from eden_bench import seeds
from eden_bench.contracts import PretrainData, Stage, Views
from eden_bench.errors import listed
from pretrain.engine import distributed
from pretrain.views.stream import Batches, ViewStream


class Feed:
    """This process's share of a stage's training and validation batches.

    Attributes:
        steps: batches of an epoch of training; the ragged last one is dropped.
    """

    def __init__(self, stream: ViewStream, data: PretrainData, stage: Stage) -> None:
        self._stream, self._data, self._stage = stream, data, stage
        self._begun: dict[tuple[str, int], Batches] = {}
        self.steps = len(data.train) // (stream.batch_size * distributed.size())

    def train(self, epoch: int, first_step: int) -> Batches:
        """Return an epoch of training from a step on."""
        return self._begun.pop(("train", epoch), None) or self._made("train", epoch, first_step)

    def validation(self, next_epoch: int) -> Iterator[Views]:
        """Yield the held-out images on views that are always the same; begin the next epoch with the last of them."""
        batches = self._begun.pop(("validation", 0), None) or self._made("validation", 0)
        for views in batches:
            if batches.ending and next_epoch < self._stage.epochs:
                self._begin("train", next_epoch)
            yield views

    def begin_validation(self) -> None:
        """Let validation's plan and first batches be made, if they are not yet."""
        self._begin("validation", 0)

    def close(self) -> None:
        """Drop what was begun and is not wanted, as the epoch is that the schedule calls off."""
        for batches in self._begun.values():
            batches.close()
        self._begun.clear()

    def _begin(self, purpose: str, epoch: int) -> None:
        if (purpose, epoch) not in self._begun:
            self._begun[purpose, epoch] = self._made(purpose, epoch)

    def _made(self, purpose: str, epoch: int, first_batch: int = 0) -> Batches:
        order = self._order(epoch) if purpose == "train" else self._held_out()
        return self._stream.epoch(epoch, order, first_batch=first_batch, purpose=purpose)

    def images(self, epoch: int, step: int) -> str:
        """Name the images of a step of training, counted from 1, of this process's share."""
        own, ids = self._stream.batch_size, getattr(self._data.pyramid, "ids", None)
        rows = self._order(epoch)[(step - 1) * own : step * own]
        return listed([f"image {row}" if ids is None else ids[row] for row in rows])

    def _order(self, epoch: int) -> np.ndarray:
        """Return this process's share of the shuffled training images, whole batches only."""
        train, own = self._data.train, self._stream.batch_size
        order = train[seeds.shuffled(len(train), self._stream.seed, "order", self._stage.name, epoch)]
        batches = order[: self.steps * distributed.size() * own].reshape(self.steps, distributed.size(), own)
        return batches[:, distributed.rank()].reshape(-1)

    def _held_out(self) -> np.ndarray:
        return self._data.validation[distributed.rank() :: distributed.size()]
