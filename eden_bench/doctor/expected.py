"""What a card or a processor should reach, from published figures."""

from __future__ import annotations

from typing import NamedTuple

STEP_GB = 0.8
"""Gigabytes of memory traffic a training image of ResNet-50 at 224 px: an A100's 2,039 GB/s and its published 2,470
images/s, a V100's 900 and 1,156 (NVIDIA's deep learning examples, mixed precision, channels last)."""
STEP_TFLOP, _OF_PEAK = 0.0243, 0.55
"""Its arithmetic, and the share of a V100's peak in float32 at its published 356 images/s."""


class Card(NamedTuple):
    """Published peaks of a card: dense products in the precision of our runs (bf16, or float32 without), and memory."""

    tflops: float
    gb_s: float


CARDS = {
    "B200": Card(2250, 8000),
    "H200": Card(989, 4800),
    "H100 NVL": Card(835, 3938),
    "H100 PCIe": Card(756, 2039),
    "H100": Card(989, 3352),
    "A100-PCIE-40GB": Card(312, 1555),
    "A100-SXM4-40GB": Card(312, 1555),
    "A100": Card(312, 2039),
    "A800": Card(312, 2039),
    "V100": Card(15.7, 900),
    "L40S": Card(362, 864),
    "L40": Card(181, 864),
    "L4": Card(121, 300),
    "A10G": Card(70, 600),
    "A10": Card(125, 600),
    "A40": Card(150, 696),
    "A30": Card(165, 933),
    "RTX A6000": Card(155, 768),
    "RTX 6000 Ada": Card(364, 960),
    "RTX 5090": Card(210, 1792),
    "RTX 4090": Card(165, 1008),
    "RTX 3090": Card(71, 936),
    "T4": Card(8.1, 320),
}
"""By a part of the name that torch tells, the longer ones before those they contain (NVIDIA's data sheets)."""


def step_rate(card: Card) -> float:
    """Return the images of ResNet-50 a second that a card should train: what memory and arithmetic both allow.

    >>> round(step_rate(CARDS["A100"])), round(step_rate(CARDS["V100"]))
    (2549, 355)
    """
    return min(card.gb_s / STEP_GB, card.tflops / STEP_TFLOP * _OF_PEAK)


FLOORS = {"matmul": 20e9, "copy": 2e9, "step": 0.5, "decode": 25.0}
"""What a thread of a processor of the last ten years reaches: operations, bytes, images and films a second."""


def card_of(name: str) -> Card | None:
    """Return the published peaks of a card; None for one that is not known, or for a slice of one.

    >>> card_of("NVIDIA H100 80GB HBM3").gb_s, card_of("NVIDIA H100 PCIe").gb_s
    (3352, 2039)
    >>> card_of("NVIDIA H100 80GB HBM3 MIG 1g.10gb") is None
    True
    """
    words = f" {name.replace('-', ' ')} "
    found = (card for part, card in CARDS.items() if f" {part.replace('-', ' ')} " in words)
    return None if " MIG " in words else next(found, None)
