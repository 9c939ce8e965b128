"""The open robustness task: a fine-tuned classifier's errors on corrupted test images."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from eden_bench.case_statistics import Columns, register_statistic
from eden_bench.contracts import Context, Dataset, DatasetIndex, Outcome
from eden_bench.encoders import Encoder
from eden_bench.errors import DataMissing, EdenError
from tasks.finetuning.classification import need_same_input, probabilities_of
from tasks.finetuning.corruptions import CORRUPTIONS, SEVERITIES
from tasks.finetuning.device_images import in_batches
from tasks.finetuning.labelled import OpenLabelled
from tasks.finetuning.loop import resolved
from tasks.finetuning.networks import Classifier
from tasks.finetuning.protocol import ClassificationProtocol
from tasks.finetuning.splits import described

if TYPE_CHECKING:
    from tasks.robustness import RobustnessTask

_CLEAN = "clean"


@register_statistic("balanced_error")
def balanced_error(columns: Columns, name: str) -> float:
    """Average over labels half the mean of column "<name>_<label>" over positives and half that over negatives.

    A label with one value only among the cases is left out.
    """
    return float(np.mean([error for error in _errors(columns, name) if error is not None]))


@register_statistic("balanced_error_above_clean")
def balanced_error_above_clean(columns: Columns, name: str) -> float:
    """Subtract the balanced error on clean images from that on corrupted ones."""
    return balanced_error(columns, "error") - balanced_error(columns, f"error_{_CLEAN}")


def _errors(columns: Columns, name: str) -> Iterator[float | None]:
    for column in columns:
        if column.startswith("target_"):
            positive = np.asarray(columns[column]) == 1
            wrong = np.asarray(columns[f"{name}_{column.removeprefix('target_')}"], dtype=float)
            yield _balanced(wrong, positive)


def _balanced(wrong: np.ndarray, positive: np.ndarray) -> float | None:
    """Return half the mean over positives and half that over negatives; None where all are of one value."""
    both = positive.any() and not positive.all()
    return (wrong[positive].mean() + wrong[~positive].mean()) / 2 if both else None


Corruption = Callable[[np.ndarray, str], np.ndarray]
"""Called with an image and its id."""


def corruption(name: str, severity: int) -> Corruption:
    """Return a corruption at one severity."""
    return lambda image, id: CORRUPTIONS[name](image, severity, id)


class OpenRobustness(OpenLabelled):
    """Robustness ready to run; see ``contracts.OpenTask``.

    Raises:
        DataMissing: as a classification does, or there are no validation images to fix thresholds on.
    """

    def __init__(
        self,
        task: RobustnessTask,
        index: DatasetIndex,
        protocol: ClassificationProtocol,
        context: Context,
        dataset: Dataset,
    ) -> None:
        share, side_px = protocol.validation_share, protocol.source_px
        super().__init__(task, index, context, dataset, side_px=side_px, validation_share=share)
        if not self.splits.validation:
            raise DataMissing(f"{index.dataset}: {task.name} fixes thresholds on validation images, found none")
        self.protocol = resolved(protocol, self.device)
        self.data["precision"] = self.protocol.precision

    def run(self, encoder: Encoder, seed: int, shots: int | None = None) -> Outcome:
        """Score a fine-tuned network on clean and corrupted test images; see ``contracts.OpenTask.run``.

        Raises:
            EdenError: it is no classifier of these labels, or was fine-tuned on images made otherwise.
        """
        network = self._classifier(encoder)
        validation = np.array(self.splits.validation)
        thresholds = youden(self._predicted(network, validation), self.targets[validation])
        targets = self.targets[list(self.splits.test)]
        clean = self._wrong(network, thresholds, targets, None)
        conditions = itertools.product(CORRUPTIONS, range(1, SEVERITIES + 1))
        wrong = {one: self._wrong(network, thresholds, targets, corruption(*one)) for one in conditions}
        return self._scores(clean, wrong, targets, thresholds)

    def _scores(
        self,
        clean: np.ndarray,
        wrong: dict[tuple[str, int], np.ndarray],
        targets: np.ndarray,
        thresholds: np.ndarray,
    ) -> Outcome:
        columns: dict[str, Sequence[Any]] = {**described(self.splits.tested)}
        mean = np.mean(list(wrong.values()), axis=0)
        for place, label in enumerate(self.labels):
            columns[f"target_{label}"] = targets[:, place].astype(int).tolist()
            columns[f"error_{label}"] = mean[:, place].tolist()
            columns[f"error_{_CLEAN}_{label}"] = clean[:, place].tolist()
        arrays = {name: np.asarray(values) for name, values in columns.items()}
        values = {"error": balanced_error(arrays, "error"), "error_clean": balanced_error(arrays, "error_clean")}
        values["relative_error"] = values["error"] - values["error_clean"]
        for name in CORRUPTIONS:
            values[f"error_of_{name}"] = self._of([each for key, each in wrong.items() if key[0] == name], targets)
        for severity in range(1, SEVERITIES + 1):
            at = [each for key, each in wrong.items() if key[1] == severity]
            values[f"error_at_{severity}"] = self._of(at, targets)
        fixed = dict(zip(self.labels, thresholds.tolist(), strict=True))
        return Outcome(values, columns, {"labels_without_auc": self.without_auc, "thresholds": fixed})

    def _of(self, wrong: Sequence[np.ndarray], targets: np.ndarray) -> float:
        mean = np.mean(wrong, axis=0)
        each = [_balanced(mean[:, place], targets[:, place] == 1) for place in range(len(self.labels))]
        return float(np.mean([error for error in each if error is not None]))

    def _classifier(self, network: nn.Module) -> Classifier:
        if not isinstance(network, Classifier) or tuple(network.label_names) != tuple(self.labels):
            raise EdenError(
                f"{self.task.name}: was given {type(network).__name__}, expected the classifier of "
                f"{', '.join(self.labels)} that {self.task.looks_at} fine-tunes"
            )
        need_same_input(network, self.protocol, self.task.name, self.task.looks_at)
        return network

    def _wrong(
        self,
        network: Classifier,
        thresholds: np.ndarray,
        targets: np.ndarray,
        corrupt: Corruption | None,
    ) -> np.ndarray:
        """Return which test images are called wrong, (T, L) float 0 or 1."""
        called = self._predicted(network, np.array(self.splits.test), corrupt) >= thresholds
        return np.asarray(called != (targets == 1), dtype=float)

    @torch.inference_mode()
    def _predicted(self, network: Classifier, rows: np.ndarray, corrupt: Corruption | None = None) -> np.ndarray:
        network.eval()
        parts = []
        for batch in in_batches(rows, self.protocol.eval_batch_size):
            images, ids = np.array(self.store.images[batch]), [self.store.ids[row] for row in batch]
            if corrupt:
                images = np.stack([corrupt(image, name) for image, name in zip(images, ids, strict=True)])
            pixels = torch.from_numpy(images).to(self.device)
            shown = pixels[:, None] if pixels.ndim == 3 else pixels.permute(0, 3, 1, 2)
            parts.append(probabilities_of(network, shown, self.protocol, 0))
        return np.concatenate(parts)


def youden(probabilities: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Return each label's threshold of least balanced error; of equal ones the highest, 0.5 for a label of one value.

    Args:
        probabilities: (N, L) of the validation images.
        targets: (N, L) 0 or 1.

    Returns:
        (L,): "positive" is called from there on.
    """
    found = np.full(targets.shape[1], 0.5)
    for place in range(targets.shape[1]):
        positive, values = targets[:, place] == 1, probabilities[:, place]
        if positive.any() and not positive.all():
            known = np.unique(values)[::-1]
            called = values >= known[:, None]
            error = (~called[:, positive]).mean(axis=1) + called[:, ~positive].mean(axis=1)
            found[place] = known[np.argmin(error)]
    return found
