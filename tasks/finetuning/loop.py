"""The fine-tuning loop: a budget in optimiser steps, a cosine, early stopping, the best weights kept.

One loop for every task. What a task brings is a ``Problem``; all that is random (order, augmentation) comes from
addresses under the cell's seed, in which no method's name occurs, so methods are compared in pairs.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from eden_bench import preemption, seeds
from eden_bench.contracts import Item, steps_per_epoch
from eden_bench.devices import fast_precision, is_out_of_memory
from eden_bench.errors import OutOfMemory, TrainingDiverged, listed
from tasks.finetuning.device_images import normalised
from tasks.finetuning.protocol import FinetuneProtocol, TrainingProtocol
from tasks.finetuning.steps import Prepare, stepper
from tasks.finetuning.turns import ended

P = TypeVar("P", bound=TrainingProtocol)


class _Taken(NamedTuple):
    """A step that was taken."""

    step: int
    rows: np.ndarray
    loss: Tensor


class Budget(NamedTuple):
    """Budget of a run in optimiser steps."""

    steps: int
    validate_every: int
    patience_steps: int
    """Steps without improvement after which it stops."""


@dataclass(frozen=True)
class Problem:
    """Network, losses and training rows that a task hands to the training loop.

    Attributes:
        network: trained in place, on the device.
        loss: what ``prepare`` made of a batch to its loss.
        validation_loss: the loss over all validation images, without augmentation; None without such images.
        rows: (n,) the training images.
        full: number of training images of the full set, on which the budget "steps" is counted.
        items: the dataset's, by row; a loss that is not finite names those of its batch.
        prepare: (rows (B,), epoch) to an augmented batch.
    """

    network: nn.Module
    loss: Callable[..., Tensor]
    validation_loss: Callable[[], float | Tensor] | None
    rows: np.ndarray
    full: int
    items: Sequence[Item] = ()
    prepare: Prepare = lambda rows, epoch: (rows, epoch)


@dataclass
class _Best:
    """Lowest validation loss so far, its step, and the weights there."""

    loss: float = math.inf
    step: int = 0
    weights: dict[str, Tensor] = field(default_factory=dict)
    curve: list[tuple[int, float]] = field(default_factory=list)

    def see(self, step: int, loss: float, network: nn.Module) -> None:
        self.curve.append((step, loss))
        if loss < self.loss:
            self.loss, self.step = loss, step
            self._keep(network.state_dict())

    def _keep(self, weights: dict[str, Tensor]) -> None:
        """Copy the weights; again into the same memory, all of a type by one call."""
        if not self.weights:
            self.weights = {name: value.clone() for name, value in weights.items()}
            return
        for dtype in {value.dtype for value in weights.values()}:
            names = [name for name, value in weights.items() if value.dtype == dtype]
            torch._foreach_copy_([self.weights[name] for name in names], [weights[name] for name in names])


def fine_tune(problem: Problem, protocol: TrainingProtocol, seed: int, device: torch.device) -> dict[str, Any]:
    """Train the network in place within the budget, and restore the weights of its best step.

    Returns:
        What ``Outcome.training`` tells: budget, steps, validation curve.

    Raises:
        TrainingDiverged: a loss is NaN or infinite.
        OutOfMemory: the device has no room for a batch.
    """
    return ended(training(problem, protocol, seed, device))


def training(
    problem: Problem, protocol: TrainingProtocol, seed: int, device: torch.device
) -> Generator[None, None, dict[str, Any]]:
    """Train as ``fine_tune`` does, pausing after every step and before the device is waited for."""
    budget = budget_of(protocol, len(problem.rows), problem.full)
    take_step = stepper(problem.network, problem.prepare, problem.loss, protocol, device)
    best, step = _Best(), 0
    recent: list[_Taken] = []
    problem.network.train()
    for step, (epoch, rows) in enumerate(batches(problem.rows, protocol.batch_size, seed, budget.steps), start=1):
        preemption.check()
        with _memory_explained(protocol, device, step):
            rate = learning_rate(step - 1, budget.steps, protocol)
            recent.append(_Taken(step, rows, take_step(rows, epoch, rate)))
        yield
        if step % budget.validate_every == 0 or step == budget.steps:
            validated = _validation(problem)
            yield
            _check_losses(recent, problem.items)
            if validated is not None and _stops(problem, best, step, budget, float(validated)):
                break
    if best.weights:
        problem.network.load_state_dict(best.weights)
    return {**_told(protocol, budget, best, step, problem, device), **take_step.told}


def budget_of(protocol: TrainingProtocol, images: int, full: int) -> Budget:
    """Compute the few-shot budget of a run on some images, of which the full set has ``full``.

    Patience is ``patience`` validations but never fewer than ``min_steps`` steps; as it starts after the first
    validation at the earliest, no run stops before ``min_steps``.

    Counted in epochs, a run takes as many passes over its images as the full set's run, whose steps ``max_steps``
    limits, takes over its own; it is validated as often.
    """
    of_full = steps_per_epoch(full, protocol.batch_size)
    epoch = of_full if protocol.few_shot_budget == "steps" else steps_per_epoch(images, protocol.batch_size)
    full_steps = min(protocol.epochs * of_full, protocol.max_steps or protocol.epochs * of_full)
    steps = math.ceil(full_steps * epoch / of_full)
    every = math.ceil((protocol.validate_every or of_full) * epoch / of_full)
    return Budget(steps, every, max(protocol.patience * every, protocol.min_steps))


def batches(rows: np.ndarray, batch_size: int, seed: int, steps: int) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (epoch, rows of a batch) for some steps; every epoch is a new permutation in nearly equal parts."""
    parts = steps_per_epoch(len(rows), batch_size)
    for epoch in range(math.ceil(steps / parts)):
        order = rows[seeds.shuffled(len(rows), seed, "order", epoch)]
        for batch in np.array_split(order, parts)[: steps - epoch * parts]:
            yield epoch, batch


def learning_rate(step: int, steps: int, protocol: TrainingProtocol) -> float:
    """Return the rate of a step counted from 0: a linear warm-up, then half a cosine towards 0."""
    warmup = round(steps * protocol.warmup_share)
    if step < warmup:
        return protocol.lr * (step + 1) / (warmup + 1)
    return protocol.lr * 0.5 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))


def resolve_precision(precision: Literal["auto", "fp32", "bf16"], device: torch.device) -> Literal["fp32", "bf16"]:
    """Resolve "auto" on this hardware; return "bf16" or "fp32"."""
    if precision != "auto":
        return precision
    return "bf16" if fast_precision(device.type) == "bfloat16" else "fp32"


def resolved(protocol: P, device: torch.device) -> P:
    """Resolve precision, since "auto" would be another computation on other hardware, and capture, which needs CUDA."""
    precision = resolve_precision(protocol.precision, device)
    return replace(protocol, precision=precision, capture=protocol.capture and device.type == "cuda")


def chosen_by_hardware(protocol: TrainingProtocol, device: torch.device) -> dict[str, Any]:
    """Return what became of fields on this hardware, for ``OpenTask.data``; of capture only where it was asked for."""
    became = resolved(protocol, device)
    return {"precision": became.precision, **({"capture": became.capture} if protocol.capture else {})}


def logits_of(network: nn.Module, images: Tensor, protocol: FinetuneProtocol) -> Tensor:
    """Compute float32 logits of images (B, 1 or 3, H, W) in [0, 1], in the protocol's normalisation and precision.

    Where one is not finite all are NaN, and so is every loss of them: Dice would read an infinite one as a sure answer.
    """
    device = images.device
    context: contextlib.AbstractContextManager[object] = contextlib.nullcontext()
    if resolve_precision(protocol.precision, device) == "bf16":
        context = torch.autocast(device.type, torch.bfloat16)
    with context:
        logits: Tensor = network(normalised(images, protocol))
    logits = logits.float()
    return torch.where(logits.isfinite().all(), logits, logits.new_full((), math.nan))


def scored_logits(network: nn.Module, images: Tensor, protocol: FinetuneProtocol, step: int) -> Tensor:
    """Compute ``logits_of`` test images, and validate them as ``finite`` does."""
    return finite(logits_of(network, images, protocol), step)


def finite(logits: Tensor, step: int) -> Tensor:
    """Return the logits of test images after validating that they are finite; step is named in the error.

    Raises:
        TrainingDiverged: one is not finite; nothing else looks at what the last step made of the weights.
    """
    if not logits.isfinite().all():
        raise TrainingDiverged(_diverged("a test logit", math.nan, step))
    return logits


def on_device(network: nn.Module, device: torch.device) -> nn.Module:
    """Move a network to a device, channels last."""
    return network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]


@contextlib.contextmanager
def _memory_explained(protocol: TrainingProtocol, device: torch.device, step: int) -> Iterator[None]:
    """Convert running out of memory to a sentence. A step is never done in parts, which would be another protocol."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        size_px = getattr(protocol, "size_px", None)  # a head on features has none
        raise OutOfMemory(
            f"out of memory on {device} at step {step} with batch_size {protocol.batch_size}"
            f"{f' at {size_px} px' if size_px else ''}; "
            "batch norm and Dice are of the whole batch, so it is not split: run less beside it, use a larger device, "
            "or lower batch_size in a protocol, for all methods alike"
        ) from error


def _validation(problem: Problem) -> float | Tensor | None:
    """Compute the validation loss, which may still be under way on a GPU; the network is then in train mode again."""
    if problem.validation_loss is None:
        return None
    problem.network.eval()
    with torch.inference_mode():
        loss = problem.validation_loss()
    problem.network.train()
    return loss


def _stops(problem: Problem, best: _Best, step: int, budget: Budget, loss: float) -> bool:
    """Keep the best weights, and return whether patience is exhausted."""
    if not math.isfinite(loss):
        raise TrainingDiverged(_diverged("validation loss", loss, step))
    best.see(step, loss, problem.network)
    return step - best.step >= budget.patience_steps


def _check_losses(recent: list[_Taken], items: Sequence[Item]) -> None:
    """Validate that the losses since the last check are finite; at intervals, since a GPU is waited for."""
    values = torch.stack([taken.loss for taken in recent]).tolist()
    for taken, value in zip(recent, values, strict=True):
        if not math.isfinite(value):
            raise TrainingDiverged(_diverged("training loss", value, taken.step) + _images(taken.rows, items))
    recent.clear()


def _diverged(what: str, value: float, step: int) -> str:
    return f"{what} became {value} at step {step}, expected a finite number: lower the protocol's lr"


def _images(rows: np.ndarray, items: Sequence[Item]) -> str:
    return f", or look at the images of that step: {listed([items[row].id for row in rows])}" if items else ""


def _told(
    protocol: TrainingProtocol, budget: Budget, best: _Best, step: int, problem: Problem, device: torch.device
) -> dict[str, Any]:
    return {
        "budget": protocol.few_shot_budget,
        "steps_planned": budget.steps,
        "steps_taken": step,
        "best_step": best.step or step,
        "patience_steps": budget.patience_steps,
        "validation_curve": best.curve,
        "train_images": len(problem.rows),
        "precision": resolve_precision(protocol.precision, device),
    }
