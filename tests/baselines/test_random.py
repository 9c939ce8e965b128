import pytest

from baselines.random import Random, RandomConfig


def weights(seed):
    return Random(RandomConfig(arch="resnet18-w16")).load_encoder(seed).conv1.weight


@pytest.mark.trap("random", "PyTorch's default initialisation, one draw a seed", "from the cell's seed")
def test_the_cells_seed_draws_the_weights():
    assert weights(0).equal(weights(0))
    assert not weights(0).equal(weights(1))


def test_it_is_a_resnet50_unless_told_otherwise():
    assert RandomConfig().arch == "resnet50"
