"""Scores: unit, bounds, direction and case statistic of a number."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

PERCENT = "%"
MARGIN = 0.005
"""Half a point: the margin of equivalence of Dice, IoU and AUC."""


@dataclass(frozen=True, kw_only=True)
class ScoreDefinition:
    """Definition of a score: name, unit, bounds, direction, statistic, version."""

    name: str
    """For example "dice"."""
    text: str
    """What is computed, over what, with which threshold and empty-mask rule."""
    version: int = 1
    """Part of every cell's identity: raise it when the definition changes."""
    decimals: int = 2
    """Digits shown, in the unit."""
    unit: str = PERCENT
    """"%": stored as a share, shown times 100. Anything else, such as "px" or "mm", is shown as stored; "" for a bare
    number."""
    bounds: tuple[float | None, float | None] = (0.0, 1.0)
    """Lowest and highest value that can be stored; None for no bound."""
    higher_is_better: bool = True
    statistic: str = "mean"
    """Name of the function of the cases' columns that it is (``eden_bench.case_statistics``), so that patients can be
    resampled wherever a record lies. "mean" is of the column of the score's name. "" is for a score that no function of
    the cases gives."""
    alternatives: Mapping[str, str | ScoreDefinition] = field(default_factory=dict)
    """What stands beside it in every record: name to definition; plain text where unit, bounds and direction are the
    same. A name may end in "<label>" or the like, for one score each."""
    margin: float | None = None
    """Difference that is too small to matter, as stored, for the report's tests of equivalence; no part of a cell's
    identity. None: half a point for a share of 0 to 100 %, else no equivalence is claimed."""

    def __post_init__(self) -> None:
        """Validate bounds and margin. Raises ValueError naming the score."""
        low, high = self.limits
        if not low < high:
            raise ValueError(f"score {self.name}: bounds must rise, not {self.bounds}")
        if self.margin is not None and not 0 < self.margin < math.inf:
            raise ValueError(f"score {self.name}: margin must be a number above 0, not {self.margin}")

    @property
    def limits(self) -> tuple[float, float]:
        """Bounds as numbers, infinite if there is none."""
        low, high = self.bounds
        return -math.inf if low is None else low, math.inf if high is None else high

    @property
    def equivalence_margin(self) -> float | None:
        """The margin given, or the default of this unit and these bounds; None if there is none."""
        is_share = self.unit == PERCENT and self.bounds == (0.0, 1.0)
        return MARGIN if self.margin is None and is_share else self.margin

    @property
    def pooled(self) -> bool:
        """Whether it is computed from all cases together instead of averaging a column."""
        return self.statistic != "mean"

    def of(self, name: str) -> ScoreDefinition:
        """Return the definition of a score by name: this one, or that of one of its alternatives.

        >>> dice = ScoreDefinition(name="dice", text="Dice", alternatives={"dice_<part>": "of one part"})
        >>> dice.of("dice_heart").text
        'of one part'
        """
        fitting = [known for known in self.alternatives if name == known]
        fitting += [known for known in self.alternatives if _is_one_of(known, name)]
        if name == self.name or not fitting:
            return self if name == self.name else replace(self, name=name, text="", statistic="", alternatives={})
        found = self.alternatives[fitting[0]]
        if isinstance(found, ScoreDefinition):
            return replace(found, name=name)
        return replace(self, name=name, text=found, statistic="", alternatives={})

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> ScoreDefinition:
        """Parse a definition from a record, of this version or the one before (which had "pooled")."""
        values = dict(content)
        if values.pop("pooled", False):
            values.setdefault("statistic", values["name"])
        others = values.get("alternatives", {})
        values["alternatives"] = {k: cls.from_json(v) if isinstance(v, Mapping) else v for k, v in others.items()}
        if "bounds" in values:
            low, high = values["bounds"]
            values["bounds"] = (low, high)
        return cls(**values)

    def as_json(self) -> dict[str, Any]:
        """Serialise the definition for a record."""
        return asdict(self)


def _is_one_of(pattern: str, name: str) -> bool:
    stem, bracket, _ = pattern.partition("<")
    return bool(bracket) and name.startswith(stem) and len(name) > len(stem)
