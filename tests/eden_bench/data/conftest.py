"""Five grey images and an empty cache."""

from pathlib import Path

import numpy as np
import pytest

from eden_bench.contracts import Item
from tests.eden_bench.data.stores import smooth


@pytest.fixture
def items(tmp_path: Path) -> list[Item]:
    made = []
    for number in range(5):
        np.save(tmp_path / f"{number}.npy", smooth(40 + 8 * number, 64, number))
        made.append(Item(id=f"i{number}", patient=f"p{number}", split="train", image=tmp_path / f"{number}.npy"))
    return made


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"
