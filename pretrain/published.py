"""Published numbers of every method, for its card: one table, as read off the bars of the Adam paper's Fig. 3.

The figure prints no numbers. Where a mean also exists as text in an earlier paper of the group (DiRA, CVPR 2022, and
its transfer benchmark, DART 2021) the readings agree within 0.01.
"""

from __future__ import annotations

from collections.abc import Mapping

from pretrain.views.recipes import from_adams_figure

_TASKS = (
    *("scr-clavicle", "scr-heart", "chestx-det", "siim-acr"),
    *("vindr-rib", "chestxray14", "vindr-cxr", "shenzhen"),
)
_FIG_3 = """
random                 | 80.68±3.02 91.09±1.74 70.42±1.73 67.55±0.57 63.87±2.46 80.32±0.08 73.53±1.59 89.04±1.78
supervised-imagenet    | 86.96±1.98 93.58±1.01 73.01±0.67 67.94±1.42 70.38±1.37 81.71±0.12 88.76±1.76 95.62±0.60
supervised-chestxray14 | 87.03±1.62 93.60±1.17 73.14±0.68 68.93±0.97 66.48±1.00 –          89.94±1.62 96.31±0.61
moco-v2                | 82.90±3.81 92.45±0.89 70.84±1.27 67.90±0.12 69.62±0.71 80.37±0.24 85.24±1.97 91.58±1.55
transvw                | 84.56±1.68 91.22±1.51 71.29±0.56 67.97±0.95 66.79±1.68 80.06±0.09 83.41±0.55 89.73±~0
vicregl                | 80.01±3.97 92.49±1.43 72.80±0.41 67.87±1.05 67.17±1.87 80.89±0.18 81.99±1.00 91.69±2.78
densecl                | 87.08±0.55 93.00±1.31 70.99±2.65 68.49±0.73 67.75±0.46 80.74±0.10 88.04±2.38 93.30±0.89
pcrl                   | 84.12±3.67 93.50±0.97 71.46±0.56 68.02±1.25 67.19±1.44 80.57±0.06 84.27±1.21 93.19±1.34
dira                   | 88.67±0.46 94.17±0.90 71.92±0.92 69.24±0.38 69.62±0.45 81.13±0.15 88.18±1.31 92.96±0.93
simmim                 | 81.40±0.88 93.19±0.19 70.42±1.02 68.52±0.80 65.44±0.15 79.10±0.55 79.57±0.62 92.96±0.40
medical-mae            | 85.41±0.80 94.05±0.30 71.55±0.72 69.16±1.17 65.85±0.41 80.85±0.02 89.59±0.03 93.21±0.16
adam                   | 90.72±0.85 94.99±0.07 74.18±0.54 69.59±0.53 70.98±1.27 81.72±0.41 90.08±1.62 94.61±0.84
"""
"""Dice on both SCR tasks, SIIM-ACR and VinDr-RibCXR, IoU on ChestX-Det, AUC on the others, in %."""

_EYEPACS = {
    "random": "78.27 ± 0.40",
    "supervised-imagenet": "79.20 ± 0.35",
    "moco-v2": "78.43 ± 0.34",
    "dira": "78.51 ± 0.39",
    "adam": "79.95 ± 0.18",
}
"""Dice on DRIVE; what is pretrained was so on EyePACS."""


def reference(method: str) -> Mapping[str, str]:
    """Return a method's published numbers: task to "mean ± half the error bar", each saying where it was read."""
    bars = zip(_TASKS, _rows()[method], strict=True)
    shown = {task: bar.replace("±", " ± ").replace("~", "about ") for task, bar in bars if bar != "–"}
    told = {task: from_adams_figure(bar) for task, bar in shown.items()}
    if method in _EYEPACS:
        told["drive"] = f"{_EYEPACS[method]} (digitised from a figure of arXiv:2309.15358, pretrained on EyePACS)"
    return told


def _rows() -> dict[str, list[str]]:
    lines = (line.partition("|") for line in _FIG_3.strip().splitlines())
    return {name.strip(): bars.split() for name, _, bars in lines}
