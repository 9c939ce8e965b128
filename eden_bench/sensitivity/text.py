"""What the terminal and JSON show of a ranking's sensitivity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eden_bench.sensitivity.ranking import Ranking, Sensitivity

COLUMNS = ("setting", "order", "tau", "claims that change", "cost")


def heading(found: Sensitivity) -> str:
    """Name a task and its shots."""
    return f"{found.task}, {'full training set' if found.shots is None else f'{found.shots} shots'}"


def rows(found: Sensitivity) -> list[tuple[str, ...]]:
    """Return one row of ``COLUMNS`` a setting."""
    return [
        (
            one.setting.name,
            " > ".join(f"{label} {100 * mean:.2f}" for label, mean in one.means.items()) or "no row",
            "–" if one.tau is None else f"{one.tau:.2f}",
            _changes(one),
            f"{one.cost:.2f}" if one.means else "–",
        )
        for one in found.rankings
    ]


def _changes(one: Ranking) -> str:
    absent = [f"no row of {', '.join(one.absent)}"] if one.absent else []
    return "; ".join([*one.flips, *absent]) or "none"


def sentences(found: Sensitivity) -> list[str]:
    """Say in how many settings order and claims hold, and which is the cheapest of them."""
    others = [one for one in found.rankings if one.setting.changes]
    kept = [one for one in others if one.tau == 1.0]
    lines = [f"the order of the protocol as it is holds in {len(kept)} of {len(others)} other settings"]
    flipped = [one.setting.name for one in others if one.flips]
    claims = f"claims about checkpoints change under {'; '.join(flipped)}" if flipped else "no claim changes"
    best = found.cheapest
    cheap = f"the cheapest that keeps order and claims is {best.setting.name!r}, at {best.cost:.2f} of the cost"
    return [*lines, claims, cheap if best.setting.changes else "no cheaper setting keeps order and claims"]


def as_json(found: Sequence[Sensitivity]) -> list[dict[str, Any]]:
    """Return everything as plain data."""
    return [
        {
            "task": each.task,
            "shots": each.shots,
            "cheapest": each.cheapest.setting.name,
            "settings": [
                {
                    "changes": dict(one.setting.changes),
                    "means": dict(one.means),
                    "tau": one.tau,
                    "flips": list(one.flips),
                    "absent": list(one.absent),
                    "cost": one.cost if one.means else None,
                    "keeps": one.keeps,
                }
                for one in each.rankings
            ],
        }
        for each in found
    ]
