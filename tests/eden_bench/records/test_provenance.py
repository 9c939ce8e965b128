"""Provenance: what cannot be found out is left empty."""

import subprocess
from pathlib import Path

import pytest

from eden_bench.records import provenance


@pytest.mark.parametrize("error", [subprocess.TimeoutExpired("git", 10), PermissionError(13, "denied")])
def test_a_git_that_fails_costs_no_cell(monkeypatch, error):
    def fail(*arguments, **options):
        raise error

    monkeypatch.setattr(provenance.subprocess, "run", fail)
    provenance.git_commit.cache_clear()
    try:
        assert provenance.git_commit() == ""
    finally:
        provenance.git_commit.cache_clear()


def test_a_record_names_the_commit_of_the_source():
    root = Path(__file__).parents[3]
    if not (root / ".git").exists():
        pytest.skip("not a checkout")
    head = subprocess.run(["git", "-C", root, "rev-parse", "HEAD"], capture_output=True, text=True).stdout.strip()
    assert provenance.git_commit().removesuffix("+changes") == head != ""
