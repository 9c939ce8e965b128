"""What must be known to read a comparison over tasks: what it is over, what is left out, how little few tasks tell."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from eden_bench.contracts import PERCENT
from eden_bench.report.across.groups import Group, groups
from eden_bench.report.number_text import p_text
from eden_bench.report.tables import Row, Table, ranges
from eden_bench.statistics.ranks import friedman, iman_davenport, least_p
from eden_bench.statistics.t_tests import LEVEL

_FEW_PRETRAININGS, _FEW_TASKS = 5, 20


def heading(group: Group) -> str:
    """Return what the tables of a group have in common, in one line."""
    first = group.tables[0]
    shots = "full training set" if first.shots is None else f"{first.shots} shots"
    marks = [*first.marks._replace(part="").words, *(["PART"] if first.marks.part else [])]
    data = f", pretraining data {first.pretrain_data[:12]}" if first.pretrain_data else ""
    return f"{len(group.tables)} tasks, {shots}, protocol {group.protocol}{data}" + (
        f" [{'; '.join(marks)}]" if marks else ""
    )


def notes(group: Group, scores: np.ndarray) -> tuple[str, ...]:
    """Return the notes of a comparison, whose means are (T, K)."""
    told = (friedman(scores).note, iman_davenport(scores).note)
    undefined = [text for text in dict.fromkeys(told) if text]
    return (*_of_scores(group.tables), *_of_runs(group), *_of_blocks(group.tables), *_power(scores), *undefined)


def absence(tables: Iterable[Table]) -> tuple[str, ...]:
    """Return why groups of tables are not compared over tasks, one sentence a group."""
    few = [group for group in groups(tables) if not group.enough]
    return tuple(
        f"no comparison over tasks, which needs 2 tasks and 2 methods that have all of them; alike (in phantom, quick, "
        f"part, shots, protocol and pretraining data) {'is' if len(group.tables) == 1 else 'are'} "
        f"{'; '.join(table.heading for table in group.tables)}{_left_out(group)}"
        for group in few
        if group.tables
    )


def _left_out(group: Group) -> str:
    return "".join(f"; {what} is left out: {reason}" for what, reason in group.left_out.items())


def _of_scores(tables: Sequence[Table]) -> list[str]:
    """Say how scores were put between 0 and 1."""
    stored = [table for table in tables if table.score.bounds == (0.0, 1.0) and table.score.higher_is_better]
    other = [table for table in tables if table not in stored]
    told = "scores in [0, 1] as stored (% as a share); chance is not subtracted, so an AUC begins at about 0.5"
    moved = [f"{table.task} ({table.score.name}{_unit(table)}, {_turned(table)})" for table in other]
    return [told, *([f"put between 0 and 1 by their bounds: {', '.join(moved)}"] if moved else [])]


def _unit(table: Table) -> str:
    return "" if table.score.unit == PERCENT else f" in {table.score.unit or 'bare numbers'}"


def _turned(table: Table) -> str:
    low, high = table.score.limits
    return f"{low:g} to {high:g}" + ("" if table.score.higher_is_better else ", lower is better, turned")


def _of_runs(group: Group) -> list[str]:
    """Say which runs are compared, where that is not all of one set of seeds."""
    several = sorted(label for label, runs in group.shared.items() if isinstance(runs[0], str))
    seeds = {label: ranges(map(int, runs)) for label, runs in group.shared.items() if label not in several}
    alike = {told: [label for label in seeds if seeds[label] == told] for told in seeds.values()}
    mixed = "; ".join(f"{told} ({', '.join(labels)})" for told, labels in alike.items())
    dropped = [label for label, rows in group.rows.items() if any(_drops(row, group.shared[label]) for row in rows)]
    few = [label for label in several if len(group.shared[label]) < _FEW_PRETRAININGS]
    return [
        *([f"methods were run on unequal seeds: {mixed}"] if len(alike) > 1 else []),
        *(
            [f"only runs that a method has in every table count; others are left out of {', '.join(dropped)}"]
            * bool(dropped)
        ),
        *([f"few pretrainings, so wide intervals: {', '.join(few)}"] if few else []),
    ]


def _drops(row: Row, shared: Sequence[int | str]) -> bool:
    """Return whether a row has runs that another table lacks."""
    own = {each.checkpoint for each in row.pretrainings} if row.levels == 2 else set(row.scores)
    return own != set(shared)


def _of_blocks(tables: Sequence[Table]) -> list[str]:
    datasets: dict[str, list[str]] = {}
    for table in tables:
        datasets.setdefault(table.dataset, []).append(table.task)
    same = [f"{', '.join(tasks)} (of {dataset})" for dataset, tasks in datasets.items() if len(tasks) > 1]
    return [f"tasks of the same images count as tasks of their own: {'; '.join(same)}"] if same else []


def _power(scores: np.ndarray) -> list[str]:
    """Say how little so few tasks can tell."""
    tasks, methods = scores.shape
    least, needed = least_p(tasks, methods), tasks
    if least >= LEVEL:
        while least_p(needed, methods) >= LEVEL:
            needed += 1
        return [
            f"{tasks} tasks cannot tell any two of {methods} methods apart by Wilcoxon's test with Holm's correction: "
            f"one that is better on every task has p = {p_text(least)}; it takes {needed} tasks"
        ]
    if tasks < _FEW_TASKS:
        return [f"{tasks} tasks: ranks separate only what differs on nearly all of them"]
    return []
