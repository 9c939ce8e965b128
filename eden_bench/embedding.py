"""Embed datasets by a method, from Python as the command line does, to a file that ``--methods NAME=FILE`` reads."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from eden_bench import registry
from eden_bench.api import load_plugins, open_inputs
from eden_bench.devices import cpu_threads
from eden_bench.errors import DataMissing, UsageError
from eden_bench.execution.execute import encoder_of
from eden_bench.execution.inputs import Inputs
from eden_bench.execution.plan import Plan, Slot, make_plan
from eden_bench.execution.pretraining import pretrain_now
from eden_bench.execution.request import Names, make_ask
from eden_bench.execution.watch import Silent, Watch
from eden_bench.protocols import frozen
from eden_bench.settings import resolve
from eden_bench.weights import embeddings
from eden_bench.weights.embeddings import Embeddings


def embed(
    method: str,
    tasks: Names,
    to: Path | str,
    *,
    protocol: str | None = None,
    plugins: Iterable[Path | str] = (),
    watch: Watch | None = None,
    **where: Any,  # noqa: ANN401 - those of settings.resolve
) -> Embeddings:
    """Embed every image of some tasks' datasets by a method, and write a file that ``run`` reads as NAME=FILE.

    Args:
        method: a name, or NAME=PATH of weights; pretrained first if it must be.
        tasks: names, globs or groups; those with the protocol count.
        to: the file, which ends in ".npz".
        protocol: "linear" or "linear-quick"; by the data where it is None.
        plugins: plugin files to load first.
        watch: is told how it goes.
        **where: data, out, cache, device, threads and splits, as in ``run``.

    Raises:
        UsageError: names or values do not fit.
        DataMissing: a dataset is not at hand.
    """
    loaded, watch = load_plugins(plugins), watch or Silent()
    inputs = open_inputs(resolve(**where), watch)
    asked = make_ask(method, tasks, seeds="0", plugins=loaded)
    phantom = inputs.index(registry.tasks.get(asked.tasks[0]).dataset).phantom
    wanted = replace(asked, protocol=protocol or ("linear-quick" if phantom else "linear"))
    return write(make_plan(wanted, inputs, []), inputs, Path(to), watch.say)


def write(plan: Plan, inputs: Inputs, path: Path, say: Callable[[str], None]) -> Embeddings:
    """Embed every image of a plan's datasets by its one method, and write the file.

    Args:
        plan: of one method and one seed under a protocol that reads features.
        inputs: where data and encoders come from.
        path: of the file, which ends in ".npz".
        say: is told of a pretraining.

    Raises:
        UsageError: there are several methods, the protocol reads no features, the tasks' contracts differ, or the path
            ends otherwise.
        DataMissing: a task's data are not at hand.
    """
    slots = {slot.task: slot for slot in plan.slots}
    backbone = plan.slots[0].backbone
    if any(slot.backbone.method != backbone.method for slot in plan.slots):
        raise UsageError("embed: several methods are asked for, expected one a file: embed them one after the other")
    if plan.protocol.evaluation not in frozen.READS_ANY:
        raise UsageError(f"embed: protocol {plan.protocol.name!r} reads no vectors: choose linear or linear-quick")
    if path.suffix != embeddings.ENDING:
        raise UsageError(f"embed: {path} must end in {embeddings.ENDING}")
    with cpu_threads(inputs.settings.threads):
        found = [_embedded(slot, plan, inputs, say) for slot in slots.values()]
    first = found[0]
    if any(each.features != first.features for each in found):
        raise UsageError("embed: the tasks read features under different contracts: embed them one after the other")
    made = Embeddings(
        model=first.model,
        weights=first.weights,
        features=first.features,
        data={name: digest for each in found for name, digest in each.data.items()},
        ids={name: ids for each in found for name, ids in each.ids.items()},
        vectors={name: vectors for each in found for name, vectors in each.vectors.items()},
    )
    embeddings.write(path, made)
    return made


def _embedded(slot: Slot, plan: Plan, inputs: Inputs, say: Callable[[str], None]) -> Embeddings:
    """Return the embeddings of one task's dataset."""
    if slot.problem or slot.opened is None:
        raise DataMissing(slot.problem.text if slot.problem else f"{slot.task} is not open")
    backbone = slot.backbone
    if backbone.problem:
        raise backbone.problem.error(backbone.problem.text)
    if backbone.digest is None:
        pretrain_now(backbone, inputs, say)
    opened, dataset = slot.opened.open, slot.opened.task.dataset
    encoder = encoder_of(slot.job(plan), slot.seed, inputs)
    return Embeddings(
        model=backbone.label,
        weights=backbone.digest or "",
        features=embeddings.contract(opened.protocol.features),  # type: ignore[attr-defined]  # a frozen task's
        data={dataset: opened.store.digest},  # type: ignore[attr-defined]
        ids={dataset: opened.store.ids},  # type: ignore[attr-defined]
        vectors={dataset: opened.features(encoder)},  # type: ignore[attr-defined]
    )
