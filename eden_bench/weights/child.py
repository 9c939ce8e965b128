"""The child process that unpickles: ``python -m eden_bench.weights.child IN OUT`` turns a checkpoint into safetensors.

Only ``torch.load(weights_only=True)`` reads pickles, so no code of the file runs; limits on memory, time and the size
of files hold whatever a file claims. The names of nested dictionaries are joined with "/", so that a state dictionary
inside a checkpoint keeps its own dotted names.
"""

from __future__ import annotations

import json
import re
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

SECONDS = 120
_DEEPEST = 8
_MOST_ENTRIES = 100_000
_LONGEST_NAME = 300
_MOST_COPIES = 4
"""Times the file's size: values that several names share are written once a name."""
_DATA_BYTES = 4 << 30
_AGAIN = "copy or download it again"


class Unusable(ValueError):
    """A file that this module itself refuses, in a sentence for its user."""


def main() -> int:
    """Convert; on failure print one line of JSON with the reason."""
    source, target = (Path(argument) for argument in sys.argv[1:3])
    limit(source)
    try:
        convert(source, target)
    except Exception as error:  # noqa: BLE001, RUF100 - the edge: whatever a hostile file raises becomes one sentence
        sys.stdout.write(json.dumps({"error": reason(error)}))
        return 1
    return 0


def limit(source: Path) -> None:
    """Bound this process's memory, CPU time and output."""
    import resource

    size = source.stat().st_size
    for what, most in (
        (resource.RLIMIT_DATA, _DATA_BYTES + 6 * size),
        (resource.RLIMIT_CPU, SECONDS),
        (resource.RLIMIT_FSIZE, _DATA_BYTES + 2 * size),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(what, (most, most))


def convert(source: Path, target: Path) -> None:
    """Write every tensor of a checkpoint to a safetensors file, under its path in the checkpoint.

    Raises:
        Unusable: it holds no tensors, or more than any checkpoint does.
        Exception: whatever torch and safetensors raise for a damaged or hostile file; ``reason`` says it plainly.
    """
    from safetensors.torch import save_file

    room = _MOST_COPIES * source.stat().st_size + (1 << 20)
    tensors: dict[str, Any] = {}
    for name, value in _tensors(read(source)):
        room -= value.numel() * value.element_size()
        if room < 0:
            raise Unusable(f"its tensors claim over {_MOST_COPIES} times the file's size")
        tensors[name] = _plain(value, name)
    if not tensors:
        raise Unusable("it holds no tensors under text names in its dictionaries")
    save_file(tensors, target)


def read(source: Path) -> Any:  # noqa: ANN401 - whatever the file holds
    """Read safetensors, or a pickle of plain types and tensors."""
    import torch
    from safetensors.torch import load_file

    with source.open("rb") as file:
        start = file.read(24)
    if start[8:9] == b"{":
        return load_file(source)
    if start[:4] == b"PK\x03\x04":
        _check_archive(source)
    elif start[:1] != b"\x80":
        raise Unusable(f"it starts with {start!r}, as no checkpoint does (a web page or a pointer in its place?)")
    stand_ins: list[Any] = [(PassedOver, name) for name in _PASSED_OVER]
    stand_ins += [(OrderedDict, name) for name in _LIKE_DICTIONARIES]
    with torch.serialization.safe_globals(stand_ins):
        return torch.load(source, map_location="cpu", weights_only=True)


def _check_archive(source: Path) -> None:
    """Refuse a zip bomb: torch stores without compression, so the parts are smaller than the whole."""
    with zipfile.ZipFile(source) as archive:
        claimed = sum(part.file_size for part in archive.infolist())
    if claimed > source.stat().st_size:
        raise Unusable(f"its archive claims {claimed:,} bytes in a file of {source.stat().st_size:,}")


class PassedOver:
    """Stands in for values that are no weights (settings, dates, a best score), so that nothing of theirs is called."""

    def __init__(self, *_: object) -> None:
        """Take no notice."""

    def __setstate__(self, _: object) -> None:
        """Take no notice."""


_PASSED_OVER = (
    "argparse.Namespace", "datetime.datetime", "datetime.timedelta", "typing.Any",
    *(f"pathlib.{kind}" for kind in ("Path", "PosixPath", "PurePosixPath", "WindowsPath")),
    "numpy.dtype", "numpy.ndarray",
    *(f"numpy.{core}.multiarray.{name}" for core in ("core", "_core") for name in ("scalar", "_reconstruct")),
    "omegaconf.dictconfig.DictConfig", "omegaconf.listconfig.ListConfig", "omegaconf.nodes.AnyNode",
    "omegaconf.base.ContainerMetadata", "omegaconf.base.Metadata",
    "pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint",
    "pytorch_lightning.callbacks.early_stopping.EarlyStopping",
    "mmengine.logging.history_buffer.HistoryBuffer",
)  # fmt: skip
"""What published checkpoints hold beside their weights."""
_LIKE_DICTIONARIES = (
    "pytorch_lightning.utilities.parsing.AttributeDict",
    "lightning_fabric.utilities.data.AttributeDict",
    "lightning.fabric.utilities.data.AttributeDict",
    "yacs.config.CfgNode",
)
"""Likewise, but entries are set in them, which torch allows in dictionaries alone."""


def _tensors(checkpoint: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401
    """Walk dictionaries, the optimizer's left out, and yield tensors by path; in all, so many entries and no more."""
    import torch

    entries = 0
    waiting = [("", checkpoint, 0)]
    while waiting:
        path, value, depth = waiting.pop()
        if isinstance(value, torch.Tensor):
            yield path, value
        elif isinstance(value, Mapping) and depth < _DEEPEST:
            inner = [(_path(path, name), one, depth + 1) for name, one in value.items() if _is_read(name)]
            waiting += reversed(inner)
            entries += len(value)
            if entries > _MOST_ENTRIES:
                raise Unusable(f"it has over {_MOST_ENTRIES:,} entries, more than any checkpoint")


def _is_read(name: object) -> bool:
    return isinstance(name, str) and name != "optimizer"


def _path(path: str, name: str) -> str:
    if len(name) > _LONGEST_NAME or not name.isprintable():
        raise Unusable(f"an entry's name is {name[:40]!a}, expected at most {_LONGEST_NAME} printable letters")
    return f"{path}/{name}" if path else name


def _plain(value: Any, path: str) -> Any:  # noqa: ANN401 - a tensor
    """Return a tensor with memory of its own; one that claims more than it stores is refused."""
    import torch

    if value.layout is not torch.strided or value.is_quantized or value.is_meta:
        raise Unusable(f"{path or 'what it holds'} is sparse, quantised or without values, expected a dense tensor")
    if value.numel() * value.element_size() > 2 * value.untyped_storage().nbytes() + 64:
        raise Unusable(f"{path or 'its tensor'} claims {value.numel():,} values and stores fewer")
    return value.detach().clone(memory_format=torch.contiguous_format)


def reason(error: Exception) -> str:
    """Say in a line why a file cannot be read, without torch's advice to load it without protection."""
    text = "".join(letter if letter.isprintable() else " " for letter in str(error))
    text = " ".join(text.split()).removeprefix("Weights only load failed. ")
    if needed := re.search(r"GLOBAL (\S+)", text):
        return f"to read it, {needed[1][:80]} would have to run, and only tensors and plain values are read"
    if isinstance(error, zipfile.BadZipFile) or "PytorchStreamReader" in text:
        return f"its archive is damaged or cut off: {_AGAIN}"
    if "TorchScript" in text:
        return "it is a TorchScript program, expected a state dictionary"
    if isinstance(error, (MemoryError, RecursionError)) or "allocate memory" in text:
        return "it claims more memory than its size allows"
    if type(error).__name__ == "SafetensorError":
        return f"it is no whole safetensors file ({text[:120]}): {_AGAIN}"
    if isinstance(error, Unusable):
        return text[:300]
    return f"it is damaged, or no pickle of tensors and plain values ({type(error).__name__}): {_AGAIN}"


if __name__ == "__main__":
    sys.exit(main())
