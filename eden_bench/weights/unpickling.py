"""The child process that unpickles a checkpoint: ``python -I unpickling.py FILE BYTES [FOLDER ...] >OUT``.

It converts a checkpoint to safetensors. Only ``torch.load(weights_only=True)`` reads pickles, so no code of the file
runs. Nor does any that lies about: this file imports nothing of ours, and ``reading`` starts it isolated. Limits on
memory, time and the size of files follow from the bytes that the file has on the disk, whatever it claims. The process
ends with the one that started it, whose end of stdin closes. The names of nested dictionaries are joined with "/", so
that a state dictionary inside a checkpoint keeps its own dotted names.
"""

from __future__ import annotations

import errno
import io
import json
import os
import re
import sys
import threading
import zipfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

SECONDS = 120
_DEEPEST = 8
_MOST_ENTRIES = 100_000
_LONGEST_NAME = 300
_MOST_COPIES = 4
"""Times the file's size: values that several names share are written once a name."""
_DATA_BYTES = 4 << 30
AGAIN = "copy or download it again"


class Unusable(ValueError):
    """A file that fails validation here; the message is a sentence for its user."""


def main() -> int:
    """Convert the file to stdout; on failure print one line of JSON with the reason to stderr."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    sys.path += [folder for folder in sys.argv[3:] if folder not in sys.path]
    source = Path(sys.argv[1])
    limit(int(sys.argv[2]))
    try:
        convert(source, sys.stdout.buffer)
    except Exception as error:  # noqa: BLE001, RUF100 - the edge: whatever a hostile file raises becomes one sentence
        sys.stderr.write("\n" + json.dumps({"error": reason(error)}))
        return 1
    return 0


def _end_with_parent() -> None:
    """Wait for the end of stdin, which nobody writes to: it comes when the parent dies, even of kill -9."""
    os.read(0, 1)
    os._exit(1)


def limit(size: int) -> None:
    """Limit this process's memory, CPU time and output for a file that has so many bytes on the disk."""
    import resource

    for what, most in (
        (resource.RLIMIT_DATA, _DATA_BYTES + 6 * size),
        (resource.RLIMIT_CPU, SECONDS),
        (resource.RLIMIT_FSIZE, _MOST_COPIES * size + (1 << 30)),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(what, (most, most))


def convert(source: Path, out: BinaryIO) -> None:
    """Convert a checkpoint to safetensors: write every tensor under its path in the checkpoint.

    Raises:
        Unusable: it holds no tensors, more than any checkpoint does, or less than it claims.
        Exception: whatever torch and safetensors raise for a damaged or hostile file; ``reason`` says it plainly.
    """
    from safetensors.torch import save

    room = _MOST_COPIES * source.stat().st_size + (1 << 20)
    tensors: dict[str, Any] = {}
    for name, value in _tensors(read(source)):
        room -= value.numel() * value.element_size()
        if room < 0:
            raise Unusable(f"its tensors claim over {_MOST_COPIES} times the file's size")
        tensors[name] = _plain(value, name)
    if not tensors:
        raise Unusable("it holds no tensors under text names in its dictionaries")
    out.write(save(tensors))
    out.flush()


def read(source: Path) -> Any:  # noqa: ANN401 - whatever the file holds
    """Load safetensors, or a pickle of plain types and tensors; run no code of the file."""
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
    with torch.serialization.safe_globals([(kind, name) for kind, names in _STAND_INS.items() for name in names]):
        try:
            return torch.load(source, map_location="cpu", weights_only=True)
        except RuntimeError as error:
            if "magic number" not in str(error):
                raise
            plain = torch.load(_as_archive(source), map_location="cpu", weights_only=True)
            if not isinstance(plain, Mapping):
                raise
            return plain


def _as_archive(source: Path) -> BinaryIO:
    """Return a plain pickle (of arrays, as detectron2 writes) in the frame that torch reads."""
    framed = io.BytesIO()
    with zipfile.ZipFile(framed, "w") as archive:
        archive.write(source, "archive/data.pkl")
        archive.writestr("archive/version", "3\n")
    framed.seek(0)
    return framed


def _check_archive(source: Path) -> None:
    """Validate an archive: no zip bomb (torch stores without compression), a checkpoint's, no damaged parts."""
    with zipfile.ZipFile(source) as archive:
        parts = archive.infolist()
        _check_kind([part.filename for part in parts])
        claimed = sum(part.file_size for part in parts)
        if claimed > source.stat().st_size:
            raise Unusable(f"its archive claims {claimed:,} bytes in a file of {source.stat().st_size:,}")
        _check_sums(archive, parts)


def _check_kind(names: list[str]) -> None:
    if any(name.endswith("/constants.pkl") or "/code/" in name for name in names):
        raise Unusable("it is a TorchScript program, expected a state dictionary")
    inner = [name for name in names if re.search(r"\.(pth|pt|tar|ckpt|bin|th|pkl|safetensors)$", name)]
    if inner and not any(re.fullmatch(r"(.*/)?data\.pkl", name) for name in names):
        raise Unusable(f"it is a zip around {inner[0][:80]!a}: unpack it and name the file inside")


def _check_sums(archive: zipfile.ZipFile, parts: list[zipfile.ZipInfo]) -> None:
    """Validate each part's CRC-32; if no part's is right, torch was told to write none."""
    wrong = [part.filename for part in parts if not _is_whole(archive, part)]
    if wrong and len(wrong) < sum(part.file_size > 0 for part in parts):
        raise Unusable(f"{wrong[0][:80]!a} in its archive is damaged, its CRC-32 differs: {AGAIN}")


def _is_whole(archive: zipfile.ZipFile, part: zipfile.ZipInfo) -> bool:
    try:
        with archive.open(part) as content:
            while content.read(1 << 20):
                pass
    except zipfile.BadZipFile as error:
        if "CRC-32" not in str(error):
            raise
        return False
    return True


class PassedOver:
    """Discards values that are not weights (settings, dates, a best score), so that none of their code runs."""

    def __init__(self, *_: object) -> None:
        """Discard the arguments."""

    def __setstate__(self, _: object) -> None:
        """Discard the state."""


class _NumberKind(PassedOver):
    """Stands in for numpy's dtype: keeps its name, as in "f4"."""

    def __init__(self, name: object = "", *_: object) -> None:
        """Keep the name."""
        self.name = name


class _Array(PassedOver):
    """Stands in for a numpy array: keeps what it was written with, and numpy is not called."""

    written: tuple[Any, ...] = ()

    def __setstate__(self, state: object) -> None:
        """Keep version, shape, dtype, order and bytes."""
        self.written = state if isinstance(state, tuple) else ()

    def tensor(self) -> Any:  # noqa: ANN401
        """Convert its values to a tensor; None if they are no numbers in C's order."""
        import torch

        kinds = {"f2": torch.float16, "f4": torch.float32, "f8": torch.float64, "i8": torch.int64, "i4": torch.int32}
        if len(self.written) != 5:
            return None
        _, shape, kind, by_columns, values = self.written
        dtype = kinds.get(getattr(kind, "name", ""))
        if dtype is None or by_columns or not isinstance(values, bytes) or not values:
            return None
        return torch.frombuffer(bytearray(values), dtype=dtype).reshape(shape)


def _dictionary(*_: object) -> OrderedDict[Any, Any]:
    """Stand in for a dictionary with defaults, which are not needed to read it."""
    return OrderedDict()


_STAND_INS: dict[Any, tuple[str, ...]] = {
    PassedOver: (
        "argparse.Namespace", "datetime.datetime", "datetime.timedelta", "typing.Any",
        *(f"pathlib.{kind}" for kind in ("Path", "PosixPath", "PurePosixPath", "WindowsPath")),
        "numpy.ndarray", "numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar",
        "omegaconf.dictconfig.DictConfig", "omegaconf.listconfig.ListConfig", "omegaconf.nodes.AnyNode",
        "omegaconf.base.ContainerMetadata", "omegaconf.base.Metadata",
        "pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint",
        "pytorch_lightning.callbacks.early_stopping.EarlyStopping",
        "mmengine.logging.history_buffer.HistoryBuffer", "torch.torch_version.TorchVersion",
        *(f"{home}.{kind}" for home in ("builtins", "__builtin__") for kind in ("list", "dict", "int", "float", "set")),
    ),
    OrderedDict: (
        "pytorch_lightning.utilities.parsing.AttributeDict", "lightning_fabric.utilities.data.AttributeDict",
        "lightning.fabric.utilities.data.AttributeDict", "yacs.config.CfgNode", "easydict.EasyDict",
        "addict.addict.Dict", "munch.Munch", "mmcv.utils.config.ConfigDict", "mmengine.config.config.ConfigDict",
    ),
    _dictionary: ("collections.defaultdict",),
    _Array: ("numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct"),
    _NumberKind: ("numpy.dtype",),
}  # fmt: skip
"""What stands in for the classes and functions that checkpoints name; entries are set in dictionaries alone."""


def _tensors(checkpoint: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401
    """Walk dictionaries, the optimizer's left out, and yield tensors by path; in all, so many entries and no more."""
    import torch

    entries = 0
    waiting = [("", checkpoint, 0)]
    while waiting:
        path, value, depth = waiting.pop()
        value = value.tensor() if isinstance(value, _Array) else value
        if isinstance(value, torch.Tensor):
            yield path, value
        elif isinstance(value, Mapping) and depth < _DEEPEST:
            inner = [
                (_path(path, name), one, depth + 1)
                for name, one in value.items()
                if isinstance(name, str) and name != "optimizer"
            ]
            waiting += reversed(inner)
            entries += len(value)
            if entries > _MOST_ENTRIES:
                raise Unusable(f"it has over {_MOST_ENTRIES:,} entries, more than any checkpoint")


def _path(path: str, name: str) -> str:
    if len(name) > _LONGEST_NAME or not name.isprintable():
        raise Unusable(f"an entry's name is {name[:40]!a}, expected at most {_LONGEST_NAME} printable letters")
    return f"{path}/{name}" if path else name


def _plain(value: Any, path: str) -> Any:  # noqa: ANN401 - a tensor
    """Copy a tensor to memory of its own; one that claims more than it stores is refused."""
    import torch

    if value.layout is not torch.strided or value.is_quantized or value.is_meta:
        raise Unusable(f"{path or 'what it holds'} is sparse, quantised or without values, expected a dense tensor")
    if value.numel() * value.element_size() > 2 * value.untyped_storage().nbytes() + 64:
        raise Unusable(f"{path or 'its tensor'} claims {value.numel():,} values and stores fewer")
    return value.detach().clone(memory_format=torch.contiguous_format)


def reason(error: Exception) -> str:
    """Explain in one line why a file cannot be read, without torch's advice to load it without protection."""
    text = "".join(letter if letter.isprintable() else " " for letter in str(error))
    text = " ".join(text.split()).removeprefix("Weights only load failed. ")
    if needed := re.search(r"GLOBAL (\S+)", text):
        return f"to read it, {needed[1][:80]} would have to run, and only tensors and plain values are read"
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "there is no room for it in the folder for temporary files: make room, or name another with TMPDIR"
    if isinstance(error, zipfile.BadZipFile) or "PytorchStreamReader" in text:
        return f"its archive is damaged or cut off: {AGAIN}"
    if "Unsupported operand 149" in text:  # a frame, as protocol 4 begins
        return "it is a pickle of a protocol that is not read here, expected protocol 2 as torch.save writes"
    if isinstance(error, (MemoryError, RecursionError)) or "allocate memory" in text:
        return "it claims more memory than its size allows"
    if type(error).__name__ == "SafetensorError":
        return f"it is no whole safetensors file ({text[:120]}): {AGAIN}"
    if isinstance(error, Unusable):
        return text[:300]
    return f"it is damaged, or no pickle of tensors and plain values ({type(error).__name__}): {AGAIN}"


if __name__ == "__main__":
    sys.exit(main())
