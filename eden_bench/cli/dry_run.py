"""Print a plan and its estimated cost: ``eden-bench run --dry-run``, and the line with which a run begins."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from eden_bench import records
from eden_bench.cli.output import print_json, print_table
from eden_bench.cli.streams import print_text
from eden_bench.execution.backbones import STATES
from eden_bench.execution.estimate import estimate
from eden_bench.execution.plan import make_plan
from eden_bench.execution.request import shots_text
from eden_bench.report.tables import ranges

if TYPE_CHECKING:
    from eden_bench.execution.estimate import Estimate
    from eden_bench.execution.inputs import Inputs
    from eden_bench.execution.plan import Plan
    from eden_bench.execution.request import Ask


def opening(plan: Plan, inputs: Inputs) -> str:
    """Return the line that announces a run: cells, seeds, device."""
    marks = "PHANTOM data" if plan.phantom else "real data"
    reused = sum(slot.record is not None for slot in plan.slots)
    left_out = plan.left_out_text
    return (
        f"{cells_text(len(plan.slots))}, {reused} of them stored; protocol {plan.protocol.name}, {marks}, "
        f"{inputs.device}, {inputs.settings.threads} threads, results in {inputs.settings.out}"
        + (f"\n{left_out}" if left_out else "")
    )


def show_plan(wanted: Ask, inputs: Inputs, as_json: bool) -> None:
    """Print what a run would compute and cost, per task, number of shots and method, without creating any cache."""
    past = records.glance(inputs.settings.out, keep=False)
    plan = make_plan(wanted, inputs, past)
    cost = estimate(plan, past, inputs)
    rows = _plan_rows(plan)
    if as_json:
        pretraining = [backbone.label for backbone in plan.to_pretrain]
        marks = {"protocol": plan.protocol.name, "phantom": plan.phantom, "device": inputs.device}
        problems = _problems(plan)
        print_json({**marks, "plan": rows, "pretrain": pretraining, "estimate": vars(cost), "problems": problems})
        return
    words = {str(state): word for state, word in STATES.items()}
    headings = [words.get(name, name) for name in rows[0]]
    print_table(headings, [[str(value) for value in row.values()] for row in rows], opening(plan, inputs))
    for line in [*_problems(plan), *_cost_lines(plan, cost)]:
        print_text(line)


def _plan_rows(plan: Plan) -> list[dict[str, Any]]:
    """Return one row for each task, number of shots and method."""
    rows: dict[tuple[str, str, str], Counter[str]] = {}
    for slot in plan.slots:
        key = (slot.task, shots_text(slot.shots), slot.backbone.label)
        problem = slot.problem or slot.backbone.problem
        state = "stored" if slot.record else problem.kind if problem else "new"
        rows.setdefault(key, Counter())[state] += 1
    names = ("stored", "new", "failed", "missing", "excused")
    return [
        {"task": task, "shots": shots, "method": method, **{name: found[name] for name in names}}
        for (task, shots, method), found in rows.items()
    ]


def _problems(plan: Plan) -> list[str]:
    """List why cells cannot be run, each reason once."""
    found = [(slot.backbone.label, slot.problem or slot.backbone.problem) for slot in plan.slots if not slot.record]
    return list(dict.fromkeys(f"{STATES[one.kind]}: {label}: {one.text}" for label, one in found if one))


def _cost_lines(plan: Plan, cost: Estimate) -> list[str]:
    waiting = ", ".join(_with_seeds(plan))
    lines = [f"to pretrain: {waiting} ({_time(cost.pretrain_seconds)})"] if waiting else []
    peaks = {"memory": cost.memory_bytes, "on the card": cost.device_memory_bytes, "disk": cost.disk_bytes}
    told = "; ".join(f"{name}: {_size(each)}" for name, each in peaks.items() if each or name != "on the card")
    lines.append(f"to run: {cells_text(len(plan.new))} ({_time(cost.cell_seconds)}); {told}; nothing was written")
    if cost.unknown:
        where = cost.device + (f" with {cost.threads} threads" if cost.threads else "")
        lines.append(f"unknown, since nothing like it was run on {where}: {', '.join(cost.unknown)}")
    return lines


def _with_seeds(plan: Plan) -> list[str]:
    """Name the methods to pretrain, each with its seeds if there are several."""
    seeds: dict[str, list[int]] = {}
    for backbone in plan.to_pretrain:
        seeds.setdefault(backbone.label, []).append(backbone.seed)
    return [label if found == [0] else f"{label} (seeds {ranges(found)})" for label, found in seeds.items()]


def cells_text(number: int) -> str:
    """Format a number of cells, for example "3 cells"."""
    return "1 cell" if number == 1 else f"{number} cells"


def _time(seconds: float | None) -> str:
    """Format a time to a few per cent.

    >>> [_time(each) for each in (None, 1.23, 61, 95, 7000)]
    ['time unknown', 'about 1.2 s', 'about 61 s', 'about 1.6 min', 'about 1.9 h']
    """
    if seconds is None:
        return "time unknown"
    size, unit = next((each for each in ((3600, "h"), (60, "min")) if seconds >= 1.5 * each[0]), (1, "s"))
    return f"about {seconds / size:.{0 if unit == 's' and seconds >= 10 else 1}f} {unit}"


def _size(number: int | None) -> str:
    return "unknown" if number is None else f"{number / 1e6:,.{0 if number >= 1e8 else 1}f} MB"
