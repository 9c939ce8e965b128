"""Frozen classification: logistic regression, nearest neighbours, an attentive probe."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from scipy.special import expit
from torch import Tensor
from torch.nn import functional

from eden_bench.contracts import Context, Dataset, DatasetIndex, Outcome
from eden_bench.data.feature_store import stored_features
from eden_bench.encoders import Encoder
from eden_bench.errors import UsageError
from tasks.finetuning import scores
from tasks.finetuning.device_images import in_batches
from tasks.finetuning.frozen.heads import AttentiveHead, heads_of
from tasks.finetuning.frozen.protocol import AttentiveProtocol, KnnProtocol, LinearProtocol, ReadProtocol
from tasks.finetuning.frozen.readings import logistic_path, vote
from tasks.finetuning.labelled import OpenLabelled
from tasks.finetuning.loop import Problem, fine_tune, finite
from tasks.finetuning.splits import Chosen, choose

if TYPE_CHECKING:
    from tasks.finetuning.definitions import ClassificationTask

Protocol = ReadProtocol | AttentiveProtocol


class Candidate(NamedTuple):
    """One value of what is chosen, and what it predicts."""

    value: float
    validation: np.ndarray
    """(V, L) probabilities of the validation images."""
    test: np.ndarray
    """(T, L) probabilities of the test images, looked at only if it is chosen."""


class OpenFrozenClassification(OpenLabelled):
    """A frozen classification ready to run; see ``contracts.OpenTask``."""

    def __init__(
        self, task: ClassificationTask, index: DatasetIndex, protocol: Protocol, context: Context, dataset: Dataset
    ) -> None:
        side_px, share = protocol.features.size_px, protocol.validation_share
        super().__init__(task, index, context, dataset, side_px=side_px, validation_share=share)
        self.protocol, self.context = protocol, context

    def run(self, encoder: Encoder, seed: int, shots: int | None = None) -> Outcome:
        """Read the encoder's features and score the test images; see ``contracts.OpenTask.run``."""
        found = self.features(encoder)
        chosen = choose(self.splits, self.protocol, seed, shots, self.shown)
        if isinstance(self.protocol, AttentiveProtocol):
            return self._attentive(encoder, found, chosen, seed)
        if not len(chosen.validation):
            raise UsageError(f"{self.task.name}: there are no validation images, which a frozen protocol chooses on")
        best = max(self._candidates(found, chosen), key=lambda each: self._merit(each.validation, chosen.validation))
        values, cases = self.scored(best.test)
        told = {
            **self.told(chosen.train, chosen.validation),
            "train_images": len(chosen.train),
            "chosen": best.value,
            "thresholds": self.thresholds(best.validation, chosen.validation),
        }
        return Outcome(values, cases, told)

    def features(self, encoder: Encoder) -> np.ndarray:
        """Return the features of all images: from the encoder's file, from the cache, or computed now."""
        wanted = self.protocol.features
        if encoder.reads_ids and isinstance(self.protocol, ReadProtocol):
            return encoder.embed_ids(self.task.dataset, self.store.ids, self.store.digest, wanted)
        return stored_features(encoder, self.store, wanted, self.context)

    def _candidates(self, found: np.ndarray, chosen: Chosen) -> Iterator[Candidate]:
        """Yield what is chosen from, the strongest regularisation or the most neighbours first."""
        train, test = found[chosen.train].astype(np.float64), np.asarray(found[list(self.splits.test)])
        validation, targets = np.asarray(found[chosen.validation]), self.targets[chosen.train]
        if isinstance(self.protocol, KnnProtocol):
            yield from self._votes(train, targets, np.concatenate([validation, test]), len(validation))
            return
        protocol = self.protocol
        assert isinstance(protocol, LinearProtocol)  # noqa: S101 - one of two
        mean, scale = _scaling(train, protocol.standardised)
        strengths = np.geomspace(protocol.weakest, protocol.strongest, protocol.strengths).tolist()
        for fit in logistic_path((train - mean) / scale, targets, strengths, str(self.device)):
            seen = [fit.probabilities((part - mean) / scale) for part in (validation, test)]
            yield Candidate(fit.strength, *seen)

    def _votes(self, train: np.ndarray, targets: np.ndarray, queries: np.ndarray, ahead: int) -> Iterator[Candidate]:
        """Yield the votes of each k, of the validation images and of the test images behind them."""
        protocol = self.protocol
        assert isinstance(protocol, KnnProtocol)  # noqa: S101 - one of two
        ks = sorted({min(k, len(train)) for k in protocol.neighbours}, reverse=True)
        for k, shares in vote(train, targets, queries, neighbours=ks, temperature=protocol.temperature):
            yield Candidate(k, shares[:ahead], shares[ahead:])

    def _merit(self, probabilities: np.ndarray, rows: np.ndarray) -> tuple[float, float]:
        """Return what is highest in the best: AUC on the validation images, then minus the log-loss."""
        targets = self.targets[rows]
        without = scores.labels_without_auc(targets, self.labels)
        area = (
            0.0 if len(without) == len(self.labels) else scores.label_scores(probabilities, targets, self.labels)["auc"]
        )
        sure = np.clip(probabilities, 1e-12, 1 - 1e-12)
        return area, float((targets * np.log(sure) + (1 - targets) * np.log(1 - sure)).mean())

    def _attentive(self, encoder: Encoder, maps: np.ndarray, chosen: Chosen, seed: int) -> Outcome:
        head = AttentiveHead(maps.shape[1], len(self.labels), heads_of(encoder, maps.shape[1]), seed).to(self.device)

        def logits(rows: np.ndarray) -> Tensor:
            predicted: Tensor = head(torch.from_numpy(maps[rows]).to(self.device))
            return predicted

        def loss(rows: np.ndarray) -> Tensor:
            return functional.binary_cross_entropy_with_logits(logits(rows), self.targets_of(rows))

        def validation_loss() -> float:
            batches = in_batches(chosen.validation, self.protocol.batch_size)  # type: ignore[union-attr]
            return sum(float(loss(rows)) * len(rows) for rows in batches) / len(chosen.validation)

        assert isinstance(self.protocol, AttentiveProtocol)  # noqa: S101 - the caller looked
        validated = validation_loss if len(chosen.validation) else None
        problem = Problem(head, lambda rows, epoch: loss(rows), validated, chosen.train, len(self.splits.train))
        training = fine_tune(problem, self.protocol, seed, self.device)

        @torch.inference_mode()
        def predicted(rows: np.ndarray) -> np.ndarray:
            head.eval()
            parts = in_batches(rows, self.protocol.eval_batch_size)  # type: ignore[union-attr]
            each = [finite(logits(part), training["best_step"]).double().cpu().numpy() for part in parts]
            return np.asarray(expit(np.concatenate(each)))

        values, cases = self.scored(predicted(np.array(self.splits.test)))
        seen = predicted(chosen.validation) if len(chosen.validation) else np.empty((0, len(self.labels)))
        told = {**self.told(chosen.train, chosen.validation), "thresholds": self.thresholds(seen, chosen.validation)}
        return Outcome(values, cases, {**training, **told})


def _scaling(train: np.ndarray, standardised: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return what is subtracted from features and what they are divided by: mean and s.d., or 0 and 1."""
    if not standardised:
        return np.zeros(train.shape[1]), np.ones(train.shape[1])
    spread = train.std(axis=0)
    return train.mean(axis=0), np.where(spread > 0, spread, 1)
