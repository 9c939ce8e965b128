"""Where weights lie: what a folder holds that is no checkpoint's, and what a file is called."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

_ENDINGS = re.compile(r"(\.(pth|pt|tar|ckpt|th|pkl|bin|safetensors))+$", re.IGNORECASE)
_FILES = ("*.safetensors", "*.pth", "*.pt", "*.ckpt", "*.bin", "*.tar")


def wrong_folder(folder: Path) -> str:
    """Say what a folder without a card holds, and what to name instead."""
    if shards := sorted(folder.glob("*.distcp")):
        return (
            f"holds shards of a distributed checkpoint ({shards[0].name}): join them into one file with "
            "'python -m torch.distributed.checkpoint.format_utils dcp_to_torch FOLDER FILE.pth' and name that"
        )
    found = [path.name for pattern in _FILES for path in sorted(folder.glob(pattern))]
    if found and not any(folder.glob("*state*")):
        return f"holds no card.json: name the file in it, for example {folder / found[0]}"
    return "holds no card.json, expected a file of weights, or a folder that pretrain or import-weights has finished"


def named_after(file: Path) -> str:
    """Return a method's name from a file's: plain letters, digits and single dashes."""
    plain = unicodedata.normalize("NFKD", _ENDINGS.sub("", file.name)).encode("ascii", "ignore").decode()
    return re.sub(r"[^0-9A-Za-z_]+", "-", plain).strip("-") or "weights"
