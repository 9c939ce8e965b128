"""``eden-bench run`` and ``eden-bench pretrain``: plan, dry run, execution and the closing table."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Any

import typer

from eden_bench import api, preemption
from eden_bench.cli.dry_run import cells_text, opening, show_plan
from eden_bench.cli.launching import AtOnce, Launcher, Pack, PerGpu, RayAddress, Retries, Workers, launching
from eden_bench.cli.options import (
    Cache,
    Data,
    Deterministic,
    Device,
    Json,
    Out,
    Plugins,
    Speedups,
    Splits,
    Threads,
    Track,
)
from eden_bench.cli.output import print_json, print_table
from eden_bench.cli.replay import replay_and_show
from eden_bench.cli.run_result import show_result
from eden_bench.cli.watching import watching
from eden_bench.errors import Preempted, UsageError
from eden_bench.execution.request import make_ask
from eden_bench.settings import Settings, resolve

if TYPE_CHECKING:
    from eden_bench.api import Result
    from eden_bench.execution.inputs import Inputs
    from eden_bench.execution.request import Ask
    from eden_bench.execution.runner import OnError

_INTERRUPTED = 130

Methods = Annotated[list[str] | None, typer.Option("--methods", help="Names, globs or @groups; commas or repeats.")]
Protocol = Annotated[
    str | None,
    typer.Option("--protocol", help="paper, quick, a frozen one or a TOML file [quick on the phantom, else paper]."),
]
PretrainSeeds = Annotated[
    str,
    typer.Option(
        "--pretrain-seeds", "--pretrain-seed", help="Seeds of pretrainings, for example 0-2; merged into one row."
    ),
]
PretrainData = Annotated[str | None, typer.Option("--pretrain-data", help="Dataset to pretrain on [by modality].")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Hide progress.")]


def run(
    methods: Methods = None,
    tasks: Annotated[list[str] | None, typer.Option(help="Names, globs or @groups; commas or repeats.")] = None,
    seeds: Annotated[str | None, typer.Option(help="Fine-tuning seeds, for example 0-9 or 0,3,5 [0-9].")] = None,
    n_seeds: Annotated[int | None, typer.Option(help="Number of seeds, from 0; instead of --seeds.")] = None,
    shots: Annotated[list[str] | None, typer.Option(help="Few-shot sizes, for example 3,6,12,24,full [full].")] = None,
    protocol: Protocol = None,
    data: Data = None,
    out: Out = None,
    cache: Cache = None,
    device: Device = None,
    threads: Threads = None,
    splits: Splits = None,
    deterministic: Deterministic = None,
    speedups: Speedups = None,
    plugin: Plugins = None,
    pretrain_data: PretrainData = None,
    pretrain_seeds: PretrainSeeds = "0",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the plan and its estimated cost; write nothing.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Repeat finished cells; old records move to superseded/.")
    ] = False,
    only_failed: Annotated[bool, typer.Option("--only-failed", help="Retry only cells that failed before.")] = False,
    on_error: Annotated[str, typer.Option(help="After a failed cell: continue or stop.")] = "continue",
    keep_masks: Annotated[
        bool, typer.Option("--keep-masks", help="Store predicted masks of segmentations beside their records.")
    ] = False,
    replay: Annotated[
        str | None, typer.Option(metavar="ID", help="Repeat one record's cell and compare bit for bit.")
    ] = None,
    track: Track = None,
    launcher: Launcher = "local",
    workers: Workers = None,
    per_gpu: PerGpu = 1,
    pack: Pack = None,
    at_once: AtOnce = None,
    retries: Retries = 2,
    ray_address: RayAddress = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Pretrain what is missing, fine-tune, score, print the table. Repeat the command to resume."""
    _refuse_torchrun()
    stops = _on_error(on_error)
    where: Any = {"launcher": launcher, "workers": workers, "per_gpu": per_gpu, "pack": pack, "retries": retries}
    launch, device = launching(device, ray_address=ray_address, **where)
    plugins = api.load_plugins(plugin or ())
    settings = resolve(
        data=data, out=out, cache=cache, device=device, threads=threads, splits=splits, track=track,
        deterministic=deterministic, speedups=speedups, at_once=at_once,
    )  # fmt: skip
    if replay is not None:
        replay_and_show(replay, settings, as_json=as_json)
        return
    wanted = make_ask(
        _given(methods, "--methods"),
        _given(tasks, "--tasks"),
        seeds=seeds,
        n_seeds=n_seeds,
        shots=shots,
        protocol=protocol,
        pretrain_data=pretrain_data,
        pretrain_seeds=pretrain_seeds,
        plugins=plugins,
        keep_masks=keep_masks,
    )
    if dry_run:
        show_plan(wanted, api.open_inputs(settings, build=False), as_json)
        return
    how = {"force": force, "only_failed": only_failed, "on_error": stops, "launch": launch}
    done = _carry_out(wanted, settings, quiet, how)
    show_result(done, settings.out, as_json)
    if only_failed and all(slot.state in ("pending", "reused") for slot in done.slots):
        typer.echo("nothing failed before: nothing to do", err=True)
    raise typer.Exit(done.exit_code)


def pretrain(
    methods: Methods = None,
    protocol: Protocol = None,
    data: Data = None,
    out: Out = None,
    cache: Cache = None,
    device: Device = None,
    threads: Threads = None,
    splits: Splits = None,
    deterministic: Deterministic = None,
    speedups: Speedups = None,
    plugin: Plugins = None,
    pretrain_data: PretrainData = None,
    seeds: Annotated[
        str, typer.Option("--seeds", "--seed", "--pretrain-seeds", "--pretrain-seed", help="Seeds, for example 0-2.")
    ] = "0",
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Pretrain methods without fine-tuning; on several GPUs, torchrun -m eden_bench pretrain. Resumes."""
    is_first = os.environ.get("RANK", "0") == "0"
    with preemption.heeded(), watching(quiet or not is_first) as watch:
        made = api.pretrain(
            _given(methods, "--methods"),
            data_name=pretrain_data,
            protocol=protocol,
            seeds=seeds,
            plugins=plugin or (),
            watch=watch,
            data=data,
            out=out,
            cache=cache,
            device=device,
            threads=threads,
            splits=splits,
            deterministic=deterministic,
            speedups=speedups,
        )
    rows = [
        {"method": name, "seed": seed, "folder": str(checkpoint.folder), "weights": checkpoint.encoder_digest}
        for name, seed, checkpoint in made
    ]
    if is_first and as_json:
        print_json(rows)
    elif is_first:
        print_table(("method", "seed", "folder", "weights"), [list(map(str, row.values())) for row in rows])


def _carry_out(wanted: Ask, settings: Settings, quiet: bool, how: dict[str, Any]) -> Result:
    """Plan and run; if interrupted, print how many cells are stored."""
    begun: list[Result] = []

    try:
        with preemption.heeded(), watching(quiet) as watch:

            def planned(result: Result, inputs: Inputs) -> None:
                begun.append(result)
                watch.say(opening(result.plan, inputs))

            return api.carry_out(wanted, settings, watch, planned=planned, **how)
    except (KeyboardInterrupt, Preempted) as stop:
        stored = len(begun[0].records) if begun else 0
        cells = cells_text(len(begun[0].slots)) if begun else "the cells"
        typer.echo(f"{stored} of {cells} are stored in {settings.out}", err=True)
        raise (stop if isinstance(stop, Preempted) else typer.Exit(_INTERRUPTED)) from None


def _on_error(text: str) -> OnError:
    if text == "stop":
        return "stop"
    if text == "continue":
        return "continue"
    raise UsageError(f"--on-error {text}: expected continue or stop")


def _given(names: list[str] | None, option: str) -> list[str]:
    if not names:
        raise UsageError(f"{option} is missing: name at least one, or @all ('eden-bench list' shows them)")
    return names


def _refuse_torchrun() -> None:
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UsageError("run works in one process: use torchrun with 'eden-bench pretrain', then 'eden-bench run'")
