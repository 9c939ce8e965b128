"""The folder of a Ray cluster of our own goes with its driver, or with the next one's start."""

import multiprocessing
import os
import signal
import stat
import time
from pathlib import Path

import pytest

from eden_bench.execution.launchers import ray_folder


def hold(parent, told):
    with ray_folder.own_folder(parent) as folder:
        told.send(folder)
        time.sleep(60)


@pytest.fixture
def driver(tmp_path):
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=hold, args=(tmp_path, theirs))
    process.start()
    ours.recv()
    yield process
    process.kill()
    process.join()


def test_it_is_private_and_goes_at_the_end(tmp_path):
    with ray_folder.own_folder(tmp_path) as folder:
        (made,) = tmp_path.iterdir()
        assert (Path(folder).parent, stat.S_IMODE(made.stat().st_mode)) == (made, 0o700)
        Path(folder).mkdir()
    assert list(tmp_path.iterdir()) == []


def test_those_of_killed_drivers_go_as_the_next_begins_and_no_others(tmp_path, driver, monkeypatch):
    for other in ("eb-without", "eb-linked-to", "mine"):
        (tmp_path / other).mkdir()
    (tmp_path / "mine" / "driver.lock").touch()
    (tmp_path / "eb-link").symlink_to(tmp_path / "mine")
    before = set(tmp_path.iterdir())
    ray_folder.sweep(tmp_path)
    assert set(tmp_path.iterdir()) == before  # its driver lives
    os.kill(driver.pid, signal.SIGKILL)
    driver.join()
    with monkeypatch.context() as patch:
        patch.setattr(os, "getuid", lambda: os.geteuid() + 1)
        ray_folder.sweep(tmp_path)
    assert set(tmp_path.iterdir()) == before  # another user's
    with ray_folder.own_folder(tmp_path):
        pass
    assert {path.name for path in tmp_path.iterdir()} == {"eb-without", "eb-linked-to", "mine", "eb-link"}
    assert (tmp_path / "mine" / "driver.lock").exists()


def test_a_live_drivers_stays_while_others_come_and_go(tmp_path, driver):
    (made,) = tmp_path.iterdir()
    with ray_folder.own_folder(tmp_path):
        assert made.is_dir()
    assert made.is_dir()
