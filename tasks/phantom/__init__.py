"""The chest phantom: a synthetic anatomy with known truth, written in the layouts of the real datasets.

``draw_patient`` describes one person and one film of them, ``render`` projects them, and the two writers lay
whole datasets on the disk. Names load on first use, so importing this package imports neither OpenCV nor NumPy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tasks.phantom.chest.anatomy import Anatomy
    from tasks.phantom.chest.patient import Film, Lesion, Patient, draw_patient
    from tasks.phantom.chest.rendering import Rendering, render
    from tasks.phantom.layouts.chestxray14 import write_chestxray14
    from tasks.phantom.layouts.scr import write_scr
    from tasks.phantom.sheets.chest import write_sheet

VERSION = 1
"""Raise it when any written byte changes: images of two versions are different data."""

SCR_VERSION = 3
"""The same for JSRT and SCR: 3 has ``landmarks.csv``, the first pixel's centre at (0.5, 0.5)."""

FUNDUS_VERSION = 1
"""The same for photographs of the fundus."""

_HOME = {
    "Anatomy": "chest.anatomy",
    "Film": "chest.patient",
    "Lesion": "chest.patient",
    "Patient": "chest.patient",
    "draw_patient": "chest.patient",
    "Rendering": "chest.rendering",
    "render": "chest.rendering",
    "write_scr": "layouts.scr",
    "write_chestxray14": "layouts.chestxray14",
    "write_sheet": "sheets.chest",
}

__all__ = [
    "FUNDUS_VERSION",
    "VERSION",
    "Anatomy",
    "Film",
    "Lesion",
    "Patient",
    "Rendering",
    "draw_patient",
    "render",
    "write_chestxray14",
    "write_scr",
    "write_sheet",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a module attribute may be anything
    """Import a public name when it is first used."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value
