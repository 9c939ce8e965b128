"""Python interface: run, pretrain and report as the command line does; results as a data frame.

import eden_bench
done = eden_bench.run(["adam", "densecl"], ["scr-heart"])
done.results().groupby("method")["value"].mean()
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from eden_bench import protocols, records, registry
from eden_bench.contracts import no_progress
from eden_bench.contracts.members import is_source
from eden_bench.data.dataset_folders import pretraining_sets
from eden_bench.devices import cpu_threads
from eden_bench.errors import CellsFailed, DataMissing, EdenError
from eden_bench.execution import request
from eden_bench.execution.backbones import Backbone, make_backbone
from eden_bench.execution.inputs import Inputs
from eden_bench.execution.launchers.launcher import Launch
from eden_bench.execution.plan import Plan, Slot, make_plan
from eden_bench.execution.pretraining import pretrain_now
from eden_bench.execution.request import Ask, Names, make_ask
from eden_bench.execution.runner import Runner
from eden_bench.execution.watch import Silent, Watch
from eden_bench.records import Record
from eden_bench.records.frame import frame
from eden_bench.settings import Settings, gather, resolve
from eden_bench.trackers import Trackers
from eden_bench.weights.checkpoints import Checkpoint

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Result:
    """Result of a run: the state of every planned cell, and the record of each that has one."""

    plan: Plan

    @property
    def slots(self) -> list[Slot]:
        """The planned cells."""
        return self.plan.slots

    @property
    def records(self) -> list[Record]:
        """Records of this plan's cells, computed now or reused."""
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


class Pretrained(NamedTuple):
    """A finished pretraining."""

    method: str
    seed: int
    checkpoint: Checkpoint


def run(
    methods: Names,
    tasks: Names,
    *,
    seeds: str | Sequence[int] | None = None,
    n_seeds: int | None = None,
    shots: int | str | Iterable[int | str | None] | None = None,
    protocol: str | None = None,
    pretrain_data: str | None = None,
    pretrain_seeds: int | str | Sequence[int] = 0,
    force: bool = False,
    only_failed: bool = False,
    on_error: Literal["continue", "stop"] = "continue",
    keep_masks: bool = False,
    plugins: Iterable[Path | str] = (),
    watch: Watch | None = None,
    data: Path | str | None = None,
    out: Path | str | None = None,
    cache: Path | str | None = None,
    device: str | None = None,
    threads: int | str | None = None,
    splits: Path | str | None = None,
    track: str | None = None,
    deterministic: bool | None = None,
    speedups: str | None = None,
    at_once: int | None = None,
    launch: Launch | None = None,
) -> Result:
    """Pretrain what is missing, fine-tune and score. Finished cells are reused.

    Args:
        methods: names, globs or groups, as on the command line.
        tasks: likewise.
        seeds: "0-9", "0,3,5" or integers; ten seeds where neither these nor n_seeds are given.
        n_seeds: seeds 0 to n_seeds - 1.
        shots: numbers of training images, "full" or None for all.
        protocol: "paper", "quick" or a TOML file; by the data where it is None.
        pretrain_data: dataset to pretrain on; by the tasks' modality where it is None.
        pretrain_seeds: of the pretrainings, one row of two levels in the report.
        force: run cells anew although they are stored.
        only_failed: run only what failed before.
        on_error: "stop" ends the run at the first failure.
        keep_masks: store predicted masks beside the records of segmentations (``eden_bench.records.masks``).
        plugins: plugin files to load first.
        watch: is told how the run goes.
        data: folder of the datasets' folders; the phantom where nothing says.
        out: folder of records, checkpoints and reports.
        cache: folder of decoded images.
        device: "auto", "cpu", "mps", "cuda" or "cuda:N".
        threads: CPU threads.
        splits: folder of list files that replace the datasets' own splits.
        deterministic: the same digits twice on one GPU, or an error; holds for the whole process.
        speedups: of pretraining on a GPU, "compile", "tune" or both with a comma; they make a recipe of its own.
        track: trackers that scores and curves are sent to as well, for example "tensorboard" or "module:function".
        at_once: seeds of a pack that train by turns on one GPU.
        launch: where cells are computed; in this process where it is None.

    Raises:
        UsageError: names or values do not fit.
        DataMissing: no task at all has its data.
        StoreFailed: results cannot be written.
    """
    wanted = make_ask(
        methods,
        tasks,
        seeds=seeds,
        n_seeds=n_seeds,
        shots=shots,
        protocol=protocol,
        pretrain_data=pretrain_data,
        pretrain_seeds=pretrain_seeds,
        plugins=load_plugins(plugins),
        keep_masks=keep_masks,
    )
    settings = resolve(
        data=data, out=out, cache=cache, device=device, threads=threads, splits=splits, track=track,
        deterministic=deterministic, speedups=speedups, at_once=at_once,
    )  # fmt: skip
    return carry_out(
        wanted, settings, watch or Silent(), force=force, only_failed=only_failed, on_error=on_error, launch=launch
    )


def carry_out(
    wanted: Ask,
    settings: Settings,
    watch: Watch,
    *,
    force: bool = False,
    only_failed: bool = False,
    on_error: Literal["continue", "stop"] = "continue",
    launch: Launch | None = None,
    planned: Callable[[Result, Inputs], None] = lambda result, inputs: None,
) -> Result:
    """Plan and run the requested cells. ``run`` and the command line both call this.

    Args:
        wanted: from ``make_ask``.
        settings: from ``settings.resolve``.
        watch: is told how the run goes.
        force: as in ``run``.
        only_failed: as in ``run``.
        on_error: as in ``run``.
        launch: as in ``run``.
        planned: called with the result-to-be before anything runs; an interrupted caller can count what is stored.
    """
    trackers = Trackers.named(settings.track, watch.say)
    inputs = open_inputs(settings, watch)
    done = Result(make_plan(wanted, inputs, records.glance(settings.out, watch.say)))
    planned(done, inputs)
    if not force and (lacking := done.plan.without_masks()):
        cells = f"{len(lacking)} of {len(done.slots)} cells"
        watch.say(f"{cells} are stored without masks and stay so: repeat them with --force to keep masks")
    Runner(done.plan, inputs, watch, trackers, force, only_failed, on_error, launch or Launch()).run()
    if any(slot.state == "ran" for slot in done.slots):
        records.glance(settings.out, lambda line: None)  # notes them, so that the next plan need not read them
    return done


def pretrain(
    methods: Names,
    *,
    data_name: str | None = None,
    protocol: str | None = None,
    seeds: int | str | Sequence[int] = 0,
    plugins: Iterable[Path | str] = (),
    watch: Watch | None = None,
    data: Path | str | None = None,
    out: Path | str | None = None,
    cache: Path | str | None = None,
    device: str | None = None,
    threads: int | str | None = None,
    splits: Path | str | None = None,
    deterministic: bool | None = None,
    speedups: str | None = None,
) -> list[Pretrained]:
    """Pretrain methods without fine-tuning. Finished pretrainings are reused, interrupted ones resume.

    Args:
        methods: names, globs or groups; those that bring their weights along are skipped.
        data_name: dataset to pretrain on; None for the bench's own of its first modality, chest X-rays.
        protocol: as in ``run``.
        seeds: of the pretrainings.
        plugins: plugin files to load first.
        watch: is told how it goes.
        data: as in ``run``.
        out: folder of records, checkpoints and reports.
        cache: folder of decoded images.
        device: "auto", "cpu", "mps", "cuda" or "cuda:N".
        threads: CPU threads.
        splits: folder of list files.
        deterministic: as in ``run``.
        speedups: as in ``run``.

    Raises:
        UsageError: names or values do not fit.
        DataMissing: the dataset is not at hand.
    """
    load_plugins(plugins)
    watch = watch or Silent()
    settings = resolve(
        data=data, out=out, cache=cache, device=device, threads=threads, splits=splits, deterministic=deterministic,
        speedups=speedups,
    )  # fmt: skip
    inputs = open_inputs(settings, watch)
    data_name = data_name or next(iter(pretraining_sets().values()))
    phantom = inputs.index(data_name).phantom
    recipe = protocols.load(protocol or ("quick" if phantom else "paper"))
    chosen = request.choose_methods(request.names_of(methods), recipe.variants)
    request.check_protocol(protocol or recipe.name, chosen)
    made = []
    for name in chosen:
        if is_source(registry.methods.get(recipe.method_of(name))):
            watch.say(f"{name} brings its weights along: nothing to pretrain")
            continue
        for seed in request.pretrain_seeds_of(seeds):
            backbone = make_backbone(name, recipe, data_name, seed)
            with cpu_threads(inputs.settings.threads):
                pretrain_now(backbone, inputs, watch.say)
            made.append(Pretrained(name, seed, Checkpoint(_folder(backbone))))
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
        Columns ``COLUMNS``; "shots" is missing (NA) for the full training set, "value" in its score's unit (a share
        for "%").
    """
    found = records.load(gather(out=out).out) if records_of is None else records_of
    return frame(found, alternatives)


def load_plugins(files: Iterable[Path | str]) -> tuple[str, ...]:
    """Load plugin files and return their paths."""
    paths = tuple(str(file) for file in files)
    registry.load_plugin_files(map(Path, paths))
    return paths


def open_inputs(settings: Settings, watch: Watch | None = None, *, build: bool = True) -> Inputs:
    """Return the inputs of a run under some settings. With build=False (dry run), no cache is created."""
    return Inputs(settings, watch.progress if watch else no_progress, build=build)


def _folder(backbone: Backbone) -> Path:
    if backbone.folder is None:
        raise EdenError(f"{backbone.label} has no checkpoint")
    return backbone.folder
