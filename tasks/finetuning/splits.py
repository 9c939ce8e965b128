"""Split a dataset into train, validation and test, disjoint in patients, and choose shots; equal for every method.

The test set is the dataset's own and never moves. The validation list is a function of the dataset's name and its
patients, not of any seed. A k-shot subset is the first k images of one order, so 3 ⊂ 6 ⊂ 12 ⊂ 24. The order is a
permutation, but the images that bring what none before them has (a label's other value, a structure that not every
image shows) come first, the rarest before all, so that no label lacks an example longer than it must.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from eden_bench import seeds
from eden_bench.contracts import DatasetIndex, Item, shots_are_valid
from eden_bench.digests import digest
from eden_bench.errors import DataMissing
from tasks.finetuning.protocol import SplitProtocol

_FIXED_SUBSET_SEED = 99
"""The constant of the group's released loaders (whose very permutation depends on their unreleased list)."""


@dataclass(frozen=True)
class Splits:
    """Rows of ``items`` in each part; every patient is in one part only, so that none leaks."""

    items: tuple[Item, ...]
    train: tuple[int, ...]
    validation: tuple[int, ...]
    test: tuple[int, ...]
    rule: str
    """The rule in words."""

    @property
    def tested(self) -> list[Item]:
        """Items of the test part."""
        return [self.items[row] for row in self.test]

    @property
    def lists(self) -> dict[str, list[str]]:
        """Image ids of each part."""
        parts = {"train": self.train, "validation": self.validation, "test": self.test}
        return {name: [self.items[row].id for row in rows] for name, rows in parts.items()}

    @property
    def digest(self) -> str:
        """Digest of the three lists of ids, 64 hex digits."""
        return digest(self.lists)

    def provenance(self, index: DatasetIndex) -> dict[str, object]:
        """Return the provenance of the data for the record, without the digest of the pixels."""
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
            **({"left_out": len(index.left_out)} if index.left_out else {}),
        }


@dataclass(frozen=True)
class Chosen:
    """The labelled images of one run, train and validation."""

    train: np.ndarray
    """(n,) positions that give gradients."""
    validation: np.ndarray
    """(m,) positions that choose the step; empty where the last step is tested."""


def split(index: DatasetIndex, share: float) -> Splits:
    """Split an index into train, validation and test; the split is the same for every task and method on it.

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


def choose(
    splits: Splits, protocol: SplitProtocol, seed: int, shots: int | None, shown: np.ndarray | None = None
) -> Chosen:
    """Choose the training images of one run, few-shot or all; the draw does not depend on the method.

    Args:
        splits: whose training images are drawn from.
        protocol: says how seeds draw and what validates.
        seed: the cell's.
        shots: how many labelled images; None for all.
        shown: (len(splits.train), V) bool, which of the V things to be learnt each training image shows; None for
            things that every image shows.

    Raises:
        UsageError: more shots than training images, or fewer than 2.
    """
    shots_are_valid(shots, len(splits.train))
    train, validation = np.array(splits.train), np.array(splits.validation, dtype=np.int64)
    if shots is None:
        return Chosen(train, validation)
    order = nested_order(len(train), protocol, seed)
    ahead = order[:0] if shown is None else order[_first_to_show(shown[order])]
    rest = order[~np.isin(order, ahead)]
    return _chosen_shots(train[ahead[:shots]], train[rest[: max(0, shots - len(ahead))]], validation, protocol)


def nested_order(count: int, protocol: SplitProtocol, seed: int) -> np.ndarray:
    """Return the permutation of range(count) that shots are drawn by, nested: more shots include fewer."""
    drawn_from = _FIXED_SUBSET_SEED if protocol.few_shot_subset == "fixed-subset" else seed
    return seeds.shuffled(count, drawn_from, "shots")


def both_values(targets: np.ndarray) -> np.ndarray:
    """Return which values (N, L) labels show: (N, 2 L) bool, that a label is positive and that it is negative."""
    return np.concatenate([targets == 1, targets != 1], axis=1)


def _first_to_show(shown: np.ndarray) -> list[int]:
    """Choose rows that together show all that any row shows, each the first with the rarest unseen."""
    counts, unseen, rows = shown.sum(axis=0), shown.any(axis=0) & ~shown.all(axis=0), list[int]()
    while unseen.any():
        rarest = min(np.flatnonzero(unseen), key=lambda column: counts[column])
        rows.append(int(np.argmax(shown[:, rarest])))
        unseen &= ~shown[rows[-1]]
    return rows


def _chosen_shots(ahead: np.ndarray, rest: np.ndarray, validation: np.ndarray, protocol: SplitProtocol) -> Chosen:
    """Split a subset; images chosen first for coverage do not validate, as long as there are others."""
    subset = np.concatenate([ahead, rest])
    if protocol.few_shot_validation == "full":
        return Chosen(subset, validation)
    count = 0 if protocol.few_shot_validation == "none" else max(1, round(len(subset) * protocol.validation_share))
    held = np.concatenate([rest, ahead[::-1]])[:count]
    return Chosen(subset[~np.isin(subset, held)], held)


def described(items: Sequence[Item]) -> dict[str, list[Any]]:
    """Return the columns of the cases that say whose each image is: its id, its patient, and what else is known."""
    names = dict.fromkeys(name for item in items for name in item.about)
    about = {name: [item.about.get(name) for item in items] for name in names}
    return {"case": [item.id for item in items], "patient": [item.patient for item in items], **about}


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
    """Take whole patients, ordered by their hash, until the share is reached."""
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
