"""Run by ``test_engine_distributed.py`` in each process: a run of two stages, whole and stopped in the first one.

Each process leaves the weights that it ended with. A third run is stopped by a signal that one process alone gets.
"""

import os
import signal
import sys
from pathlib import Path
from unittest import mock

import torch

from eden_bench import preemption
from eden_bench.contracts import Context
from eden_bench.errors import Preempted
from pretrain.engine import distributed, training
from pretrain.engine.training import Training
from tests.pretrain.tiny import config, data


class Stopped(BaseException):
    """What a kill looks like from inside."""


class Stopping(Training):
    """Ends in the first stage's second epoch, when the first is saved."""

    def _look_up(self, stage):
        super()._look_up(stage)
        if self.at.epoch == 1:
            raise Stopped


class Asked(Training):
    """Is asked to stop in its third step, process 1 alone."""

    def _step(self, views):
        super()._step(views)
        if distributed.rank() == 1 and (self.at.epoch, self.at.step) == (1, 1):
            os.kill(os.getpid(), signal.SIGTERM)


def trained(folder, kind=Training):
    made = kind(
        name="adam", config=config("adam", levels=(0, 2), size_px=32), data=data(), seed=0, folder=folder,
        context=Context(cache=folder), device=torch.device("cpu"), recipe="adam", save_every_s=0.0,
    )  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    made.run()
    torch.save(dict(made.method.encoder.named_parameters()), folder / f"{distributed.rank()}.pt")


if __name__ == "__main__":
    torch.set_num_threads(1)
    with distributed.process_group("cpu"):
        whole, stopped = (Path(sys.argv[1]) / name for name in ("whole", "stopped"))
        trained(whole)
        try:
            trained(stopped, Stopping)
        except Stopped:
            distributed.wait_for_all()
        trained(stopped)
        asked = Path(sys.argv[1]) / "asked"
        with preemption.heeded(), mock.patch.object(training, "CHECK_EVERY_STEPS", 1):
            try:
                trained(asked, Asked)
            except Preempted:
                distributed.wait_for_all()
        assert not (asked / f"{distributed.rank()}.pt").exists()
        trained(asked)
