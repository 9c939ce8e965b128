"""Small films with five landmarks, of which two are mirrored pairs, and encoders whose scores are known."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import torch

from eden_bench.contracts import Context, DatasetIndex, Features, Item
from eden_bench.encoders import Encoder
from tasks.probes.protocol import LandmarkProtocol

SIDE = 128
FILMS = 12
BASE = {
    "left apex": (88.0, 40.0),
    "right apex": (40.0, 40.0),
    "left base": (96.0, 96.0),
    "right base": (32.0, 96.0),
    "spine": (64.0, 72.0),
}
"""About a mid-line at 64; the patient's left is on the right."""
NAMES = sorted(BASE)
DRAW = np.random.default_rng(5)
SHIFTS = DRAW.integers(-6, 7, (FILMS, 2)).astype(float)
ANGLES = {"apex": 30, "base": 250, "spine": 90}
"""Of the ramp of greys that each mark is, so that it looks alike at every scale."""
PROTOCOL = LandmarkProtocol(
    features=Features(size_px=32),
    film_px=SIDE,
    train_films=6,
    test_films=6,
    patch_share=16 / SIDE,
    grid=32,
    searched_films=3,
    other_shares=(8 / SIDE, 32 / SIDE),
    template_films=(1,),
)


def film(number):
    """A dark film with a mark at each landmark, mirrored on the right of the patient."""
    image = np.random.default_rng(100 + number).integers(0, 30, (SIDE, SIDE))
    for name, (x, y) in BASE.items():
        left, top = (int(v + s) - 16 for v, s in zip((x, y), SHIFTS[number], strict=True))
        mark = ramp(ANGLES[name.partition(" ")[2] or name])
        image[top : top + 32, left : left + 32] = mark[:, ::-1] if name.startswith("right") else mark
    return image.astype(np.uint8)


def ramp(angle_deg):
    y, x = np.mgrid[-15.5:16, -15.5:16]
    return np.round(160 + 4 * (x * np.cos(np.deg2rad(angle_deg)) + y * np.sin(np.deg2rad(angle_deg))))


class Toy:
    """Reader of the toy films; lungs are two boxes, known where the items have masks."""

    name, reading = "toy", ""

    def read_image(self, item):
        return film(int(item.id))

    def read_mask(self, item, structure):
        mask = np.zeros((SIDE, SIDE), bool)
        mask[20:110, slice(70, 120) if structure.startswith("left") else slice(10, 60)] = True
        return mask


def opened(kind, tmp_path, *, masks=False, **changes):
    """Open a probe on the toy films: even numbers train."""
    items = []
    for number in range(FILMS):
        path = tmp_path / f"{number:02}.png"
        path.write_bytes(b"film")
        points = {n: (x + SHIFTS[number, 0], y + SHIFTS[number, 1]) for n, (x, y) in BASE.items()}
        known = {"left lung": (path,), "right lung": (path,)} if masks else {}
        split = "test" if number % 2 else "train"
        items.append(Item(id=f"{number:02}", patient=f"p{number}", split=split, image=path, points=points, masks=known))
    index = DatasetIndex(dataset="toy", root=tmp_path, items=tuple(items), expected_images=FILMS)
    task = SimpleNamespace(name="toy-probe", dataset="toy")
    protocol = replace(PROTOCOL, **changes)
    return kind(task, index, protocol, Context(cache=tmp_path / "cache", dataset=Toy()))


class Body(Encoder):
    """The oracle: it is told where in the body a box lies, and nothing else."""


def tell_body(probe):
    """Let a probe embed by body coordinates: waves of the place less the film's shift."""
    shifts = np.array([SHIFTS[int(item.id)] for item in probe.items])

    def embed(encoder, rows, boxes, *, mirrored=False):
        places = (boxes[:, :2] + boxes[:, 2:]) / 2 - shifts[rows]
        places[:, 0] = SIDE - places[:, 0] if mirrored else places[:, 0]
        angles = (places[:, :, None] * np.pi * np.arange(1, 9) / SIDE).reshape(len(boxes), -1)
        return np.concatenate([np.cos(angles), np.sin(angles)], axis=1)

    probe.embed = embed
    return probe


class Permuted(Encoder):
    """Features that belong to other patches of the batch."""

    arch, channels, strides = "permuted", (256,), (32,)

    def __init__(self, inner):
        super().__init__()
        self.inner, self.calls = inner, 0

    def maps(self, images):
        self.calls += 1
        order = torch.from_numpy(np.random.default_rng(self.calls).permutation(len(images)))
        return tuple(each[order] for each in self.inner.maps(images))
