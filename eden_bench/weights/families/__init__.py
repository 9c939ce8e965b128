"""Families of published models as data: one TOML file each, read when weights are imported, verified or documented.

A file says which networks the family has, how each layout of its files names their tensors, how its features are meant
to be read, and which models are of it. ``dinov2.toml`` shows every field. No heavy library is imported here.
"""

from __future__ import annotations

import functools
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eden_bench.errors import UsageError, unknown

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Step:
    """One change of a file's names (or values) on the way to ours; ``layouts`` carries it out."""

    kind: str
    """"rename": a name. "join": several tensors, in order, become one. "split": one becomes several; an empty target
    must be zeros. "class-position": the class token's position is added to it where ours has none for it."""
    names: tuple[str, ...]
    """Patterns of whole names, as the steps before have left them; those of a join have the same groups."""
    to: tuple[str, ...] = ()
    """Our names, with the groups in them."""
    where: str = ""
    """An own name without which the step is left out."""
    mask: str = ""
    """Of a split: the name of a mask of 0 and 1 that multiplies the values first."""


@dataclass(frozen=True)
class LeftOut:
    """Tensors of a file that ours has not: what they are, and what they are compared with before they are left."""

    names: str
    why: str
    same_as: str = ""
    """The file's own tensor whose values these repeat."""
    buffer: str = ""
    """The table that our network computes, whose values these are."""
    within: float = 1e-4
    """Largest share by which a value may differ from the table's largest."""
    needed: str = ""
    """Why a file without them says too little, unless the user names the network."""


@dataclass(frozen=True)
class Layout:
    """How one kind of file names a family's tensors."""

    name: str
    sign: str
    """Pattern of names by which this layout is noticed; which one it is is settled by what fits."""
    own: str
    """Pattern of the network's names, heads left aside."""
    lacks: str = ""
    """Pattern of names that mean another network."""
    positions: str = ""
    """Pattern of the position embeddings, whose number gives the input's side."""
    steps: tuple[Step, ...] = ()
    left_out: tuple[LeftOut, ...] = ()


@dataclass(frozen=True)
class Contract:
    """How a family's features are meant to be read, as ``embed`` reads them."""

    pooling: str
    norm: str


@dataclass(frozen=True)
class Model:
    """A published model: what its authors are asked to confirm."""

    name: str
    title: str
    network: str
    """The arch that ``build_encoder`` takes, at the model's own size."""
    size_px: int
    normalisation: str
    """What its input is scaled to; mean and s.d. where that is a matter of these."""
    mean: tuple[float, ...]
    std: tuple[float, ...]
    licence: str
    source: str
    file: str
    """Where in the file the encoder is."""
    verified: str
    """What the layout was checked against."""
    window: str = ""


@dataclass(frozen=True)
class Family:
    """One file of this folder."""

    file: str
    title: str
    contract: Contract
    models: tuple[Model, ...]
    networks: tuple[str, ...] = ()
    """Archs that the layouts are of; the side is the file's own where it has positions."""
    layouts: tuple[Layout, ...] = ()
    look_alikes: str = ""
    """Networks of these names and shapes that compute something else."""

    @property
    def reads(self) -> str:
        """How the features are read, in one phrase."""
        return f"{self.contract.pooling}, {self.contract.norm}"


@functools.cache
def load() -> tuple[Family, ...]:
    """Read every family's file, in the order of their names."""
    return tuple(_family(path) for path in sorted(FOLDER.glob("*.toml")))


def model(name: str) -> tuple[Family, Model]:
    """Return a model and its family.

    Raises:
        UsageError: no such model; names the nearest.
    """
    known = {one.name: (family, one) for family in load() for one in family.models}
    if name not in known:
        raise unknown("model", name, known)
    return known[name]


def _family(path: Path) -> Family:
    told = tomllib.loads(path.read_text(encoding="utf-8"))
    try:
        return Family(
            file=path.name,
            title=told.pop("title"),
            contract=Contract(**told.pop("contract")),
            models=tuple(Model(**_tuples(one)) for one in told.pop("models")),
            networks=tuple(told.pop("networks", ())),
            layouts=tuple(_layout(one) for one in told.pop("layouts", ())),
            **told,
        )
    except (KeyError, TypeError) as error:
        raise UsageError(f"{path}: no family of models ({error}): the fields are those of dinov2.toml") from error


def _layout(told: dict[str, Any]) -> Layout:
    steps = tuple(_step(one) for one in told.pop("steps", ()))
    left = tuple(LeftOut(**one) for one in told.pop("left_out", ()))
    return Layout(**told, steps=steps, left_out=left)


def _step(told: dict[str, Any]) -> Step:
    """Read a step: its kind is the key that holds the names."""
    (kind,) = told.keys() & {"rename", "join", "split", "class-position"}
    rest = {key: value for key, value in told.items() if key != kind}
    return Step(kind=kind, names=_several(told[kind]), to=_several(rest.pop("to", ())), **rest)


def _several(value: Any) -> tuple[str, ...]:  # noqa: ANN401 - a string or a list of them
    return (value,) if isinstance(value, str) else tuple(value)


def _tuples(told: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in told.items()}
