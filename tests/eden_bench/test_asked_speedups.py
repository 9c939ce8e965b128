"""--speedups and --at-once: asked for on the command line, told in what is stored."""

import json
import re

import pytest
from typer.testing import CliRunner

from eden_bench import api
from eden_bench.cli import app
from eden_bench.devices import fast_precision
from eden_bench.errors import UsageError
from eden_bench.settings import gather
from eden_bench.weights.checkpoints import recipe_id


@pytest.fixture
def given(fakes, monkeypatch):
    """Return what the engine was given, call by call."""
    calls, plain = [], fakes.FakeEngine.pretrain

    def pretrain(self, name, config, data, *, speedups=(), **others):
        calls.append((speedups, others["folder"].name, config, data.digest))
        return plain(self, name, config, data, **others)

    monkeypatch.setattr(fakes.FakeEngine, "pretrain", pretrain)
    return calls


def test_speedups_reach_the_engine_under_the_folder_of_their_own_recipe(given, here):
    for asked in (None, "tune, compile", "compile,tune"):
        api.pretrain("fake-trained", data_name="fake-set", speedups=asked, **here)
    (nothing, plain, *_), (both, folder, config, digest), *again = given
    assert (nothing, both) == ((), ("compile", "tune"))
    marks = f"{fast_precision('cpu')}+compile+tune"
    recipe = recipe_id("fake-trained", config, digest, 0, int(here["threads"]), precision=marks)
    assert folder == f"fake-trained-{recipe[:12]}" != plain
    assert [each[1] for each in again] in ([], [folder])


def test_the_command_that_repeats_a_cell_asks_for_them_again(given, here):
    asked = {"seeds": "0", "speedups": "tune"}
    trained, untrained = (
        api.run(name, "fake-heart", **asked, **here).records for name in ("fake-trained", "fake-random")
    )
    assert "--speedups tune" in json.dumps(trained[0].content)
    assert "--speedups" not in json.dumps(untrained[0].content)


def test_an_unknown_one_is_refused_by_its_nearest_name():
    with pytest.raises(UsageError, match=re.escape("flag --speedups: unknown speed-up 'compil'. Did you mean")):
        gather(speedups="tune,compil")


def test_both_are_read_from_the_environment(monkeypatch):
    monkeypatch.setenv("EDEN_BENCH_SPEEDUPS", "tune")
    monkeypatch.setenv("EDEN_BENCH_AT_ONCE", "3")
    assert (gather().speedups, gather().at_once) == (("tune",), 3)


def test_they_are_told_in_help():
    told = CliRunner().invoke(app, ["run", "--help"], env={"COLUMNS": "200"}).output
    assert "--speedups" in told
    assert "--at-once" in told
