"""Datasets of a few small films for the tests of the audit, where every copy is planted."""

import functools
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from eden_bench import seeds
from eden_bench.contracts import DatasetCard, DatasetIndex, Item
from eden_bench.contracts.datasets import DatasetOptions
from eden_bench.errors import DataDamaged
from eden_bench.registry import datasets
from tasks.phantom import draw_patient, render

CARDS = {name: datasets.get(name).card for name in datasets.names()}
"""The real cards, before any test puts another dataset in the place of one."""


@functools.cache
def film(patient, follow_up=0, size_px=256):
    """One film of a phantom patient, (S, S) uint8."""
    return render(draw_patient(11, patient, follow_up=follow_up), size_px).image


def jpeg(image, quality=50):
    return cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_GRAYSCALE)


def gamma(image, power):
    return np.round(255 * (image / 255.0) ** power).astype(np.uint8)


def trimmed(image, top, bottom, left, right):
    """Cut off shares of the sides."""
    height, width = image.shape
    return image[
        round(top * height) : round(height - bottom * height), round(left * width) : round(width - right * width)
    ]


def squashed(image, size_px):
    return cv2.resize(image, (size_px, size_px), interpolation=cv2.INTER_AREA)


def anywhere(image, *address):
    """Trim up to 1/16 off every side."""
    return trimmed(image, *seeds.generator(7, *address).uniform(0, 1 / 16, 4))


class Films(DatasetOptions):
    """A dataset of PNG files named split_patient_image.png; counts what it decodes."""

    def __init__(self, name, modality="chest-x-ray"):
        self.name = name
        self.decoded = 0
        self.expected_images = 0
        made = DatasetCard(
            title=name, modality=modality, citation="", licence="", source="", folders=(name,), expected_images=0
        )
        real = CARDS.get(name, made)
        self.card = replace(made, pretraining_set=real.pretraining_set, derived_from=real.derived_from)

    def index(self, root: Path) -> DatasetIndex:
        items = []
        for path in sorted(root.glob("*.png")):
            split, patient, _ = path.stem.split("_")
            items.append(Item(id=path.stem, patient=patient, split=split, image=path))
        phantom = (root / "PHANTOM.json").is_file()
        return DatasetIndex(
            dataset=self.name, root=root, items=tuple(items), expected_images=self.expected_images, phantom=phantom
        )

    def read_image(self, item):
        self.decoded += 1
        image = cv2.imdecode(np.frombuffer(item.image.read_bytes(), np.uint8), cv2.IMREAD_GRAYSCALE)
        if image is None:
            raise DataDamaged(f"{item.image} is no PNG")
        return image


def write(root: Path, dataset: str, **images):
    """Write the images of a dataset, named as its reader expects."""
    folder = root / dataset
    folder.mkdir(parents=True, exist_ok=True)
    for name, image in images.items():
        (folder / f"{name}.png").write_bytes(cv2.imencode(".png", image)[1].tobytes())
    return folder
