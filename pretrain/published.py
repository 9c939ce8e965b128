"""Published numbers on methods' cards, as read off the bars of the Adam paper's Fig. 3.

The figure prints no numbers. Where a mean also exists as text in an earlier paper of the group (DiRA, CVPR 2022, and
its transfer benchmark, DART 2021) the readings agree within 0.01.
"""

from __future__ import annotations

from collections.abc import Mapping

TASKS = (
    *("scr-clavicle", "scr-heart", "chestx-det", "siim-acr"),
    *("vindr-rib", "chestxray14", "vindr-cxr", "shenzhen"),
)
"""The columns of Fig. 3: Dice on both SCR tasks, SIIM-ACR and VinDr-RibCXR, IoU on ChestX-Det, AUC on the others, %."""
_READ = "(digitised from Fig. 3 of arXiv:2309.15358: mean ± half the error bar; s.d. or s.e. not stated)"
_DRIVE = "(digitised from a figure of arXiv:2309.15358, pretrained on EyePACS)"


def adams_figure(bars: str, drive: str = "") -> Mapping[str, str]:
    """Return a method's published numbers: task to "mean ± half the error bar", with its source.

    Args:
        bars: "mean±half" for each of ``TASKS``, "–" where the figure has no bar, "~0" for one too short to read.
        drive: Dice on DRIVE in %, where the paper shows it; what is pretrained was so on EyePACS.
    """
    shown = {task: _text(bar) for task, bar in zip(TASKS, bars.split(), strict=True) if bar != "–"}
    told = {task: f"{text} {_READ}" for task, text in shown.items()}
    return told | ({"drive": f"{_text(drive)} {_DRIVE}"} if drive else {})


def _text(bar: str) -> str:
    return bar.replace("±", " ± ").replace("~", "about ")
