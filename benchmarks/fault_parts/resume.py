"""Stop pretrainings at random points, most of them by SIGKILL, go on, and compare the weights' digests.

Each runs in a process of its own on noise, and saves its state in the background after every step. What stops it: a
signal that asks, at a random step; SIGKILL at a random step, at a random moment, at a random byte of the state that is
being written, between the flush of that file and its renaming, and between the renaming and the flush of the folder;
and the same two moments of the checkpoint's weights and card.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO
from unittest import mock

from benchmarks.kills import ended, forked
from eden_bench import preemption
from eden_bench.errors import Preempted
from eden_bench.weights.checkpoints import CARD, WEIGHTS, Checkpoint
from pretrain.engine import state, training
from tests.pretrain.engine.running import history, run

METHODS = {"moco-v2": {"epochs": 5}, "adam": {}}
"""One with a queue, in one stage; one with three stages."""
Stop = Callable[[random.Random, int], contextlib.AbstractContextManager[Callable[..., None]]]
"""Given what draws and the number of steps, yields the progress under which a run is stopped."""


def resume(folder: Path, points: int) -> tuple[bool, str]:
    """Stop a pretraining at each point, go on, and compare with one that was not stopped."""
    draw, wholes, kinds = random.Random(0), {name: _Whole(folder, name) for name in METHODS}, list(STOPS)
    equal, resumed, wrong = Counter[str](), Counter[str](), []
    for point in range(points):
        kind, name = kinds[point % len(kinds)], list(METHODS)[point // len(kinds) % len(METHODS)]
        here, whole = folder / f"{point}", wholes[name]
        code = _stopped(here, name, kind, draw, whole)
        resumed[kind] += (here / state.FILE).is_file()
        alike = ended(forked(lambda at=here, of=name: _run(at, of))) == 0 and whole.is_equal(here)
        equal[kind] += alike and code in (75, -signal.SIGKILL)
        if not alike or code not in (75, -signal.SIGKILL):
            wrong.append(f"point {point} ({name}, {kind}, exit code {code})")
        shutil.rmtree(here)
    told = "; ".join(f"{kind}: {equal[kind]}, {resumed[kind]} of them from a state" for kind in kinds)
    text = f"{equal.total()} of {points} equal in SHA-256 and history, and nothing left aside ({told})"
    return equal.total() == points, "; ".join([text, *wrong])


class _Whole:
    """A run that was not stopped."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder / name
        start = time.monotonic()
        if ended(forked(lambda: _run(self._folder, name))):
            raise SystemExit(f"{name} cannot be pretrained undisturbed")
        self.seconds, self.steps = time.monotonic() - start, sum(entry["steps"] for entry in history(self._folder))

    def is_equal(self, there: Path) -> bool:
        """Return whether another run has the same weights and history, and left what this one did."""
        mine, other = Checkpoint(self._folder), Checkpoint(there)
        same = mine.encoder_digest == other.encoder_digest and history(self._folder) == history(there)
        return same and {path.name for path in self._folder.iterdir()} == {path.name for path in there.iterdir()}


def _run(folder: Path, name: str, progress: Callable[..., None] = lambda *_: None) -> int:
    with mock.patch.object(training, "CHECK_EVERY_STEPS", 1):
        run(folder, name, progress=progress, save_every_s=0.0, **METHODS[name])
    return 0


def _stopped(folder: Path, name: str, kind: str, draw: random.Random, whole: _Whole) -> int:
    """Run in a process of its own until it is stopped; return how it ended."""
    seed, moment = draw.random(), draw.uniform(0.1, 0.95) * whole.seconds

    def work() -> int:
        try:
            with preemption.heeded(), STOPS[kind](random.Random(seed), whole.steps) as progress:
                return _run(folder, name, progress)
        except Preempted as stop:
            return stop.exit_code

    child = forked(work)
    if kind == "killed at a moment":
        time.sleep(moment)
        os.kill(child, signal.SIGKILL)
    code = ended(child)
    if code == 0:  # it was faster than the one that was not stopped: another moment
        shutil.rmtree(folder)
        return _stopped(folder, name, kind, draw, whole)
    return code


def _die(number: int = signal.SIGKILL) -> None:
    os.kill(os.getpid(), number)


@contextlib.contextmanager
def _at_a_step(draw: random.Random, steps: int, *, by: int) -> Iterator[Callable[..., None]]:
    left = iter(range(draw.randrange(1, steps) - 1, -1, -1))
    yield lambda *_: _die(by) if next(left, 1) == 0 else None


@contextlib.contextmanager
def _at_a_moment(draw: random.Random, steps: int) -> Iterator[Callable[..., None]]:
    yield lambda *_: None


@contextlib.contextmanager
def _at_a_byte(draw: random.Random, steps: int) -> Iterator[Callable[..., None]]:
    """Kill in the thread that writes a state, with part of its bytes in the file."""
    plain, left, share = Path.open, iter(range(draw.randrange(steps - 1), -1, -1)), draw.random()

    def opened(path: Path, mode: str = "r", *more: Any, **named: Any) -> Any:  # noqa: ANN401 - as Path.open
        file = plain(path, mode, *more, **named)
        is_last = mode == "wb" and state.FILE in path.name and next(left, 1) == 0
        return _Dying(file, share) if is_last else file

    with mock.patch.object(Path, "open", opened):
        yield lambda *_: None


class _Dying:
    """A file whose first long write ends, after a share of its bytes, with the process."""

    def __init__(self, file: BinaryIO, share: float) -> None:
        self._file, self._share = file, share

    def __enter__(self) -> _Dying:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def write(self, content: bytes | memoryview) -> None:
        if len(content) < 1000:
            self._file.write(content)
        else:
            self._file.write(content[: int(self._share * len(content))])
            self._file.flush()
            _die()


@contextlib.contextmanager
def _around_the_renaming(
    draw: random.Random, steps: int, *, after: bool | None, names: Sequence[str] = (state.FILE,)
) -> Iterator[Callable[..., None]]:
    """Kill before or after a file gets its name, its folder not yet flushed: a state at any step, or another file."""
    plain, name, is_after = os.replace, draw.choice(names), draw.random() < 0.5 if after is None else after
    left = iter(range(draw.randrange(steps - 1) if name == state.FILE else 0, -1, -1))

    def replaced(source: Path, target: Path) -> None:
        is_last = Path(target).name == name and next(left, 1) == 0
        if is_last and not is_after:
            _die()
        plain(source, target)
        if is_last:
            _die()

    with mock.patch.object(os, "replace", replaced):
        yield lambda *_: None


STOPS: dict[str, Stop] = {
    "asked to stop at a step": partial(_at_a_step, by=signal.SIGTERM),
    "killed at a step": partial(_at_a_step, by=signal.SIGKILL),
    "killed at a moment": _at_a_moment,
    "killed at a byte of the state": _at_a_byte,
    "killed before the renaming": partial(_around_the_renaming, after=False),
    "killed between renaming and flush": partial(_around_the_renaming, after=True),
    "killed as the checkpoint is written": partial(_around_the_renaming, after=None, names=(WEIGHTS, CARD)),
}
