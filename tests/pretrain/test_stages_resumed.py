"""Methods of several stages, networks and turns, from end to end: stopped anywhere they end as if they were not."""

import json

import pytest

from eden_bench.contracts import Context
from pretrain.engine import training
from pretrain.engine.pretraining import pretrain
from tests.pretrain.tiny import config, data


class Stopped(BaseException):
    """What a kill looks like from inside."""


def run(folder, name, stop=None):
    seen = []

    def progress(what, done, total):
        seen.append(what)
        if len(seen) == stop:
            raise Stopped

    checkpoint = pretrain(
        name, config(name, epochs=1), data(), seed=0, folder=folder, context=Context(cache=folder, progress=progress),
        save_every_s=0.0,
    )  # fmt: skip
    return checkpoint, seen


@pytest.mark.parametrize(("name", "steps"), [("dira", 3 * 2), ("pcrl", 2), ("transvw", 2 + 4)])
def test_a_run_stopped_in_its_last_stage_ends_like_one_that_was_not(tmp_path, name, steps, monkeypatch):
    monkeypatch.setattr(training, "CHECK_EVERY_STEPS", 1)
    whole, seen = run(tmp_path / "whole", name)
    assert len(seen) == whole.card["steps"] == steps
    with pytest.raises(Stopped):
        run(tmp_path / "stopped", name, stop=steps)
    resumed, rest = run(tmp_path / "stopped", name)
    assert len(rest) == 1
    assert resumed.encoder_digest == whole.encoder_digest
    told = [json.loads(line) for line in (tmp_path / "whole" / "history.jsonl").read_text().splitlines()]
    if name == "transvw":
        assert [(e["stage"], e["steps"]) for e in told] == [("autoencoder", 2), ("words", 4)]
        assert ["loss/autoencoder" in e for e in told] == [True, False]
