"""Methods: the contract of pretraining methods, and of encoders that are loaded instead."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    import torch

    from eden_bench.encoders import Encoder
from eden_bench.contracts.checks import at_least, in_range
from eden_bench.contracts.pretraining import PretrainData, Schedule
from eden_bench.contracts.views import NORMALISATIONS, ViewRecipe, Views

SEEDED = "seeded"
"""Stands for the digest of weights that are drawn from the cell's seed."""


@dataclass(frozen=True, kw_only=True)
class MethodCard:
    """Metadata of a method: paper, licence, backbone, pretraining data, deviations from the paper."""

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
    """One stage of pretraining. Optimiser and schedule restart; weights, queue and teacher continue."""

    name: str
    epochs: int
    level: int = 0
    """Granularity n of the anatomy decomposer (paper 2, Anatomy Decomposer); 0 is the whole image."""
    rows: int = 1
    columns: int = 1
    """Each anchor is one cell, drawn uniformly, of a rows × columns grid over the image."""
    finer: tuple[tuple[int, int, int], ...] = ()
    """(epoch, rows, columns): the grid from an epoch on, ascending; optimiser and schedule run on."""
    margin: float | None = None
    """None: anchors are cells. Else windows of a cell's size, anywhere but for a margin of this share of the side."""

    def grid(self, epoch: int) -> tuple[int, int]:
        """Return rows and columns in an epoch.

        >>> Stage("l", 5, finer=((2, 2, 2), (4, 4, 4))).grid(3)
        (2, 2)
        """
        return next(((r, c) for start, r, c in reversed(self.finer) if start <= epoch), (self.rows, self.columns))


class MethodConfig:
    """Base of every method's config, pretrained or loaded; protocols read these fields."""

    keeps: ClassVar[tuple[str, ...]] = ()
    """Fields that a protocol's ``fair`` table leaves alone, since the method means nothing with another value."""
    quick: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    """Values under protocol "quick" that differ from those it gives to every method; the class says why."""


@dataclass(frozen=True, kw_only=True)
class PretrainConfig(MethodConfig):
    """Fields that every pretrained method shares; defaults are the paper's common setup (F.1).

    The properties are optional settings: a method that has one declares a field of that name.
    """

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
    normalises_itself: ClassVar[bool] = False
    """The method normalises its views; the engine leaves them in [0, 1]."""

    def __post_init__(self) -> None:
        """Validate field values. Raises ValueError naming the field, its bounds and the value."""
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
        """Stages in order; one over whole images by default."""
        return (Stage("whole", self.epochs),)

    @property
    def clip_norm(self) -> float | None:
        """Norm that each turn's gradients are clipped to; None disables clipping."""
        return None

    @property
    def bn_groups(self) -> int | None:
        """Groups that a batch is cut into for batch norm, over all processes; None is one a process."""
        return None

    @property
    def augmentation(self) -> str:
        """Name of the family of augmentations; "own" if the method fixes it."""
        return "own"

    def images_of(self, stage: Stage, train: int) -> int:
        """Return how many images an epoch of a stage has, of so many training images."""
        return train


class MethodDefaults(Protocol):
    """Optional members of a pretrained method and their defaults.

    ``PretrainMethod`` inherits them, and ``register_method`` adds those that a class lacks.
    """

    config: PretrainConfig
    metrics: Mapping[str, torch.Tensor] = MappingProxyType({})
    """Scalars of the last losses, whose mean over an epoch is told in its history."""
    if TYPE_CHECKING:

        @property
        def ready(self) -> bool:
            """Whether a validation loss means something yet, as it does not while a queue holds no real keys."""
            return True
    else:
        ready = True  # no property, so that a method may also set it

    def start_stage(self, stage: Stage) -> None:
        """Prepare a stage, also when resuming inside it; a no-op by default."""
        return  # said, or type checkers take it for abstract

    def stage_data(self, stage: Stage, data: PretrainData, seed: int) -> PretrainData:
        """Return the images of a stage, after ``start_stage``; when resuming, the same ones again."""
        return data

    def schedule(self, turn: str) -> Schedule:
        """Return the learning-rate schedule of a turn: by default warm-up, then half a cosine, epoch by epoch."""
        return Schedule(warmup_epochs=self.config.warmup_epochs)

    def after_step(self) -> None:
        """Update teacher and queue, after the optimiser's step."""
        return


class Method(MethodDefaults, Protocol):
    """A pretraining method: an ``nn.Module`` built as ``Method(config)`` from seeded weights.

    The engine calls, for every batch: ``losses(views, turn)`` for each turn, sums the values, takes one
    step of that turn's optimiser, then ``after_step()`` once. In validation it calls ``losses`` in eval
    mode without gradients, and never ``after_step``: nothing a method keeps may change there.
    All state that a resumed run needs is in ``state_dict()`` (parameters and buffers).
    """

    Config: ClassVar[type[PretrainConfig]]
    card: ClassVar[MethodCard]
    encoder: Encoder
    """The student backbone; what is transferred."""

    def recipes(self, stage: Stage) -> tuple[ViewRecipe, ...]:
        """Return one recipe a view, for this stage."""
        ...

    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        """Return turn name to optimiser; most methods have the one turn "main". Called at every stage's start."""
        ...

    def losses(self, views: Views, turn: str = "main") -> dict[str, torch.Tensor]:
        """Return named scalar losses, already weighted; the turn minimises their sum."""
        ...


class SourceDefaults(Protocol):
    """Optional members of a method with weights of its own, and their defaults."""

    probe_only: ClassVar[bool] = False
    """It can be probed and not fine-tuned, as the controls of probes; cells that would fine-tune it are not planned."""
    file: ClassVar[str] = ""
    """The file that the command line names, a checkpoint or a folder of one; "" where it names none."""

    def weights_digest(self) -> str:
        """Return the SHA-256 of the weights' file, which is part of its cells' identity."""
        return SEEDED

    def told(self) -> dict[str, str]:
        """Return the provenance of the weights for a record, beside their digest."""
        return {}


class EncoderSource(SourceDefaults, Protocol):
    """Base of methods that load their encoder instead of pretraining it: random weights, or a file's."""

    Config: ClassVar[type[Any]]
    card: ClassVar[MethodCard]
    config: Any

    def load_encoder(self, seed: int) -> Encoder:
        """Return the encoder; a random one is seeded by the cell's seed.

        Raises:
            WeightsMissing: the weights are not at hand; says how to get them.
        """
        ...
