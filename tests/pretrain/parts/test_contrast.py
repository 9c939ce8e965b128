import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F  # noqa: N812

from benchmarks.pruner import fused, plain
from benchmarks.work import counted
from pretrain.parts import contrast
from pretrain.parts.contrast import info_nce


def unit(rows, dim, seed, dtype=torch.float32):
    return F.normalize(torch.randn(rows, dim, generator=torch.Generator().manual_seed(seed), dtype=dtype), dim=1)


def plain_loop(query, key, queue, temperature, prune_from=None):
    """Algorithm 1, written sample by sample from the formula; differentiable."""
    losses, kept = [], []
    for q, k in zip(query, key, strict=True):
        own = torch.exp(torch.dot(q, k) / temperature)
        others = [torch.dot(q, column) for column in queue.T]
        others = [s for s in others if prune_from is None or s < prune_from]
        losses.append(-torch.log(own / (own + sum(torch.exp(s / temperature) for s in others))))
        kept.append(len(others))
    return torch.stack(losses).mean(), kept


def similar_to(query, rows, seed):
    """Keys of which every third is close to a query, so that a threshold of 0.8 prunes some."""
    keys = torch.randn(rows, query.shape[1], generator=torch.Generator().manual_seed(seed), dtype=query.dtype)
    keys[::3] = query[torch.arange(len(keys[::3])) % len(query)] + 0.1 * keys[::3]
    return F.normalize(keys, dim=1).T


@pytest.mark.trap("moco-v2", "InfoNCE is cross-entropy with label 0, one direction, τ 0.2")
@pytest.mark.parametrize("prune_from", [None, 0.8, 0.0, -0.5])
@settings(max_examples=15, deadline=None)
@given(
    batch=st.integers(1, 5),
    size=st.integers(1, 12),
    temperature=st.floats(0.05, 2),
    seed=st.integers(0, 1000),
)
def test_loss_gradient_and_count_equal_the_plain_loop(prune_from, batch, size, temperature, seed):
    query = unit(batch, 6, seed).requires_grad_()
    key = unit(batch, 6, seed + 1).requires_grad_()
    queue = similar_to(query.detach(), size, seed + 2)
    found = info_nce(query, key, queue, temperature=temperature, prune_from=prune_from)
    found.loss.backward()
    exact_query, exact_key = (x.detach().double().requires_grad_() for x in (query, key))
    expected, kept = plain_loop(exact_query, exact_key, queue.double(), temperature, prune_from)
    expected.backward()
    assert found.loss.item() == pytest.approx(expected.item(), rel=1e-4, abs=1e-5)
    torch.testing.assert_close(query.grad, exact_query.grad.float(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(key.grad, exact_key.grad.float(), rtol=1e-4, atol=1e-5)
    assert found.kept.tolist() == kept


@pytest.fixture
def wide(monkeypatch):
    """An accelerator's way, on tiles of three rows and few columns."""
    monkeypatch.setattr(contrast, "_sum_negatives", contrast._sum_wide)
    monkeypatch.setattr(contrast, "_WIDE_ROWS", 3)
    monkeypatch.setattr(contrast, "_WIDE_TERMS", 30)


@pytest.mark.parametrize("prune_from", [None, 0.8, 0.0, -1.0])
@pytest.mark.parametrize("temperature", [contrast.LOWEST_TEMPERATURE, 0.2, 2.0])
def test_an_accelerators_way_equals_the_plain_loop(prune_from, temperature, wide):
    exact = [unit(7, 6, seed, torch.float64).requires_grad_() for seed in (0, 1)]
    queue = similar_to(exact[0].detach(), 43, 2)
    query, key = (each.detach().float().requires_grad_() for each in exact)
    found = info_nce(query, key, queue.float(), temperature=temperature, prune_from=prune_from)
    found.loss.backward()
    expected, kept = plain_loop(*exact, queue, temperature, prune_from)
    expected.backward()
    assert found.loss.item() == pytest.approx(expected.item(), rel=1e-5, abs=1e-6)
    assert found.kept.tolist() == kept
    for ours, theirs in zip((query, key), exact, strict=True):
        assert (ours.grad - theirs.grad).norm() <= 1e-5 * theirs.grad.norm() + 1e-12


def test_an_accelerators_way_launches_little_and_holds_a_quarter_of_the_plain_ways_memory(monkeypatch):
    """Counted at the paper's size: the plain way's 224 MiB are what an H100 measured."""
    monkeypatch.setattr(contrast, "_sum_negatives", contrast._sum_wide)
    query, key, queue = torch.zeros(256, 128, requires_grad=True), torch.zeros(256, 128), torch.zeros(128, 65_536)
    ours = counted(lambda: fused(query, key, queue, 0.8).backward())
    theirs = counted(lambda: plain(query, key, queue).backward())
    assert theirs.peak_mib == pytest.approx(224, abs=1)
    assert ours.peak_mib <= theirs.peak_mib / 4
    assert ours.launches <= 45  # tiles of 2,048 x 8,192 took 145


@pytest.mark.trap("densecl", "(B · 49) × 65,536 negatives in memory", "tiles, which change nothing")
@pytest.mark.parametrize("tile", [(2, 5), (3, 100), (100, 1)])
def test_the_result_does_not_depend_on_the_tiles(tile, monkeypatch):
    query, key = unit(7, 4, 0), unit(7, 4, 1)
    queue = similar_to(query, 23, 2)
    whole = info_nce(query, key, queue, temperature=0.2, prune_from=0.8)
    monkeypatch.setattr(contrast, "_TILE", tile)
    tiled = info_nce(query, key, queue, temperature=0.2, prune_from=0.8)
    torch.testing.assert_close(tiled.loss, whole.loss)
    assert tiled.kept.equal(whole.kept)


@pytest.mark.trap("mistakes", "the temperature multiplied")
def test_one_negative_by_hand():
    query = torch.tensor([[1.0, 0.0]])
    found = info_nce(query, query, torch.tensor([[0.0], [1.0]]), temperature=0.5)
    assert found.loss.item() == pytest.approx(math.log(1 + math.exp(-2)))


@pytest.mark.trap("moco-v2", "InfoNCE is cross-entropy with label 0, one direction, τ 0.2", "held, with its gradient")
def test_it_is_cross_entropy_with_label_zero():
    query, key, queue = unit(6, 16, 0), unit(6, 16, 1), unit(50, 16, 2).T
    logits = torch.cat([(query * key).sum(1, keepdim=True), query @ queue], dim=1) / 0.2
    expected = F.cross_entropy(logits, torch.zeros(6, dtype=torch.long))
    torch.testing.assert_close(info_nce(query, key, queue, temperature=0.2).loss, expected)


@pytest.mark.trap("adam", "pruner: keep s < γ, strictly, γ = 0.8", "held at 0.79, 0.80, 0.81")
def test_only_cosines_strictly_below_the_threshold_stay():
    query = torch.tensor([[1.0, 0.0]])
    cosines = torch.tensor([0.79, 0.80, 0.81])
    queue = torch.stack([cosines, (1 - cosines**2).sqrt()])
    found = info_nce(query, query, queue, temperature=0.2, prune_from=0.8)
    assert found.kept.tolist() == [1]
    assert found.loss.item() == pytest.approx(math.log(1 + math.exp((0.79 - 1) / 0.2)), rel=1e-5)


@pytest.mark.trap("adam", "s is the cosine, not cosine / τ", "held")
def test_pruning_compares_cosines_not_tempered_ones():
    query = torch.tensor([[1.0, 0.0]])
    queue = torch.tensor([[0.5], [0.75**0.5]])  # 0.5 / 0.2 is above 0.8, 0.5 is not
    assert info_nce(query, query, queue, temperature=0.2, prune_from=0.8).kept.tolist() == [1]


@pytest.mark.trap("adam", "γ > 1 is plain cross-entropy; all pruned costs 0", "held, and counted")
def test_a_threshold_above_one_prunes_nothing():
    query, key, queue = unit(5, 8, 0), unit(5, 8, 1), unit(30, 8, 2).T
    plain = info_nce(query, key, queue, temperature=0.2)
    assert info_nce(query, key, queue, temperature=0.2, prune_from=1.1).loss.equal(plain.loss)


@pytest.mark.trap("adam", "γ > 1 is plain cross-entropy; all pruned costs 0")
def test_a_query_without_negatives_costs_nothing_and_pulls_nothing():
    query = unit(5, 8, 0).requires_grad_()
    found = info_nce(query, unit(5, 8, 1), unit(30, 8, 2).T, temperature=0.2, prune_from=-1.0)
    found.loss.backward()
    assert found.loss.item() == pytest.approx(0, abs=1e-6)
    assert query.grad.abs().max() < 1e-6
    metrics = found.metrics(30)
    assert (metrics["kept"], metrics["without_negatives"]) == (0, 1)


@pytest.mark.trap("adam", "per query; nothing is deleted from the queue; the positive stays")
def test_a_similar_positive_is_never_pruned():
    query = unit(4, 8, 0)
    found = info_nce(query, query, unit(30, 8, 2).T, temperature=0.2, prune_from=0.8)
    assert found.loss > 0


def test_the_gradient_scales_and_survives_a_second_backward():
    query, key, queue = unit(5, 8, 0).requires_grad_(), unit(5, 8, 1), unit(30, 8, 2).T
    loss = info_nce(query, key, queue, temperature=0.2).loss
    loss.backward(retain_graph=True)
    once = query.grad.clone()
    query.grad = None
    (3 * loss + loss).backward()
    torch.testing.assert_close(query.grad, 4 * once)


@pytest.mark.trap("mistakes", "the queue is used without a copy")
@pytest.mark.trap("moco-v2", "the queue is overwritten in place", "backward does not see it")
def test_the_queue_may_be_overwritten_before_backward():
    query, key, queue = unit(5, 8, 0).requires_grad_(), unit(5, 8, 1), unit(30, 8, 2).T.clone()
    info_nce(query, key, queue, temperature=0.2).loss.backward()
    expected, query.grad = query.grad, None
    loss = info_nce(query, key, queue, temperature=0.2).loss
    queue.zero_()
    loss.backward()
    assert query.grad.equal(expected)


@pytest.mark.trap("moco-v2", "the loss in float32 under autocast", "held")
def test_it_is_computed_in_float32_under_autocast():
    query, key, queue = unit(5, 8, 0), unit(5, 8, 1), unit(30, 8, 2).T
    expected = info_nce(query, key, queue, temperature=0.2).loss
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = info_nce(query, key, queue, temperature=0.2).loss
    assert found.dtype == torch.float32
    assert found.equal(expected)


def test_too_low_a_temperature_is_refused():
    with pytest.raises(ValueError, match=r"temperature must be at least 0\.025, not 0\.01"):
        info_nce(unit(2, 4, 0), unit(2, 4, 1), unit(3, 4, 2).T, temperature=0.01)
