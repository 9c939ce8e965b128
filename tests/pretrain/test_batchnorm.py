from typing import NamedTuple

import pytest
import torch
from torch import nn

from pretrain.batchnorm import in_groups, shuffled_in_groups


class Two(NamedTuple):
    first: torch.Tensor
    second: torch.Tensor


class Pair(nn.Module):
    def forward(self, images):
        return Two(images.flatten(1), images.mean(dim=(1, 2, 3)))


def images(count=8):
    return torch.randn(count, 3, 4, 4, generator=torch.Generator().manual_seed(0))


def normalise():
    return nn.BatchNorm2d(3, affine=False)


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_each_group_is_normalised_alone(groups):
    expected = torch.cat([normalise()(part) for part in images().chunk(groups)])
    torch.testing.assert_close(in_groups(normalise(), images(), groups), expected)


def test_named_tuples_are_joined_field_by_field():
    joined = in_groups(Pair(), images(), 4)
    assert isinstance(joined, Two)
    torch.testing.assert_close(joined.second, images().mean(dim=(1, 2, 3)))


def test_shuffled_outputs_come_home():
    home = shuffled_in_groups(Pair(), images(), 4, torch.Generator().manual_seed(3))
    assert home.first.equal(images().flatten(1))


def test_keys_are_normalised_beside_other_images_than_queries():
    queries = in_groups(normalise(), images(), 2)
    keys = shuffled_in_groups(normalise(), images(), 2, torch.Generator().manual_seed(3))
    assert not torch.allclose(queries, keys, atol=1e-3)


def test_the_groups_are_those_of_the_permutation():
    order = torch.randperm(8, generator=torch.Generator().manual_seed(3))
    expected = torch.empty_like(images())
    for part in order.chunk(2):
        expected[part] = normalise()(images()[part])
    found = shuffled_in_groups(normalise(), images(), 2, torch.Generator().manual_seed(3))
    torch.testing.assert_close(found, expected)


def test_keys_carry_no_gradient_and_statistics_move_once_a_group():
    network = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3))
    assert not shuffled_in_groups(network, images(), 4, None).requires_grad
    assert int(network[1].num_batches_tracked) == 4


def test_in_eval_mode_nothing_is_shuffled_or_moved():
    network = normalise().eval()
    found = shuffled_in_groups(network, images(), 4, None)
    torch.testing.assert_close(found, in_groups(network, images(), 4))
    assert int(network.num_batches_tracked) == 0
