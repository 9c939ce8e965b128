"""``eden-bench plugins --new NAME``: writes a working package with one method, its entry point and its test."""

from __future__ import annotations

import re
from pathlib import Path

from eden_bench.errors import UsageError

_PYPROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "{name}"
version = "0.1.0"
requires-python = ">=3.11"
dependencies = ["eden-bench"]

[project.entry-points."eden_bench.methods"]
{name} = "{module}"

[tool.hatch.build.targets.wheel]
only-include = ["{module}.py"]
"""

_METHOD = '''\
"""{title}: two views of one image get like embeddings; replace this by your paper (authors, venue, arXiv id)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import nn
from torch.nn import functional

from eden_bench import (
    MethodCard,
    PretrainConfig,
    PretrainMethod,
    Stage,
    ViewRecipe,
    Views,
    build_encoder,
    register_method,
)


@dataclass(frozen=True, kw_only=True)
class {title}Config(PretrainConfig):
    """Settings; the defaults are your paper's."""

    temperature: float = 0.2
    embedding_dim: int = 128

    quick: ClassVar[Mapping[str, Any]] = {{"lr": 0.1, "embedding_dim": 32}}
    """What differs under the protocol "quick", in minutes on a laptop: why."""


@register_method("{name}")
class {title}(PretrainMethod):
    """SimCLR's loss (Chen et al., ICML 2020, arXiv:2002.05709), to start from."""

    Config = {title}Config
    config: {title}Config
    card = MethodCard(
        title="{title}",
        paper="authors, venue, arXiv id",
        licence="of the original code and weights",
        backbone="ResNet-50",
        data="what the paper pretrained on",
    )

    def __init__(self, config: {title}Config) -> None:
        super().__init__()
        self.config = config
        self.encoder = build_encoder(config.arch)
        width = self.encoder.out_channels
        self.head = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, config.embedding_dim))

    def recipes(self, stage: Stage) -> tuple[ViewRecipe, ...]:
        """Return one recipe a view."""
        return (ViewRecipe(size_px=self.config.size_px, crop_scale=(0.2, 1.0), jitter_p=0.8, brightness=0.4),) * 2

    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        """Return one optimiser a turn; this method has one turn."""
        config = self.config
        sgd = torch.optim.SGD(self.parameters(), config.lr, config.momentum, weight_decay=config.weight_decay)
        return {{"main": sgd}}

    def losses(self, views: Views, turn: str = "main") -> dict[str, torch.Tensor]:
        """Return the cost of finding the other view of an image among all; the turn minimises the sum."""
        embedded = [functional.normalize(self.head(self.encoder.embed(image)), dim=1) for image in views.images]
        both = torch.cat(embedded)
        similarity = both @ both.T / self.config.temperature
        similarity = similarity.masked_fill(torch.eye(len(both), dtype=torch.bool, device=both.device), -1e9)
        partner = torch.arange(len(both), device=both.device).roll(len(both) // 2)
        return {{"contrast": functional.cross_entropy(similarity, partner)}}

    # Optional: after_step (a teacher, a queue), start_stage, stage_data, schedule, metrics, ready; see PretrainMethod.
'''

_TEST = '''\
"""The method keeps the contract of eden-bench."""

from eden_bench.plugins.conformance import check


def test_{module}_keeps_the_contract():
    problems = [found for found in check("method", "{name}") if found.problem]
    assert not problems
'''

_README = """\
# {name}

A pretraining method for eden-bench.

    pip install -e .
    eden-bench plugins --check {name}
    eden-bench run --methods {name},random --tasks scr-heart
"""


def write_package(name: str, folder: Path) -> list[Path]:
    """Write a working package into folder / name and return its files.

    Args:
        name: of the method, for example "my-method"; lower-case letters, digits and "-".
        folder: where the package's own folder is made.

    Raises:
        UsageError: the name does not serve, or the folder is already there.
    """
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
        raise UsageError(f"plugins --new {name!r}: expected lower-case letters, digits and '-'")
    root, module = folder / name, name.replace("-", "_")
    if root.exists():
        raise UsageError(f"plugins --new {name!r}: {root} is already there: choose another name, or delete it")
    title = "".join(part.capitalize() for part in name.split("-"))
    texts = {
        "pyproject.toml": _PYPROJECT,
        f"{module}.py": _METHOD,
        f"test_{module}.py": _TEST,
        "README.md": _README,
    }
    root.mkdir(parents=True)
    for file, text in texts.items():
        (root / file).write_text(text.format(name=name, module=module, title=title), encoding="utf-8")
    return [root / file for file in texts]
