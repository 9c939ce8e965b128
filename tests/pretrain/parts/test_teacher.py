import copy

import pytest
import torch
from torch import nn

from pretrain.parts.teacher import follow, make_teacher


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))


def test_the_teacher_begins_as_a_frozen_copy():
    student = network()
    teacher = make_teacher(student)
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    for mine, theirs in zip(teacher.parameters(), student.parameters(), strict=True):
        assert mine.equal(theirs)
        assert mine.data_ptr() != theirs.data_ptr()


@pytest.mark.trap("mistakes", "the teacher's momentum inverted")
def test_it_moves_by_one_minus_momentum_towards_the_student():
    student = network()
    teacher = make_teacher(student)
    nn.init.constant_(student[0].weight, 1.0)
    nn.init.constant_(teacher[0].weight, 0.0)
    follow(teacher, student, 0.9)
    torch.testing.assert_close(teacher[0].weight.detach(), torch.full((4, 4), 0.1))


@pytest.mark.trap("adam", "teacher moved before the key forward; parameters only")
def test_batch_norm_statistics_are_not_averaged():
    student = network()
    teacher = make_teacher(student)
    student(torch.randn(8, 4))
    kept = copy.deepcopy(dict(teacher.named_buffers()))
    follow(teacher, student, 0.5)
    assert all(buffer.equal(kept[name]) for name, buffer in teacher.named_buffers())


def trajectory(update_first):
    """Key outputs over five steps, with the teacher moved before the key forward or after the optimiser's step."""
    student = network()
    teacher = make_teacher(student)
    optimiser = torch.optim.SGD(student.parameters(), lr=0.1, momentum=0.9)
    keys = []
    for step in range(5):
        batch = torch.randn(8, 4, generator=torch.Generator().manual_seed(step))
        loss = student(batch).pow(2).sum()
        if update_first:
            follow(teacher, student, 0.9)
        keys.append(teacher(batch).detach())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if not update_first:
            follow(teacher, student, 0.9)
    return torch.stack(keys)


@pytest.mark.trap("adam", "teacher moved before the key forward; parameters only", "after the step, which is the same")
def test_moving_after_the_step_equals_moving_before_the_next_key_forward():
    assert trajectory(update_first=True).equal(trajectory(update_first=False))
