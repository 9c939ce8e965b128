"""G3: views of pretraining, and images with masks of fine-tuning, augmented on the card, against kornia.

Kornia is taken as it comes, and compiled once before it is timed; where it is not installed, or cannot be compiled, the
bar is skipped with the reason, and ours is stated alone. A rehearsal compiles the first transformation of each chain,
since a processor takes minutes for all. Kornia distorts no mask by a grid or a lens as the paper's fine-tuning does:
its perspective and its affine map stand for them, as many passes over the batch.
"""

from __future__ import annotations

import importlib.util
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from benchmarks.augmentation import aligned, protocol
from benchmarks.launches import hot_loop
from benchmarks.timing import Bar, Equality, Side, compare, skipped
from benchmarks.views import ADAM, IMAGES, equality, kornia_chain, noise, uniforms, windows_of
from pretrain.views import torch_renderer
from pretrain.views.draws import draw_views
from tasks.finetuning.augmentation import Augmentation

TITLE = "augmentation of views, and of images with masks"
LIMIT_S = 30.0
_EAGER, _COMPILED = 10.0, 3.0

Chain = Callable[..., Callable[[], object]]
"""Makes kornia's chain over the batch, of its first transformations or of all."""


def measure(device: torch.device, small: bool) -> Iterator[Bar]:
    """Yield G13-views and G13-masks, each beside kornia as it comes; then beside kornia compiled, which takes long."""
    pairs = [_views(device, small), _masks(device, small)]
    installed = importlib.util.find_spec("kornia") is not None
    for name, ours, chain, clause in pairs:
        yield hot_loop(f"G13-{name}", ours.name, ours.run, device)
        if installed:
            peer = Side("kornia", chain(), ours.units)
            yield compare(f"G3-{name}", f"{name} against kornia", ours, peer, target=_EAGER, equality=clause)
        else:
            yield skipped(f"G3-{name}", f"{name} against kornia, eager and compiled", "kornia is not installed")
    for name, ours, chain, clause in pairs if installed else ():
        few = chain(1) if small else chain()
        yield _against_compiled(f"G3-{name}-compiled", f"{name} against compiled kornia", ours, few, clause)


def _against_compiled(id: str, title: str, ours: Side, chain: Callable[[], object], clause: Equality) -> Bar:
    compiled = torch.compile(chain)
    try:
        compiled()
    except Exception as error:  # noqa: BLE001, RUF100 - whatever a compiler says of a peer's code
        return skipped(id, title, f"kornia's chain does not compile: {type(error).__name__}")
    return compare(id, title, ours, Side("kornia, compiled", compiled, ours.units), target=_COMPILED, equality=clause)


def _views(device: torch.device, small: bool) -> tuple[str, Side, Chain, Equality]:
    """Two views a film, a draw a sample; both sides begin with decoded films on the device."""
    count = 4 if small else 256
    films = (_films(8) * (count // 4))[:count]
    draws = [draw_views(uniforms(count, view), ADAM, 256, 256) for view in range(2)]
    stacks = [torch_renderer.stack(windows_of(films, draw)).to(device) for draw in draws]
    pairs = list(zip(stacks, draws, strict=True))
    ours = Side("views rendered", lambda: [torch_renderer.render(*pair, ADAM) for pair in pairs], 2 * count)
    colour = torch.from_numpy(np.stack(films)).to(device)[:, None].expand(-1, 3, -1, -1).float() / 255

    def kornias(first: int | None = None) -> Callable[[], object]:
        chain = kornia_chain(first)
        return lambda: (chain(colour), chain(colour))

    return "views", ours, kornias, equality((films * 16)[:IMAGES])


def _masks(device: torch.device, small: bool) -> tuple[str, Side, Chain, Equality]:
    """The paper's five transformations of image and mask; draws are made within the time, on both sides."""
    made, count = protocol(224, always=False), 4 if small else 32
    images = torch.from_numpy(np.stack((_films(8) * count)[:count])[:, :224, :224].copy())
    images = images[:, None].to(device)
    masks = (images > 128).to(torch.uint8)
    augment, rows, epochs = Augmentation(made, 0, device), np.arange(count), itertools.count()
    ours = Side("images and masks", lambda: augment(images, masks, rows, next(epochs)), count)
    colour, wholes = images.expand(-1, 3, -1, -1).float() / 255, masks.float()

    def kornias(first: int | None = None) -> Callable[[], object]:
        chain = masks_chain(first)
        return lambda: chain(colour, wholes)

    return "masks", ours, kornias, aligned(made)


def _films(count: int) -> list[np.ndarray]:
    return [np.ascontiguousarray(noise(number)[::4, ::4]) for number in range(count)]


def masks_chain(first: int | None = None) -> Any:  # noqa: ANN401 - kornia's type
    """Return kornia's chain of as many kinds of change of image and mask, or the first; with the protocol's chances."""
    import kornia.augmentation as kornia

    steps = (
        kornia.ColorJiggle(brightness=0.2, contrast=0.2, p=0.25),
        kornia.RandomGamma((0.8, 1.2), p=0.25),
        kornia.RandomElasticTransform(p=0.17),
        kornia.RandomPerspective(p=0.17),
        kornia.RandomAffine(5.0, p=0.17),
        kornia.RandomResizedCrop((224, 224), scale=(0.5, 1.0), p=0.5),
    )
    return kornia.AugmentationSequential(*steps[:first], data_keys=["input", "mask"])
