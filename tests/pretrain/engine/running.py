"""Short runs of the engine on noise, and what stops them."""

import json

from eden_bench.contracts import Context
from pretrain.engine.pretraining import pretrain
from tests.pretrain.tiny import config, data


class Stopped(BaseException):
    """What a kill looks like from inside: nothing gets to tidy up."""


def run(
    folder, name="adam", *, progress=lambda *_: None, seed=0, images=None, save_every_s=600.0, speedups=(), **changes
):
    return pretrain(
        name,
        config(name, **changes),
        images or data(),
        seed=seed,
        folder=folder,
        context=Context(cache=folder, progress=progress),
        save_every_s=save_every_s,
        speedups=speedups,
    )


def stop_after(steps):
    """Progress that stops the run at a step."""
    seen = []

    def progress(what, done, total):
        seen.append(done)
        if len(seen) == steps:
            raise Stopped

    return progress


def history(folder):
    lines = (folder / "history.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k not in ("seconds", "waited_s")} for line in lines]


def copied(weights):
    return {key: value.clone() for key, value in weights.items()}
