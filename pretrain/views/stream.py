"""Stream of batches of views: augmented crops of anchors, prepared ahead in threads.

Draws depend on (seed, stage, purpose, epoch, sample, view) and on nothing else, so a stream repeats exactly whatever
its batch size, its workers and the batch it resumes at. On a CPU a pool of threads renders with OpenCV; elsewhere the
pool only gathers the uint8 windows of the crops and the device renders them (``windows``, ``render_opencv``,
``render_torch``).

All views of a sample come from one anchor: a cell, drawn evenly, of the stage's grid (Hosseinzadeh Taher et al.,
2023, arXiv:2309.15358, section 2).
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor

from eden_bench import seeds
from eden_bench.contracts import Anchor, Pyramid, Stage, View, ViewRecipe, Views, at_least
from pretrain.views import opencv_renderer, torch_renderer
from pretrain.views.draws import WIDTH, Draws, anchor_maps, draw_cells, draw_views
from pretrain.views.windows import Window, cut

_AHEAD = 2
"""Batches in the making while the training thread works on one."""


class Plan(NamedTuple):
    """Samples, cells and augmentation draws of one batch."""

    samples: np.ndarray
    """(B,) int64."""
    cells: np.ndarray
    """(B, 2) int64: row and column of each anchor."""
    draws: tuple[Draws, ...]
    """One a view."""


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
        workers: int = 2,
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
            workers: threads that prepare batches.

        Raises:
            ValueError: the batch is empty, there is no worker or recipe, or a recipe wants the crop of a later view.
        """
        at_least("batch_size", batch_size, 1)
        at_least("workers", workers, 1)
        at_least("the number of recipes", len(recipes), 1)
        for view, recipe in enumerate(recipes):
            if recipe.crop_of is not None and recipe.crop_of >= view:
                raise ValueError(f"crop_of of view {view} must name an earlier view, not {recipe.crop_of}")
        cv2.setNumThreads(0)
        self.pyramid, self.recipes, self.stage, self.seed = pyramid, tuple(recipes), stage, seed
        self.batch_size, self.workers, self.device = batch_size, workers, torch.device(device)
        self.labels = None if labels is None else torch.as_tensor(labels, dtype=torch.float32)
        self._buffers = Buffers()
        self.anchor_px = pyramid.anchor(0, 0, 0, stage.rows, stage.columns).px

    def epoch(self, epoch: int, order: np.ndarray, *, first_batch: int = 0, purpose: str = "train") -> Iterator[Views]:
        """Yield an epoch's batches, prepared ahead; leaving the loop early is safe.

        Args:
            epoch: counts within the stage.
            order: (n,) sample indices; batch k is order[k·B : (k+1)·B], so a ragged last batch is the caller's choice.
            first_batch: where to begin; the batches are those of a run that began at 0.
            purpose: "train" or "validation", which draw differently.
        """
        draw = self._planner(epoch, np.array(order, np.int64), purpose)
        prepare = self._prepare_images if self.device.type == "cpu" else self._prepare_windows
        pool = ThreadPoolExecutor(self.workers, "views")
        waiting: deque[tuple[Plan, Callable[[], tuple[Tensor, ...]]]] = deque()
        try:
            for batch in range(first_batch, -(-len(order) // self.batch_size)):
                plan = draw(batch)
                waiting.append((plan, prepare(plan, pool)))
                if len(waiting) > _AHEAD:
                    yield self._finish(*waiting.popleft(), epoch, purpose)
            while waiting:
                yield self._finish(*waiting.popleft(), epoch, purpose)
        finally:
            pool.shutdown(cancel_futures=True)

    def _planner(self, epoch: int, order: np.ndarray, purpose: str) -> Callable[[int], Plan]:
        address = (purpose, self.stage.name, epoch)
        cells = draw_cells(
            seeds.uniforms(self.seed, "cell", *address, rows=order, width=2), self.stage.rows, self.stage.columns
        )
        tables = [
            seeds.uniforms(self.seed, "view", *address, view, rows=order, width=WIDTH)
            for view in range(len(self.recipes))
        ]

        def plan(batch: int) -> Plan:
            part = slice(batch * self.batch_size, (batch + 1) * self.batch_size)
            draws: list[Draws] = []
            for table, recipe in zip(tables, self.recipes, strict=True):
                drawn = draw_views(table[part], recipe, *self.anchor_px)
                draws.append(drawn if recipe.crop_of is None else drawn._replace(crop=draws[recipe.crop_of].crop))
            return Plan(order[part], cells[part], tuple(draws))

        return plan

    def _prepare_images(self, plan: Plan, pool: ThreadPoolExecutor) -> Callable[[], tuple[Tensor, ...]]:
        """Start rendering a batch in the pool; the result waits for it and returns the images."""
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

        return rendered

    def _prepare_windows(self, plan: Plan, pool: ThreadPoolExecutor) -> Callable[[], tuple[Tensor, ...]]:
        """Start gathering a batch's windows in the pool, a view a thread; the result waits, uploads and renders."""
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

        return images

    def _anchors(self, plan: Plan, part: slice) -> list[Anchor]:
        stage, places = self.stage, zip(plan.samples[part].tolist(), plan.cells[part].tolist(), strict=True)
        return [self.pyramid.anchor(sample, row, column, stage.rows, stage.columns) for sample, (row, column) in places]

    def _finish(self, plan: Plan, images: Callable[[], tuple[Tensor, ...]], epoch: int, purpose: str) -> Views:
        pairs = zip(images(), plan.draws, strict=True)
        samples = torch.from_numpy(plan.samples)
        return Views(
            views=tuple(self._view(image, draws) for image, draws in pairs),
            samples=samples.to(self.device),
            labels=None if self.labels is None else self.labels[samples].to(self.device),
            generator=seeds.torch_generator(
                self.seed, "step", purpose, self.stage.name, epoch, *plan.samples[:1].tolist()
            ),
        )

    def _view(self, image: Tensor, draws: Draws) -> View:
        to_anchor = torch.from_numpy(anchor_maps(draws, image.shape[3]).astype(np.float32))
        return View(image, to_anchor.to(self.device), torch.from_numpy(draws.flip).to(self.device))


def _windows(anchors: Sequence[Anchor], draws: Draws, recipe: ViewRecipe) -> list[Window]:
    return [cut(anchor, crop, recipe.size_px) for anchor, crop in zip(anchors, draws.crop.tolist(), strict=True)]
