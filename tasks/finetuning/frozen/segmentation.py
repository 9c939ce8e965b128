"""Frozen segmentation: a linear head on the encoder's last map."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from eden_bench.contracts import Context, Dataset, DatasetIndex, Outcome
from eden_bench.data.feature_store import stored_features
from eden_bench.encoders import Encoder
from tasks.finetuning.frozen.heads import MapHead
from tasks.finetuning.frozen.protocol import FrozenSegProtocol
from tasks.finetuning.segmentation import OpenSegmentation

if TYPE_CHECKING:
    from tasks.finetuning.definitions import SegmentationTask


class OpenFrozenSegmentation(OpenSegmentation):
    """A frozen segmentation ready to run; its network is given an encoder's maps instead of images."""

    protocol: FrozenSegProtocol  # type: ignore[assignment]  # all that is read of it has the same name there

    def __init__(
        self,
        task: SegmentationTask,
        index: DatasetIndex,
        protocol: FrozenSegProtocol,
        context: Context,
        dataset: Dataset,
    ) -> None:
        super().__init__(task, index, protocol, context, dataset)  # type: ignore[arg-type]
        self.context = context
        self._maps: np.ndarray = np.empty((0, 0, 0, 0))

    def run(self, encoder: Encoder, seed: int, shots: int | None = None) -> Outcome:
        """Train the head on the encoder's maps and score the test images; see ``contracts.OpenTask.run``."""
        self._maps = stored_features(encoder, self.store, self.protocol.features, self.context)
        return super().run(encoder, seed, shots)

    def network(self, encoder: Encoder, seed: int) -> nn.Module:
        """Build the head on the device."""
        head = MapHead(self._maps.shape[1], len(self.task.structures), self.protocol.size_px, seed)
        return head.to(self.device)

    def augmenter(self, seed: int) -> Any:  # noqa: ANN401 - as in the base class
        """Return what prepares a batch: the maps as they are, the masks as the loss takes them."""
        return lambda rows, epoch: (self.inputs(rows), self.masks(rows).float())

    def inputs(self, rows: np.ndarray) -> Tensor:
        """Return the maps of some images, (B, D, h, w)."""
        return torch.from_numpy(self._maps[rows]).to(self.device)

    def logits(self, network: nn.Module, inputs: Tensor) -> Tensor:
        """Compute logits (B, S, size, size) of maps."""
        logits: Tensor = network(inputs)
        return logits
