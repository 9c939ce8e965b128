"""Conformance checks of methods: on noise, and in two epochs of pretraining on a small phantom."""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import torch

from eden_bench import protocols, registry
from eden_bench.contracts import SEEDED, Context, PretrainConfig, PretrainData, View, ViewRecipe, Views
from eden_bench.contracts.members import is_source
from eden_bench.contracts.methods import MethodDefaults
from eden_bench.data.dataset_folders import pretraining_sets
from eden_bench.encoders import seeded
from eden_bench.plugins.conformance.findings import Checks, check_card, need, phantom

_BATCH = 8


def checks_of_method(name: str, folder: Path) -> Checks:
    """Yield the checks of a pretrained method, or of one that loads its encoder."""
    made = registry.methods.get(name)
    yield "its config is a frozen dataclass with defaults", lambda: _check_config(made)
    yield "its card says what a reader must know", lambda: check_card(made.card)
    if is_source(made):
        yield "it brings an encoder along, the same for the same seed", lambda: _check_source(made, name)
        return
    yield from checks_on_noise(name, _quick(name), lambda: _phantom_data(folder)[0])
    yield "it pretrains two epochs on the phantom, twice alike", lambda: _check_pretraining(name, folder)


def checks_on_noise(name: str, config: PretrainConfig, open_data: Callable[[], PretrainData]) -> Checks:
    """Yield the checks of a pretrained method on views of noise; each takes a second or less.

    Args:
        name: as registered.
        config: of the method; small.
        open_data: returns images, for a method that makes a stage's data of them; called at most once, and by no other.
    """
    trial = _Trial(name, config, open_data)
    yield "its recipes are view recipes", trial.recipes
    yield "its losses are finite scalars in every stage and turn", trial.losses
    yield "gradients reach all that its optimisers train, and nothing else", trial.gradients
    yield "a teacher is not trained, and the loss stands on it", trial.teacher
    yield "the same seed gives the same bytes", trial.repeats
    yield "another seed gives other weights", trial.differs
    yield "a reloaded state gives the same next loss", trial.reloads
    yield "validation changes nothing", trial.validates
    yield "the global random generator is left alone", trial.leaves_global_generator
    yield "its encoder's maps have the channels and strides it says", trial.encoder


def _check_config(made: Any) -> None:  # noqa: ANN401 - a method class
    config = made.Config()
    parameters: Any = getattr(type(config), "__dataclass_params__", None)
    need(is_dataclass(config) and parameters.frozen, f"Config is {type(config).__name__}, expected a frozen dataclass")


def _check_source(made: Any, name: str) -> None:  # noqa: ANN401
    method = made(_quick(name))
    first, again = method.load_encoder(1).state_dict(), method.load_encoder(1).state_dict()
    need(all(value.equal(again[key]) for key, value in first.items()), "two calls with one seed give two encoders")
    if (digest := method.weights_digest()) != SEEDED:
        need(isinstance(digest, str) and len(digest) == 64, f"weights_digest is {digest!r}, expected 64 hex digits")
    with torch.inference_mode():
        _check_maps(method.load_encoder(1).eval())


class _Trial:
    """A method under test, on noise."""

    def __init__(self, name: str, config: PretrainConfig, open_data: Callable[[], PretrainData]) -> None:
        self.make, self.config = registry.methods.get(name), config
        self.data = functools.cache(open_data)

    def build(self, stage: int = 0, seed: int = 0) -> Any:  # noqa: ANN401 - a method
        with seeded(seed, "method"):
            made = self.make(self.config)
        chosen = self.config.stages[stage]
        made.start_stage(chosen)
        if self.make.stage_data is not MethodDefaults.stage_data:
            made.stage_data(chosen, self.data(), seed)
        return made

    def stages(self) -> list[int]:
        """Return the first and the last stage."""
        return sorted({0, len(self.config.stages) - 1})

    def views(self, made: Any, stage: int, seed: int = 0) -> Views:  # noqa: ANN401
        draw = torch.Generator().manual_seed(seed)
        recipes = made.recipes(self.config.stages[stage])
        maps, flipped = torch.eye(2, 3).repeat(_BATCH, 1, 1), torch.zeros(_BATCH, dtype=torch.bool)
        images = [torch.randn(_BATCH, 3, r.size_px, r.size_px, generator=draw) for r in recipes]
        labels = (torch.rand(_BATCH, 14, generator=draw) < 0.4).float()
        generator = torch.Generator().manual_seed(seed + 1)
        return Views(tuple(View(i, maps, flipped) for i in images), torch.arange(_BATCH), labels, generator)

    def step(self, made: Any, stage: int = 0, seed: int = 0) -> list[float]:  # noqa: ANN401
        """Take one optimiser step as the engine does; return the losses of all turns."""
        told = []
        for turn, optimiser in made.optimisers().items():
            loss: Any = sum(made.losses(self.views(made, stage, seed), turn).values())
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            told.append(float(loss.detach()))
        made.after_step()
        return told

    def recipes(self) -> None:
        made = self.build()
        for stage in self.config.stages:
            recipes = made.recipes(stage)
            need(len(recipes) > 0, f"stage {stage.name} has no recipe, expected one a view")
            need(all(isinstance(recipe, ViewRecipe) for recipe in recipes), "recipes must be ViewRecipe objects")

    def losses(self) -> None:
        for stage in range(len(self.config.stages)):
            made = self.build(stage)
            for turn in made.optimisers():
                for key, loss in made.losses(self.views(made, stage), turn).items():
                    where = f"stage {stage}, turn {turn}: the loss {key!r}"
                    need(loss.ndim == 0, f"{where} has shape {tuple(loss.shape)}, expected a scalar")
                    need(math.isfinite(float(loss.detach())), f"{where} is {float(loss.detach())}, expected a number")

    def gradients(self) -> None:
        for stage in self.stages():
            made = self.build(stage)
            self.step(made, stage)  # a residual branch that begins as zero passes no gradient on before its first step
            made.zero_grad()
            optimisers = made.optimisers()
            for turn in optimisers:
                sum(made.losses(self.views(made, stage), turn).values()).backward()
            trained = _trained(optimisers)
            for key, parameter in made.named_parameters():
                reached, where = parameter.grad is not None, f"stage {stage}: {key}"
                if id(parameter) in trained:
                    need(reached, f"{where} is in an optimiser and gets no gradient")
                    need(bool(parameter.grad.any()), f"{where} is in an optimiser and its gradient is 0 throughout")
                else:
                    need(not reached, f"{where} gets a gradient and is in no optimiser")

    def teacher(self) -> None:
        made = self.build()
        teachers = [module for key, module in made.named_modules() if key.split(".")[-1] == "teacher"]
        if not teachers:
            return
        own = {id(parameter) for teacher in teachers for parameter in teacher.parameters()}
        need(not own & _trained(made.optimisers()), "an optimiser is given parameters of the teacher")
        before = float(sum(made.losses(self.views(made, 0)).values()).detach())
        with torch.no_grad():
            for number, parameter in enumerate(p for teacher in teachers for p in teacher.parameters()):
                parameter += torch.randn(parameter.shape, generator=torch.Generator().manual_seed(number))
        after = float(sum(made.losses(self.views(made, 0)).values()).detach())
        need(before != after, "the loss is the same with another teacher: does its path call the student?")

    def repeats(self) -> None:
        first, second = self.build(seed=3), self.build(seed=3)
        losses = [[self.step(made, seed=seed) for seed in range(3)] for made in (first, second)]
        need(losses[0] == losses[1], f"three steps gave {losses[0]} and {losses[1]}: draw from views.generator only")
        need(_same(first.state_dict(), second.state_dict()), "three equal steps leave different weights")

    def differs(self) -> None:
        first, second = (self.build(seed=seed).encoder for seed in (3, 4))
        others = dict(second.named_parameters())
        for key, value in first.named_parameters():
            if value.requires_grad and value.ndim > 1:
                need(not value.equal(others[key]), f"two seeds give the encoder the same {key}: draw it from torch's "
                      "generator, which is seeded when a method is built")  # fmt: skip

    def reloads(self) -> None:
        for stage in self.stages():
            made, other = self.build(stage), self.build(stage, seed=9)
            for seed in range(3):
                self.step(made, stage, seed)
            other.load_state_dict(made.state_dict())
            losses = self.step(other, stage, 5), self.step(made, stage, 5)
            need(losses[0] == losses[1], f"stage {stage}: after reloading the next loss is {losses[0]}, expected "
                  f"{losses[1]}: keep all state in parameters and buffers")  # fmt: skip

    def validates(self) -> None:
        made, other = self.build(), self.build()
        for each in (made, other):
            self.step(each)
        kept = copy.deepcopy(made.state_dict())
        made.eval()
        with torch.no_grad():
            losses = [float(sum(made.losses(self.views(made, 0)).values())) for _ in range(2)]
        need(losses[0] == losses[1], f"two validations of one batch gave {losses[0]} and {losses[1]}")
        need(_same(kept, made.state_dict()), "losses in eval mode change what the method keeps")
        made.train()
        for each in (made, other):
            each.after_step()
        need(_same(other.state_dict(), made.state_dict()), "after_step takes over what eval mode saw")

    def leaves_global_generator(self) -> None:
        made = self.build()
        before = torch.get_rng_state()
        self.step(made)
        need(before.equal(torch.get_rng_state()), "a step draws from torch's global generator: use views.generator")

    def encoder(self) -> None:
        with torch.inference_mode():
            _check_maps(self.build().encoder.eval())


def _check_maps(encoder: Any) -> None:  # noqa: ANN401 - an Encoder
    side_px = getattr(encoder, "size_px", 64)
    maps = encoder.maps(torch.zeros(2, 3, side_px, side_px))
    found = [(one.shape[1], side_px // one.shape[2]) for one in maps]
    said = list(zip(encoder.channels, encoder.strides, strict=True))
    need(found == said, f"maps have (channels, stride) {found}, expected {said} as channels and strides say")
    pooled = encoder.embed(torch.zeros(2, 3, side_px, side_px))
    need(tuple(pooled.shape) == (2, encoder.out_channels), f"embed gives {tuple(pooled.shape)}")


def _trained(optimisers: Mapping[str, torch.optim.Optimizer]) -> set[int]:
    return {id(p) for optimiser in optimisers.values() for group in optimiser.param_groups for p in group["params"]}


def _quick(name: str) -> Any:  # noqa: ANN401 - each method has its own dataclass
    return protocols.QUICK.method_config(name, registry.methods.get(name).Config())


def _phantom_data(folder: Path) -> tuple[PretrainData, Context]:
    context, index = phantom(next(iter(pretraining_sets().values())), folder)
    return registry.engine().open_data(index, context), context


def _same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(value.equal(other[key]) for key, value in one.items())


def _check_pretraining(name: str, folder: Path) -> None:
    engine, config = registry.engine(), _quick(name)
    known = {f.name for f in fields(config)}
    small = {"epochs": 2, "batch_size": _BATCH, "queue_size": 4 * _BATCH, "warmup_epochs": 0}
    config = replace(config, **{key: value for key, value in small.items() if key in known})
    data, context = _phantom_data(folder)
    cards = [
        engine.pretrain(name, config, data, seed=0, folder=folder / f"run-{run}", context=context).card
        for run in (1, 2)
    ]
    need(cards[0]["weights"] == cards[1]["weights"], "two equal runs hand on different weights")
