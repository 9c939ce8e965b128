"""C4: features of 224-px patches by a ResNet-50, against torchvision's network in float32 as it comes."""

from __future__ import annotations

import numpy as np
import torch
from torchvision.models import resnet50

from benchmarks.timing import Bar, Equality, Side, arguments, compare, report
from eden_bench.contracts import NORMALISATIONS, Features
from eden_bench.encoders import build_encoder, features

PATCHES = 128
"""A repeat; a repeat of 2,000 takes minutes and says the same, since every batch of 64 does the same work."""
_BATCH = 64
_LEAST_COSINE = 0.999


def bar(repeats: int) -> Bar:
    """Time ours, asked to be fast, against a loop over torchvision's network with the same weights."""
    draw = np.random.default_rng(0)
    patches = draw.integers(0, 256, (PATCHES, 224, 224), dtype=np.uint8)
    encoder = build_encoder("resnet50", seed=0)
    peer = resnet50().eval()
    peer.load_state_dict(encoder.state_dict(), strict=False)
    peer.fc = torch.nn.Identity()
    wanted = Features(precision="fast")

    def ours() -> np.ndarray:
        return features(encoder, patches, wanted)

    @torch.inference_mode()
    def theirs() -> np.ndarray:
        mean, std = (torch.tensor(each)[:, None, None] for each in NORMALISATIONS["imagenet"])
        batches = (torch.from_numpy(patches[i : i + _BATCH]) for i in range(0, PATCHES, _BATCH))
        found = [peer((each[:, None].expand(-1, 3, -1, -1).float() / 255 - mean) / std) for each in batches]
        return torch.cat(found).numpy()

    a, b = ours(), theirs()
    cosine = ((a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)).min()
    return compare(
        "C4",
        f"features of {PATCHES} patches of 224 px",
        Side("features, precision fast", ours, PATCHES),
        Side("torchvision float32", theirs, PATCHES),
        target=3,
        equality=Equality(bool(cosine >= _LEAST_COSINE), f"least cosine {cosine:.5f} >= {_LEAST_COSINE}"),
        repeats=repeats,
    )


if __name__ == "__main__":
    options = arguments(str(__doc__).partition("\n")[0])
    report([bar(options.repeats)], as_json=options.json)
