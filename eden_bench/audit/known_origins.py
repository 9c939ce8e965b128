"""Which datasets are known to be made of another's images: true without looking at a pixel. Imports nothing heavy."""

from __future__ import annotations

from typing import NamedTuple


class Origin(NamedTuple):
    """One dataset's images come from another's."""

    dataset: str
    source: str
    text: str


ORIGINS = (
    Origin(
        "chestx-det",
        "chestxray14",
        "all 3,578 images of ChestX-Det were taken from ChestX-ray14 and renumbered (its authors' README)",
    ),
    Origin(
        "siim-acr",
        "chestxray14",
        "SIIM-ACR was annotated on ChestX-ray14's radiographs (reported: Filice et al., J Digit Imaging 2020)",
    ),
    Origin(
        "vindr-rib",
        "vindr-cxr",
        "all 245 images of VinDr-RibCXR were taken from VinDr-CXR (Nguyen et al., MIDL 2021)",
    ),
)


def origins(dataset: str) -> list[Origin]:
    """Return where a dataset's images are known to come from."""
    return [rule for rule in ORIGINS if rule.dataset == dataset]
