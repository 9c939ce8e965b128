"""C2, C2b: pruned InfoNCE, forward and backward, at 256 × 65,536 × 128, on the CPU.

    python -m benchmarks.pruner                  # C2, C2-plain, C2-kind, C2b; on a card: benchmarks/gpu_parts/loss.py

Peers, written here from their description: the released pruner's way, which selects and scores sample by sample, and
MoCo's plain way, which concatenates all logits and calls cross-entropy. Equality: gradients against float64.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from benchmarks.timing import Bar, Equality, Side, arguments, compare, report, wanted
from pretrain.parts.contrast import info_nce

BATCH, DIM, QUEUE = 256, 128, 65_536
TEMPERATURE, PRUNE_FROM = 0.2, 0.8


def problem(device: str, size: int = QUEUE) -> tuple[Tensor, Tensor, Tensor]:
    """Draw queries, keys and a queue, of which 3 % are close to some query where it has its full size."""
    draw = torch.Generator().manual_seed(0)
    query, key = (F.normalize(torch.randn(BATCH, DIM, generator=draw), dim=1) for _ in range(2))
    queue = torch.randn(DIM, size, generator=draw)
    similar = query.T.repeat(1, 8)
    queue[:, : similar.shape[1]] = similar + 0.03 * queue[:, : similar.shape[1]]
    return query.to(device), key.to(device), F.normalize(queue, dim=0).to(device)


def sample_by_sample(query: Tensor, key: Tensor, queue: Tensor, prune_from: float) -> Tensor:
    """Index each sample's logits, select the surviving ones and take their own cross-entropy."""
    own, others = (query * key).sum(1, keepdim=True), query @ queue
    logits = torch.cat([own, others], dim=1) / TEMPERATURE
    label = torch.zeros(1, dtype=torch.long, device=query.device)
    always = torch.ones(1, dtype=torch.bool, device=query.device)
    losses = []
    for i in range(len(query)):
        kept = torch.cat([always, others[i] < prune_from])
        losses.append(F.cross_entropy(logits[i].masked_select(kept)[None], label))
    return torch.stack(losses).mean()


def kind_loop(query: Tensor, key: Tensor, queue: Tensor, prune_from: float) -> Tensor:
    """The same loop over unbound rows, whose backward does not fill a whole (B, K) gradient for every sample."""
    own, others = (query * key).sum(1, keepdim=True), query @ queue
    label = torch.zeros(1, dtype=torch.long, device=query.device)
    losses = []
    for positive, negatives in zip(own, others, strict=True):
        logits = torch.cat([positive, negatives[negatives < prune_from]]) / TEMPERATURE
        losses.append(F.cross_entropy(logits[None], label))
    return torch.stack(losses).mean()


def plain(query: Tensor, key: Tensor, queue: Tensor, prune_from: float | None = None) -> Tensor:
    """Compute MoCo's logits and cross-entropy; with a threshold, pruned logits are minus infinity."""
    own, others = (query * key).sum(1, keepdim=True), query @ queue.clone()
    if prune_from is not None:
        others = others.masked_fill(others >= prune_from, float("-inf"))
    label = torch.zeros(len(query), dtype=torch.long, device=query.device)
    return F.cross_entropy(torch.cat([own, others], dim=1) / TEMPERATURE, label)


def fused(query: Tensor, key: Tensor, queue: Tensor, prune_from: float | None = None) -> Tensor:
    """Compute our loss."""
    return info_nce(query, key, queue, temperature=TEMPERATURE, prune_from=prune_from).loss


Loss = Callable[..., Tensor]


def gradient(loss: Loss, parts: tuple[Tensor, Tensor, Tensor], *rest: float) -> Tensor:
    """Run forward and backward; waits for the device."""
    query = parts[0].clone().requires_grad_()
    loss(query, *parts[1:], *rest).backward()
    if query.is_cuda:
        torch.cuda.synchronize()
    assert query.grad is not None
    return query.grad


def equality(parts: tuple[Tensor, Tensor, Tensor], *rest: float) -> Equality:
    """Compare our gradient with float64's."""
    exact = gradient(plain, (parts[0].double(), parts[1].double(), parts[2].double()), *rest)
    error = float((gradient(fused, parts, *rest) - exact).norm() / exact.norm())
    return Equality(error <= 1e-5, f"relative gradient error against float64 {error:.1e} <= 1e-05")


def bar(id: str, title: str, peer: Loss, peer_rest: tuple[float, ...], target: float, repeats: int) -> Bar:
    """Time our pruned loss against a peer."""
    parts = problem("cpu")
    ours = Side("fused, pruned", lambda: gradient(fused, parts, PRUNE_FROM))
    theirs = Side(peer.__name__, lambda: gradient(peer, parts, *peer_rest))
    clause = equality(parts, PRUNE_FROM)
    return compare(id, title, ours, theirs, target=target, equality=clause, repeats=repeats)


def unpruned(id: str, title: str, target: float, repeats: int) -> Bar:
    """Time our loss without a threshold against MoCo's."""
    parts = problem("cpu")
    ours = Side("fused", lambda: gradient(fused, parts))
    theirs = Side("einsum, cat, cross-entropy", lambda: gradient(plain, parts))
    return compare(id, title, ours, theirs, target=target, equality=memory(equality(parts)), repeats=repeats)


def memory(clause: Equality) -> Equality:
    """Check the memory clause: at most an eighth of the plain version's peak."""
    ours, theirs = (peak_bytes(way) for way in ("fused", "plain"))
    text = f"{clause.text}; peak memory {ours / 2**20:.0f} MiB, peer {theirs / 2**20:.0f} MiB, <= 1/8"
    return Equality(clause.holds and ours * 8 <= theirs, text)


def peak_bytes(way: str) -> int:
    """Measure peak memory of one forward and backward above the inputs, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.pruner", "--peak", way]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def print_peak(way: str) -> None:
    """Print the rise of this process's resident memory by one forward and backward (Linux)."""
    parts = problem("cpu")
    loss = {"fused": fused, "plain": plain}[way]
    gradient(loss, (parts[0], parts[1], parts[2][:, :512].clone()))
    Path("/proc/self/clear_refs").write_text("5")  # forgets the peak so far
    before = resident_bytes("VmRSS")
    gradient(loss, parts)
    print(resident_bytes("VmHWM") - before)


def resident_bytes(field: str) -> int:
    """Read resident memory now (VmRSS) or at its peak (VmHWM)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(field))


def bars(only: Callable[[str], bool], repeats: int) -> list[Bar]:
    """Run the bars."""
    loop = "pruned InfoNCE, forward and backward, against a loop over samples"
    logits = "InfoNCE against MoCo's logits and cross-entropy"
    made = []
    if only("C2"):
        made.append(bar("C2", loop, sample_by_sample, (PRUNE_FROM,), 60, repeats))
    if only("C2-plain"):
        made.append(bar("C2-plain", f"pruned, {logits} unpruned", plain, (), 1.0, repeats))
    if only("C2-kind"):
        made.append(bar("C2-kind", loop, kind_loop, (PRUNE_FROM,), 1.0, repeats))
    if only("C2b"):
        made.append(unpruned("C2b", logits, 2.5, repeats))
    return made


if __name__ == "__main__":
    if sys.argv[1:2] == ["--peak"]:
        print_peak(sys.argv[2])
    else:
        options = arguments(str(__doc__).partition("\n")[0])
        report(bars(lambda id: wanted(options, id), options.repeats), as_json=options.json)
