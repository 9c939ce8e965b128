"""The training loop: stages, epochs, steps, turns, validation, saving and resuming.

Everything random in a step is drawn from (seed, stage, epoch, step), so a run resumed at any step goes on as if it
had not been stopped, bit for bit on a CPU with equal threads.
"""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from eden_bench import registry
from eden_bench.contracts import Context, Method, PretrainConfig, PretrainData, Stage, ViewRecipe, Views
from eden_bench.encoders import seeded
from eden_bench.errors import EdenError, Preempted, TrainingDiverged, UsageError
from pretrain.engine import distributed, finite, history, network, selection, speedups, state, validation
from pretrain.engine.feed import Feed
from pretrain.engine.optimisation import autocast, set_lr
from pretrain.engine.saving import Saver
from pretrain.views.stream import ViewStream

CHECK_EVERY_STEPS = 20
"""Losses are looked at, and the state may be saved, this often, because looking makes an accelerator wait."""
_log = logging.getLogger("eden_bench")


@dataclass(kw_only=True)
class Training:
    """Training loop of one method on one device; with several processes, one each.

    Attributes:
        method: as built from the seed, then as the state left it.
        is_compiled: whether its encoders are, in this process.
        at: the state, kept current in its counters and brought up to date in its tensors when it is saved.
    """

    name: str
    config: PretrainConfig
    data: PretrainData
    seed: int
    folder: Path
    context: Context
    device: torch.device
    recipe: str
    save_every_s: float
    speedups: tuple[str, ...] = ()
    method: Method = field(init=False)
    at: state.TrainingState = field(init=False)
    _data: PretrainData = field(init=False)
    _network: nn.Module = field(init=False)
    _optimisers: dict[str, torch.optim.Optimizer] = field(init=False, default_factory=dict)
    _feed: Feed = field(init=False)
    _has_tried: bool = field(init=False, default=False)
    is_compiled: bool = field(init=False, default=False)
    _recent: list[Tensor] = field(init=False, default_factory=list)
    _saver: Saver = field(init=False)
    _saved_at: float = field(init=False, default_factory=time.monotonic)
    _since: float = field(init=False, default_factory=time.perf_counter)

    def __post_init__(self) -> None:
        """Build the method from the seed, and resume from a saved state if there is one."""
        self._data = self.data
        network.refuse_misfit(self.config, distributed.size())
        with seeded(self.seed, "method"):
            self.method = registry.methods.get(self.name)(self.config)
        self.at, self._saver = state.load(self.folder, self.recipe), Saver(self.folder)
        if self.at.method:
            self._module.load_state_dict(self.at.method)
        self._module.to(self.device).to(memory_format=torch.channels_last)

    @property
    def steps(self) -> int:
        """Number of steps in an epoch of this stage; the ragged last batch is dropped."""
        return len(self._data.train) // self.config.batch_size

    def run(self) -> None:
        """Train until the last stage has ended, and everything has been saved."""
        with contextlib.closing(self._saver), speedups.tuned(self.speedups):
            while self.at.stage < len(self.config.stages):
                self._stage(self.config.stages[self.at.stage])
            self._saver.wait()

    def selected(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return the selected encoder's weights and their epoch."""
        return selection.selected(self.at, self.config, self.method.encoder)

    def recipes(self, stage: Stage) -> tuple[ViewRecipe, ...]:
        """Return the method's recipes of a stage, with the config's strength and normalisation.

        A config whose ``normalises_itself`` is true leaves normalising to its method.
        """
        strength, normalisation = self.config.view_strength, self.config.normalisation
        given = "own" if self.config.normalises_itself else normalisation
        return tuple(r.weakened(strength).normalised(given) for r in self.method.recipes(stage))

    @property
    def _module(self) -> nn.Module:
        return cast(nn.Module, self.method)

    def _stage(self, stage: Stage) -> None:
        """Train for the rest of a stage, and save."""
        self._start(stage)
        is_last = stage == self.config.stages[-1]
        while self.at.epoch < stage.epochs and not self._is_over(stage):
            self._epoch(stage, is_last=is_last)
        self._feed.close()
        self.at.stage, self.at.optimisers, self._optimisers = self.at.stage + 1, {}, {}
        self.at.begin_epoch(0)
        self._save()

    def _start(self, stage: Stage) -> None:
        """Build data, optimisers, schedule and views of a stage; when resuming, restore the optimisers' state."""
        self.method.start_stage(stage)
        self._data = self.method.stage_data(stage, self.data, self.seed)
        if self.steps < 1:
            raise UsageError(
                f"{self.name}: found {len(self._data.train)} images to pretrain on, expected at least one batch of "
                f"{self.config.batch_size}: lower batch_size or add images"
            )
        self._module.train()
        self._optimisers = self.method.optimisers()
        for name, saved in self.at.optimisers.items():
            self._optimisers[name].load_state_dict(saved)
        self._network = network.parallel(network.Losses(self.method), turns=len(self._optimisers))
        stream = ViewStream(
            self._data.pyramid,
            self.recipes(stage),
            stage,
            seed=self.seed,
            batch_size=self.config.batch_size // distributed.size(),
            device=self.device,
            labels=self._data.labels,
        )
        self._feed = Feed(stream, self._data, stage)

    def _epoch(self, stage: Stage, *, is_last: bool) -> None:
        """Train for the rest of an epoch, validate, log, and save if it is time."""
        self._since = time.perf_counter()
        batches, waited_before_s = self._feed.train(self.at.epoch, self.at.step), self.at.waited_s
        for given in batches:
            self.at.waited_s = waited_before_s + batches.waited_s
            self._set_rates(stage)
            views = network.laid_out(given)
            self._compile(views)
            self._step(views)
            self._look_up(stage)
            if batches.ending:
                self._feed.begin_validation()
        self._check(stage)
        loss = self._validate()
        if not math.isfinite(loss):
            raise self._diverged("validation loss", stage, self.at.step)
        self._note(stage, loss)
        self._warn_if_exhausted(stage)
        if is_last:
            selection.keep_if_best(self.at, self.method, loss)
        if distributed.rank() == 0:
            self._saver.note(self.at.history)
        self.at.begin_epoch(self.at.epoch + 1)
        self._save_if_due()

    def _set_rates(self, stage: Stage) -> None:
        """Set each turn's learning rate for the coming step."""
        epoch, losses = self.at.epoch + self.at.step / self.steps, self._validation_losses(stage)
        for turn, optimiser in self._optimisers.items():
            set_lr(optimiser, self.method.schedule(turn).factor(epoch, stage.epochs, losses))

    def _is_over(self, stage: Stage) -> bool:
        """Return whether the schedule of the turn that validates ends the stage early."""
        return self.method.schedule(next(iter(self._optimisers))).is_over(self._validation_losses(stage))

    def _validation_losses(self, stage: Stage) -> list[float]:
        """Return the loss of each finished epoch of a stage."""
        return [entry["validation_loss"] for entry in self.at.history if entry["stage"] == stage.name]

    def _compile(self, views: Views) -> None:
        """Compile the encoders before the first step, if that is asked for and this is the only process."""
        if "compile" in self.speedups and not self._has_tried and distributed.size() == 1:
            self._has_tried = True
            turn = next(iter(self._optimisers))
            self.is_compiled = speedups.compile_encoders(
                self._module, lambda: network.losses(self._network, views, turn), self.device
            )

    def _step(self, views: Views) -> None:
        """Take one optimiser step for each turn, then the method's own update."""
        for turn, optimiser in self._optimisers.items():
            with autocast(self.device):
                losses: dict[str, Tensor] = self._network(views, turn)
            total = torch.stack(list(losses.values())).sum()
            optimiser.zero_grad(set_to_none=True)
            total.backward()  # type: ignore[no-untyped-call]
            network.clip(optimiser, self.config.clip_norm)
            optimiser.step()
            self._recent.append(total.detach())
            self._add({"loss": total, **{f"loss/{name}": loss for name, loss in losses.items()}})
        self._add(self.method.metrics)
        self.method.after_step()
        self.at.step += 1

    def _validate(self) -> float:
        """Return the mean loss of the first turn on held-out patients, in eval mode on fixed views."""
        distributed.share_buffers(self._module)
        self._module.eval()
        held_out = self._feed.validation(next_epoch=self.at.epoch + 1)
        sums = validation.summed_loss(self.method, next(iter(self._optimisers)), held_out, self.device)
        self._module.train()
        total, images = distributed.summed(sums).tolist()
        return float(total / max(images, 1))

    def _add(self, values: Mapping[str, Tensor]) -> None:
        for name, value in values.items():
            self.at.sums[name] = self.at.sums.get(name, 0) + value.detach().float()

    def _look_up(self, stage: Stage) -> None:
        """Report progress; at intervals check the losses and save; stop if asked to."""
        done = len(self.at.history) * self.steps + self.at.step
        total = sum(s.epochs for s in self.config.stages) * self.steps
        if distributed.rank() == 0:
            self.context.progress(f"{self.name} {stage.name}, epoch {self.at.epoch + 1}/{stage.epochs}", done, total)
        self._saver.look()
        if self.at.step % CHECK_EVERY_STEPS == 0:
            self._check(stage)
            self._save_if_due()
        self._stop_if_asked(stage)

    def _check(self, stage: Stage) -> None:
        """Raise TrainingDiverged if a loss since the last check, or a parameter or buffer, is not finite.

        All processes do so together.
        """
        if not self._recent:
            return
        bad = finite.first_bad(self._recent)
        self._recent.clear()
        if bad is not None:
            step = self.at.step + 1 + bad // len(self._optimisers)
            raise self._diverged("loss", stage, step, self._feed.images(self.at.epoch, step))
        if not finite.is_finite(self._module):
            raise self._diverged("network", stage, self.at.step)

    def _diverged(self, what: str, stage: Stage, step: int, images: str = "") -> TrainingDiverged:
        with contextlib.suppress(EdenError, OSError):
            self._saver.wait()
        where = f"{self.name}: the {what} is not finite at stage {stage.name}, epoch {self.at.epoch + 1}, step {step}"
        return finite.diverged(where, state.load(self.folder, self.recipe), images)

    def _note(self, stage: Stage, validation_loss: float) -> None:
        """Append the epoch to the history."""
        shares = self.steps * distributed.size()
        means = {name: float(distributed.summed(value)) / shares for name, value in sorted(self.at.sums.items())}
        lrs = {group["lr"] for optimiser in self._optimisers.values() for group in optimiser.param_groups}
        entry = {"stage": stage.name, "epoch": self.at.epoch, "steps": self.steps, "validation_loss": validation_loss}
        self._clock()
        times = {"seconds": round(self.at.seconds, 3), "waited_s": round(self.at.waited_s, 3)}
        self.at.history.append({**entry, "lr": max(lrs), **means, **times})

    def _warn_if_exhausted(self, stage: Stage) -> None:
        """Warn once a stage that the pruner left nearly all queries without negatives."""
        if distributed.rank() == 0 and (said := history.exhaustion(self.at.history, stage.name)):
            _log.warning("%s, stage %s, %s", self.name, stage.name, said)

    def _stop_if_asked(self, stage: Stage) -> None:
        """Save and raise Preempted if the system asks to end; several processes decide together, at intervals."""
        if distributed.asked_to_stop(self.device, together=self.at.step % CHECK_EVERY_STEPS == 0):
            self._check(stage)
            self._save()
            self._saver.wait()
            raise Preempted

    def _save_if_due(self) -> None:
        if time.monotonic() - self._saved_at >= self.save_every_s:
            self._save()

    def _save(self) -> None:
        """Begin to save the state; process 0 only."""
        self._saved_at = time.monotonic()
        self._clock()
        if distributed.rank() != 0:
            return
        self.at.method = self._module.state_dict()
        self.at.optimisers = {name: optimiser.state_dict() for name, optimiser in self._optimisers.items()}
        self._saver.save(self.at)

    def _clock(self) -> None:
        """Add the time since the last call to the epoch's."""
        now = time.perf_counter()
        self.at.seconds, self._since = self.at.seconds + now - self._since, now
