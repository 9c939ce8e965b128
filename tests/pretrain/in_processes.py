"""Run by ``test_engine_distributed.py`` in each process, with the environment that torchrun sets."""

import sys
from pathlib import Path

import torch

from pretrain.engine.distributed import process_group
from tests.pretrain.tiny import pretrain_in

if __name__ == "__main__":
    torch.set_num_threads(1)
    with process_group("cpu"):
        for name in sys.argv[2:]:
            pretrain_in(Path(sys.argv[1]), name)
