"""Stream of batches of views: augmented crops of anchors, prepared ahead in threads.

Draws depend on (seed, stage, purpose, epoch, sample, view) and on nothing else, so a stream repeats exactly whatever
its batch size, its workers and the batch it resumes at. On a CPU a pool of threads renders with OpenCV; elsewhere the
pool only gathers the uint8 windows of the crops and the device renders them (``windows``, ``render_opencv``,
``render_torch``).

All views of a sample come from one anchor: a cell, drawn evenly, of the stage's grid (Hosseinzadeh Taher et al.,
2023, arXiv:2309.15358, section 2).
"""

from __future__ import annotations

import os
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor

from eden_bench import seeds
from eden_bench.contracts import Anchor, Pyramid, Stage, View, ViewRecipe, Views, at_least
from pretrain.views import opencv_renderer, torch_renderer
from pretrain.views.draws import WIDTH, Draws, anchor_maps, draw_cells, draw_views, draw_windows
from pretrain.views.uploading import uploaded
from pretrain.views.windows import Window, cut

_AHEAD = 2
"""Batches in the making while the training thread works on one."""
_GATHERING = 6
"""Threads that gather windows for a device, at most: as many views as are in the making at two a batch."""


class Plan(NamedTuple):
    """Samples, cells and augmentation draws of one batch."""

    samples: np.ndarray
    """(B,) int64."""
    cells: np.ndarray
    """(B, 2): row and column of each anchor."""
    grid: tuple[int, int]
    """Rows and columns."""
    draws: tuple[Draws, ...]
    """One a view."""


class Prepared(NamedTuple):
    """A batch in the making."""

    plan: Plan
    work: Sequence[Future[Any]]
    images: Callable[[], tuple[Tensor, ...]]
    """Returns each view's images, as soon as the work is done."""


class Buffers:
    """Pool of arrays, reused when no reference to them is left.

    Fresh memory costs as much as rendering: the kernel clears every page of it.
    """

    def __init__(self) -> None:
        self._free: dict[tuple[int, ...], list[np.ndarray]] = {}

    def lend(self, shape: tuple[int, ...]) -> np.ndarray:
        """Return a float32 array with undefined content; it is reused when no tensor refers to it."""
        free = self._free.setdefault(shape, [])
        buffer = free.pop() if free else np.empty(shape, np.float32)
        lent = buffer.view()
        weakref.finalize(lent, free.append, buffer).atexit = False
        return lent


class ViewStream:
    """Yields batches of views of a stage's anchors."""

    def __init__(
        self,
        pyramid: Pyramid,
        recipes: Sequence[ViewRecipe],
        stage: Stage,
        *,
        seed: int,
        batch_size: int,
        device: torch.device | str,
        labels: np.ndarray | Tensor | None = None,
        workers: int | None = None,
    ) -> None:
        """Build the stream; disables OpenCV's own threads, since samples are rendered in parallel here.

        Args:
            pyramid: the images.
            recipes: one a view.
            stage: its grid says what an anchor is.
            seed: of the run.
            batch_size: anchors a batch.
            device: where the views are wanted.
            labels: (N, L) in {0, 1}, by index in the pyramid.
            workers: threads that prepare batches; by default 2 beside training on a CPU, up to 6 beside a device.

        Raises:
            ValueError: the batch is empty, there is no worker or recipe, or a recipe wants the crop of a later view.
        """
        self.device = torch.device(device)
        self.workers = _workers(self.device) if workers is None else workers
        at_least("batch_size", batch_size, 1)
        at_least("workers", self.workers, 1)
        at_least("the number of recipes", len(recipes), 1)
        for view, recipe in enumerate(recipes):
            if recipe.crop_of is not None and recipe.crop_of >= view:
                raise ValueError(f"crop_of of view {view} must name an earlier view, not {recipe.crop_of}")
        cv2.setNumThreads(0)
        self.pyramid, self.recipes, self.stage, self.seed = pyramid, tuple(recipes), stage, seed
        self.batch_size = batch_size
        self.labels = None if labels is None else torch.as_tensor(labels, dtype=torch.float32)
        self._buffers = Buffers()

    def epoch(self, epoch: int, order: np.ndarray, *, first_batch: int = 0, purpose: str = "train") -> Batches:
        """Begin an epoch's batches, which are prepared ahead; leaving the loop early is safe.

        Args:
            epoch: counts within the stage.
            order: (n,) sample indices; batch k is order[k·B : (k+1)·B], so a ragged last batch is the caller's choice.
            first_batch: where to begin; the batches are those of a run that began at 0.
            purpose: "train" or "validation", which draw differently.
        """
        return Batches(self, epoch, np.array(order, np.int64), first_batch, purpose)

    def _planner(self, epoch: int, order: np.ndarray, purpose: str) -> Callable[[int], Plan]:
        address = (purpose, self.stage.name, epoch)
        places = seeds.uniforms(self.seed, "cell", *address, rows=order, width=2)
        grid, margin = self.stage.grid(epoch), self.stage.margin
        cells = draw_cells(places, *grid) if margin is None else draw_windows(places, *grid, margin)
        anchor_px = self.pyramid.anchor(0, 0, 0, *grid).px
        tables = [
            seeds.uniforms(self.seed, "view", *address, view, rows=order, width=WIDTH)
            for view in range(len(self.recipes))
        ]

        def plan(batch: int) -> Plan:
            part = slice(batch * self.batch_size, (batch + 1) * self.batch_size)
            draws: list[Draws] = []
            for table, recipe in zip(tables, self.recipes, strict=True):
                drawn = draw_views(table[part], recipe, *anchor_px)
                draws.append(drawn if recipe.crop_of is None else drawn._replace(crop=draws[recipe.crop_of].crop))
            return Plan(order[part], cells[part], grid, tuple(draws))

        return plan

    def _prepare_images(self, plan: Plan, pool: ThreadPoolExecutor) -> Prepared:
        """Start rendering a batch in the pool."""
        count = len(plan.samples)
        images = [self._buffers.lend((count, recipe.size_px, recipe.size_px, 3)) for recipe in self.recipes]

        def render(part: slice) -> None:
            anchors = self._anchors(plan, part)
            for recipe, draws, image in zip(self.recipes, plan.draws, images, strict=True):
                own = Draws(*(values[part] for values in draws))
                opencv_renderer.render(_windows(anchors, own, recipe), own, recipe, image[part])

        size = -(-count // self.workers)
        started = [pool.submit(render, slice(i, i + size)) for i in range(0, count, size)]

        def rendered() -> tuple[Tensor, ...]:
            for future in started:
                future.result()
            return tuple(torch.from_numpy(image).permute(0, 3, 1, 2) for image in images)

        return Prepared(plan, started, rendered)

    def _prepare_windows(self, plan: Plan, pool: ThreadPoolExecutor) -> Prepared:
        """Start gathering a batch's windows in the pool, a view a thread; they are uploaded and rendered after it."""
        pinned = self.device.type == "cuda"

        def gather(recipe: ViewRecipe, draws: Draws) -> torch_renderer.Stack:
            anchors = self._anchors(plan, slice(None))
            return torch_renderer.stack(_windows(anchors, draws, recipe), pinned=pinned)

        started = [pool.submit(gather, *view) for view in zip(self.recipes, plan.draws, strict=True)]

        def images() -> tuple[Tensor, ...]:
            views = zip(started, plan.draws, self.recipes, strict=True)
            return tuple(
                torch_renderer.render(gathered.result().to(self.device), draws, recipe)
                for gathered, draws, recipe in views
            )

        return Prepared(plan, started, images)

    def _anchors(self, plan: Plan, part: slice) -> list[Anchor]:
        places = zip(plan.samples[part].tolist(), plan.cells[part].tolist(), strict=True)
        return [self.pyramid.anchor(sample, row, column, *plan.grid) for sample, (row, column) in places]

    def _finish(self, made: Prepared, epoch: int, purpose: str) -> Views:
        plan = made.plan
        pairs = zip(made.images(), plan.draws, strict=True)
        samples = torch.from_numpy(plan.samples)
        return Views(
            views=tuple(self._view(image, draws) for image, draws in pairs),
            samples=uploaded(samples, self.device),
            labels=None if self.labels is None else uploaded(self.labels[samples], self.device),
            generator=seeds.torch_generator(
                self.seed, "step", purpose, self.stage.name, epoch, *plan.samples[:1].tolist()
            ),
        )

    def _view(self, image: Tensor, draws: Draws) -> View:
        to_anchor = torch.from_numpy(anchor_maps(draws, image.shape[3]).astype(np.float32))
        return View(image, uploaded(to_anchor, self.device), uploaded(torch.from_numpy(draws.flip), self.device))


class Batches(Iterator[Views]):
    """An epoch's batches of views; the plan and the first batches are in the making from the start.

    Attributes:
        waited_s: time that ``next`` spent waiting for batches in the making.
    """

    def __init__(self, stream: ViewStream, epoch: int, order: np.ndarray, first_batch: int, purpose: str) -> None:
        self.waited_s = 0.0
        self._stream, self._epoch, self._purpose = stream, epoch, purpose
        self._prepare = stream._prepare_images if stream.device.type == "cpu" else stream._prepare_windows
        self._left = deque(range(first_batch, -(-len(order) // stream.batch_size)))
        self._making: deque[Prepared] = deque()
        self._pool = ThreadPoolExecutor(stream.workers, "views")
        weakref.finalize(self, self._pool.shutdown, wait=False, cancel_futures=True)
        self._begun = self._pool.submit(self._begin, order)

    @property
    def ending(self) -> bool:
        """Whether the last batch is in the making, so that another epoch may begin."""
        return not self._left

    def __next__(self) -> Views:
        """Return the next batch, and begin another one."""
        start = time.perf_counter()
        self._begun.result()
        self._fill()
        if not self._making:
            self.close()
            raise StopIteration
        made = self._making.popleft()
        wait(made.work)
        self.waited_s += time.perf_counter() - start
        return self._stream._finish(made, self._epoch, self._purpose)

    def close(self) -> None:
        """Drop what is in the making, and wait for its threads to end."""
        self._pool.shutdown(cancel_futures=True)
        self._left.clear()
        self._making.clear()

    def _begin(self, order: np.ndarray) -> None:
        self._plan = self._stream._planner(self._epoch, order, self._purpose)
        self._fill()

    def _fill(self) -> None:
        while self._left and len(self._making) <= _AHEAD:
            self._making.append(self._prepare(self._plan(self._left.popleft()), self._pool))


def _windows(anchors: Sequence[Anchor], draws: Draws, recipe: ViewRecipe) -> list[Window]:
    return [cut(anchor, crop, recipe.size_px) for anchor, crop in zip(anchors, draws.crop.tolist(), strict=True)]


def _workers(device: torch.device) -> int:
    return 2 if device.type == "cpu" else max(2, min(_GATHERING, os.cpu_count() or 2))
