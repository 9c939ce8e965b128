"""Published numbers on methods' cards, as read off the bars of the Adam paper's Fig. 3.

The figure prints no numbers. Where a mean also exists as text in an earlier paper of the group (DiRA, CVPR 2022, and
its transfer benchmark, DART 2021) the readings agree within 0.01.
"""

from __future__ import annotations

from collections.abc import Mapping

from eden_bench.report.against.published import of_source

_READ = "(digitised from Fig. 3 of arXiv:2309.15358: mean ± half the error bar; s.d. or s.e. not stated)"
_DRIVE = "(digitised from a figure of arXiv:2309.15358, pretrained on EyePACS)"


def adams_figure(method: str) -> Mapping[str, str]:
    """Return a method's published numbers: task to "mean ± half the error bar" in %, with its source.

    Dice on both SCR tasks, SIIM-ACR, VinDr-RibCXR and DRIVE, IoU on ChestX-Det, AUC on the others. What is pretrained
    was so on ChestX-ray14, for DRIVE on EyePACS.

    Raises:
        ValueError: the figure has no such method.
    """
    shown = {"fig3": _READ, "drive": _DRIVE}
    found = {
        row.task: f"{row.text.replace('±', ' ± ').replace('~', 'about ')} {read}"
        for source, read in shown.items()
        for row in of_source(source)
        if row.method == method
    }
    if not found:
        raise ValueError(f"{method}: published.toml has no row of it in Fig. 3")
    return found
