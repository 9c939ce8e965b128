"""External validation of a fine-tuned classifier: another dataset's test images decoded, predicted and scored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from eden_bench.contracts import Context, Dataset, DatasetIndex, OpenTask, Outcome
from eden_bench.data.image_store import open_images
from eden_bench.digests import digest
from eden_bench.encoders import Encoder
from eden_bench.errors import DataMissing, EdenError
from tasks.finetuning import scores
from tasks.finetuning.classification import need_same_input, probabilities_of
from tasks.finetuning.device_images import Resident, in_batches
from tasks.finetuning.loop import resolved
from tasks.finetuning.networks import Classifier
from tasks.finetuning.protocol import ClassificationProtocol
from tasks.finetuning.splits import described

if TYPE_CHECKING:
    from tasks.chestxray14_to_vindr import ExternalTask


class OpenExternal(OpenTask):
    """An external validation ready to run; see ``contracts.OpenTask``.

    Its findings are the columns that a table of the dataset has, and 0 or 1 of each by image.

    Raises:
        DataMissing: there are no test images, or no shared finding has both values among them.
    """

    def __init__(
        self,
        task: ExternalTask,
        index: DatasetIndex,
        protocol: ClassificationProtocol,
        context: Context,
        dataset: Dataset,
        found: tuple[Sequence[str], Mapping[str, Sequence[int]]],
    ) -> None:
        self.task, self.device = task, torch.device(context.device)
        self.protocol = protocol = resolved(protocol, self.device)
        self.items = index.split("test")
        if not self.items:
            raise DataMissing(f"{index.dataset}: {index.root} has no test images, expected some: add its test set")
        self.labels, said = found
        self.targets = np.array([_said(index, said, item.id) for item in self.items], dtype=int)
        without = scores.labels_without_auc(self.targets, self.labels)
        if len(without) == len(self.labels):
            raise DataMissing(
                f"{index.dataset}: none of the {len(self.labels)} findings shared with {task.looks_at} has both values "
                f"among the {len(self.items):,} test images in {index.root}, expected at least one: add test images"
            )
        images = open_images(replace(index, items=self.items), dataset, protocol.source_px, context)
        self.images = Resident(images.images, self.device)
        self.data: dict[str, Any] = {
            "dataset": index.dataset,
            "digest": digest([images.digest, self.labels, self.targets.tolist(), dict(task.shared)]),
            "splits": digest([item.id for item in self.items]),
            "split_rule": f"the test images, on which nothing was trained or chosen; {index.split_rule}",
            "test_list": index.split_digest("test"),
            "train": len(index.split("train")),
            "validation": 0,
            "test": len(self.items),
            "part": index.part,
            "phantom": index.phantom,
            "precision": protocol.precision,
            "labels": list(self.labels),
            "labels_without_auc": without,
            "shared_labels": {label: list(task.shared[label]) for label in self.labels},
        }

    def run(self, encoder: Encoder, seed: int, shots: int | None = None) -> Outcome:
        """Predict and score the test images with a fine-tuned network; see ``contracts.OpenTask.run``.

        Raises:
            EdenError: it is no classifier of the shared labels, or was fine-tuned on images made otherwise.
        """
        network = self._classifier(encoder)
        own, names = self._predicted(network), network.label_names
        columns = [[names.index(name) for name in self.task.shared[label]] for label in self.labels]
        probabilities = np.stack([own[:, several].max(axis=1) for several in columns], axis=1)
        values = scores.label_scores(probabilities, self.targets, self.labels)
        return Outcome(values, self._cases(probabilities), {"labels_without_auc": self.data["labels_without_auc"]})

    def _classifier(self, network: nn.Module) -> Classifier:
        known = set(network.label_names) if isinstance(network, Classifier) else set()
        lacking = sorted({name for label in self.labels for name in self.task.shared[label]} - known)
        if not isinstance(network, Classifier) or lacking:
            raise EdenError(
                f"{self.task.name}: was given {type(network).__name__} without {', '.join(lacking)}, expected the "
                f"classifier that {self.task.looks_at} fine-tunes"
            )
        need_same_input(network, self.protocol, self.task.name, self.task.looks_at)
        return network

    @torch.inference_mode()
    def _predicted(self, network: Classifier) -> np.ndarray:
        network.eval()
        batches = in_batches(np.arange(len(self.items)), self.protocol.eval_batch_size)
        return np.concatenate([probabilities_of(network, self.images(rows), self.protocol, 0) for rows in batches])

    def _cases(self, probabilities: np.ndarray) -> dict[str, Sequence[Any]]:
        columns: dict[str, Sequence[Any]] = {**described(self.items)}
        for column, label in enumerate(self.labels):
            columns[f"probability_{label}"] = probabilities[:, column].tolist()
            columns[f"target_{label}"] = self.targets[:, column].tolist()
        return columns


def _said(index: DatasetIndex, found: Mapping[str, Sequence[int]], image: str) -> Sequence[int]:
    if image not in found:
        raise DataMissing(
            f"{index.dataset}: the table of {index.root} does not say what the test image {image} shows, expected all "
            "of them there: give lists of its own test images only, or the original table"
        )
    return found[image]
