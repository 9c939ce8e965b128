"""Detect files that shadow our packages, which have generic names."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

PACKAGES = ("baselines", "pretrain", "tasks")
HOME = Path(__file__).absolute().parents[2]


def shadows() -> list[str]:
    """Return one sentence for each of our packages that another file shadows.

    Their names are generic, so a ``tasks.py`` on PYTHONPATH comes first (design, section 3). The current folder is
    searched neither by ``eden-bench`` nor by ``python -m eden_bench``. Finds them without importing them.
    """
    return [sentence for name in PACKAGES if (sentence := _shadow(name))]


def _shadow(name: str) -> str:
    try:
        spec = find_spec(name)
    except (ImportError, ValueError):
        spec = None
    if spec is None:
        return f"our package {name!r} is not installed beside eden_bench in {HOME}: install eden-bench again"
    places = list(spec.submodule_search_locations or [spec.origin or name])
    if any(Path(place).absolute() == HOME / name for place in places):
        return ""
    return (
        f"{spec.origin or places[0]} shadows our package {name!r}: rename it, or run eden-bench from another folder "
        "and without the PYTHONPATH that leads there"
    )
