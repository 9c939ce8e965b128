"""Maps that a network's are compared with: some look at nothing, one knows the box, two are made by spoilt networks."""

from __future__ import annotations

import copy
from typing import TypeVar

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from eden_bench.encoders import seeded
from tasks.gradcam.maps import enlarged, scaled

N = TypeVar("N", bound=nn.Module)

_BLOB_CELLS = 7
_BLOB_SIGMA_CELLS = 1.5


def centre_blob(size_px: int) -> np.ndarray:
    """Return one Gaussian in the film's middle, drawn on 7×7 cells with σ 1.5 cells: (size, size) in [0, 1]."""
    away = torch.arange(_BLOB_CELLS) - (_BLOB_CELLS - 1) / 2
    one = torch.exp(-(away**2) / (2 * _BLOB_SIGMA_CELLS**2))
    return enlarged(scaled((one[:, None] * one)[None]), size_px)[0]


def whole_film(size_px: int) -> np.ndarray:
    """Return ones, which are not scaled: (size, size)."""
    return np.ones((size_px, size_px), dtype=np.float32)


def class_prior(masks: np.ndarray, labels: list[str], patients: list[str]) -> np.ndarray:
    """Return for each row the mean mask of its label over the other patients, scaled to [0, 1].

    Of all labels where no other patient has this one.

    Args:
        masks: (N, H, W) bool.
        labels: (N,).
        patients: (N,).

    Returns:
        (N, H, W) float32.
    """
    names, people = np.array(labels), np.array(patients)
    of_all = masks.sum(axis=0, dtype=np.float32)
    of_label = {label: masks[names == label].sum(axis=0, dtype=np.float32) for label in set(labels)}
    made = np.empty(masks.shape, dtype=np.float32)
    for row, (label, patient) in enumerate(zip(labels, patients, strict=True)):
        own = people == patient
        others = bool((~own & (names == label)).any())
        total = of_label[label] if others else of_all
        made[row] = total - masks[own & (names == label) if others else own].sum(axis=0)
    return scaled(torch.from_numpy(made)).numpy()


def grid_oracle(masks: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """Return each mask as a map of a grid can show it: mean over each cell, enlarged as any map: (N, H, W) float32."""
    cells = [
        functional.adaptive_avg_pool2d(torch.from_numpy(mask).float()[None], grid)[0] for mask in masks
    ]  # one by one: all films as float32 would not fit beside the maps
    return enlarged(scaled(torch.stack(cells)), masks.shape[-1])


def with_random_weights(network: N, seed: int) -> N:
    """Return a copy whose weights are drawn anew (Adebayo et al., NeurIPS 2018, arXiv:1810.03292).

    Modules that know how are reset, running statistics included; other parameters (of positions, say) are drawn from
    a normal distribution with the standard deviation that they had.
    """
    device = next(network.parameters()).device
    spoilt = copy.deepcopy(network).cpu()  # whose generator alone is seeded
    with seeded(seed, "grad-cam", "random weights"), torch.no_grad():
        for module in spoilt.modules():
            reset = getattr(module, "reset_parameters", None)
            if reset is not None:
                reset()
                continue
            for parameter in module.parameters(recurse=False):
                spread = parameter.float().std(correction=0)
                parameter.copy_(torch.randn(parameter.shape) * spread)
    return spoilt.eval().to(device)
