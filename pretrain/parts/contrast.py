"""InfoNCE against a queue, and the purposive pruner: a contrastive loss with a mask over negatives.

Plain: He et al., CVPR 2020, arXiv:1911.05722, Eq. 1. Pruned: Adam, Algorithm 1: negatives whose cosine with the query
is at least a threshold are the same anatomy in another patient and leave the sum, for that query only.

Cosines are at most 1, so 1/τ is a valid fixed shift for the log-sum-exp: one pass over the queue, tile by tile,
without a maximum. The gradient is summed in the same pass, so no (B, K) tensor ever exists and nothing of the queue
has to outlive the call: it may be written to before ``backward``. On a CPU a tile fits the cache; on an accelerator,
where each operation costs a launch, it is as large as a quarter of the plain way's memory allows.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

LOWEST_TEMPERATURE = 0.025
"""Below it exp((s − 1) / τ) leaves float32's normal range for cosines near -1."""
_TILE = (256, 2048)
"""Rows and columns of the similarity matrix held at once on a CPU."""
_WIDE_ROWS, _WIDE_TERMS = 2048, 2**23
"""On an accelerator: most rows, and rows times columns (32 MiB)."""


class Contrast(NamedTuple):
    """Contrastive loss and the number of negatives kept."""

    loss: Tensor
    """Scalar, mean over queries, at least 0."""
    kept: Tensor
    """(B,) float32: negatives left after pruning, 0 to K; K where nothing is pruned."""

    def metrics(self, queue_size: int) -> dict[str, Tensor]:
        """Return the mean share of negatives kept, K′/K, and the share of queries left without any."""
        return {"kept": self.kept.mean() / queue_size, "without_negatives": (self.kept == 0).float().mean()}


def info_nce(
    query: Tensor, key: Tensor, queue: Tensor, *, temperature: float, prune_from: float | None = None
) -> Contrast:
    """Compute −log e^{q·k/τ} / (e^{q·k/τ} + Σ_i e^{q·n_i/τ}), the mean over queries, in float32.

    Args:
        query: (B, C), unit length.
        key: (B, C), unit length, the positive of each query; always kept.
        queue: (C, K), columns of unit length; receives no gradient.
        temperature: τ.
        prune_from: γ: negatives with cosine q·n_i < γ stay, all others leave that query's sum. None keeps all.

    Raises:
        ValueError: the temperature is too low for a fixed shift in float32.
    """
    if not temperature >= LOWEST_TEMPERATURE:
        raise ValueError(f"temperature must be at least {LOWEST_TEMPERATURE}, not {temperature!r}")
    with torch.autocast(query.device.type, enabled=False):
        apply = cast(Any, _FusedInfoNCE.apply)
        loss, kept = apply(query.float(), key.float(), queue.detach().float(), temperature, prune_from)
    return Contrast(loss, kept)


class _FusedInfoNCE(torch.autograd.Function):
    """The loss and its gradient in one pass over the queue."""

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 - torch's own context
        query: Tensor,
        key: Tensor,
        queue: Tensor,
        temperature: float,
        prune_from: float | None,
    ) -> tuple[Tensor, Tensor]:
        positive = (query * key).sum(1)
        weighted = torch.zeros_like(query) if ctx.needs_input_grad[0] else None
        sums = _sum_negatives if query.device.type == "cpu" else _sum_wide
        total, kept = sums(query, queue, temperature, prune_from, weighted)
        own = ((positive - 1) / temperature).exp_()
        total += own
        pull = (own / total - 1) / (temperature * len(query))
        by_query = by_key = None
        if weighted is not None:
            by_query = weighted.div_((total * temperature * len(query))[:, None]).addcmul_(pull[:, None], key)
        if ctx.needs_input_grad[1]:
            by_key = pull[:, None] * query
        ctx.save_for_backward(by_query, by_key)
        ctx.mark_non_differentiable(kept)
        return (total.log() + (1 - positive) / temperature).mean(), kept

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, by_loss: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        by_query, by_key = ctx.saved_tensors
        scaled = [None if gradient is None else gradient * by_loss for gradient in (by_query, by_key)]
        return scaled[0], scaled[1], None, None, None


def _sum_negatives(
    query: Tensor, queue: Tensor, temperature: float, prune_from: float | None, weighted: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Return Σ_i e^{(s_i − 1)/τ} and the number kept, both (B,); add Σ_i e^{(s_i − 1)/τ} n_i to weighted, (B, C)."""
    rows, columns = _TILE
    total = query.new_zeros(len(query))
    kept = query.new_full((len(query),), queue.shape[1])
    for top in range(0, len(query), rows):
        block = slice(top, top + rows)
        for negatives in torch.split(queue, columns, dim=1):
            terms = _distances(query[block], negatives, prune_from)
            if prune_from is not None:
                kept[block] -= torch.eq(terms, float("inf"), out=torch.empty_like(terms)).sum(1)  # as floats: 7x faster
            terms = terms.mul_(-1 / temperature).exp_()
            total[block] += terms.sum(1)
            if weighted is not None:
                weighted[block].addmm_(terms, negatives.T)
    return total, kept


def _distances(query: Tensor, negatives: Tensor, prune_from: float | None) -> Tensor:
    """Return 1 − cosine, (rows, columns), infinite where pruned. Strict: a cosine equal to the threshold is pruned."""
    opposite = torch.mm(query.neg(), negatives)
    if prune_from is not None:  # keeps -s > -γ, which is s < γ, in one pass and without a mask in memory
        torch.threshold_(opposite, -prune_from, float("inf"))
    return opposite.add_(1)


def _sum_wide(
    query: Tensor, queue: Tensor, temperature: float, prune_from: float | None, weighted: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Return and add the same in few launches and passes: large tiles, e^{s/τ} unshifted, the shift on the sums."""
    rows = min(len(query), _WIDE_ROWS)
    tiles = torch.split(queue, _WIDE_TERMS // rows, dim=1)
    opposite, totals = query.neg(), query.new_empty(len(tiles), len(query))
    kept = torch.empty_like(totals) if prune_from is not None else None
    for top in range(0, len(query), rows):
        block = slice(top, top + rows)
        for number, negatives in enumerate(tiles):
            terms = _wide_terms(opposite[block], negatives, temperature, prune_from)
            torch.sum(terms, 1, out=totals[number, block])
            if kept is not None:  # kept terms are at least e^-40, pruned ones are 0
                torch.linalg.vector_norm(terms, 0, dim=1, out=kept[number, block])
            if weighted is not None:
                weighted[block].addmm_(terms, negatives.T)
            del terms  # before the next tile is made, or two are held
    shift = math.exp(-1 / temperature)
    if weighted is not None:
        weighted *= shift
    all_kept = query.new_full((len(query),), queue.shape[1]) if kept is None else kept.sum(0)
    return totals.sum(0).mul_(shift), all_kept


def _wide_terms(opposite: Tensor, negatives: Tensor, temperature: float, prune_from: float | None) -> Tensor:
    """Return e^{s/τ} ≤ e^40, (rows, columns), 0 where pruned, by the same comparison as on a CPU."""
    terms = torch.mm(opposite, negatives)
    if prune_from is not None:
        torch.threshold_(terms, -prune_from, float("inf"))
    return torch.pow(math.exp(-1 / temperature), terms, out=terms)  # one pass, where · 1/τ and exp are two
