"""Notes below a table: labels skipped, few test images, labels with one value in training."""

from __future__ import annotations

from collections.abc import Sequence

from eden_bench.contracts import ENOUGH_TESTED
from eden_bench.records import Record


def of_data(group: Sequence[Record]) -> list[str]:
    """Return the notes on labels, structures and number of images of one table's records."""
    return [*without_auc(group), *one_valued(group), *few_tested(group)]


def few_tested(group: Sequence[Record]) -> list[str]:
    """Warn of few test images, whatever the split."""
    count = group[0].data.test
    if count is None or count >= ENOUGH_TESTED:
        return []
    images = "1 test image" if count == 1 else f"{count} test images"
    return [f"{images}: too few to tell methods apart, whatever p says; a task of one's own can say folds = k"]


def without_auc(group: Sequence[Record]) -> list[str]:
    """Name the labels that a mean over labels skips; the test set decides, so one record suffices."""
    data = group[0].data
    absent, labels = data.labels_without_auc, data.labels
    if not absent or not labels:
        return []
    counted = f"{len(labels) - len(absent)} of {len(labels)} labels"
    return [f"AUC is the mean over {counted}; without both values in the test set: {', '.join(absent)}"]


def one_valued(group: Sequence[Record]) -> list[str]:
    """Report how many labels or structures had one value only in a seed's training images."""
    data = group[0].data
    labels = data.labels or data.structures or ()
    told = [record.training.one_value_in_training or () for record in group]
    most, fewest = max(map(len, told)), min(map(len, told))
    if not most:
        return []
    what = "labels had one value" if data.labels else "structures were not drawn"
    names = ", ".join(dict.fromkeys(name for names in told for name in names))
    count = f"{fewest} to {most}" if most > fewest else str(most)
    return [f"{count} of {len(labels)} {what} in the training images of a seed, so nothing teaches them there: {names}"]
