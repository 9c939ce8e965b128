"""Who trains, who validates, who is tested: deterministic rules, disjoint in patients, the same for every method.

The test set is the dataset's own and never moves. The validation list is a function of the dataset's name and its
patients, not of any seed. A k-shot subset is the first k images of one permutation, so 3 ⊂ 6 ⊂ 12 ⊂ 24.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from eden_bench import seeds
from eden_bench.contracts import DatasetIndex, Item, shots_are_valid
from eden_bench.digests import digest
from eden_bench.errors import DataMissing
from tasks.finetuning.protocol import FinetuneProtocol

_FIXED_SUBSET_SEED = 99
"""The constant of the group's released loaders (whose very permutation depends on their unreleased list)."""


@dataclass(frozen=True)
class Splits:
    """Positions in ``items`` of each part; every patient stands in one part only."""

    items: tuple[Item, ...]
    train: tuple[int, ...]
    validation: tuple[int, ...]
    test: tuple[int, ...]
    rule: str
    """The rule in words."""

    @property
    def lists(self) -> dict[str, list[str]]:
        """Image ids of each part."""
        parts = {"train": self.train, "validation": self.validation, "test": self.test}
        return {name: [self.items[row].id for row in rows] for name, rows in parts.items()}

    @property
    def digest(self) -> str:
        """64 hex digits over the three lists of ids."""
        return digest(self.lists)

    def provenance(self, index: DatasetIndex) -> dict[str, object]:
        """What every open task tells of its data, less the digest of the pixels."""
        return {
            "dataset": index.dataset,
            "splits": self.digest,
            "split_rule": self.rule,
            "test_list": index.split_digest("test"),
            "train": len(self.train),
            "validation": len(self.validation),
            "test": len(self.test),
            "part": index.part,
            "phantom": index.phantom,
        }


@dataclass(frozen=True)
class Chosen:
    """The labelled images of one run."""

    train: np.ndarray
    """(n,) positions that give gradients."""
    validation: np.ndarray
    """(m,) positions that choose the step; empty where the last step is tested."""


def split(index: DatasetIndex, share: float) -> Splits:
    """Split an index; the first of equal rules for every task on the dataset.

    Raises:
        DataMissing: a part is empty, or a patient stands in both train and test.
    """
    rows = {name: [i for i, item in enumerate(index.items) if item.split == name] for name in ("train", "test")}
    _check_patients(index, rows)
    validation, rule = _validation(index, rows["train"], share)
    train = tuple(row for row in rows["train"] if row not in validation)
    if len(train) < 2 or not rows["test"]:
        raise DataMissing(
            f"{index.dataset}: {len(train)} training and {len(rows['test'])} test images in {index.root}, expected at "
            "least 2 and 1: check the folder with 'eden-bench data check'"
        )
    return Splits(index.items, train, tuple(sorted(validation)), tuple(rows["test"]), f"{index.split_rule}; {rule}")


def choose(splits: Splits, protocol: FinetuneProtocol, seed: int, shots: int | None) -> Chosen:
    """Choose the images of one run; neither method nor task is part of the draw.

    Raises:
        UsageError: more shots than training images, or fewer than 2.
    """
    shots_are_valid(shots, len(splits.train))
    train, validation = np.array(splits.train), np.array(splits.validation, dtype=np.int64)
    if shots is None:
        return Chosen(train, validation)
    subset = train[nested_order(len(train), protocol, seed)[:shots]]
    return _chosen_shots(subset, validation, protocol)


def nested_order(count: int, protocol: FinetuneProtocol, seed: int) -> np.ndarray:
    """Return the permutation of range(count) whose first k are the k shots."""
    drawn_from = _FIXED_SUBSET_SEED if protocol.few_shot_subset == "fixed-subset" else seed
    return seeds.shuffled(count, drawn_from, "shots")


def _chosen_shots(subset: np.ndarray, validation: np.ndarray, protocol: FinetuneProtocol) -> Chosen:
    if protocol.few_shot_validation == "full":
        return Chosen(subset, validation)
    held = 0 if protocol.few_shot_validation == "none" else max(1, round(len(subset) * protocol.validation_share))
    return Chosen(subset[held:], subset[:held])


def _check_patients(index: DatasetIndex, rows: dict[str, list[int]]) -> None:
    patients = {name: {index.items[i].patient for i in rows[name]} for name in rows}
    shared = sorted(patients["train"] & patients["test"])
    if shared:
        raise DataMissing(
            f"{index.dataset}: {len(shared)} patients are in both train and test ({', '.join(shared[:3])}), expected "
            "none: compare the split lists with the published ones"
        )


def _validation(index: DatasetIndex, rows: list[int], share: float) -> tuple[set[int], str]:
    """Return the validation rows and their rule: the index's list, or a share of the training images."""
    if index.validation is not None:
        listed = set(index.validation)
        return {row for row in rows if index.items[row].id in listed}, "validation is a list too; no seed moves any"
    return _first_by_hash(index, rows, share), (
        f"validation is {share:.0%} of the training images, whole patients in the order of a hash of dataset and "
        "patient; no seed moves either"
    )


def _first_by_hash(index: DatasetIndex, rows: list[int], share: float) -> set[int]:
    """Take whole patients, in the order of their hash, until the share is reached."""
    by_patient: dict[str, list[int]] = {}
    for row in rows:
        by_patient.setdefault(index.items[row].patient, []).append(row)
    wanted = max(1, round(len(rows) * share))
    taken: set[int] = set()
    for patient in sorted(by_patient, key=lambda name: seeds.key(0, "validation", index.dataset, name)):
        if len(taken) >= wanted:
            break
        taken.update(by_patient[patient])
    return taken
