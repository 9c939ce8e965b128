"""Bootstrap over patients: interval and p of a score, or of a paired difference, under resampled patients.

Each resample draws as many patients as there are, with replacement, and takes all cases of a drawn patient each time
it is drawn; the percentile interval leaves 2.5 % out on either side. The draws are a function of the number of patients
alone, so all rows of a table meet the same resamples (which is what pairs them), and a report stays a function of its
records. Ends are rounded to 12 digits, below which the order of additions shows.

**Several pretrainings** are a second level: each resample also draws pretrainings of the row, one fewer than there are,
since n - 1 draws of n vary as much as the mean of n pretrainings does and n draws vary too little (Rao and Wu, JASA
1988). **Fine-tuning seeds are averaged**, not drawn: the interval is of the mean over the seeds that were run. A
percentile knows no t distribution: below 20 patients, or with two pretrainings, the interval holds the truth in about
nine of ten studies (simulated in the tests), not in 95 of 100.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from eden_bench.case_statistics import Columns, Counted, Statistic
from eden_bench.seeds import Address, generator
from eden_bench.statistics.t_tests import CONFIDENCE

RESAMPLES = 2000
"""At least; more where many claims share one level, see ``claims``."""
_CHUNK = 4_000_000
"""Numbers held at once: resamples are made in parts, so that memory does not grow with them."""
_UNDEFINED = 0.05
"""Share of resamples without a value (no positive was drawn) from which there is no interval."""
_DIGITS = 12


class Interval(NamedTuple):
    """A percentile interval of the bootstrap."""

    low: float
    high: float

    @property
    def leaves_out_zero(self) -> bool:
        """Whether the interval excludes 0; an end at 0 does not."""
        return self.low > 0 or self.high < 0


class Groups(NamedTuple):
    """The patients of some cases."""

    names: np.ndarray
    """(P,) each once, in order of name."""
    of_case: np.ndarray
    """(N,) index of each case's patient in ``names``."""

    @classmethod
    def of(cls, patients: np.ndarray) -> Groups:
        """Group cases by their patients' names, (N,) text."""
        return cls(*np.unique(patients, return_inverse=True))


@dataclass(frozen=True)
class Scored:
    """The cases of one record, and the score that is a function of them."""

    patients: np.ndarray
    """(N,) text: whose case each is."""
    columns: Columns
    name: str
    """The score's, or the column's that is averaged."""
    statistic: Statistic | None = None
    """None for the mean of the column, NaN left out."""
    counted: Counted | None = None
    """Fast form of the statistic, where it has one."""
    groups: Groups | None = None
    """Of the patients, where they are known."""

    @property
    def names(self) -> np.ndarray:
        """(P,) the patients, each once, in order of name."""
        return self._groups.names

    @cached_property
    def whole(self) -> float:
        """The score of all cases by its statistic; raises what that does of cases that it cannot use."""
        return self.value if self.statistic is None else float(self.statistic(self.columns, self.name))

    @cached_property
    def value(self) -> float:
        """The score of all cases as a resample that drew each once has it; NaN if it has none."""
        ones = np.ones((1, len(self.names)))
        if self.statistic is not None:
            return float(_drawn_scores(self, ones)[0])
        totals, cases = self.sums
        return float((ones @ totals[:, None])[0, 0] / cases.sum()) if cases.any() else float("nan")

    @property
    def of_patient(self) -> np.ndarray:
        """(N,) index of each case's patient in ``names``."""
        return self._groups.of_case

    @cached_property
    def sums(self) -> tuple[np.ndarray, np.ndarray]:
        """(P,) sum of the column over each patient's cases that have a value, and (P,) how many have one."""
        values = np.asarray(self.columns[self.name], dtype=float)
        there = ~np.isnan(values)
        if not there.all():
            values = np.where(there, values, 0)
        length = len(self.names)
        return np.bincount(self.of_patient, values, length), np.bincount(self.of_patient, there, length)

    @cached_property
    def _groups(self) -> Groups:
        return self.groups or Groups.of(self.patients)


@dataclass(frozen=True)
class _Rows(Mapping[str, np.ndarray]):
    """Some rows of columns; a column is cut when it is asked for, since a statistic reads few of many."""

    columns: Columns
    rows: np.ndarray

    def __getitem__(self, name: str) -> np.ndarray:
        return self.columns[name][self.rows]

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __len__(self) -> int:
        return len(self.columns)


def patient_counts(patients: int, resamples: int = RESAMPLES, chunk: int = _CHUNK) -> Iterator[np.ndarray]:
    """Draw bootstrap resamples of patients; yield parts of (R, P) float counts, rows that sum to P.

    More resamples go on where fewer end.
    """
    draws = generator(0, "report", "patients", patients)
    step = max(1, chunk // patients)
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        drawn = draws.integers(0, patients, (rows, patients)) + patients * np.arange(rows)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * patients).reshape(rows, patients).astype(float)


def resampled(scored: Sequence[Scored], resamples: int = RESAMPLES) -> np.ndarray:
    """Compute the score of every bootstrap resample; NaN if a resample has no score.

    Args:
        scored: K records of the same patients.
        resamples: R.

    Returns:
        (R, K).

    Raises:
        ValueError: two records are not of the same patients.
    """
    first = scored[0].names
    if any(not (each.names is first or np.array_equal(each.names, first)) for each in scored):
        raise ValueError("records of different patients share no resamples")
    means = [place for place, each in enumerate(scored) if each.statistic is None]
    others = [place for place, each in enumerate(scored) if each.statistic is not None]
    widest = max([len(first), *(len(scored[place].patients) for place in others)])
    parts = []
    for counts in patient_counts(len(first), resamples, _CHUNK * len(first) // widest):
        part = np.empty((len(counts), len(scored)))
        part[:, means] = _drawn_means([scored[place] for place in means], counts)
        for place in others:
            part[:, place] = _drawn_scores(scored[place], counts)
        parts.append(part)
    return np.concatenate(parts)


def over_pretrainings(scores: np.ndarray, pretrainings: Sequence[int], *address: Address) -> np.ndarray:
    """Average a row's resampled scores over fine-tuning seeds, then over the pretrainings drawn.

    Args:
        scores: (R, K) of the row's records.
        pretrainings: (K,) number of the pretraining that each record is of, from 0.
        address: of the row, so that no two rows draw alike.

    Returns:
        (R,).
    """
    of = np.asarray(pretrainings)
    count = int(of.max()) + 1
    means = np.stack([scores[:, of == number].mean(axis=1) for number in range(count)], axis=1)
    if count == 1:
        return means[:, 0]
    drawn = generator(0, "report", "pretrainings", *address).integers(0, count, (len(scores), count - 1))
    return np.take_along_axis(means, drawn, axis=1).mean(axis=1)


def interval(drawn: np.ndarray) -> Interval | None:
    """Return the percentile interval of resampled scores or differences; None if too many are NaN."""
    known = _known(drawn)
    if known is None:
        return None
    tail = (1 - CONFIDENCE) / 2
    low, high = rounded(np.quantile(rounded(known), [tail, 1 - tail]))
    return Interval(float(low), float(high))


def p_value(differences: np.ndarray) -> float | None:
    """Return the two-sided p that inverts the percentile interval; None if there is no interval.

    It is twice the smaller share of resamples on either side of 0, a resample at 0 counting for both and one more
    resample added to each, so that it is never 0.

    >>> p_value(np.array([1.0, 2.0, 3.0])), p_value(np.zeros(3))
    (0.5, 1.0)
    """
    known = _known(differences)
    if known is None:
        return None
    known = rounded(known)
    fewest = min((known <= 0).sum(), (known >= 0).sum())
    return min(1.0, float(2 * (1 + fewest) / (1 + len(known))))


def differences(first: np.ndarray, second: np.ndarray | float) -> np.ndarray:
    """Compute paired differences, rounded so that equal scores differ by exactly 0 in any order of additions."""
    return rounded(first - second, max(np.abs(first).max(initial=0), np.abs(second).max(initial=0), 1.0))


def rounded(values: np.ndarray, scale: float = 1.0) -> np.ndarray:
    """Round to 12 digits below the scale, or below the largest value if that is larger.

    Two sums of the same numbers differ in the last digits with their order, and a difference of 1e-17 is none.
    """
    largest = max(scale, float(np.abs(values).max(initial=0)))
    return np.round(values, _DIGITS - int(np.ceil(np.log10(largest))))


def _known(drawn: np.ndarray) -> np.ndarray | None:
    known = drawn[~np.isnan(drawn)]
    return None if len(known) < (1 - _UNDEFINED) * len(drawn) or not len(known) else known


def _drawn_means(scored: Sequence[Scored], counts: np.ndarray) -> np.ndarray:
    """Average the columns of resamples, (R, K): the patients' sums times how often each was drawn."""
    if not scored:
        return np.empty((len(counts), 0))
    totals = counts @ np.stack([each.sums[0] for each in scored], axis=1)
    several, of = _each_once([each.sums[1] for each in scored])
    for number, cases in enumerate(several):  # most records have a value of every case
        drawn = counts @ cases
        mine = slice(None) if len(several) == 1 else of == number
        totals[:, mine] /= np.where(drawn > 0, drawn, np.nan)[:, None]
    return totals


def _each_once(arrays: Sequence[np.ndarray]) -> tuple[list[np.ndarray], np.ndarray]:
    """Return the arrays that differ, and for each one given the number of that which it is."""
    numbers: dict[bytes, int] = {}
    of = [numbers.setdefault(each.tobytes(), len(numbers)) for each in arrays]
    return [arrays[of.index(number)] for number in range(len(numbers))], np.array(of)


def _drawn_scores(scored: Scored, counts: np.ndarray) -> np.ndarray:
    """Score resamples, (R,), by the fast form of the statistic or with the drawn cases, one resample after another."""
    of_case = counts[:, scored.of_patient]
    if scored.counted is not None:
        return scored.counted(scored.columns, scored.name, of_case)
    rows = np.arange(len(scored.patients))
    return np.array([_score(scored, np.repeat(rows, each)) for each in of_case.astype(int)])


def _score(scored: Scored, rows: np.ndarray) -> float:
    """Score some cases; NaN where the statistic refuses them, for example without a positive."""
    try:
        return float(scored.statistic(_Rows(scored.columns, rows), scored.name)) if scored.statistic else np.nan
    except (LookupError, ValueError, ArithmeticError):
        return np.nan
