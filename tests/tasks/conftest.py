"""A registry that forgets what a test adds to it."""

import pytest

from eden_bench import registry


@pytest.fixture
def fresh_registry(monkeypatch):
    for kind in (registry.tasks, registry.datasets):
        kind.load_all()
        monkeypatch.setattr(kind, "_made", dict(kind._made))
        monkeypatch.setattr(kind, "_origins", dict(kind._origins))
