"""Backbones of a plan: find the checkpoint of each, or why it is not available."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from eden_bench import registry
from eden_bench.contracts import Task
from eden_bench.devices import fast_precision, is_out_of_memory, undetermined_operation
from eden_bench.errors import CellsFailed, DataMissing, EdenError, OutOfMemory, WeightsMissing, WeightsRefused
from eden_bench.execution.inputs import Inputs, plain
from eden_bench.protocols import Protocol, fair, frozen
from eden_bench.weights.checkpoints import Checkpoint, recipe_id

State = Literal["pending", "reused", "ran", "failed", "missing", "excused"]
STATES: Mapping[State, str] = {state: state for state in get_args(State)} | {"excused": "weights missing"}
"""What people read of each state."""


@dataclass(frozen=True)
class Problem:
    """A reason why cells cannot be run: failed, data missing, or weights missing."""

    kind: Literal["failed", "missing", "excused"]
    text: str
    traceback: str = ""
    error: type[EdenError] = CellsFailed
    """Class of the error; CellsFailed for what is none of ours."""

    @classmethod
    def of(cls, error: Exception | SystemExit) -> Problem:
        """Classify an error: weights missing, data missing, or failed."""
        import traceback

        ours = type(error) if isinstance(error, EdenError) else CellsFailed
        if isinstance(error, WeightsMissing | DataMissing):
            return cls("excused" if isinstance(error, WeightsMissing) else "missing", str(error), error=ours)
        text = str(error) if isinstance(error, EdenError) else f"{type(error).__name__}: {error}"
        text = undetermined_operation(error) or text
        if is_out_of_memory(error):
            text, ours = f"out of memory ({text}): run fewer things at once, or use a larger device", OutOfMemory
        return cls("failed", text, "".join(traceback.format_exception(error)), ours)


@dataclass(eq=False)
class Backbone:
    """A method's encoder: its recipe, and its weights' digest once they exist."""

    method: str
    config: Any
    dataset: str | None
    """What it is pretrained on; None for weights that are brought along."""
    seed: int = 0
    folder: Path | None = None
    digest: str | None = None
    """None until pretrained."""
    problem: Problem | None = None
    label: str = ""
    """What the command calls it: the method, or a variant that the protocol names."""
    images_seen: int | None = None
    """How many images it is to see, where the protocol makes that alike; turned into epochs when the data are open."""

    def __post_init__(self) -> None:
        """Set the label to the method's name by default."""
        self.label = self.label or self.method

    @property
    def name(self) -> str:
        """Name of its lock file and of its stored failure."""
        return self.folder.name if self.folder else f"method-{self.label}"

    @property
    def source(self) -> Any:  # noqa: ANN401 - an EncoderSource
        """The method's object if it loads its encoder instead of being pretrained."""
        return registry.methods.get(self.method)(self.config)


def make_backbone(label: str, protocol: Protocol, dataset: str | None, seed: int) -> Backbone:
    """Build the backbone of a method or variant under a protocol."""
    method = protocol.method_of(label)
    config = protocol.method_config(label, registry.methods.get(method).Config())
    images_seen = protocol.fair.get("images_seen") if dataset else None
    return Backbone(method, config, dataset, seed, label=label, images_seen=images_seen)


def fits(backbone: Backbone, task: Task, evaluation: str) -> bool:
    """Return whether a task can score a backbone: one that can only be read is never fine-tuned."""
    read = evaluation in frozen.READS_ANY or (task.kind == "probe" and not task.looks_at)
    return read or not getattr(registry.methods.get(backbone.method), "probe_only", False)


def unfit_text(left_out: Mapping[str, Sequence[str]]) -> str:
    """Say which methods are left out of which tasks; "" if none are.

    >>> unfit_text({"scr-heart": ("constant", "pixels"), "scr-clavicle": ("constant", "pixels")})
    'constant, pixels can be probed and not fine-tuned: left out of scr-heart, scr-clavicle'
    """
    tasks: dict[tuple[str, ...], list[str]] = {}
    for task, methods in left_out.items():
        tasks.setdefault(tuple(methods), []).append(task)
    return "; ".join(
        f"{', '.join(methods)} can be probed and not fine-tuned: left out of {', '.join(of)}"
        for methods, of in tasks.items()
    )


def find_checkpoint(backbone: Backbone, inputs: Inputs) -> None:
    """Find a pretrained backbone's folder, and its weights' digest if the checkpoint is finished.

    Raises:
        DataMissing: the pretraining data are not at hand, nor one checkpoint that was surely made from them.
    """
    try:
        data = inputs.pretrain_data(str(backbone.dataset))
    except DataMissing:
        backbone.folder = _made_elsewhere(backbone, inputs)
        if backbone.folder is None:
            raise
    else:
        if backbone.images_seen is not None:
            backbone.config = fair.with_images_seen(backbone.config, backbone.images_seen, len(data.train))
        marks = (*inputs.settings.speedups, *(["deterministic"] if inputs.deterministic else []))
        precision = "+".join((fast_precision(inputs.device), *marks))
        recipe = recipe_id(
            backbone.method, backbone.config, data.digest, backbone.seed, inputs.threads, precision=precision
        )
        backbone.folder = inputs.settings.out / "checkpoints" / f"{backbone.method}-{recipe[:12]}"
    checkpoint = Checkpoint(backbone.folder)
    backbone.digest = checkpoint.encoder_digest if checkpoint.exists else None


def _made_elsewhere(backbone: Backbone, inputs: Inputs) -> Path | None:
    """Find the one checkpoint with this method, config, seed and dataset, as copied from another machine."""
    fitting = []
    for folder in checkpoint_folders(inputs.settings.out, backbone.method):
        card = Checkpoint(folder).card
        data = card.get("data")
        told = (data.get("dataset"), data.get("phantom")) if isinstance(data, dict) else ()
        found = (card["method"], card.get("config"), card.get("seed"), *told)
        wanted = (backbone.method, plain(backbone.config), backbone.seed, backbone.dataset, inputs.phantom)
        fitting += [folder] if found == wanted else []
    return fitting[0] if len(fitting) == 1 else None


def checkpoint_folders(out: Path, method: str = "*") -> list[Path]:
    """List the folders of finished checkpoints, of one method or of all; unreadable cards are skipped."""
    folders = sorted(card.parent for card in (out / "checkpoints").glob(f"{method}-*/card.json"))
    return [folder for folder in folders if _has_card(folder)]


def _has_card(folder: Path) -> bool:
    try:
        return bool(Checkpoint(folder).card)
    except (WeightsMissing, WeightsRefused):
        return False
