"""Random numbers by counter: every draw is a function of (seed, purpose, place), so order does not matter.

No global generator is ever read, so a cell can be run alone, on any number of workers, or resumed in
the middle, and draws the same numbers (design, section 7.2). The generator is Philox4x64-10
(Salmon et al., SC 2011) keyed by a SHA-256 of the address.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

Address = str | int


def key(seed: int, *address: Address) -> int:
    """Hash a seed and the address of its use to the 128-bit key of one random stream.

    >>> key(0, "order", 3) == key(0, "order", 3), key(0, "order", 3) == key(0, "order", 4)
    (True, False)
    """
    text = "\x1f".join([str(int(seed)), *(f"{type(part).__name__}:{part}" for part in address)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "little")


def generator(seed: int, *address: Address) -> np.random.Generator:
    """Return a fresh NumPy generator, seeded by one address."""
    return np.random.Generator(np.random.Philox(key=key(seed, *address)))


def uniforms(seed: int, *address: Address, rows: np.ndarray, width: int) -> np.ndarray:
    """Draw uniform numbers for some rows of an endless table, without drawing the rows between.

    Row i of the stream is the same whatever other rows are asked for, in whatever order, so a sample's
    draws do not depend on its batch.

    Args:
        seed: the cell's seed.
        address: what the table is for, for example "views", stage, epoch, view.
        rows: (B,) integer sample indices, each at least 0.
        width: numbers per row.

    Returns:
        (B, width) float64 in [0, 1).

    >>> alone, among = (uniforms(0, "views", rows=rows, width=2)[-1].tolist() for rows in ([7], [3, 9, 7]))
    >>> alone == among
    True
    """
    rows = np.asarray(rows, dtype=np.int64)
    if rows.size == 0:
        return np.empty((0, width))
    first, last = int(rows.min()), int(rows.max())
    if first < 0:
        raise ValueError(f"rows must be at least 0, not {first}")
    padded = -(-width // 4) * 4  # Philox makes four numbers a counter step
    bits = np.random.Philox(key=key(seed, *address))
    bits.advance(first * padded // 4)
    table = np.random.Generator(bits).random((last - first + 1, padded))
    return table[rows - first, :width]


def torch_generator(seed: int, *address: Address) -> torch.Generator:
    """Return a CPU torch generator, seeded by one address (initialisation, dropout)."""
    import torch

    made = torch.Generator()
    made.manual_seed(key(seed, *address) % (1 << 63))
    return made


def shuffled(count: int, seed: int, *address: Address) -> np.ndarray:
    """Return a permutation of range(count), (count,) int64, for one address.

    >>> sorted(shuffled(4, 0, "order").tolist())
    [0, 1, 2, 3]
    """
    return generator(seed, *address).permutation(count)
