"""The paper's test of one row against the best of the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from eden_bench.report.tables import Comparison, Row, Verdict, ranges
from eden_bench.statistics.t_tests import LEVEL, TTest, two_sample_t


def comparisons(
    rows: Sequence[Row], method: str, *, allow_unequal: bool, higher_is_better: bool = True
) -> tuple[Comparison, ...]:
    """Test the rows of one method, each against the best of the other methods' rows.

    Args:
        rows: of one table, the best first.
        method: whose rows; empty for the headline's, else the best's.
        allow_unequal: test rows of different seeds too.
        higher_is_better: direction of the score.
    """
    if not rows:
        return ()
    chosen = method or next((row for row in rows if row.headline), rows[0]).backbone.method
    others = [row for row in rows if row.backbone.method != chosen]
    if not others:
        return ()
    tested = [row for row in rows if row.backbone.method == chosen]
    return tuple(compare(row, others, allow_unequal, higher_is_better) for row in tested)


def compare(row: Row, others: Sequence[Row], allow_unequal: bool, higher_is_better: bool = True) -> Comparison:
    """Test a row against the best of the others by mean, as the paper does (independent t, pooled variance).

    Two rows of one checkpoint each are tested over their fine-tuning seeds, which says something about those two
    checkpoints. Two rows of several pretrainings each are tested over the pretrainings' means, which says something
    about the methods; weights drawn from the seed are another pretraining each.
    """
    sign = 1 if higher_is_better else -1
    other = max(others, key=lambda each: (sign * each.summary.mean, each.label))
    if note := _refusal(row, other, allow_unequal):
        return Comparison(row=row, other=other, test=None, verdict="refused", note=note)
    over: Literal["seeds", "pretrainings"] = "pretrainings" if row.levels == 2 or other.levels == 2 else "seeds"
    test = two_sample_t(row.units, other.units)
    return Comparison(row=row, other=other, test=test, verdict=_verdict(test), note=test.note, over=over)


def _refusal(row: Row, other: Row, allow_unequal: bool) -> str:
    """Explain why two rows are not tested; "" if they are."""
    if (row.levels == 2) != (other.levels == 2):
        one, several = sorted((row, other), key=lambda each: each.levels)
        if not one.drawn:
            return (
                f"no test: {several.label} has {len(several.pretrainings)} pretrainings and {one.label} one, which has "
                "no spread over pretrainings: give both the same --pretrain-seeds"
            )
        return ""
    if row.seeds != other.seeds and not allow_unequal:
        return (
            f"no test: {row.label} has seeds {ranges(row.seeds)}, {other.label} has {ranges(other.seeds)}; run the "
            "missing cells or pass --allow-unequal"
        )
    return ""


def _verdict(test: TTest) -> Verdict:
    if test.p is None:
        return "undefined"
    if test.p >= LEVEL:
        return "undecided"
    return "higher" if test.difference > 0 else "lower"
