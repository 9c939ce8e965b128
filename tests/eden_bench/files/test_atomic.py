"""Files and folders are there or not there."""

import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from eden_bench.errors import EdenError, UsageError
from eden_bench.files import atomic


def half_written(path):
    path.write_text("ne")
    raise RuntimeError("half-way")


def test_a_failed_write_leaves_the_old_file_and_no_orphan(tmp_path):
    target = tmp_path / "f.txt"
    atomic.write_text(target, "old")
    with pytest.raises(RuntimeError, match="half-way"), atomic.aside(target) as temporary:
        half_written(temporary)
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["f.txt"]


def test_a_failed_folder_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError, match="half-way"), atomic.folder(tmp_path / "record") as temporary:
        half_written(temporary / "a")
    assert list(tmp_path.iterdir()) == []


def test_an_existing_folder_is_never_changed(tmp_path):
    for text in ("first", "second"):
        with atomic.folder(tmp_path / "record") as temporary:
            (temporary / "a").write_text(text)
    assert (tmp_path / "record" / "a").read_text() == "first"


def test_nan_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        atomic.write_json(tmp_path / "a.json", {"score": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(EdenError, match="choose a folder you may write to with --out"):
        atomic.write_text(tmp_path / "file" / "below" / "a", "x")


def _write_for_ever(target: Path) -> None:
    number = 0
    while True:
        number += 1
        atomic.write_text(target, f"{number:08d}" * 5000)


def test_a_kill_at_any_moment_leaves_a_whole_file(tmp_path):
    target = tmp_path / "state"
    for attempt in range(10):
        process = multiprocessing.get_context("spawn").Process(target=_write_for_ever, args=(target,))
        process.start()
        deadline = time.monotonic() + 30
        while not target.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.003 * attempt)
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        text = target.read_text()
        assert len(text) == 40000
        assert text == text[:8] * 5000
        target.unlink()
    atomic.sweep(tmp_path)
    assert list(tmp_path.iterdir()) == []


def _hold(path: Path, ready) -> None:
    with atomic.locked(path):
        ready.set()
        time.sleep(60)


def test_a_lock_dies_with_its_process(tmp_path):
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    process = context.Process(target=_hold, args=(tmp_path / "lock", ready))
    process.start()
    assert ready.wait(30)
    with atomic.locked(tmp_path / "lock", wait=False) as got:
        assert not got
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    with atomic.locked(tmp_path / "lock", wait=False) as got:
        assert got


@pytest.mark.timeout(20)
def test_a_lock_that_is_a_pipe_or_a_device_is_refused_and_never_waited_for(tmp_path):
    os.mkfifo(tmp_path / "run.lock")
    (tmp_path / "cell.lock").symlink_to("/dev/zero")
    for name in ("run.lock", "cell.lock"):
        with pytest.raises(UsageError, match=f"{name} is no regular file"), atomic.locked(tmp_path / name):
            pass
