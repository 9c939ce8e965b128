"""No method needs an operation that torch has no deterministic version of, as far as a CPU can tell."""

import math

import pytest
import torch

from tests.pretrain.tiny import config, method, train_step

NAMES = ("densecl", "dira", "medical-mae", "simmim", "transvw", "vicregl")
"""Methods whose losses scatter, gather, resample or pool; the others do less."""


@pytest.fixture
def deterministic():
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("name", NAMES)
def test_a_step_of_the_last_stage_raises_nothing(deterministic, name):
    last = len(config(name).stages) - 1
    assert math.isfinite(train_step(method(name, stage=last)))
