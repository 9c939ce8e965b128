"""Provenance: what cannot be found out is left empty."""

import subprocess

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
