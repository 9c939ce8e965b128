"""Cache of frozen features: an encoder passes over a dataset once, and every frozen protocol reads what it left.

A file is named by all that its values follow from: the weights, the feature contract, the pixels, the threads (results
are equal to the bit at equal counts only). It is checked against its digest whenever it is opened; a damaged one is
computed anew.
"""

from __future__ import annotations

import inspect
import logging
from pathlib import Path

import numpy as np
import torch

from eden_bench.contracts import NUMBERS_VERSION, Context, Features
from eden_bench.data.image_store import ImageStore
from eden_bench.devices import fast_precision
from eden_bench.digests import digest, file_digest
from eden_bench.encoders import Encoder, tensors_digest
from eden_bench.encoders.features import features
from eden_bench.files import atomic

_BLOCK = 256
"""Images encoded between two signs of progress."""
_log = logging.getLogger("eden_bench")


def stored_features(encoder: Encoder, store: ImageStore, wanted: Features, context: Context) -> np.ndarray:
    """Return the features of a store's images, from the cache or computed now.

    Args:
        encoder: any; not changed.
        store: the images.
        wanted: the feature contract.
        context: cache folder, device and progress.

    Returns:
        (N, D) float32, or (N, D, h, w) where the pooling is "map"; memory-mapped, read-only.

    Raises:
        EdenError: the cache cannot be written.
    """
    identity = _identity(encoder, store, wanted, context.device)
    path = context.cache / "features" / f"{digest(identity)[:32]}.npy"
    with atomic.locked(path.with_suffix(".lock")):
        found = _load(path, len(store.ids))
        if found is None:
            atomic.sweep(path.parent, path.name)
            _write(path, encoder.to(context.device), store, wanted, context)
            found = _load(path, len(store.ids))
    if found is None:
        raise OSError(f"{path} cannot be read back after it was written")
    return found


def _identity(encoder: Encoder, store: ImageStore, wanted: Features, device: str) -> dict[str, object]:
    kind = torch.device(device).type
    return {
        "weights": tensors_digest(encoder.state_dict()),
        "arch": [encoder.arch, encoder.reads, type(encoder).__module__, type(encoder).__qualname__],
        "source": _source_of(type(encoder)),
        "features": wanted,
        "pixels": store.digest,
        "device": kind,
        "threads": torch.get_num_threads() if kind == "cpu" else 0,
        "precision": fast_precision(kind) if wanted.precision == "fast" else "float32",
        "code": NUMBERS_VERSION,
    }


def _source_of(kind: type[Encoder]) -> str:
    """Return the digest of the file that defines an encoder, "" where there is none: a plugin's is edited."""
    try:
        return file_digest(Path(inspect.getfile(kind)))
    except (OSError, TypeError):
        return ""


def _write(path: Path, encoder: Encoder, store: ImageStore, wanted: Features, context: Context) -> None:
    encoder = encoder.for_size(wanted.size_px).to(context.device)
    count = len(store.ids)
    with atomic.aside(path) as temporary:
        with temporary.open("wb") as file:  # not by a map: on a full disk a map kills the process
            for start in range(0, count, _BLOCK):
                part = features(encoder, store.images[start : start + _BLOCK], wanted)
                if not start:
                    header = {"descr": "<f4", "fortran_order": False, "shape": (count, *part.shape[1:])}
                    np.lib.format.write_array_header_1_0(file, header)
                file.write(part.astype("<f4", order="C", copy=False).tobytes())
                context.progress(f"features of {encoder.arch}", min(start + _BLOCK, count), count)
        atomic.write_text(path.with_suffix(".sha256"), file_digest(temporary))


def _load(path: Path, count: int) -> np.ndarray | None:
    """Map a file of features; None where it is absent or damaged, which is logged."""
    told = path.with_suffix(".sha256")
    if not path.is_file() or not told.is_file():
        return None
    if told.read_bytes() != file_digest(path).encode():
        _log.warning("%s is damaged and is computed anew", path)
        return None
    found: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    return found if len(found) == count else None
