"""Write files and folders atomically, remove what killed processes left, and lock.

Written aside in the same folder, flushed to the disk, renamed into place, and the folder flushed too: the
order that survives kill -9 and a power cut on a local file system.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import glob
import json
import os
import shutil
import stat
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from eden_bench import preemption
from eden_bench.errors import StoreFailed
from eden_bench.files.mounts import REMEDY

_ASIDE = ".aside-"
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)
_RETRY_S = 0.05
"""Between two tries of a lock: what waits goes on within a tenth of a second."""
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


def write_bytes(path: Path, content: bytes) -> None:
    """Replace a file with content, atomically and durably."""
    with aside(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Replace a text file (UTF-8), atomically and durably."""
    write_bytes(path, content.encode())


def write_json(path: Path, content: Any) -> None:  # noqa: ANN401 - JSON
    """Replace a JSON file, atomically and durably. Raises ValueError on NaN."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


@contextlib.contextmanager
def aside(path: Path) -> Iterator[Path]:
    """Yield a path to write a file to; on success it replaces path, otherwise it is removed."""
    _make_parent(path)
    temporary = path.with_name(f"{_ASIDE}{path.name}-{uuid.uuid4().hex[:8]}")
    try:
        with explained(path.parent, *_FULL):
            yield temporary
        with explained(path.parent):
            _flush(temporary)
            os.replace(temporary, path)  # noqa: PTH105 - Path.replace says less about overwriting
            _flush(path.parent)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder to fill; on success it is renamed to path, otherwise it is removed.

    An existing path is kept as it is and the new folder dropped: what is stored is never changed.
    """
    _make_parent(path)
    temporary = path.with_name(f"{_ASIDE}{path.name}-{uuid.uuid4().hex[:8]}")
    with explained(path.parent):
        temporary.mkdir()
    try:
        with explained(path.parent, *_FULL):
            yield temporary
        with explained(path.parent):
            for file in sorted(temporary.rglob("*")):
                _flush(file)
            _flush(temporary)
            if not path.exists():
                _keep_first(temporary, path)
                _flush(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _keep_first(temporary: Path, path: Path) -> None:
    """Rename a folder unless another machine was faster, whose folder this one may not have seen yet."""
    try:
        temporary.rename(path)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise


def sweep(parent: Path, name: str | None = None) -> int:
    """Remove temporary files that killed processes left in a folder, all or one name's; return how many.

    Call it holding the lock under which they are written.
    """
    pattern = f"{_ASIDE}*" if name is None else f"{_ASIDE}{glob.escape(name)}-????????"
    orphans = list(parent.glob(pattern)) if parent.is_dir() else []
    for orphan in orphans:
        shutil.rmtree(orphan) if orphan.is_dir() else orphan.unlink()
    return len(orphans)


@contextlib.contextmanager
def locked(path: Path, *, wait: bool = True, shared: bool = False) -> Iterator[bool]:
    """Lock a file by a kernel lock, which is released when the process ends; yield whether it was acquired.

    Several processes may hold a shared lock at once, but not beside an exclusive one.
    """
    _make_parent(path)
    with explained(path.parent):
        file = open(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC, 0o666), "wb")  # noqa: PTH123, SIM115 - not to wait
    with file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise StoreFailed(f"{path} is no regular file, expected a lock: remove it")
        yield _lock(path, file.fileno(), fcntl.LOCK_SH if shared else fcntl.LOCK_EX, wait)


def _lock(path: Path, descriptor: int, kind: int, wait: bool) -> bool:
    """Try to lock a file, again and again if it waits: blocked in the kernel, it would not see that it must stop."""
    while True:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if not wait:
                return False
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            raise StoreFailed(
                f"{path.parent} is on a file system without locks ({error.strerror}): {REMEDY}"
            ) from error
        preemption.check()
        time.sleep(_RETRY_S)


def _make_parent(path: Path) -> None:
    with explained(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)


@contextlib.contextmanager
def explained(folder: Path, *numbers: int) -> Iterator[None]:
    """Convert an OSError, any or those of some numbers, to StoreFailed: the folder cannot be written."""
    try:
        yield
    except OSError as error:
        if numbers and error.errno not in numbers:
            raise
        raise StoreFailed(
            f"{folder} cannot be written ({error.strerror}): make room there, or choose a folder you may write to with "
            "--out or EDEN_BENCH_CACHE; what is stored is reused"
        ) from error


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def identity(path: Path) -> tuple[int, int] | None:
    """Return what distinguishes a file from one that replaces it; None if it does not exist."""
    try:
        found = path.lstat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


def identities(parent: Path) -> dict[Path, tuple[int, int]]:
    """Return ``identity`` of every file and folder in a folder, hidden ones left out; none if it does not exist."""
    found = {}
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(parent) as entries:
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):  # another process has just removed it
                seen = entry.stat(follow_symlinks=False)
                found[parent / entry.name] = (seen.st_ino, seen.st_mtime_ns)
    return {path: seen for path, seen in found.items() if not path.name.startswith(".")}
