"""Seeds of a pack by turns: each is a generator that pauses after a step, so several can share a GPU in one process.

A turn changes nothing that a seed computes: all that is random is drawn by address, and seeds share no state.
On a GPU each seed that is under way has a stream of its own, on which its kernels queue while others are issued.
"""

from __future__ import annotations

import contextlib
import time
from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

import torch

from eden_bench.contracts import OpenTask, Outcome, Shared
from eden_bench.encoders import Encoder

T = TypeVar("T")
Steps = Generator[None, None, T]
"""Work that pauses where another seed may have its turn, and returns its result."""
Ended = tuple[int, Outcome | Exception | SystemExit]


class ByTurns(OpenTask):
    """A task whose seeds are trained by turns. What inherits from it has ``steps`` in place of ``run``.

    One that has a ``run`` of its own all the same is run one seed after the other.
    """

    device: torch.device
    at_once: int
    """Seeds that may be under way at a time."""

    @abstractmethod
    def steps(self, encoder: Encoder, seed: int, shots: int | None = None) -> Steps[Outcome]:
        """Do what ``contracts.OpenTask.run`` does, pausing where another seed may have its turn."""

    def run(self, encoder: Encoder, seed: int, shots: int | None = None) -> Outcome:
        """Fine-tune and score; see ``contracts.OpenTask.run``."""
        return ended(self.steps(encoder, seed, shots))

    def run_many(
        self, encoder_of: Callable[[int], Encoder], seeds: Sequence[int], shots: int | None = None
    ) -> Iterator[Ended]:
        """Run seeds by turns; see ``contracts.OpenTask.run_many``."""
        if type(self).run is not ByTurns.run:
            return super().run_many(encoder_of, seeds, shots)

        def start(seed: int) -> Steps[Outcome]:
            return (yield from self.steps(encoder_of(seed), seed, shots))

        return by_turns(start, seeds, self.at_once, self.device)


def ended(steps: Steps[T]) -> T:
    """Take all steps at once, and return the result."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            return result


def by_turns(
    start: Callable[[int], Steps[Outcome]], seeds: Sequence[int], at_once: int, device: torch.device
) -> Iterator[Ended]:
    """Run seeds, ``at_once`` under way at a time; yield each one's outcome, or its exception, as it ends.

    Nothing of a seed that ended is kept here while others go on.

    Args:
        start: seed to its steps; nothing of it runs before its first turn.
        seeds: in the order in which they start.
        at_once: seeds under way at a time; with 1 they run one after the other.
        device: where they run.
    """
    at_once = min(at_once, len(seeds))
    waiting, under_way, done = deque(seeds), deque[_Seed](), deque[Ended]()
    while waiting or under_way:
        while waiting and len(under_way) < at_once:
            seed = waiting.popleft()
            under_way.append(_Seed(seed, start(seed), _stream(device, at_once), at_once))
        done.extend(under_way[0].turn())
        if done:
            under_way.popleft()
            yield done.popleft()
        else:
            under_way.rotate(-1)


class _Seed:
    """A seed under way."""

    def __init__(self, seed: int, steps: Steps[Outcome], stream: torch.cuda.Stream | None, at_once: int) -> None:
        self._seed, self._steps, self._stream, self._at_once = seed, steps, stream, at_once
        self._seconds = 0.0

    def turn(self) -> Iterator[Ended]:
        """Take one step; yield how it ended if that was the last."""
        began = time.perf_counter()
        try:
            with self._on_stream():
                next(self._steps)
        except StopIteration as end:
            self._seconds += time.perf_counter() - began
            yield self._seed, self._timed(end.value)
        except (Exception, SystemExit) as error:  # the edge: one seed's failure must not stop the others
            yield self._seed, error
        else:
            self._seconds += time.perf_counter() - began

    def _timed(self, outcome: Outcome) -> Outcome:
        """Note its share of the time, where it shared it."""
        return replace(outcome, shared=Shared(self._at_once, self._seconds)) if self._at_once > 1 else outcome

    @contextlib.contextmanager
    def _on_stream(self) -> Iterator[None]:
        """Queue on the seed's stream, which sees what came before it, and is waited for where the seed ends."""
        if self._stream is None:
            yield
            return
        outer = torch.cuda.current_stream(self._stream.device)
        if not self._seconds:
            self._stream.wait_stream(outer)
        try:
            with torch.cuda.stream(self._stream):
                yield
        except BaseException:  # its end, or its failure
            outer.wait_stream(self._stream)
            raise


def _stream(device: torch.device, at_once: int) -> torch.cuda.Stream | None:
    if device.type != "cuda" or at_once == 1:
        return None
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
