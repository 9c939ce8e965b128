"""Files are read ahead by threads once a disk has made the process wait, and never before."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from eden_bench.files import read_ahead
from eden_bench.files.read_ahead import ReadAhead


@pytest.fixture
def blocks(tmp_path):
    """Three blocks of four folders with a file each."""
    folders = [tmp_path / f"{number:02}" for number in range(12)]
    for folder in folders:
        folder.mkdir()
        (folder / "a.txt").write_text(folder.name)
    return [folders[start : start + 4] for start in (0, 4, 8)]


@pytest.fixture
def opened(monkeypatch):
    """Which files threads have opened."""
    found = set()
    real = Path.open

    def noting(path, *given, **more):
        if threading.current_thread() is not threading.main_thread():
            found.add(path.parent.name)
        return real(path, *given, **more)

    monkeypatch.setattr(Path, "open", noting)
    monkeypatch.setattr(read_ahead, "ThreadPoolExecutor", Patient)
    return found


class Patient(ThreadPoolExecutor):
    """Threads that do what they were asked to before they end."""

    def shutdown(self, wait=True, *, cancel_futures=False):
        super().shutdown(wait=wait)


@pytest.fixture
def clock(monkeypatch):
    """Clocks that go on when told: by seconds that were worked, and seconds that were waited."""
    now = {"worked": 0.0, "waited": 0.0}

    def go(worked=0.0, waited=0.0):
        now["worked"] += worked
        now["waited"] += waited

    read = {"perf_counter": lambda: now["worked"] + now["waited"], "process_time": lambda: now["worked"]}
    monkeypatch.setattr(read_ahead, "time", SimpleNamespace(**read))
    return go


def through(blocks, each, names=("a.txt", "absent.txt")):
    ahead = ReadAhead(names)
    try:
        for block, later in zip(blocks, [*blocks[1:], ()], strict=True):
            for folder in ahead.through(block, later):
                each(folder)
        return ahead.slow
    finally:
        ahead.end()


def reading():
    """Return the threads that read ahead and live."""
    return [each.name for each in threading.enumerate() if each.name.startswith(read_ahead._NAME)]


def test_a_slow_disk_is_read_ahead_of_from_the_second_block_on(blocks, opened, clock):
    seen = []
    assert through(blocks, lambda folder: (clock(worked=0.001, waited=0.003), seen.append(folder)))
    assert seen == [folder for block in blocks for folder in block]
    assert opened == {folder.name for folder in blocks[2]}  # the first was waited for, the second had begun
    assert not reading()


@pytest.mark.parametrize(("worked", "waited"), [(0.001, 0.0019), (0.0001, 0.0004)])
def test_a_quick_disk_gets_no_threads(blocks, opened, clock, worked, waited):
    """One that makes a process wait for less than twice its work, or for less than half a millisecond a folder."""
    assert not through(blocks, lambda folder: clock(worked, waited))
    assert opened == set()


def test_threads_end_where_reading_is_given_up(blocks, clock):
    def breaks(folder):
        if folder == blocks[2][1]:
            assert reading()
            raise KeyError
        clock(waited=0.02)

    with pytest.raises(KeyError):
        through(blocks, breaks)
    assert not reading()


def test_a_file_that_is_gone_is_told_by_who_asks_for_it(blocks, opened, clock):
    (blocks[2][0] / "a.txt").unlink()
    assert through(blocks, lambda folder: clock(waited=0.02))
    assert blocks[2][0].name in opened
