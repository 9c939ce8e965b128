"""Views of anchors against the torchvision PIL loader that released code uses: C1, C1b, C1c.

Run ``python -m benchmarks.views`` from the repository root; ``--images FOLDER`` takes radiographs of your own (PNG),
else smooth noise is drawn. Both sides deliver normalised float32 batches (B, 3, 224, 224), two views an anchor.
"""

from __future__ import annotations

import argparse
import importlib.util
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple, cast

import cv2
import numpy as np
import torch
from PIL import Image, ImageFilter
from scipy import stats
from torchvision import transforms

from benchmarks.timing import Bar, Equality, Seconds, Side, arguments, compare, report, skipped, wanted
from eden_bench import seeds
from eden_bench.contracts import Anchor, Context, Dataset, DatasetIndex, Item, Stage, ViewRecipe
from eden_bench.data.image_store import PyramidStore, open_pyramid, pyramid_of
from pretrain.views import opencv_renderer, torch_renderer
from pretrain.views.draws import WIDTH, Draws, draw_views
from pretrain.views.stream import ViewStream
from pretrain.views.windows import Window, cut
from tests.pretrain.published_views import by_pil, psnr

ADAM = ViewRecipe(
    crop_scale=(0.2, 1.0), jitter_p=0.8, brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1, blur_p=0.5,
    rotation_deg=30.0,
)  # fmt: skip
IMAGES, BATCH, WORKERS, OURS_EPOCHS = 64, 16, 2, 8


class Sources(NamedTuple):
    """The same images four times: PNG files of 1024 px and of 256 px, arrays of both."""

    large: list[Path]
    small: list[Path]
    originals: list[np.ndarray]
    decoded: list[np.ndarray]


class Published:
    """The peer's transform of one PIL image."""

    def __init__(self, size_px: int = 224) -> None:
        self.transform = transforms.Compose([
            transforms.RandomResizedCrop(size_px, scale=(0.2, 1.0)),
            transforms.RandomApply([transforms.ColorJitter(0.4, 0.4, 0.4, 0.1)], p=0.8),
            transforms.RandomApply([_blur], p=0.5),
            transforms.RandomRotation(30),
            transforms.ToTensor(),
            transforms.Normalize(ADAM.mean, ADAM.std),
        ])  # fmt: skip

    def __call__(self, image: Image.Image) -> tuple[torch.Tensor, torch.Tensor]:
        """Return two views."""
        return self.transform(image), self.transform(image)


class PublishedFiles(torch.utils.data.Dataset):  # type: ignore[type-arg]
    """The peer's data set: decode, convert to RGB, transform twice."""

    def __init__(self, files: list[Path]) -> None:
        self.files, self.transform = files, Published()

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        return self.transform(Image.open(self.files[index]).convert("RGB"))


def main() -> None:
    """Measure and report."""
    options = arguments(__doc__ or "", images="")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        images = sources(Path(folder), options.images)
        bars = [*end_to_end(options, images, Path(folder)), *in_memory(options, images.decoded)]
    report(bars, as_json=options.json)


def end_to_end(options: argparse.Namespace, images: Sources, folder: Path) -> list[Bar]:
    """Measure C1 and C1b: from files on disk (ours: decoded once, before) to batches."""
    equal = equality(images.originals)
    ours = Side(f"ViewStream, {WORKERS} threads", stream(images.large, folder, options.device), OURS_EPOCHS * IMAGES)
    bars = []
    for id, side_px, files, target in (("C1", 1024, images.large * 3, 25), ("C1b", 256, images.small * 6, 10)):
        if wanted(options, id):
            title = f"two views per anchor, end to end, peer from {side_px}-px PNG"
            peer = Side(f"torchvision PIL DataLoader, {WORKERS} workers", loader(files), len(files) - BATCH)
            bars.append(compare(id, title, ours, peer, target=target, equality=equal, repeats=options.repeats))
    return bars


def in_memory(options: argparse.Namespace, decoded: list[np.ndarray]) -> list[Bar]:
    """Measure C1c: the transform alone, one thread, decoded images in memory."""
    if not wanted(options, "C1c"):
        return []
    published, pil = Published(), [Image.fromarray(image).convert("RGB") for image in decoded]
    out = np.empty((IMAGES, ADAM.size_px, ADAM.size_px, 3), np.float32)
    title = "one view, decoded image in memory"
    ours = Side("render_opencv, 1 thread", lambda: [ours_once(decoded, out, view) for view in range(4)], 4 * IMAGES)
    theirs = Side("torchvision PIL, 1 process", lambda: [published(image) for image in pil[:16]], 2 * 16)
    bars: list[Bar] = []
    peers: tuple[tuple[Side | str, float], ...] = ((theirs, 10), ("lightly", 10), ("kornia", 40))
    for peer, target in peers:
        side = library(peer, pil) if isinstance(peer, str) else peer
        if side is None:
            bars.append(skipped("C1c", f"{title}, against {peer}", f"{peer} is not installed"))
        else:
            bars.append(
                compare("C1c", title, ours, side, target=target, equality=equality(decoded), repeats=options.repeats)
            )
    return bars


def library(name: str, pil: list[Image.Image]) -> Side | None:
    """Return a library's own transform of 16 images as a peer, or None where the library is not installed."""
    if importlib.util.find_spec(name) is None:
        return None
    if name == "lightly":
        from lightly.transforms import MoCoV2Transform

        transform = MoCoV2Transform(input_size=224)
        return Side("lightly MoCoV2Transform", lambda: [transform(image) for image in pil[:16]], 2 * 16)
    chain = kornia_chain()
    batch = torch.stack([transforms.functional.to_tensor(image) for image in pil[:16]])
    return Side("kornia on the CPU", lambda: [chain(batch), chain(batch)], 2 * 16)


def kornia_chain(first: int | None = None) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return kornia's chain of the same augmentations, or the first of them, without the normalisation."""
    import kornia.augmentation as kornia

    steps = (
        kornia.RandomResizedCrop((224, 224), scale=(0.2, 1.0)),
        kornia.ColorJitter(0.4, 0.4, 0.4, 0.1, p=0.8),
        kornia.RandomGaussianBlur((13, 13), (0.1, 2.0), p=0.5),
        kornia.RandomRotation(30.0, p=1.0),
    )
    chain: Callable[[torch.Tensor], torch.Tensor] = kornia.AugmentationSequential(*steps[:first])
    return chain


def equality(originals: list[np.ndarray]) -> Equality:
    """Compare both renderers with the PIL chain on one set of parameters, and the drawn crops with torchvision's.

    Where a crop is enlarged a view is the chain's to rounding; where it shrinks it has the same smoothness.
    """
    side_px = len(originals[0])
    draws = draw_views(uniforms(IMAGES, 0), ADAM, side_px, side_px)
    theirs = [by_pil(image, draws, i, ADAM) for i, image in enumerate(originals)]
    windows = windows_of(originals, draws)
    opencv = np.stack(list(opencv_renderer.render_levels(windows, draws, ADAM)))
    device = torch_renderer.render_levels(torch_renderer.stack(windows), draws, ADAM)[:, 0].numpy()
    pairs = [list(zip(views[..., None], theirs, strict=True)) for views in (opencv, device)]
    worst = [min(psnr(view, image) for view, image in views) for views in pairs]
    apart = max(float(np.mean([np.abs(view.astype(float) - image).mean() for view, image in views])) for views in pairs)
    p = crop_law()
    text = (
        f"{len(theirs)} views from {side_px} px differ from the PIL chain by {apart:.2f} grey levels on average, at "
        f"most 1.5; worst PSNR {worst[0]:.1f} dB (OpenCV) and {worst[1]:.1f} dB (torch), at least 38; smallest KS "
        f"p-value of the crops' law {p:.3f}, above 0.001"
    )
    return Equality(min(worst) >= 38 and apart <= 1.5 and p > 0.001, text)


def windows_of(images: list[np.ndarray], draws: Draws) -> list[Window]:
    """Cut the windows of whole images as the stream does."""
    native_px = np.array([image.shape for image in images])
    store = PyramidStore(Path(), ("",) * len(images), "", native_px, np.stack([pyramid_of(image) for image in images]))
    crops = draws.crop * (1024 / len(images[0]))  # crops of the store are drawn in pixels of 1024² images
    return [cut(store.anchor(i, 0, 0, 1, 1), crop, ADAM.size_px) for i, crop in enumerate(crops.tolist())]


def crop_law() -> float:
    """Return the smallest KS p-value between our crops and torchvision's over top, left, height and width."""
    whole = torch.empty(1, 256, 256)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        theirs = np.array(
            [transforms.RandomResizedCrop.get_params(whole, [0.2, 1.0], [3 / 4, 4 / 3]) for _ in range(2000)]
        )
    ours = draw_views(uniforms(2000, 0), ADAM, 256, 256).crop
    return min(float(stats.ks_2samp(ours[:, i], theirs[:, i]).pvalue) for i in range(4))


def stream(files: list[Path], folder: Path, device: str) -> Callable[[], None]:
    """Return a function that runs some epochs of ours, from the pyramid on disk."""
    items = [Item(id=file.stem, patient=file.stem, split="train", image=file) for file in files]
    index = DatasetIndex(dataset="b", root=folder, items=tuple(items), expected_images=len(items))
    grey = SimpleNamespace(read_image=lambda item: cv2.imread(str(item.image), cv2.IMREAD_GRAYSCALE))
    pyramid = open_pyramid(index, cast("Dataset", grey), Context(cache=folder))
    views = ViewStream(pyramid, (ADAM, ADAM), Stage("n0", 1), seed=0, batch_size=BATCH, device=device, workers=WORKERS)

    def run() -> None:
        for epoch in range(OURS_EPOCHS):
            for batch in views.epoch(epoch, seeds.shuffled(IMAGES, 0, "order", epoch)):
                touched = batch.views
        synchronised(touched)

    return run


def loader(files: list[Path]) -> Callable[[], Seconds]:
    """Return a function that runs one epoch of the peer; timed from its first batch, so worker start is excluded."""
    data = torch.utils.data.DataLoader(
        PublishedFiles(files), batch_size=BATCH, shuffle=True, num_workers=WORKERS, drop_last=True
    )

    def run() -> Seconds:
        batches = iter(data)
        next(batches)
        start = time.perf_counter()
        for _ in batches:
            pass
        return Seconds(time.perf_counter() - start)

    return run


def ours_once(decoded: list[np.ndarray], out: np.ndarray, view: int) -> None:
    """Draw, cut and render one view of each image."""
    draws = draw_views(uniforms(IMAGES, view), ADAM, 256, 256)
    anchors = [Anchor((image,), (0, 0, 256, 256), (256, 256)) for image in decoded]
    windows = [cut(anchor, crop, ADAM.size_px) for anchor, crop in zip(anchors, draws.crop.tolist(), strict=True)]
    opencv_renderer.render(windows, draws, ADAM, out)


def uniforms(rows: int, view: int) -> np.ndarray:
    """Draw the table that one view of some samples takes."""
    return seeds.uniforms(0, "benchmark", view, rows=np.arange(rows), width=WIDTH)


def sources(folder: Path, given: str) -> Sources:
    """Write the images in both sizes: given radiographs, repeated where there are few, or smooth noise."""
    found = sorted(Path(given).glob("*.png"))[:IMAGES] if given else []
    images = [cv2.imread(str(file), cv2.IMREAD_GRAYSCALE) for file in found] or [noise(i) for i in range(16)]
    images = [cv2.resize(image, (1024, 1024), interpolation=cv2.INTER_AREA) for image in images]
    images = (images * -(-IMAGES // len(images)))[:IMAGES]
    decoded = [cv2.resize(image, (256, 256), interpolation=cv2.INTER_AREA) for image in images]
    large = [folder / f"large-{i}.png" for i in range(IMAGES)]
    small = [folder / f"small-{i}.png" for i in range(IMAGES)]
    for files, pixels in ((large, images), (small, decoded)):
        for file, image in zip(files, pixels, strict=True):
            cv2.imwrite(str(file), image)
    return Sources(large, small, images, decoded)


def noise(number: int) -> np.ndarray:
    """Draw a smooth 1024-px image with a radiograph's grain."""
    draw = np.random.default_rng(number)
    shapes = cv2.resize(draw.normal(size=(32, 32)), (1024, 1024), interpolation=cv2.INTER_CUBIC)
    image: np.ndarray = np.clip(128 + 40 * shapes + draw.normal(size=shapes.shape) * 4, 0, 255).astype(np.uint8)
    return image


def synchronised(result: object) -> object:
    """Wait for the accelerator, if there is one."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return result


def _blur(image: Image.Image) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(random.uniform(0.1, 2.0)))  # the peer draws as it does


if __name__ == "__main__":
    main()
