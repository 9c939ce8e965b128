"""Methods: pretraining here, or an encoder brought along."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    import torch

    from eden_bench.encoders import Encoder
from eden_bench.contracts.checks import at_least, in_range
from eden_bench.contracts.views import NORMALISATIONS, ViewRecipe, Views

# ── methods ──────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, kw_only=True)
class MethodCard:
    """What a reader must know of a method before believing its row in a table."""

    title: str
    paper: str
    """First author, venue, arXiv id or DOI."""
    licence: str
    """Licence of the original code and weights (ours is written from the formulas)."""
    backbone: str
    data: str
    """What the paper pretrained on."""
    differences: tuple[str, ...] = ()
    """Where this implementation is not as in the paper."""
    reference: Mapping[str, str] = field(default_factory=dict)
    """Numbers of the paper, task to "value ± spread", each saying how it was read and what the spread is."""
    headline: bool = False
    """A report tests this method's rows against the others where the reader names none."""


class Stage(NamedTuple):
    """One stage of pretraining: optimiser and schedule restart, weights, queue and teacher go on."""

    name: str
    epochs: int
    level: int = 0
    """Granularity n of the anatomy decomposer (paper 2, Anatomy Decomposer); 0 is the whole image."""
    rows: int = 1
    columns: int = 1
    """Each anchor is one cell, drawn uniformly, of a rows × columns grid over the image."""


@dataclass(frozen=True, kw_only=True)
class PretrainConfig:
    """Fields that every pretrained method shares; defaults are the paper's common setup (F.1)."""

    arch: str = "resnet50"
    size_px: int = 224
    epochs: int = 200
    """Epochs per stage."""
    batch_size: int = 256
    lr: float = 0.03
    momentum: float = 0.9
    weight_decay: float = 1e-4
    view_strength: float = 1.0
    """How strong the crops and colours of all views are beside the method's own; see ``ViewRecipe.weakened``."""
    normalisation: Literal["own", "imagenet", "chest-x-ray", "none"] = "own"
    """Mean and s.d. that views are normalised with: the method's own, or one of ``NORMALISATIONS``."""
    warmup_epochs: int = 0
    select: Literal["best", "last"] = "best"
    """The encoder handed on: lowest validation loss of the last stage, or its last epoch."""
    keeps: ClassVar[tuple[str, ...]] = ()
    """Fields that a protocol's ``fair`` table leaves alone, since the method means nothing with another value."""
    quick: ClassVar[Mapping[str, Any]] = {}
    """Values under protocol "quick" that differ from those it gives to every method; the class says why."""

    def __post_init__(self) -> None:
        """Refuse values no run can mean."""
        at_least("size_px", self.size_px, 8)
        at_least("epochs", self.epochs, 1)
        at_least("batch_size", self.batch_size, 2)
        at_least("lr", self.lr, 0)
        in_range("momentum", self.momentum, 0, 1)
        at_least("weight_decay", self.weight_decay, 0)
        in_range("view_strength", self.view_strength, 0, 1)
        at_least("warmup_epochs", self.warmup_epochs, 0)
        if self.select not in ("best", "last"):
            raise ValueError(f"select must be 'best' or 'last', not {self.select!r}")
        if self.normalisation not in ("own", *NORMALISATIONS):
            known = ", ".join(NORMALISATIONS)
            raise ValueError(f"normalisation must be own, {known}, not {self.normalisation!r}")

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages in order; one over whole images unless a method says otherwise."""
        return (Stage("whole", self.epochs),)


class Method(Protocol):
    """A pretraining method: an ``nn.Module`` built as ``Method(config)`` from seeded weights.

    The engine calls, for every batch: ``losses(views, turn)`` for each turn, sums the values, takes one
    step of that turn's optimiser, then ``after_step()`` once. In validation it calls ``losses`` in eval
    mode without gradients, and never ``after_step``: nothing a method keeps may change there.
    All state that a resumed run needs is in ``state_dict()`` (parameters and buffers).

    It may also have ``schedule(turn)``, a ``pretrain.engine.optimisation.Schedule``; without it the rate is a half
    cosine, epoch by epoch. Gradients are clipped to its config's ``clip_norm``, where it has that field.

    A method whose stage is not about whole images has ``stage_data(stage, data, seed) -> data``, called when the stage
    starts (also when resuming inside it, then with the same result): a ``pretrain.engine.data.PretrainData``.
    """

    Config: ClassVar[type[PretrainConfig]]
    card: ClassVar[MethodCard]
    config: PretrainConfig
    encoder: Encoder
    """The student backbone; what is transferred."""

    def recipes(self, stage: Stage) -> tuple[ViewRecipe, ...]:
        """One recipe a view, for this stage."""
        ...

    def start_stage(self, stage: Stage) -> None:
        """Learn that a stage begins (also when resuming inside it)."""
        ...

    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        """Turn name to optimiser; most methods have the one turn "main". Called at every stage's start."""
        ...

    def losses(self, views: Views, turn: str = "main") -> dict[str, torch.Tensor]:
        """Named scalar losses, already weighted; the turn minimises their sum."""
        ...

    def after_step(self) -> None:
        """Update teacher and queue, after the optimiser's step."""
        ...


class EncoderSource(Protocol):
    """A method that is not pretrained here: random weights, or weights from a file.

    One that reads a file also has ``weights_digest() -> str``, the file's SHA-256, which becomes part of its
    cells' identity; without it the weights are taken to be drawn from the cell's seed.
    """

    Config: ClassVar[type[Any]]
    card: ClassVar[MethodCard]
    config: Any

    def load_encoder(self, seed: int) -> Encoder:
        """Return the encoder; a random one is drawn from the cell's seed.

        Raises:
            WeightsMissing: the weights are not at hand; says how to get them.
        """
        ...
