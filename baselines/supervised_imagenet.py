"""Supervised on ImageNet: torchvision's published weights, read from a file and never made up.

The file is looked for in the folder that the setting ``weights`` names (EDEN_BENCH_WEIGHTS, or eden-bench.toml), then
in torch's own cache, where ``torchvision.models.resnet50(weights="IMAGENET1K_V1")`` puts it; nothing is downloaded.
Where it is not at hand, and for an arch that has no published weights (protocol quick's narrow one), cells are reported
as "weights missing": weights of another network never stand in a table silently.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from eden_bench.contracts import EncoderSource, MethodCard, MethodConfig
from eden_bench.digests import file_digest
from eden_bench.encoders import Encoder, unfilled_encoder
from eden_bench.errors import WeightsMissing, WeightsRefused
from eden_bench.registry import register_method
from eden_bench.settings import gather
from eden_bench.weights.checkpoints import refuse_misfit
from pretrain.published import adams_figure

FILES: Mapping[str, tuple[str, ...]] = {
    "resnet18": ("resnet18-5c106cde.pth", "resnet18-f37072fd.pth"),
    "resnet34": ("resnet34-333f7ec4.pth", "resnet34-b627a593.pth"),
    "resnet50": ("resnet50-19c8e357.pth", "resnet50-0676ba61.pth"),
    "resnet101": ("resnet101-5d3b4d8f.pth", "resnet101-63fe2227.pth"),
}
"""Files of torchvision's V1 weights, the older first; a name ends with the first digits of the file's SHA-256."""


@dataclass(frozen=True, kw_only=True)
class SupervisedImageNetConfig(MethodConfig):
    """Settings: the network, by whose name the file is found."""

    arch: str = "resnet50"


@register_method("supervised-imagenet")
class SupervisedImageNet(EncoderSource):
    """Torchvision's V1 weights of a ResNet."""

    groups = ("supervised",)
    Config = SupervisedImageNetConfig
    card = MethodCard(
        title="Supervised on ImageNet",
        paper="He et al., CVPR 2016, arXiv:1512.03385; weights of torchvision",
        licence="BSD-3-Clause (torchvision); ImageNet's own terms are for research",
        backbone="ResNet-50",
        data="ImageNet-1k with its labels",
        differences=(
            "weights are read from a file (resnet50-19c8e357.pth or resnet50-0676ba61.pth), never downloaded; without "
            "it, or with an arch that has none (protocol quick's resnet18-w16), cells say: weights missing",
        ),
        reference=adams_figure("supervised-imagenet"),
    )

    def __init__(self, config: SupervisedImageNetConfig) -> None:
        self.config = config

    def weights_digest(self) -> str:
        """Return the SHA-256 of the weights' file.

        Raises:
            WeightsMissing: there is none at hand, or none published for the arch.
            WeightsRefused: the file is not the published one.
        """
        path = find_weights(self.config.arch)
        digest = file_digest(path)
        if not digest.startswith(path.stem.rpartition("-")[2]):
            raise WeightsRefused(
                f"{path} has SHA-256 {digest[:8]}…, expected the one in its name: it is damaged or another file; "
                "delete it and get it again"
            )
        return digest

    def load_encoder(self, seed: int) -> Encoder:
        """Load the encoder with the published weights, the same for every seed.

        Raises:
            WeightsMissing: as ``weights_digest``.
            WeightsRefused: the file is not the published one, or not one of this network.
        """
        self.weights_digest()
        path, encoder = find_weights(self.config.arch), unfilled_encoder(self.config.arch)
        weights = {name: value for name, value in _read(path).items() if not name.startswith("fc.")}
        counters = {name for name in encoder.state_dict() if name.endswith("num_batches_tracked")}
        weights = {name: torch.tensor(0) for name in counters - set(weights)} | weights  # absent from files of 2017
        refuse_misfit(path, encoder, weights)
        encoder.load_state_dict(weights)
        return encoder


def find_weights(arch: str) -> Path:
    """Find the file of an arch's published weights.

    Raises:
        WeightsMissing: there is none at hand, or none published; says how to get it.
    """
    if arch not in FILES:
        raise WeightsMissing(
            f"supervised-imagenet: none are published for {arch} (there are for {', '.join(FILES)}): "
            "use --protocol paper, or name such an arch for all methods in a protocol file"
        )
    folders = [folder for folder in (gather().weights, Path(torch.hub.get_dir()) / "checkpoints") if folder]
    for path in (folder / name for folder in folders for name in FILES[arch]):
        if path.is_file():
            return path
    raise WeightsMissing(
        f"supervised-imagenet: {' or '.join(FILES[arch])} is not in "
        f"{' or '.join(map(str, folders))}: put it there, or fetch it where there is a network with python -c "
        f"\"import torchvision; torchvision.models.{arch}(weights='IMAGENET1K_V1')\""
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        return dict(torch.load(path, weights_only=True, map_location="cpu"))
    except Exception as error:  # noqa: BLE001, RUF100 - what torch raises for a damaged file differs by version
        reason = str(error).partition("\n")[0]
        raise WeightsRefused(f"{path} cannot be read as weights ({reason}): delete it and get it again") from error
