"""Read and write a Swin's window sizes in its arch's name."""

from __future__ import annotations

from collections.abc import Sequence


def within(windows: Sequence[int], size_px: int, patch_px: int) -> tuple[int, ...]:
    """Limit each stage's window, in patches of the stage, to the width of the stage's map."""
    return tuple(min(window, size_px // (patch_px * 2**stage)) for stage, window in enumerate(windows))


def written(windows: Sequence[int], size_px: int, patch_px: int) -> str:
    """Return "7" for windows of 7 wherever the map allows it, else all four, as in "4-4-4-2"."""
    widest = max(windows)
    is_plain = tuple(windows) == within((widest,) * len(windows), size_px, patch_px)
    return str(widest) if is_plain else "-".join(map(str, windows))


def read(text: str, size_px: int, patch_px: int) -> tuple[int, ...]:
    """Parse the windows in an arch's name."""
    named = [int(number) for number in text.split("-")]
    return within(named if len(named) > 1 else named * 4, size_px, patch_px)
