"""Convert stored bits to greys: modality LUT or rescale, VOI LUT or window, MONOCHROME1 inverted (PS3.3 C.11)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from pydicom import Dataset


class Claims(NamedTuple):
    """Pixel format that a DICOM header claims, validated against bounds."""

    rows: int
    columns: int
    bits_allocated: int
    bits_stored: int
    signed: bool
    photometric: str


def greys_of(
    header: Dataset, claims: Claims, lowest: int, highest: int, shown: tuple[float, float] | None = None
) -> np.ndarray:
    """Build the lookup table from codes of bits_stored bits to greys, uint8.

    Args:
        header: LUTs, rescale and window.
        claims: depth and sign.
        lowest: lowest code of the image.
        highest: highest code of the image.
        shown: centre and width of a window in place of the header's own LUT or window.
    """
    values: np.ndarray = np.arange(1 << claims.bits_stored) - (1 << (claims.bits_stored - 1) if claims.signed else 0)
    plain = values
    if sequence := header.get("ModalityLUTSequence"):
        values = _looked_up(sequence[0], values)
    elif header.get("RescaleSlope") is not None:
        values = values * float(header.RescaleSlope) + float(header.get("RescaleIntercept") or 0)
    if shown is not None:
        shares = _windowed(*shown, "LINEAR", values)
    elif sequence := header.get("VOILUTSequence"):
        shares = _stretched(_looked_up(sequence[0], values))
    elif window := _window(header):
        shares = _windowed(*window, values)
    elif claims.bits_allocated == 8 and (values == plain).all():
        shares = values / 255
    else:
        shares = _stretched(values, *sorted((values[lowest], values[highest])))
    shares = np.nan_to_num(np.clip(shares, 0, 1))
    return np.rint(255 * (1 - shares if claims.photometric == "MONOCHROME1" else shares)).astype(np.uint8)


def _window(header: Dataset) -> tuple[float, float, str] | None:
    """Return centre, width and function of the first window, None if it is absent or impossible."""
    both = [header.get(name) for name in ("WindowCenter", "WindowWidth")]
    if any(values is None or not np.size(values) for values in both):
        return None
    centre, width = (float(np.atleast_1d(values)[0]) for values in both)
    function = str(header.get("VOILUTFunction") or "LINEAR").upper()
    possible = width >= (1 if function == "LINEAR" else 1e-9) and np.isfinite([centre, width]).all()
    return (centre, width, function) if possible else None


def _windowed(centre: float, width: float, function: str, values: np.ndarray) -> np.ndarray:
    """Apply a window, PS3.3 C.11.2.1.2 and C.11.2.1.3; what it shows lies in [0, 1]."""
    if function == "SIGMOID":
        return np.asarray(1 / (1 + np.exp(np.clip(-4 * (values - centre) / width, -700, 700))))
    if function == "LINEAR":
        centre, width = centre - 0.5, max(width - 1, 1e-9)
    return np.asarray((values - centre) / width + 0.5)


def _looked_up(item: Dataset, values: np.ndarray) -> np.ndarray:
    """Apply a LUT: values below its first are its first entry, values above its last are its last."""
    entries, first, _ = (int(number) for number in item.LUTDescriptor)
    count, data = entries or 1 << 16, item.LUTData
    if isinstance(data, bytes):
        data = np.frombuffer(data, "<u1" if len(data) in (count, count + 1) else "<u2")
    table = np.atleast_1d(np.asarray(data, np.int64))[:count]
    if len(table) < count:
        raise ValueError(f"a LUT of {len(table)} entries instead of {count}")
    return table[np.clip(np.rint(values) - first, 0, count - 1).astype(np.int64)]


def _stretched(values: np.ndarray, low: float | None = None, high: float | None = None) -> np.ndarray:
    low, high = (float(values.min()) if low is None else low), (float(values.max()) if high is None else high)
    return np.asarray((values - low) / max(high - low, 1e-9))


def mapped(codes: np.ndarray, greys: np.ndarray) -> np.ndarray:
    """Look up greys[codes], piece by piece, since NumPy widens indices to eight bytes."""
    flat, piece = codes.ravel(), 1 << 22
    parts = [greys[flat[start : start + piece]] for start in range(0, flat.size, piece)]
    return np.concatenate(parts).reshape(codes.shape)
