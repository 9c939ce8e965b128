"""Compositionality, decomposability and interpolation as tasks: what each scores, in words; no NumPy until opened."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from eden_bench import registry
from eden_bench.contracts import Context, Dataset, DatasetIndex, OpenTask, ScoreDefinition, Task
from eden_bench.errors import unknown
from tasks.probes.part_protocols import LINES, WHOLES, LinesProtocol, WholesProtocol

_CENTRED = "the mean feature over patches of training patients subtracted, unit length"


def _share(name: str, text: str, statistic: str = "mean") -> ScoreDefinition:
    return ScoreDefinition(name=name, text=text, statistic=statistic)


def _bare(name: str, text: str, statistic: str, low: float | None, high: float | None = 1.0) -> ScoreDefinition:
    return ScoreDefinition(name=name, text=text, statistic=statistic, unit="", decimals=3, bounds=(low, high))


def _by_name(*definitions: ScoreDefinition) -> dict[str, str | ScoreDefinition]:
    return {each.name: each for each in definitions}


PART_WHOLE_AUC = ScoreDefinition(
    name="part_whole_auc",
    text=(
        "Area under the ROC curve of the cosine of a whole and the mean of its parts' features, against that of the "
        "whole and the parts of two others: the square of its size at least half a side beside it, and the same "
        f"place in another patient; all pairs pooled, ties counting half; {_CENTRED}. Wholes are squares of 0.4 to "
        "0.8 of the film, cut in 1×2, 2×1, 3×1 and 2×2 parts, each stretched to the encoder's size. Chance 0.5."
    ),
    statistic="auc_matched",
    alternatives=_by_name(
        _share("auc_shifted", "the same against the square beside it alone", "auc_matched_against"),
        _share("auc_other_patient", "the same against the other patient alone", "auc_matched_against"),
        _share("auc_<layout>", "the same of one layout of parts, rows × columns", ""),
        _share("auc_inside", "the same of the wholes that, like the square beside them, lie inside the film", ""),
        _share("top1", "share of wholes that stand first by cosine to their parts among all of their size band"),
        _share("mrr", "mean of 1 / rank of the whole among all of its size band, equals sharing their ranks"),
        _bare("ridge_r2", "R² of a ridge from four parts to the whole, fitted on others", "explained_share", None),
        _bare("raw_cosine", "the published form: mean cosine of whole and parts, not centred. No score", "mean", -1.0),
        _bare("raw_cosine_mismatched", "the same of the mismatched pairs, to be read beside it", "mean", -1.0),
        _bare("calibrated_cosine", "(c - m) / (1 - m) of the two; 0 where 1 - m < 1e-6", "", None),
    ),
)

QUADRANTS_R2 = ScoreDefinition(
    name="quadrants_r2",
    text=(
        "R² of the features of a whole's four quadrants told from the whole's features by a ridge fitted on training "
        "patients: 1 - Σ error / Σ distance² to the quadrant's mean of training, mean over the four; 0 without spread."
    ),
    statistic="quadrants_r2",
    unit="",
    decimals=3,
    bounds=(None, 1.0),
    alternatives=_by_name(
        _bare("position_r2", "the same told from the box of the whole alone", "position_r2", None),
        _bare("r2_beyond_position", "by how much the first exceeds the second", "r2_beyond_position", None, None),
        _share("top1_own", f"true quadrant first by cosine among its whole's four, {_CENTRED}; chance 1/4"),
        _share("top1_others", "true quadrant first among itself and that of 99 other wholes; chance 1/100"),
    ),
)


def _of_kind(kind: str, where: str) -> list[ScoreDefinition]:
    return [
        _bare(f"{kind}_skill", f"1 - ‖E_C - mixture‖² / that of the best of E_A, E_B, film mean {where}",
              "mixing_skill", None),
        _share(f"{kind}_right_weights", f"cosine by the right weights exceeds that by swapped ones, t ≠ ½, {where}"),
        _bare(f"{kind}_raw_cosine", f"the published form: mean cosine of mixture and truth {where}. No score",
              "mean", -1.0),
        _bare(f"{kind}_raw_cosine_mismatched", "the same of mixture and the other candidates", "mean", -1.0),
    ]  # fmt: skip


def _error(name: str, text: str, others: dict[str, str | ScoreDefinition] | None = None) -> ScoreDefinition:
    return ScoreDefinition(
        name=name, text=text, unit="", decimals=3, bounds=(0.0, 0.75), higher_is_better=False, alternatives=others or {}
    )


INTERPOLATION_ERROR = _error(
    "interpolation_error",
    (
        "How far from t the candidate stands whose features are most alike (1 - t) E_A + t E_B, in shares of AB: "
        f"squares of 1/12 of the film at A, B and every eighth between, none sharing a pixel; t = ¼, ½, ¾; {_CENTRED}; "
        "equals share. Mean over lines and t; chance 0.262."
    ),
    _by_name(
        *_of_kind("interpolation", "between A and B"),
        _error("interpolation_swapped_error", "the same by t E_A + (1 - t) E_B, as printed"),
        _error("extrapolation_error", "the same beyond B, by E_B + t (E_B - E_A); chance 0.262"),
        *_of_kind("extrapolation", "beyond B"),
        _error("extrapolation_swapped_error", "the same beyond B with 1 - t for t"),
    ),
)


@dataclass(frozen=True, kw_only=True)
class _FilmTask(Task):
    """What the three share."""

    repeats: ClassVar[Literal["once"]] = "once"
    name: str
    title: str
    dataset: str = "chestxray14"
    kind: Literal["probe"] = "probe"
    groups: tuple[str, ...] = ("probes",)

    def _named(self, name: str, protocols: dict[str, Any]) -> Any:  # noqa: ANN401 - a protocol
        if name not in protocols:
            raise unknown(f"protocol of {self.name}", name, protocols)
        return protocols[name]

    def _reader(self, context: Context) -> Dataset:
        found: Dataset = context.dataset or registry.datasets.get(self.dataset)
        return found


@dataclass(frozen=True, kw_only=True)
class CompositionalityTask(_FilmTask):
    """Do the parts' features add up to the whole's?"""

    statistics: ClassVar[tuple[str, ...]] = ("tasks.probes.part_whole",)
    score: ScoreDefinition = PART_WHOLE_AUC

    def protocol(self, name: str) -> WholesProtocol:
        """Return the protocol "paper" or "quick". Raises UsageError where there is none of that name."""
        return self._named(name, WHOLES)

    def open(self, index: DatasetIndex, protocol: WholesProtocol, context: Context) -> OpenTask:
        """Decode the films and draw wholes on them."""
        from tasks.probes.compositionality import OpenCompositionality

        return OpenCompositionality(index, protocol, context, self._reader(context))


@dataclass(frozen=True, kw_only=True)
class DecomposabilityTask(_FilmTask):
    """Does a whole's feature tell those of its parts?"""

    statistics: ClassVar[tuple[str, ...]] = ("tasks.probes.quadrants",)
    score: ScoreDefinition = QUADRANTS_R2

    def protocol(self, name: str) -> WholesProtocol:
        """Return the protocol "paper" or "quick". Raises UsageError where there is none of that name."""
        return self._named(name, WHOLES)

    def open(self, index: DatasetIndex, protocol: WholesProtocol, context: Context) -> OpenTask:
        """Decode the films and draw wholes on them."""
        from tasks.probes.decomposability import OpenDecomposability

        return OpenDecomposability(index, protocol, context, self._reader(context))


@dataclass(frozen=True, kw_only=True)
class InterpolationTask(_FilmTask):
    """Do features on a line mix as the places do?"""

    statistics: ClassVar[tuple[str, ...]] = ("tasks.probes.mixtures",)
    score: ScoreDefinition = INTERPOLATION_ERROR

    def protocol(self, name: str) -> LinesProtocol:
        """Return the protocol "paper" or "quick". Raises UsageError where there is none of that name."""
        return self._named(name, LINES)

    def open(self, index: DatasetIndex, protocol: LinesProtocol, context: Context) -> OpenTask:
        """Decode the films and draw lines on them."""
        from tasks.probes.interpolation import OpenInterpolation

        return OpenInterpolation(index, protocol, context, self._reader(context))
