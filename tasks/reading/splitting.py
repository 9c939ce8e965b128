"""Split datasets that publish no split: whole patients into train and test by a fixed rule, so that none leaks."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from eden_bench.contracts import ENOUGH_TESTED
from eden_bench.errors import DataMissing


def by_patient(dataset: str, patients: Mapping[str, str], test_share: float = 0.2) -> frozenset[str]:
    """Choose the ids of the test images; every patient is in train or in test with all images.

    A patient is tested where a hash of dataset and patient, as a number in [0, 1), is below test_share. So a patient
    never changes sides, whatever other images are there: a part of a dataset is split as the whole is. The price is
    that the share is only near test_share (within 3 percentage points for 662 patients, 95 times in 100). Where all
    fall on one side, as happens with very few, the one nearest to the border crosses it.

    Args:
        dataset: name that the hash starts from.
        patients: image id to patient.
        test_share: share of patients in the test set, in (0, 1).

    Raises:
        DataMissing: there are fewer than two patients.
    """
    from eden_bench import seeds  # imports numpy, which a list of names must not

    place = {patient: seeds.key(0, "test", dataset, patient) / 2**128 for patient in patients.values()}
    if len(place) < 2:
        raise DataMissing(f"{dataset}: {len(place)} patients, expected at least 2 to have a train and a test set")
    tested = {patient for patient in place if place[patient] < test_share}
    tested = tested or {min(place, key=place.__getitem__)}
    if len(tested) == len(place):
        tested -= {max(place, key=place.__getitem__)}
    return frozenset(image for image, patient in patients.items() if patient in tested)


def fold_of(dataset: str, patients: Mapping[str, str], fold: int, folds: int) -> frozenset[str]:
    """Return the ids of the test images of a cross-validation's fold; every patient is tested in one fold.

    Args:
        dataset: name that the hash starts from, the same for all folds.
        patients: image id to patient.
        fold: from 1.
        folds: how many; patients are dealt to them in the order of their hash.

    Raises:
        DataMissing: there are fewer patients than folds.
    """
    from eden_bench import seeds  # imports numpy, which a list of names must not

    order = sorted(set(patients.values()), key=lambda patient: seeds.key(0, "test", dataset, patient))
    if len(order) < folds:
        raise DataMissing(f"{dataset}: {len(order)} patients, expected at least {folds}, one a fold: say fewer folds")
    tested = set(order[fold - 1 :: folds])
    return frozenset(image for image, patient in patients.items() if patient in tested)


def few_tested(dataset: str, tested: Collection[str]) -> tuple[str, ...]:
    """Return a warning if the split left few images to test, or nothing; for ``DatasetIndex.notes``."""
    if len(tested) >= ENOUGH_TESTED:
        return ()
    return (
        f"{dataset}: {len(tested)} images are the test set, expected at least {ENOUGH_TESTED}: scores of so few tell "
        "little; get more images, or split them by lists of your own (--splits)",
    )


def rule(patients: Mapping[str, str], tested: Collection[str], test_share: float = 0.2) -> str:
    """Describe the rule of ``by_patient`` as the start of a sentence, for ``DatasetIndex.split_rule``."""
    count, total = len({patients[image] for image in tested}), len(set(patients.values()))
    return (
        f"{count:,} of {total:,} patients are the test set, those whose hash of dataset and patient is below "
        f"{test_share:.0%} (at least one on either side)"
    )
