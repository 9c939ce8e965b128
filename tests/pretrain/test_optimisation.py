import pytest
import torch
from torch import nn

from eden_bench.contracts import PretrainConfig
from pretrain.optimisation import autocast_dtype, lr_factor, set_lr, sgd


@pytest.mark.parametrize(("epoch", "lr"), [(0, 0.03), (100, 0.015), (199, 1.85e-6)])
def test_the_cosine_is_the_papers(epoch, lr):
    assert 0.03 * lr_factor(epoch, 200) == pytest.approx(lr, rel=1e-3)


def test_warm_up_rises_evenly_and_the_cosine_follows():
    factors = [lr_factor(epoch, 10, warmup_epochs=4) for epoch in range(10)]
    assert factors[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert factors[4:] == sorted(factors[4:], reverse=True)


def test_a_warm_up_as_long_as_the_stage_never_falls():
    factors = [lr_factor(epoch, 3, warmup_epochs=3) for epoch in range(3)]
    assert factors == sorted(factors)


def test_the_rate_is_set_from_the_base_not_from_the_last_one():
    optimiser = sgd(nn.Linear(2, 2).parameters(), PretrainConfig())
    for factor in (0.5, 0.5, 0.1):
        set_lr(optimiser, factor)
    assert optimiser.param_groups[0]["lr"] == pytest.approx(0.003)


def test_sgd_is_the_papers_and_leaves_frozen_parameters_alone():
    layer = nn.Linear(2, 2)
    layer.bias.requires_grad_(False)
    (group,) = sgd(layer.parameters(), PretrainConfig()).param_groups
    assert [group[name] for name in ("lr", "momentum", "weight_decay", "nesterov")] == [0.03, 0.9, 1e-4, False]
    assert group["params"] == [layer.weight]


@pytest.mark.parametrize(
    ("amx", "avx512", "dtype"), [(True, False, "bfloat16"), (False, True, "bfloat16"), (False, False, "float32")]
)
def test_bfloat16_is_used_where_the_processor_multiplies_it(amx, avx512, dtype, monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512, raising=False)
    assert autocast_dtype(torch.device("cpu")) == getattr(torch, dtype)
