"""Results folders on network file systems: used where locks reach other machines, else refused with the reason."""

import errno
import fcntl

import pytest

from eden_bench.errors import StoreFailed
from eden_bench.execution import locks
from eden_bench.files import atomic, mounts

HEAD = "24 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n25 24 0:22 / /proc rw - proc proc rw\ndamaged line\n"


@pytest.fixture
def mounted(tmp_path, monkeypatch):
    """Pretend that a folder with a blank in its name lies on a mount."""
    folder = tmp_path / "shared disk"
    folder.mkdir()

    def pretend(kind, options):
        point = str(folder).replace(" ", "\\040")
        (tmp_path / "mountinfo").write_text(
            f"{HEAD}99 24 0:50 / {point} rw,relatime shared:9 - {kind} server:/x {options}\n"
        )
        monkeypatch.setattr(mounts, "MOUNTS", tmp_path / "mountinfo")
        return folder / "runs"

    return pretend


@pytest.mark.trap(
    "crashes", "results folders on NFS", "used where locks reach the server, else refused with the reason"
)
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("nfs4", "rw,vers=4.2,local_lock=none,addr=10.0.0.1"),
        ("nfs", "rw,vers=3,local_lock=none"),
        ("nfs", "rw,vers=3,local_lock=posix"),
        ("lustre", "rw,flock"),
        ("ext4", "rw,nolock"),
    ],
)
def test_where_locks_reach_other_machines_the_folder_is_used(mounted, kind, options):
    out = mounted(kind, options)
    assert mounts.mount_of(out).kind == kind
    with locks.presence(out):
        assert (out / "locks" / "run.lock").is_file()


@pytest.mark.parametrize(
    ("kind", "options", "said"),
    [
        ("nfs", "rw,vers=3,nolock,local_lock=all", r"\(nfs, mounted with nolock, local_lock=all\)"),
        ("nfs4", "rw,vers=4.1,local_lock=flock", r"\(nfs4, mounted with local_lock=flock\)"),
        ("lustre", "rw,localflock", "mounted with localflock"),
        ("cifs", "rw,nobrl", "mounted with nobrl"),
        ("fuse.sshfs", "rw", r"\(fuse.sshfs, which carries no locks\)"),
    ],
)
def test_where_they_do_not_the_folder_is_refused_before_anything_is_written(mounted, kind, options, said):
    out = mounted(kind, options)
    with (
        pytest.raises(StoreFailed, match=f"{said}.* would do every cell twice: choose a folder on a local disk"),
        locks.presence(out),
    ):
        pass
    assert not out.exists()


def test_the_longest_mount_point_counts_and_a_system_that_tells_nothing_is_trusted(mounted, tmp_path, monkeypatch):
    mounted("nfs", "nolock")
    assert mounts.mount_of(tmp_path).kind == "ext4"
    monkeypatch.setattr(mounts, "MOUNTS", tmp_path / "absent")
    assert mounts.mount_of(tmp_path) is None
    mounts.refuse_local_locks(tmp_path)


def test_a_file_system_without_locks_is_one_sentence(tmp_path, monkeypatch):
    def none(descriptor, kind):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", none)
    with (
        pytest.raises(StoreFailed, match=r"is on a file system without locks \(No locks available\): choose"),
        locks.presence(tmp_path),
    ):
        pass


def test_a_folder_that_another_machine_stored_meanwhile_is_kept(tmp_path, monkeypatch):
    kept = tmp_path / "cell"
    with atomic.folder(kept) as folder:
        (folder / "a").write_text("first")
    monkeypatch.setattr(type(kept), "exists", lambda self: False)  # as a stale view of a network's folder has it
    with atomic.folder(kept) as folder:
        (folder / "a").write_text("second")
    assert (kept / "a").read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["cell"]
