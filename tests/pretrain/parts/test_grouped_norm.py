"""One pass over the whole batch with batch norm by groups is the same arithmetic as group by group."""

import copy

import pytest
import torch
from torch import nn

from eden_bench.encoders import build_encoder
from pretrain.parts import batchnorm, grouped_norm
from pretrain.parts.batchnorm import in_groups, shuffled_in_groups
from tests.pretrain.tiny import config, method, train_step

DIGITS = {torch.float32: {"rtol": 1e-5, "atol": 1e-5}, torch.float64: {"rtol": 1e-10, "atol": 1e-10}}


class Small(nn.Module):
    """Every kind of batch norm that there is here: of maps, of vectors, unscaled, frozen, without statistics."""

    def __init__(self):
        super().__init__()
        self.maps = nn.Sequential(
            nn.Conv2d(3, 6, 3, bias=False), nn.BatchNorm2d(6), nn.ReLU(inplace=True), nn.Conv2d(6, 5, 1),
            nn.BatchNorm2d(5, track_running_stats=False), nn.BatchNorm2d(5),
        )  # fmt: skip
        self.vectors = nn.Sequential(nn.Linear(5, 7), nn.BatchNorm1d(7), nn.ReLU(), nn.BatchNorm1d(7, affine=False))
        self.unused = nn.BatchNorm1d(2)

    def forward(self, images):
        maps = self.maps(images)
        return maps, self.vectors(maps.mean(dim=(2, 3)))


def small(dtype):
    torch.manual_seed(0)
    made = Small().to(dtype).to(memory_format=torch.channels_last)
    for name, value in made.state_dict().items():
        if "running" in name or "weight" in name:
            value.uniform_(0.5, 2)
    made.maps[5].eval()
    return made


def images(dtype, count=12, size_px=9):
    draw = torch.Generator().manual_seed(0)
    return torch.randn(count, 3, size_px, size_px, generator=draw, dtype=dtype).to(memory_format=torch.channels_last)


def taught(network, run, dtype, groups=4):
    """Outputs, all gradients, and the state that a pass leaves."""
    asked = images(dtype).requires_grad_()
    outputs = run(network, asked, groups)
    sum((one * torch.linspace(0.1, 1, one.numel(), dtype=dtype).view_as(one)).sum() for one in outputs).backward()
    gradients = {name: p.grad for name, p in network.named_parameters() if p.grad is not None}
    return outputs, {"images": asked.grad, **gradients}, network.state_dict()


def at_once(monkeypatch, on=True):
    monkeypatch.setattr(batchnorm, "_at_once", lambda device: on)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("groups", [2, 3, 4, 5])
def test_outputs_gradients_and_statistics_are_those_of_group_by_group(monkeypatch, dtype, groups):
    expected = taught(small(dtype), in_groups, dtype, groups)
    at_once(monkeypatch)
    monkeypatch.setattr(batchnorm, "_join", None)  # it is not run group by group again
    found = taught(small(dtype), in_groups, dtype, groups)
    torch.testing.assert_close(found, expected, **DIGITS[dtype])
    assert found[0][0].is_contiguous(memory_format=torch.channels_last)
    assert found[1]["images"].is_contiguous(memory_format=torch.channels_last)
    counted = {name: int(value) for name, value in found[2].items() if name.endswith("num_batches_tracked")}
    assert counted == {f"{name}.num_batches_tracked": int(name not in ("maps.5", "unused")) for name in
                       ("maps.1", "maps.5", "vectors.1", "vectors.3", "unused")}  # fmt: skip


@pytest.mark.parametrize("arch", ["resnet18-w16", "resnet50-w16"])
def test_an_encoder_is_the_same_in_double_precision(monkeypatch, arch):
    torch.manual_seed(0)
    encoder = build_encoder(arch).double().to(memory_format=torch.channels_last)

    def passed(network):
        network.zero_grad()
        asked = images(torch.float64, 8, 64)
        out = in_groups(network, asked, 4)
        out.square().mean().backward()
        return out, [p.grad for p in network.parameters()], network.state_dict()

    expected = passed(copy.deepcopy(encoder))
    at_once(monkeypatch)
    torch.testing.assert_close(passed(encoder), expected, rtol=1e-8, atol=1e-10)


def test_a_teacher_without_gradients_is_the_same(monkeypatch):
    def passed(network):
        made = shuffled_in_groups(network, images(torch.float64), 3, torch.Generator().manual_seed(3))
        return made, network.state_dict()

    expected = passed(small(torch.float64).requires_grad_(False))
    at_once(monkeypatch)
    found = passed(small(torch.float64).requires_grad_(False))
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
    assert not found[0][0].requires_grad


def test_under_autocast_statistics_stay_in_float32(monkeypatch):
    def passed(network):
        network.vectors[3] = nn.Identity()  # without weights in bfloat16, which only a GPU keeps in float32 too
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return taught(network, in_groups, torch.float32)

    expected = passed(small(torch.float32))
    at_once(monkeypatch)
    torch.testing.assert_close(passed(small(torch.float32)), expected, rtol=0.02, atol=0.02)


def test_in_eval_mode_nothing_is_cut(monkeypatch):
    network = small(torch.float32).eval()
    expected, before = network(images(torch.float32)), copy.deepcopy(network.state_dict())
    at_once(monkeypatch)
    found = in_groups(network, images(torch.float32), 4)
    assert all(a.equal(b) for a, b in zip(found, expected, strict=True))
    assert all(value.equal(before[name]) for name, value in network.state_dict().items())


def test_layers_are_their_own_again_after_a_pass_that_failed(monkeypatch):
    at_once(monkeypatch)
    network = small(torch.float32)
    with pytest.raises(RuntimeError):
        in_groups(network, images(torch.float32)[:, :2], 4)
    assert all("forward" not in vars(layer) for layer in network.modules())


def test_a_group_of_one_value_is_refused_as_torch_refuses_it(monkeypatch):
    at_once(monkeypatch)
    with pytest.raises(ValueError, match="Expected more than 1 value per channel"):
        in_groups(nn.BatchNorm1d(3), torch.randn(4, 3), 4)


@pytest.mark.parametrize("layer", [nn.SyncBatchNorm(3), nn.BatchNorm2d(3, momentum=None)])
def test_other_batch_norms_run_group_by_group(layer):
    assert grouped_norm.allows(nn.Sequential(nn.BatchNorm2d(3)))
    assert not grouped_norm.allows(nn.Sequential(layer))


def test_a_layer_that_runs_twice_is_counted_twice(monkeypatch):
    norm = nn.BatchNorm2d(3)
    at_once(monkeypatch)
    in_groups(nn.Sequential(norm, nn.Tanh(), norm), images(torch.float32), 4)
    assert int(norm.num_batches_tracked) == 2


GROUPED = ("adam", "densecl", "pcrl", "dira", "vicregl", "simsiam")


@pytest.mark.parametrize("name", GROUPED)
def test_every_method_with_groups_has_the_same_loss_either_way(monkeypatch, name):
    groups = {"bn_groups": 2} if hasattr(config(name), "bn_groups") else {}
    expected = train_step(method(name, **groups))
    at_once(monkeypatch)
    assert train_step(method(name, **groups)) == pytest.approx(expected, rel=1e-4)
