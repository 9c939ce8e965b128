"""G11: what ``--deterministic`` costs on a card, and whether two runs are then equal bit for bit.

The step of Adam's pretraining, and that of a fine-tuning (U-Net on ResNet-50, AdamW, soft Dice). Where torch knows no
deterministic way for an operation, the bar says which, as the command does. cuBLAS is asked for a fixed workspace
before CUDA starts, so the other side has it too.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import torch

from benchmarks.gpu_parts.loss import step_of_adam
from benchmarks.timing import Bar, Equality, Side, compare, skipped
from eden_bench.devices import undetermined_operation
from eden_bench.encoders import build_encoder
from pretrain.engine.optimisation import autocast
from tasks.finetuning.networks import UNet, soft_dice_loss
from tasks.finetuning.protocol import SegmentationProtocol

TITLE = "the price of --deterministic"
LIMIT_S = 20.0
_AT_MOST = 1.3
"""Times the step without."""
_EQUAL_STEPS = 3
_SIDES = ("deterministic", "as usual")

Step = Callable[[], list[torch.Tensor]]
"""Takes a step and returns the state that it ends with."""
Make = Callable[[torch.device, bool], Step]


def measure(device: torch.device, small: bool) -> Iterator[Bar]:
    """Yield G11-finetune and G11-pretrain."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    for name, make in (("finetune", _finetune), ("pretrain", _pretrain)):
        yield _price(f"G11-{name}", f"a step of {name}, without / with --deterministic", make, device, small)


def _price(id: str, title: str, make: Make, device: torch.device, small: bool) -> Bar:
    try:
        clause = _twice(make, device, small)
    except RuntimeError as error:
        named = undetermined_operation(error)
        if not named:
            raise
        return skipped(id, title, named)
    step, count = make(device, small), 1 if small else 5
    ours, peer = (Side(name, _switched(step, name == "deterministic", count), count) for name in _SIDES)
    return compare(id, title, ours, peer, target=1 / _AT_MOST, equality=clause)


def _switched(step: Step, on: bool, count: int) -> Callable[[], None]:
    def run() -> None:
        with deterministic(on):
            for _ in range(count):
                step()

    return run


class deterministic:  # noqa: N801 - reads as a phrase: with deterministic(True)
    """Switches torch's deterministic operations inside the block; ``devices.be_deterministic`` does so for good."""

    def __init__(self, on: bool) -> None:
        self._on = on

    def __enter__(self) -> None:
        """Switch."""
        torch.use_deterministic_algorithms(self._on)
        torch.backends.cudnn.deterministic = self._on

    def __exit__(self, *_: object) -> None:
        """Switch off."""
        torch.use_deterministic_algorithms(False)
        torch.backends.cudnn.deterministic = False


def _twice(make: Make, device: torch.device, small: bool) -> Equality:
    """Take a few steps from one seed twice, and compare all that the second one ends with."""
    ends = []
    with deterministic(True):
        for _ in range(2):
            step = make(device, small)
            ends.append([step() for _ in range(_EQUAL_STEPS)][-1])
    same = all(a.equal(b) for a, b in zip(*ends, strict=True))
    return Equality(same, f"{len(ends[0])} tensors of two runs of {_EQUAL_STEPS} steps equal bit for bit: {same}")


def _pretrain(device: torch.device, small: bool) -> Step:
    step, method = step_of_adam(device, small)

    def run() -> list[torch.Tensor]:
        step(0.8)
        return [value.detach() for value in method.state_dict().values()]

    return run


def _finetune(device: torch.device, small: bool) -> Step:
    size, batch, arch = (32, 2, "resnet18-w16") if small else (224, 16, "resnet50")
    network = UNet(build_encoder(arch, seed=0), 1, SegmentationProtocol().decoder_channels, 0)
    network = network.to(device).to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(network.parameters(), fused=True)
    draw = torch.Generator().manual_seed(0)
    images, masks = torch.rand(batch, 3, size, size, generator=draw), torch.rand(batch, 1, size, size, generator=draw)
    images, masks = images.to(device).to(memory_format=torch.channels_last), (masks > 0.5).float().to(device)

    def step() -> list[torch.Tensor]:
        with autocast(device):
            logits = network(images)
        loss = soft_dice_loss(logits.float(), masks)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        return [value.detach() for value in network.state_dict().values()]

    return step
