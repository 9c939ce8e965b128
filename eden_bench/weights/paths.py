"""Check paths of weights: explain a folder that is no checkpoint's, and derive a method's name from a file's."""

from __future__ import annotations

import os
import re
import unicodedata
from pathlib import Path

_ENDINGS = re.compile(r"(\.(pth|pt|tar|ckpt|th|pkl|bin|safetensors))+$", re.IGNORECASE)
_FILES = ("*.safetensors", "*.pth", "*.pt", "*.ckpt", "*.bin", "*.tar")


def wrong_folder(folder: Path) -> str:
    """Explain what a folder without a card holds, and what to name instead."""
    if shards := sorted(folder.glob("*.distcp")):
        return (
            f"holds shards of a distributed checkpoint ({shards[0].name}): join them into one file with "
            "'python -m torch.distributed.checkpoint.format_utils dcp_to_torch FOLDER FILE.pth' and name that"
        )
    if any(folder.glob("*.state")):
        return "holds no card.json, so it is no finished checkpoint: pretrain again to continue it"
    found = [path.name for pattern in _FILES for path in sorted(folder.glob(pattern))]
    if found:
        return f"holds no card.json: name the file in it, for example {folder / found[0]}"
    return "holds no card.json, expected a file of weights, or a folder that pretrain or import-weights has finished"


def is_there(path: Path) -> bool:
    """Check whether a file or folder exists; False for a path that no system allows."""
    return os.path.exists(path)  # noqa: PTH110 - Path.exists raises for a name that is too long


def named_after(file: Path) -> str:
    """Return a method's name from a file's: plain letters, digits and single dashes."""
    plain = unicodedata.normalize("NFKD", _ENDINGS.sub("", file.name)).encode("ascii", "ignore").decode()
    return re.sub(r"[^0-9A-Za-z_]+", "-", plain).strip("-") or "weights"
