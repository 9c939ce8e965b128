import math

import pytest
import torch
from torch.nn import functional

from pretrain.parts.nce import EPSILON, densities, nce_loss, normaliser


def vectors(count, seed):
    return functional.normalize(torch.randn(count, 6, generator=torch.Generator().manual_seed(seed)), dim=1)


@pytest.mark.trap("pcrl", "NCE with Z of the first batch; P_n, ε 1e-5", "plain loop; Z is kept and stored")
def test_the_loss_is_that_of_a_plain_loop():
    queries, keys, queue = vectors(3, 0), vectors(3, 1), vectors(5, 2)
    images, temperature = 40, 0.2
    everything = [
        [math.exp(float(q @ other) / temperature) for other in (key, *queue)]
        for q, key in zip(queries, keys, strict=True)
    ]
    z = sum(map(sum, everything)) / 18 * images
    total = 0.0
    for row in everything:
        noise = 5 / images
        total -= math.log(row[0] / z / (row[0] / z + noise + EPSILON))
        for one in row[1:]:
            total -= math.log(noise / (one / z + noise + EPSILON))
    found = densities(queries, keys, queue.T, temperature)
    assert normaliser(found, images).item() == pytest.approx(z, rel=1e-5)
    assert nce_loss(found, normaliser(found, images), images).item() == pytest.approx(total / 3, rel=1e-5)


@pytest.mark.trap("pcrl", "n_data counts batches (quirk)")
def test_the_number_of_images_cancels_but_for_epsilon():
    found = densities(vectors(3, 0), vectors(3, 1), vectors(5, 2).T, 0.2)
    one, other = (nce_loss(found, normaliser(found, images), images).item() for images in (10, 2000))
    assert one == pytest.approx(other, rel=1e-2)


def test_a_closer_key_and_farther_negatives_lower_the_loss():
    far = torch.tensor([[1.0, 1.0, 1.0]])
    losses = [nce_loss(found, torch.tensor(30.0), 30) for found in (far, far * torch.tensor([9, 1, 1]))]
    assert losses[1] < losses[0] < nce_loss(far * torch.tensor([1, 9, 9]), torch.tensor(30.0), 30)


def test_no_gradient_reaches_queue_or_normaliser():
    query, queue = vectors(2, 0).requires_grad_(), vectors(5, 2).T.requires_grad_()
    found = densities(query, vectors(2, 1), queue, 0.2)
    nce_loss(found, normaliser(found, 10), 10).backward()
    assert query.grad.abs().max() > 0
    assert queue.grad is None
    assert not normaliser(found, 10).requires_grad
