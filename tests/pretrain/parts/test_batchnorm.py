from typing import NamedTuple

import pytest
import torch
from torch import nn

from pretrain.parts.batchnorm import in_groups, shuffled_in_groups


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


@pytest.mark.trap("moco-v2", "shuffled batch norm: keys beside other images than queries; unshuffled after")
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_each_group_is_normalised_alone(groups):
    expected = torch.cat([normalise()(part) for part in images().chunk(groups)])
    torch.testing.assert_close(in_groups(normalise(), images(), groups), expected)


def test_named_tuples_are_joined_field_by_field():
    joined = in_groups(Pair(), images(), 4)
    assert isinstance(joined, Two)
    torch.testing.assert_close(joined.second, images().mean(dim=(1, 2, 3)))


@pytest.mark.trap("moco-v2", "shuffled batch norm: keys beside other images than queries; unshuffled after")
def test_shuffled_outputs_come_home():
    home = shuffled_in_groups(Pair(), images(), 4, torch.Generator().manual_seed(3))
    assert home.first.equal(images().flatten(1))


@pytest.mark.trap(
    "moco-v2",
    "shuffled batch norm: keys beside other images than queries; unshuffled after",
    (
        "groups of one device's batch: 4 of 64, as Adam's GPUs; official MoCo-v2 and DenseCL have 8 GPUs of 32, "
        "said on their cards"
    ),
)
def test_keys_are_normalised_beside_other_images_than_queries():
    queries = in_groups(normalise(), images(), 2)
    keys = shuffled_in_groups(normalise(), images(), 2, torch.Generator().manual_seed(3))
    assert not torch.allclose(queries, keys, atol=1e-3)


@pytest.mark.trap("pcrl", "teacher after the optimiser's step; its batch norm shuffled, in train mode")
def test_the_groups_are_those_of_the_permutation():
    order = torch.randperm(8, generator=torch.Generator().manual_seed(3))
    expected = torch.empty_like(images())
    for part in order.chunk(2):
        expected[part] = normalise()(images()[part])
    found = shuffled_in_groups(normalise(), images(), 2, torch.Generator().manual_seed(3))
    torch.testing.assert_close(found, expected)


def test_keys_carry_no_gradient():
    network = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3))
    assert not shuffled_in_groups(network, images(), 4, None).requires_grad


@pytest.mark.trap(
    "moco-v2",
    "running statistics move once a pass, by the images of the first GPU alone",
    "held for every method with groups: by the first group",
)
@pytest.mark.trap(
    "released code", "running batch-norm statistics moved once a group", "once a step, by the first group"
)
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_running_statistics_move_once_and_follow_the_first_group(groups):
    network, first = normalise(), images()[: 8 // groups]
    for _ in range(2):
        in_groups(network, images(), groups)
    var, mean = torch.var_mean(first.transpose(0, 1).flatten(1), dim=1)
    torch.testing.assert_close(network.running_mean, 0.19 * mean)
    torch.testing.assert_close(network.running_var, 0.81 + 0.19 * var)
    assert int(network.num_batches_tracked) == 2


@pytest.mark.trap("moco-v2", "running statistics move once a pass, by the images of the first GPU alone")
def test_running_statistics_of_keys_follow_the_first_group_of_the_shuffled_ones():
    network, order = normalise(), torch.randperm(8, generator=torch.Generator().manual_seed(3))
    shuffled_in_groups(network, images(), 4, torch.Generator().manual_seed(3))
    torch.testing.assert_close(network.running_mean, 0.1 * images()[order[:2]].mean(dim=(0, 2, 3)))
    assert int(network.num_batches_tracked) == 1


def test_gradients_are_those_of_batch_norms_that_run_apart():
    scales = torch.randn(8, 3, 4, 4, generator=torch.Generator().manual_seed(1))
    found, expected = (images().requires_grad_() for _ in range(2))
    (in_groups(normalise(), found, 4) * scales).sum().backward()
    for part, scale in zip(expected.chunk(4), scales.chunk(4), strict=True):
        (normalise()(part) * scale).sum().backward()
    torch.testing.assert_close(found.grad, expected.grad)


def test_statistics_are_followed_again_after_a_group_that_failed():
    class Fails(nn.BatchNorm2d):
        def forward(self, images):
            if images[0].equal(broken):
                raise ValueError("broken")
            return super().forward(images)

    broken, network = images()[4], Fails(3)
    with pytest.raises(ValueError, match="broken"):
        in_groups(network, images(), 2)
    assert network.track_running_stats


def test_in_eval_mode_nothing_is_shuffled_or_moved():
    network = normalise().eval()
    found = shuffled_in_groups(network, images(), 4, None)
    torch.testing.assert_close(found, in_groups(network, images(), 4))
    assert int(network.num_batches_tracked) == 0
