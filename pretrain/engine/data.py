"""Load the images to pretrain on: a training split, decoded once, with patients held out for validation."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np

from eden_bench import seeds
from eden_bench.contracts import Context, DatasetIndex, Item, PretrainData, in_range
from eden_bench.data.image_store import open_pyramid
from eden_bench.digests import digest
from eden_bench.errors import DataMissing

VALIDATION_SHARE = 11_212 / 86_524
"""Share of ChestX-ray14's train_val images that Adam's lists hold out."""


def open_data(
    index: DatasetIndex, context: Context, *, seed: int = 0, validation_share: float = VALIDATION_SHARE
) -> PretrainData:
    """Decode a dataset's training split (or map it from the cache) and hold out patients for validation.

    The official test split is never pretrained on. The split is a rule of the patients' names and the seed alone,
    so it is shared by all methods.

    Args:
        index: what the reader found.
        context: where the cache is; holds the dataset that reads the images.
        seed: of the split.
        validation_share: share of the images that is held out, as nearly as whole patients allow.

    Raises:
        DataMissing: there are fewer than two patients.
    """
    if context.dataset is None:
        raise ValueError("open_data needs a context with its dataset")
    items = index.split("train")
    train, validation = split_patients([item.patient for item in items], validation_share, seed, index.dataset)
    channels = 1 if context.dataset.card.modality == "chest-x-ray" else 3
    pyramid = open_pyramid(replace(index, items=items), context.dataset, context, channels=channels)
    labels = np.array([item.labels for item in items], np.float32) if index.label_names else None
    ids = [[items[i].id for i in part] for part in (train, validation)]
    marks = None if labels is None else labels.tolist()
    identity = digest([pyramid.digest, *ids, index.label_names, marks])
    sides = _native_sides(pyramid.native_px)
    provenance = _provenance(index, items, train, validation, seed) | sides | {"digest": identity}
    return PretrainData(
        pyramid=pyramid, train=train, validation=validation, digest=identity, labels=labels, provenance=provenance
    )


def split_patients(patients: list[str], share: float, seed: int, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Split images into (train, validation) indices, ascending, disjoint in patients, so that none leaks.

    Patients are shuffled by the seed and held out until they bring at least the wanted number of images.

    Raises:
        DataMissing: there are fewer than two patients.
    """
    in_range("validation_share", share, 0, 1)
    names = sorted(set(patients))
    if len(names) < 2:
        raise DataMissing(f"{where}: found {len(names)} patients to pretrain on, expected at least 2: add images")
    counts = Counter(patients)
    held_out: set[str] = set()
    missing = share * len(patients)
    for number in seeds.shuffled(len(names), seed, "validation-patients")[:-1]:
        if held_out and missing <= 0:
            break
        held_out.add(names[number])
        missing -= counts[names[number]]
    is_held_out = np.array([patient in held_out for patient in patients])
    return np.flatnonzero(~is_held_out), np.flatnonzero(is_held_out)


def _native_sides(native_px: np.ndarray) -> dict[str, Any]:
    """Return the images' sizes before they were squashed to 1024²: (N, 2) heights and widths in px."""
    return {
        "native_px": [int(native_px.min()), int(native_px.max())],
        "below_1024_px": int((native_px.min(axis=1) < 1024).sum()),
    }


def _provenance(
    index: DatasetIndex, items: tuple[Item, ...], train: np.ndarray, validation: np.ndarray, seed: int
) -> dict[str, Any]:
    return {
        "dataset": index.dataset,
        "images": len(items),
        "patients": len({item.patient for item in items}),
        "train": len(train),
        "validation": len(validation),
        "split_seed": seed,
        "train_list": index.split_digest("train"),
        "test_list": index.split_digest("test"),
        "part": index.part,
        "phantom": index.phantom,
    }
