"""The bench from Python: what ``eden-bench run`` does, and its records as a data frame.

import eden_bench
done = eden_bench.run(["adam", "densecl"], ["scr-heart"])
done.results().groupby("method")["value"].mean()
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from eden_bench import protocols, records, registry
from eden_bench.contracts import no_progress
from eden_bench.contracts.members import is_source
from eden_bench.data.dataset_folders import pretraining_sets
from eden_bench.errors import CellsFailed, DataMissing, EdenError
from eden_bench.execution import locks, request
from eden_bench.execution.backbones import Backbone, find_checkpoint, make_backbone
from eden_bench.execution.inputs import Inputs
from eden_bench.execution.plan import Plan, Slot, make_plan
from eden_bench.execution.request import Ask
from eden_bench.execution.runner import Runner, Silent, Watch, cpu_threads
from eden_bench.execution.runner import pretrain as pretrain_backbone
from eden_bench.records import Record
from eden_bench.records.frame import frame
from eden_bench.settings import Settings, gather, resolve
from eden_bench.weights.checkpoints import Checkpoint

if TYPE_CHECKING:
    import pandas as pd


Names = str | Iterable[str]


@dataclass(frozen=True)
class Result:
    """What became of a plan: every slot tells its state, and its record where it has one."""

    plan: Plan

    @property
    def slots(self) -> list[Slot]:
        """The planned cells."""
        return self.plan.slots

    @property
    def records(self) -> list[Record]:
        """Records of this plan's cells, run now or reused."""
        return [slot.record for slot in self.slots if slot.record is not None]

    @property
    def exit_code(self) -> int:
        """0 all done, 3 some cells failed, 4 data missing."""
        if self.plan.count("failed"):
            return CellsFailed.exit_code
        return DataMissing.exit_code if self.plan.count("missing") else 0

    def results(self) -> pd.DataFrame:
        """Return one row a cell, as ``eden_bench.results``, with a column "reused"."""
        reused = {slot.record.id: slot.state == "reused" for slot in self.slots if slot.record is not None}
        made = frame(self.records)
        return made.assign(reused=[reused[name] for name in made["id"]])


def run(
    methods: Names,
    tasks: Names,
    *,
    seeds: str | Sequence[int] | None = None,
    n_seeds: int | None = None,
    shots: int | str | Iterable[int | str | None] | None = None,
    protocol: str | None = None,
    pretrain_data: str | None = None,
    pretrain_seed: int = 0,
    force: bool = False,
    only_failed: bool = False,
    on_error: Literal["continue", "stop"] = "continue",
    plugins: Iterable[Path | str] = (),
    watch: Watch | None = None,
    **settings: object,
) -> Result:
    """Pretrain what is missing, fine-tune and score; finished cells are reused.

    Args:
        methods: names, globs or groups, as on the command line.
        tasks: likewise.
        seeds: "0-9", "0,3,5" or integers; ten seeds where neither these nor n_seeds are given.
        n_seeds: seeds 0 to n_seeds - 1.
        shots: numbers of training images, "full" or None for all.
        protocol: "paper", "quick" or a TOML file; by the data where it is None.
        pretrain_data: dataset to pretrain on; by the tasks' modality where it is None.
        pretrain_seed: of the pretraining.
        force: run cells anew although they are stored.
        only_failed: run only what failed before.
        on_error: "stop" ends the run at the first failure.
        plugins: plugin files to load first.
        watch: is told how the run goes.
        settings: data, out, cache, device, threads, splits.

    Raises:
        UsageError: names or values do not fit.
        DataMissing: no task at all has its data.
        StoreFailed: results cannot be written.
    """
    files = load_plugins(plugins)
    wanted = make_ask(
        methods, tasks, seeds=seeds, n_seeds=n_seeds, shots=shots, protocol=protocol,
        pretrain_data=pretrain_data, pretrain_seed=pretrain_seed, plugins=files,
    )  # fmt: skip
    watch = watch or Silent()
    inputs = open_inputs(resolve(**settings), watch)
    plan = make_plan(wanted, inputs, records.load(inputs.settings.out, watch.say))
    Runner(plan, inputs, watch, force=force, only_failed=only_failed, on_error=on_error).run()
    return Result(plan)


def pretrain(
    methods: Names,
    *,
    data_name: str | None = None,
    protocol: str | None = None,
    seed: int = 0,
    plugins: Iterable[Path | str] = (),
    watch: Watch | None = None,
    **settings: object,
) -> dict[str, Checkpoint]:
    """Pretrain methods without fine-tuning them; what is finished is reused, what was killed goes on.

    Args:
        methods: names, globs or groups; those that bring their weights along are passed over.
        data_name: dataset to pretrain on; None for the bench's own of its first modality, chest X-rays.
        protocol: as in ``run``.
        seed: of the pretraining.
        plugins: plugin files to load first.
        watch: is told how it goes.
        settings: data, out, cache, device, threads, splits.

    Returns:
        Method to checkpoint.

    Raises:
        UsageError: names or values do not fit.
        DataMissing: the dataset is not at hand.
    """
    load_plugins(plugins)
    watch = watch or Silent()
    inputs = open_inputs(resolve(**settings), watch)
    data_name = data_name or next(iter(pretraining_sets().values()))
    phantom = inputs.index(data_name).phantom
    recipe = protocols.load(protocol or ("quick" if phantom else "paper"))
    chosen = request.choose_methods(_names(methods), recipe.variants)
    _check_protocol(protocol or recipe.name, chosen)
    made = {}
    for name in chosen:
        if is_source(registry.methods.get(recipe.method_of(name))):
            watch.say(f"{name} brings its weights along: nothing to pretrain")
            continue
        backbone = make_backbone(name, recipe, data_name, seed)
        with cpu_threads(inputs.settings.threads):
            _pretrain_one(backbone, inputs, watch)
        made[name] = Checkpoint(_folder(backbone))
    return made


def results(
    out: Path | str | None = None, *, alternatives: bool = False, records_of: Iterable[Record] | None = None
) -> pd.DataFrame:
    """Return stored results, one row a cell, sorted by task, method, shots and seed.

    Args:
        out: folder of a run; as the settings say where it is None.
        alternatives: also one row for each score beside the primary one.
        records_of: these records instead of a folder's.

    Returns:
        Columns ``COLUMNS``; "shots" is missing (NA) for the full training set, "value" in [0, 1].
    """
    found = records.load(gather(out=out).out) if records_of is None else records_of
    return frame(found, alternatives)


def make_ask(methods: Names, tasks: Names, **more: Any) -> Ask:  # noqa: ANN401 - the fields of Ask, as typed
    """Resolve what is asked for into names and numbers.

    Raises:
        UsageError: a name, seed or number of shots means nothing.
    """
    shots = more.pop("shots", None)
    seeds = request.parse_seeds(more.pop("seeds", None), more.pop("n_seeds", None))
    listed = shots if isinstance(shots, Iterable) and not isinstance(shots, str) else [shots]
    pretrain_data = more.pop("pretrain_data", None)
    if pretrain_data is not None:
        registry.datasets.get(pretrain_data)
    made = Ask(
        methods=request.choose_methods(_names(methods), _variants(more.get("protocol"))),
        tasks=request.choose(registry.tasks, _names(tasks)),
        shots=request.parse_shots(listed),
        seeds=seeds,
        pretrain_data=pretrain_data,
        **more,
    )
    if made.protocol is not None:
        _check_protocol(made.protocol, made.methods)
    return made


def load_plugins(files: Iterable[Path | str]) -> tuple[str, ...]:
    """Load plugin files and return their paths."""
    paths = tuple(str(file) for file in files)
    registry.load_plugin_files(map(Path, paths))
    return paths


def open_inputs(settings: Settings, watch: Watch | None = None, *, build: bool = True) -> Inputs:
    """Return the inputs of a run under some settings; of a dry run where build is False."""
    return Inputs(settings, watch.progress if watch else no_progress, build=build)


def _check_protocol(name: str, methods: Iterable[str]) -> None:
    """Refuse a protocol that changes what none of the methods has."""
    protocol = protocols.load(name)
    made = {method: registry.methods.get(protocol.method_of(method)) for method in methods}
    protocols.check_used(protocol, {method: made[method].Config() for method in made})


def _variants(protocol: str | None) -> Collection[str]:
    """Return the variants that a protocol names; without one there are none."""
    return protocols.load(protocol).variants if protocol else ()


def _pretrain_one(backbone: Backbone, inputs: Inputs, watch: Watch) -> None:
    """Pretrain under the backbone's lock; under torchrun, process 0 holds it for all."""
    import os

    find_checkpoint(backbone, inputs)
    if int(os.environ.get("RANK", "0")):
        pretrain_backbone(backbone, inputs, watch.say)
        return
    out = inputs.settings.out
    with locks.presence(out), locks.claim(out, backbone.name, wait=True):
        pretrain_backbone(backbone, inputs, watch.say)
    records.clear_failure(out, backbone.name)


def _folder(backbone: Backbone) -> Path:
    if backbone.folder is None:
        raise EdenError(f"{backbone.label} has no checkpoint")
    return backbone.folder


def _names(names: Names) -> list[str]:
    return [names] if isinstance(names, str) else list(names)
