"""Fine-tuning works under torch's deterministic algorithms, and gives the same numbers as without."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tasks.finetuning.augmentation import Augmentation, draw, intensities
from tasks.finetuning.warps import sample
from tests.tasks.finetuning.test_turns import CPU, KINDS, encoder_of, opened


@pytest.fixture
def _deterministic():
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("kind", KINDS)
def test_a_deterministic_run_raises_nothing_and_moves_nothing_on_a_cpu(tmp_path, kind, request):
    """Every operation of augmentation, network, losses and optimiser has a deterministic kernel, or this raises."""
    usual = opened(tmp_path, kind, max_steps=3).run(encoder_of(0), 0)
    request.getfixturevalue("_deterministic")
    strict = opened(tmp_path, kind, max_steps=3).run(encoder_of(0), 0)
    assert strict.scores == usual.scores
    assert strict.training == usual.training


def test_what_a_gpu_augments_by_is_deterministic_too(request):
    """The operations of a GPU's batches, on a CPU: every kind of bend is drawn, and nothing raises or differs."""
    protocol, rows = replace(KINDS["segmentation"][1], distortion_p=1.0, intensity_p=1.0), np.arange(24)
    draws = draw(protocol, 0, 0, rows)
    assert set(draws.distortion) == {"elastic", "grid", "optical"}
    films = torch.rand(24, 1, 32, 32, generator=torch.Generator().manual_seed(0))

    def augmented():
        source = Augmentation(protocol, 0, CPU).source(draws, rows, rows, 0, 32)
        return sample(intensities(films.clone(), draws), source, "bilinear")

    usual = augmented()
    request.getfixturevalue("_deterministic")
    assert torch.equal(augmented(), usual)
