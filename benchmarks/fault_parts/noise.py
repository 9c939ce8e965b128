"""A plugin beside tests/eden_bench/fakes.py: its tasks and data, but pretrainings by the real engine, on noise.

Every step is looked at, and the state saved at each.
"""

from __future__ import annotations

from pathlib import Path

from eden_bench import registry
from eden_bench.contracts import Context, DatasetIndex, PretrainConfig, PretrainData
from eden_bench.weights.checkpoints import Checkpoint
from pretrain.engine import training
from pretrain.engine.pretraining import pretrain
from tests.pretrain.tiny import SHARED, data


class NoiseEngine:
    """Pretrains on sixteen images of noise, whatever dataset is asked for."""

    def open_data(self, index: DatasetIndex, context: Context, *, seed: int = 0) -> PretrainData:
        """Return the noise."""
        return data()

    def pretrain(
        self, method_name: str, config: PretrainConfig, data: PretrainData, *, seed: int, folder: Path, context: Context
    ) -> Checkpoint:
        """Pretrain, and save after every step."""
        return pretrain(method_name, config, data, seed=seed, folder=folder, context=context, save_every_s=0.0)


def protocol() -> str:
    """Return the protocol under which pretrainings on noise take a second, as TOML."""
    lines = [f"{name} = {value!r}".replace("'", '"') for name, value in SHARED.items()]
    return "\n".join(['base = "quick"', "[pretrain]", *lines, ""])


training.CHECK_EVERY_STEPS = 1
registry.engine = NoiseEngine
