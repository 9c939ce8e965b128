"""Flip single bits of decoded images, masks and pyramids, and count what ``data check --deep`` finds and mends.

    python -m benchmarks.bit_flips --flips 200

Works on the phantom of scr in a folder of its own. Every flip is to be found, one image (or, where it hit one of the
small files, none) decoded again, and every file to be the bytes it was. Exit code 1 where one is not.
"""

from __future__ import annotations

import argparse
import random
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from eden_bench.contracts import Context, Dataset, DatasetIndex, Item, no_progress
from eden_bench.data.dataset_folders import reader, write_phantom
from eden_bench.data.deep_check import deep_check
from eden_bench.data.image_store import open_images, open_masks, open_pyramid
from eden_bench.digests import file_digest


class Counted:
    """A dataset that notes what it decodes."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset, self.reading = dataset, dataset.reading
        self.decoded: set[str] = set()

    def read_image(self, item: Item) -> np.ndarray:
        """Decode an image, and note it."""
        self.decoded.add(item.id)
        return self._dataset.read_image(item)

    def read_mask(self, item: Item, structure: str) -> np.ndarray:
        """Decode a mask, and note it."""
        self.decoded.add(item.id)
        return self._dataset.read_mask(item, structure)


def flipped(path: Path, bit: int) -> None:
    """Flip one bit of a file in place."""
    with path.open("r+b") as file:
        file.seek(bit // 8)
        (byte,) = file.read(1)
        file.seek(bit // 8)
        file.write(bytes([byte ^ 1 << bit % 8]))


def tried(index: DatasetIndex, dataset: Dataset, cache: Path, flips: int) -> Iterator[str]:
    """Flip bits one after the other; yield what became of each."""
    folders = sorted(folder for folder in cache.iterdir() if folder.is_dir())
    files = [path for folder in folders for path in sorted(folder.iterdir())]
    before, draw = {path: file_digest(path) for path in files}, random.Random(0)
    kinds = {folder: folder.name.rpartition("-")[0] for folder in folders}
    for number in range(flips):
        folder = folders[number % len(folders)]
        path = max(folder.iterdir(), key=lambda file: file.stat().st_size)
        flipped(path, draw.randrange(8 * path.stat().st_size))
        counted = Counted(dataset)
        said = [each.text for each in deep_check(index, counted, cache, no_progress) if each.level != "ok"]
        same = {file: file_digest(file) for file in files} == before
        good = len(said) == 1 and folder.name in said[0] and same and len(counted.decoded) == 1
        yield f"{kinds[folder]}: {'found, one image decoded again, same bytes' if good else f'NOT: {said}, {same}'}"


def main() -> None:
    """Write, decode, flip and count."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--flips", type=int, default=200)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        root, dataset = Path(temporary), reader("scr")
        index = dataset.index(write_phantom("scr", root / "data", patients=6))
        context = Context(cache=root / "cache", dataset=dataset)
        open_images(index, dataset, 64, context)
        open_masks(index, dataset, ("heart", "left lung"), 64, context)
        open_pyramid(index, dataset, context)
        counts = Counter(tried(index, dataset, root / "cache", given.flips))
    for text, number in sorted(counts.items()):
        print(f"{number:4} {text}")
    raise SystemExit(any("NOT" in text for text in counts))


if __name__ == "__main__":
    main()
