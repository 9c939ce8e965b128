"""Pretrain a method on images to a checkpoint, resuming an interrupted run.

A run is named by its recipe; re-issued, it continues from its training state, and a finished one is returned as it
is. On several GPUs start it with ``torchrun --nproc-per-node N -m eden_bench pretrain …``: each process takes its
share of every batch, and process 0 writes.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from eden_bench.contracts import Context, PretrainConfig, PretrainData, ViewRecipe
from eden_bench.devices import fast_precision, is_deterministic, is_out_of_memory, undetermined_operation
from eden_bench.digests import digest
from eden_bench.errors import EdenError, OutOfMemory, UsageError
from eden_bench.files import atomic
from eden_bench.records import provenance
from eden_bench.weights.checkpoints import Checkpoint, recipe_id, write_checkpoint
from pretrain.engine import distributed, state
from pretrain.engine import history as histories
from pretrain.engine.data import open_data
from pretrain.engine.speedups import validated
from pretrain.engine.training import Training

__all__ = ["PretrainData", "open_data", "pretrain"]


def pretrain(
    method_name: str,
    config: PretrainConfig,
    data: PretrainData,
    *,
    seed: int,
    folder: Path,
    context: Context,
    save_every_s: float = 60.0,
    speedups: Sequence[str] = (),
) -> Checkpoint:
    """Pretrain a method, or resume an interrupted call, and return its checkpoint.

    Args:
        method_name: a registered method.
        config: of that method's ``Config``; names the stages.
        data: from ``open_data``.
        seed: of everything: weights, order, views, shuffles.
        folder: for the checkpoint and, until it is written, the training state; one folder a recipe.
        context: device and progress.
        save_every_s: the state is saved when this long has passed, in the background, and at the end of every stage.
        speedups: of ``SPEEDUPS``; they move last digits and are part of the recipe.

    Raises:
        UsageError: the folder belongs to another recipe, there is no such speed-up, or the batch does not fit data or
            processes.
        TrainingDiverged: a loss is not finite; nothing is handed on.
        OutOfMemory: the device has no room for a batch.
        EdenError: the disk is full.
    """
    checkpoint = Checkpoint(folder)
    with distributed.process_group(context.device) as device, _alone(folder):
        asked = validated(speedups)
        marks = (*asked, *(["deterministic"] if is_deterministic(device.type) else []))
        precision = "+".join((fast_precision(device.type), *marks))
        recipe = recipe_id(method_name, config, data.digest, seed, threads(device), precision=precision)
        if not _is_finished(checkpoint, recipe, device):
            training = Training(
                name=method_name,
                config=config,
                data=data,
                seed=seed,
                folder=folder,
                context=context,
                device=device,
                recipe=recipe,
                save_every_s=save_every_s,
                speedups=asked,
            )
            with _explained(training):
                training.run()
                _hand_on(training)
        if distributed.rank() == 0:
            state.discard(folder)  # also one whose run was killed when its checkpoint was just written
        distributed.wait_for_all()
    return Checkpoint(folder)


def threads(device: torch.device | str) -> int:
    """Return the number of CPU threads if it can change a result: 0 on a GPU."""
    return torch.get_num_threads() if torch.device(device).type == "cpu" else 0


def _is_finished(checkpoint: Checkpoint, recipe: str, device: torch.device) -> bool:
    """Return whether process 0 finds the finished checkpoint.

    Raises:
        UsageError: it is another recipe's.
    """
    exists = bool(distributed.from_first(torch.tensor(int(checkpoint.exists), device=device)))
    if exists and checkpoint.card.get("recipe") != recipe:
        found = f"{checkpoint.card['method']}, recipe {str(checkpoint.card.get('recipe'))[:12]}"
        raise UsageError(f"{checkpoint.folder} holds another checkpoint ({found}): choose another folder, or delete it")
    return exists


def _hand_on(training: Training) -> None:
    """Save the selected encoder and its card; process 0 only."""
    if distributed.rank() != 0:
        return
    weights, selected = training.selected()
    histories.write(training.folder, training.at.history)
    write_checkpoint(training.folder, weights, _card(training, selected))


def _card(training: Training, selected: dict[str, Any]) -> dict[str, Any]:
    history, config = training.at.history, training.config
    return {
        "method": training.name,
        "config": asdict(config),
        "arch": training.method.encoder.arch,
        "recipe": training.recipe,
        "data": training.data.provenance | {"digest": training.data.digest},
        "seed": training.seed,
        "epochs": len(history),
        "steps": sum(entry["steps"] for entry in history),
        "selected": selected,
        **_seen(training),
        "stages": histories.of_stages(history),
        "parent": None,
        "precision": fast_precision(training.device.type),
        **({"speedups": list(training.speedups)} if training.speedups else {}),
        **({"compiled": training.is_compiled} if "compile" in training.speedups else {}),
        "processes": distributed.size(),
        "history": {"first": history[0], "last": history[-1], "seconds": sum(e["seconds"] for e in history)},
        **provenance.gather(str(training.device), threads(training.device)),
        **provenance.peak_memory(str(training.device)),
    }


def _seen(training: Training) -> dict[str, Any]:
    """Return what pretrainings are compared by: images, views of each, augmentation, normalisation."""
    config, history = training.config, training.at.history
    recipes = [recipe.normalised(config.normalisation) for recipe in training.recipes(config.stages[-1])]
    plain = {"mean": None, "std": None}
    looks = [{**_told(recipe), **plain} for recipe in recipes]
    return {
        "images_seen": sum(entry["steps"] for entry in history) * config.batch_size,
        "views": len(recipes),
        "augmentation": {"family": config.augmentation, "digest": digest(looks)[:12]},
        "normalisation": list(dict.fromkeys((recipe.mean, recipe.std) for recipe in recipes)),
    }


def _told(recipe: ViewRecipe) -> dict[str, Any]:
    """Return a recipe's fields, without those that came later where they are at their defaults."""
    later = {"crop_place": "random", "cell": None}
    return {name: value for name, value in asdict(recipe).items() if name not in later or value != later[name]}


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Lock the folder against other runs; a second one waits and then finds the checkpoint."""
    if distributed.rank() != 0:
        yield
        return
    with atomic.locked(folder / ".lock"):
        atomic.sweep(folder)
        yield


@contextlib.contextmanager
def _explained(training: Training) -> Iterator[None]:
    """Convert out-of-memory, disk-full and not deterministic errors to one sentence that says what to do."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if undetermined := undetermined_operation(error):
            raise UsageError(f"{training.name}: {undetermined}") from error
        if not is_out_of_memory(error):
            raise
        raise OutOfMemory(
            f"{training.name}: out of memory on {training.device} with batch_size {training.config.batch_size} at "
            f"{training.config.size_px} px: use more processes with torchrun, which share each batch and keep its "
            "negatives and its batch-norm groups, or lower batch_size, which is another recipe"
        ) from error
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise EdenError(
            f"{training.folder}: the disk is full ({error.strerror}): free some space and issue the command again, it "
            "goes on from the last saved state"
        ) from error
