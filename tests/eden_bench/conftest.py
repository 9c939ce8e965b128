"""Fixtures of the runner's tests: fake plugins, registered for one test, and a folder of their own."""

import sys
from pathlib import Path

import pytest

from eden_bench import registry
from eden_bench.execution import inputs
from eden_bench.settings import Settings

FAKES = Path(__file__).parent / "fakes.py"


@pytest.fixture
def fakes(monkeypatch):
    """The fake plugins, loaded as ``--plugin`` does; gone after the test."""
    for kind in (registry.methods, registry.tasks, registry.datasets):
        kind.load_all()  # what is first imported meanwhile would register into a copy and be forgotten with it
        monkeypatch.setattr(kind, "_made", dict(kind._made))
        monkeypatch.setattr(kind, "_origins", dict(kind._origins))
    monkeypatch.setattr(registry, "engine", registry.engine)
    monkeypatch.setattr(inputs, "pretraining_sets", lambda: {"chest-x-ray": "fake-set"})
    for name in ("FAKE_LOG", "FAKE_BREAK", "FAKE_SLEEP_S", "FAKE_DIE"):
        monkeypatch.delenv(name, raising=False)
    registry.load_plugin_file(FAKES)
    return sys.modules["eden_bench_plugin_fakes"]


@pytest.fixture
def here(fakes, tmp_path, monkeypatch):
    """The settings of a run in a temporary folder, as keyword arguments of ``run``."""
    monkeypatch.chdir(tmp_path)
    return {"out": tmp_path / "runs", "cache": tmp_path / "cache", "device": "cpu", "threads": 1}


@pytest.fixture
def settings(here):
    """The same as Settings."""
    return Settings(data=None, **here)
