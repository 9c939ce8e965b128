"""Embeddings from a file: ``--methods mine=EMB.npz`` enters a model that cannot be run here into the frozen rows.

The file is a NumPy archive without pickles. Its entry ``eden_bench`` is JSON: ``{"format": "eden-bench embeddings 1",
"model": …, "weights": …, "features": {…}, "data": {DATASET: digest}}``; for each dataset there are ``DATASET/ids``,
(N,) text, and ``DATASET/vectors``, (N, D) float32. ``eden-bench embed`` writes it for any method: whoever embeds with a
model of their own takes such a file and puts their vectors in the place of its.
"""

from __future__ import annotations

import functools
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eden_bench.contracts import Features
from eden_bench.digests import file_digest
from eden_bench.errors import WeightsMissing, WeightsRefused
from eden_bench.files import atomic
from eden_bench.files.array_file import UNREADABLE

if TYPE_CHECKING:
    import numpy as np

    from eden_bench.encoders.embedded import Embedded

FORMAT = "eden-bench embeddings 1"
ENDING = ".npz"
_ABOUT = "eden_bench"
_MOST_BYTES = 32 << 30
_NAMED = 3
"""Ids that an error names."""


@dataclass(frozen=True, eq=False)
class Embeddings:
    """Vectors of images by dataset, and what they are of."""

    model: str
    weights: str
    features: Mapping[str, Any]
    """The feature contract that they were made under."""
    data: Mapping[str, str]
    """Dataset to the digest of the pixels that were encoded."""
    ids: Mapping[str, Sequence[str]]
    vectors: Mapping[str, np.ndarray]
    """Dataset to (N, D) float32, in the order of its ids."""
    digest: str = ""
    """SHA-256 of the file."""

    @property
    def who(self) -> str:
        """Name it in messages."""
        return f"embeddings of {self.model}"

    def of(self, dataset: str, ids: Sequence[str], digest: str, wanted: Features) -> np.ndarray:
        """Return the vectors of a dataset's images, (N, D), in the order of its ids.

        Raises:
            WeightsMissing: it has none of the dataset.
            WeightsRefused: they are of other pixels or of another feature contract, an id is missing, or one is
                foreign.
        """
        if dataset not in self.data:
            raise WeightsMissing(f"{self.who}: the file has vectors of {', '.join(self.data)}, none of {dataset}")
        if other := self._other_than(wanted):
            raise WeightsRefused(
                f"{self.who}: the vectors of {dataset} are of {', '.join(other)}: embed again under this protocol, or "
                "run the one they were made for"
            )
        row_of = {name: row for row, name in enumerate(self.ids[dataset])}
        for what, names in (("lacks", set(ids) - row_of.keys()), ("holds foreign", row_of.keys() - set(ids))):
            if names:
                some = ", ".join(sorted(names)[:_NAMED])
                raise WeightsRefused(
                    f"{self.who}: the file {what} {len(names):,} of {len(ids):,} images of {dataset} ({some}): embed "
                    "the data that are at hand"
                )
        if self.data[dataset] != digest:
            raise WeightsRefused(
                f"{self.who}: the vectors of {dataset} are of pixels {self.data[dataset][:12]}, the data at hand are "
                f"{digest[:12]}: embed the data that are at hand"
            )
        rows = [row_of[name] for name in ids]
        chosen: np.ndarray = self.vectors[dataset][rows]
        return chosen

    def _other_than(self, wanted: Features) -> list[str]:
        """Say in what the vectors' feature contract is another than a protocol's."""
        both = {name: (self.features.get(name), ours) for name, ours in contract(wanted).items()}
        return [f"{name} {its!r} (this protocol reads {ours!r})" for name, (its, ours) in both.items() if its != ours]


def write(path: Path, found: Embeddings) -> None:
    """Write a file of embeddings, atomically."""
    import numpy as np

    about = {"format": FORMAT, "model": found.model, "weights": found.weights, "data": dict(found.data)}
    arrays: dict[str, np.ndarray] = {_ABOUT: np.array(json.dumps({**about, "features": dict(found.features)}))}
    for dataset in found.data:
        arrays[f"{dataset}/ids"] = np.array(list(found.ids[dataset]))
        arrays[f"{dataset}/vectors"] = np.asarray(found.vectors[dataset], np.float32)
    with atomic.aside(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]  # numpy types its own option among them


def contract(wanted: Features) -> dict[str, Any]:
    """Return a feature contract as the file holds it."""
    return asdict(wanted)


@functools.lru_cache(maxsize=4)
def read(path: Path, size: int, changed: int) -> Embeddings:
    """Read and validate a file of embeddings; size and changed are those of the file, the key of the cache.

    Raises:
        WeightsMissing: there is no such file.
        WeightsRefused: it is no such archive, or an array of it is not as expected.
    """
    import numpy as np

    if not path.is_file():
        raise WeightsMissing(f"{path} is no file, expected embeddings as `eden-bench embed` writes them")
    try:
        with zipfile.ZipFile(path) as archive:
            told = sum(each.file_size for each in archive.infolist())
        if told > _MOST_BYTES:
            raise ValueError(f"it unpacks to {told >> 30} GiB, expected at most {_MOST_BYTES >> 30}")
        with np.load(path, allow_pickle=False) as arrays:
            return _validated(path, {name: arrays[name] for name in arrays.files})
    except (*UNREADABLE, KeyError, TypeError, zipfile.BadZipFile, RecursionError) as error:
        what = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        raise WeightsRefused(f"{path} is no file of embeddings: {what}; write one with `eden-bench embed`") from error


def _validated(path: Path, arrays: Mapping[str, np.ndarray]) -> Embeddings:
    about = json.loads(str(arrays[_ABOUT]))
    if about["format"] != FORMAT:
        raise ValueError(f"its format is {about['format']!r}, expected {FORMAT!r}")
    data = {str(name): str(digest) for name, digest in about["data"].items()}
    ids = {name: [str(one) for one in arrays[f"{name}/ids"]] for name in data}
    vectors = {name: _vectors(name, arrays[f"{name}/vectors"], len(ids[name])) for name in data}
    for name in data:
        if len(set(ids[name])) < len(ids[name]):
            raise ValueError(f"an id of {name} stands in it twice")
    features = dict(about["features"])
    return Embeddings(str(about["model"]), str(about["weights"]), features, data, ids, vectors, file_digest(path))


def _vectors(name: str, found: np.ndarray, count: int) -> np.ndarray:
    import numpy as np

    if found.ndim != 2 or len(found) != count or not found.size or found.dtype.kind != "f":
        raise ValueError(f"{name}/vectors is {found.dtype} {found.shape}, expected ({count}, D) of floats")
    with np.errstate(over="ignore"):
        vectors = found.astype(np.float32)
    if not np.isfinite(vectors).all():
        row = int(np.flatnonzero(~np.isfinite(vectors).all(axis=1))[0])
        raise ValueError(f"row {row} of {name}/vectors holds a NaN, or a value that is infinite in float32")
    return vectors


def encoder_of(found: Embeddings) -> Embedded:
    """Return the encoder that looks vectors up."""
    from eden_bench.encoders.embedded import Embedded

    return Embedded(found)
