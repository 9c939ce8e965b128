"""A dataset made in memory: a bright ellipse on a dim field, for tests of the fine-tuning tasks."""

from __future__ import annotations

import numpy as np

from eden_bench import seeds
from eden_bench.contracts import DatasetCard, DatasetIndex, Item
from eden_bench.contracts.datasets import DatasetOptions

_SIDE_PX = 96
LABELS = ("large", "left", "never")


class ToyAnatomy(DatasetOptions):
    name = "toy"
    card = DatasetCard(
        title="toy",
        modality="chest-x-ray",
        citation="",
        licence="",
        source="",
        folders=("toy",),
        expected_images=0,
    )

    def shape(self, item):
        draw = seeds.generator(0, "toy", item.id)
        y, x = np.mgrid[:_SIDE_PX, :_SIDE_PX] / _SIDE_PX
        radius, left = draw.uniform(0.12, 0.3), draw.uniform(0.3, 0.7)
        return ((x - left) / radius) ** 2 + ((y - 0.5) / radius) ** 2 < 1, draw

    def read_image(self, item):
        inside, draw = self.shape(item)
        return np.clip(90 + 70 * inside + draw.normal(0, 12, inside.shape), 0, 255).astype(np.uint8)

    def read_mask(self, item, structure):
        inside, _ = self.shape(item)
        return inside if structure == "heart" else np.roll(inside, 20, axis=0)


def toy_index(root, train=20, test=6):
    """An index of two images a patient in training, one a patient in test."""
    file = root / "toy"
    file.touch()
    items = [_item(file, number, f"p{number // 2}", "train") for number in range(train)]
    items += [_item(file, train + number, f"t{number}", "test") for number in range(test)]
    return DatasetIndex(
        dataset="toy", root=root, items=tuple(items), expected_images=train + test, label_names=LABELS, phantom=True
    )


def _item(file, number, patient, split):
    masks = {"heart": (file,), "shifted": (file,)}
    labels = (float(number % 2), float(number % 3 == 0), 0.0)
    return Item(id=f"{number:03d}", patient=patient, split=split, image=file, masks=masks, labels=labels)
