"""Network file systems: which of them carry a lock to other machines, by how they are mounted.

Work is divided by kernel locks. NFS (v3 with its lock manager, v4 always) carries ``flock`` to the server as a lock on
the whole file, so that machines see each other's; mounted with ``nolock`` or ``local_lock=flock`` it does not, and each
machine would take every cell for its own. Such a folder is refused.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from eden_bench.errors import StoreFailed

REMEDY = "choose a folder on a local disk with --out, one a machine, and merge them with `eden-bench merge`"
MOUNTS = Path("/proc/self/mountinfo")
_LOCAL = {
    "nfs": ("nolock", "local_lock=flock", "local_lock=all"),
    "nfs4": ("local_lock=flock", "local_lock=all"),
    "lustre": ("localflock",),
    "cifs": ("nobrl",),
    "smb3": ("nobrl",),
}
"""Type of file system to the options under which its locks are one machine's own."""
_NEVER = ("fuse.sshfs", "fuse.s3fs", "fuse.rclone", "fuse.gcsfuse", "fuse.blobfuse2", "9p")
"""Those that carry no lock, however they are mounted."""


class Mount(NamedTuple):
    """What a folder lies on."""

    point: Path
    kind: str
    options: tuple[str, ...]


def mount_of(folder: Path) -> Mount | None:
    """Return the mount that a folder lies on, there or not; None where the system does not tell (as on macOS)."""
    try:
        lines = MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return None
    place = folder.absolute().resolve()
    fitting = [mount for mount in map(_parsed, lines) if mount and place.is_relative_to(mount.point)]
    return max(fitting, key=lambda mount: len(mount.point.parts), default=None)


def refuse_local_locks(folder: Path) -> None:
    """Refuse a results folder that several machines could share without seeing each other's locks.

    Raises:
        StoreFailed: names the mount and what is wrong with it.
    """
    mount = mount_of(folder)
    if mount is None:
        return
    wrong = [option for option in _LOCAL.get(mount.kind, ()) if option in mount.options]
    if wrong or mount.kind in _NEVER:
        why = f"mounted with {', '.join(wrong)}" if wrong else "which carries no locks"
        raise StoreFailed(
            f"{folder} lies on {mount.point} ({mount.kind}, {why}), where machines do not see each other's locks and "
            f"would do every cell twice: {REMEDY}"
        )


def _parsed(line: str) -> Mount | None:
    """Parse a line of mountinfo: fields, "-", type, source, options; a blank in a path is its octal code."""
    before, dash, after = line.partition(" - ")
    fields, rest = before.split(" "), after.split(" ")
    if not dash or len(fields) < 6 or len(rest) < 3:
        return None
    point = re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), fields[4])
    return Mount(Path(point), rest[0], (*fields[5].split(","), *rest[2].split(",")))
