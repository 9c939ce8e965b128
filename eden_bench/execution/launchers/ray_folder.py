"""The folder of a Ray cluster of our own: private, locked while its driver lives, then swept by the next."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

_PREFIX, _LOCK = "eb-", "driver.lock"


@contextlib.contextmanager
def own_folder(parent: Path | None = None) -> Iterator[str]:
    """Yield a folder for Ray's files, removed at the end; first remove those whose drivers were killed.

    Ray opens what it is given to everybody, so it gets a folder within one that only this user may enter.

    Args:
        parent: where it is made; None: where a path is short, since that of a socket may have 107 bytes.
    """
    where = parent or _short()
    sweep(where)
    made = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=where))
    try:
        with _locked(made):
            yield str(made / "r")
    finally:
        shutil.rmtree(made, ignore_errors=True)


def sweep(parent: Path) -> None:
    """Remove this user's folders of drivers that are dead; a folder without a lock may be about to get one."""
    for folder in parent.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            if folder.lstat().st_uid == os.getuid() and not folder.is_symlink() and _is_free(folder / _LOCK):
                shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock, which the kernel drops at this process's end; it appears when it is held."""
    new = folder / "new"
    descriptor = os.open(new, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        new.rename(folder / _LOCK)
        yield
    finally:
        os.close(descriptor)


def _is_free(lock: Path) -> bool:
    """Return whether nobody holds a lock.

    Raises:
        OSError: somebody does, or there is none.
    """
    descriptor = os.open(lock, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.close(descriptor)
    return True


def _short() -> Path:
    return Path("/tmp" if os.access("/tmp", os.W_OK) else tempfile.gettempdir())  # noqa: S108 - private within
