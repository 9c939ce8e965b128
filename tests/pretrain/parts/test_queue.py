from collections import deque

import pytest
import torch
from torch.nn import functional as F  # noqa: N812

from pretrain.parts.queue import KeyQueue


def keys(count, start=0):
    """Keys that carry their number."""
    return torch.arange(start, start + count, dtype=torch.float32)[:, None].repeat(1, 3)


def test_it_begins_with_unit_columns_and_is_not_full():
    queue = KeyQueue(16, 10)
    torch.testing.assert_close(queue.keys.norm(dim=0), torch.ones(10))
    assert not queue.full


@pytest.mark.trap("adam", "K divisible by the batch", "not needed: the queue wraps round")
@pytest.mark.parametrize(("size", "batch"), [(10, 4), (12, 4), (7, 7), (5, 8), (3, 10)])
def test_it_holds_the_last_keys_whatever_divides_what(size, batch):
    queue, plain = KeyQueue(3, size), deque(maxlen=size)
    for push in range(7):
        queue.push(keys(batch, push * batch))
        plain.extend(range(push * batch, (push + 1) * batch))
    assert sorted(queue.keys[0].tolist()) == sorted(plain)
    assert int(queue.pointer) == 7 * batch % size
    assert queue.full


def test_the_oldest_column_is_replaced_first():
    queue = KeyQueue(3, 6)
    for start in (0, 4):
        queue.push(keys(4, start))
    assert queue.keys[0].tolist() == [6, 7, 2, 3, 4, 5]


@pytest.mark.trap("adam", "K divisible by the batch")
def test_256_batches_of_256_replace_every_column_of_the_papers_queue_once():
    queue = KeyQueue(1, 65_536)
    for start in range(0, 65_536, 256):
        assert not queue.full
        queue.push(keys(256, start)[:, :1])
    assert queue.keys[0].equal(torch.arange(65_536.0))
    assert int(queue.pointer) == 0
    assert queue.full


@pytest.mark.trap("mistakes", "the queue is not in the checkpoint")
def test_a_checkpoint_carries_keys_pointer_and_count():
    queue = KeyQueue(3, 6)
    queue.push(keys(4))
    other = KeyQueue(3, 6)
    other.load_state_dict(queue.state_dict())
    for each in (queue, other):
        each.push(keys(4, 4))
    assert other.keys.equal(queue.keys)
    assert int(other.pushed) == 8


def test_it_receives_no_gradient():
    queue = KeyQueue(3, 6)
    queue.push(F.normalize(torch.randn(2, 3), dim=1).requires_grad_())
    assert not queue.keys.requires_grad
