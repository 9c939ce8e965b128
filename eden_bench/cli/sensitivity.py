"""``eden-bench sensitivity``: ranks methods under other poolings, layers, normalisations, sizes and step budgets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from eden_bench import api, protocols, registry
from eden_bench.cli.options import Cache, Data, Device, Json, Out, Plugins, Splits, Threads
from eden_bench.cli.output import print_json, print_table
from eden_bench.cli.streams import print_text
from eden_bench.cli.watching import watching
from eden_bench.errors import UsageError
from eden_bench.execution.request import make_ask
from eden_bench.sensitivity import text
from eden_bench.sensitivity.ranking import compared
from eden_bench.sensitivity.settings import settings as settings_of
from eden_bench.settings import resolve

if TYPE_CHECKING:
    from eden_bench.records import Record
    from eden_bench.sensitivity.settings import Setting


def sensitivity(
    methods: Annotated[list[str] | None, typer.Option(help="Names, globs or @groups; commas or repeats.")] = None,
    tasks: Annotated[list[str] | None, typer.Option(help="Of one kind: all have the choices that vary.")] = None,
    vary: Annotated[
        str, typer.Option("--vary", help="pooling, layer, norm, normalisation, size, budget; commas.")
    ] = "pooling,layer,normalisation,size",
    protocol: Annotated[str, typer.Option("--protocol", help="What is varied.")] = "linear-quick",
    product: Annotated[bool, typer.Option("--product", help="Every combination, not one choice at a time.")] = False,
    shots: Annotated[list[str] | None, typer.Option(help="Few-shot sizes, for example 3,full [full].")] = None,
    seeds: Annotated[str | None, typer.Option(help="Seeds, for example 0-9 [0-9].")] = None,
    plugin: Plugins = None,
    data: Data = None,
    out: Out = None,
    cache: Cache = None,
    splits: Splits = None,
    device: Device = None,
    threads: Threads = None,
    as_json: Json = False,
) -> None:
    """Run a comparison under every setting; say whether the order of the methods and the claims survive.

    The few-shot case: --protocol quick --tasks scr-heart --shots 3 --vary budget. Each setting is a protocol file in
    OUT/sensitivity, so that every number of it can be run again alone.
    """
    plugins = api.load_plugins(plugin or ())
    where = resolve(data=data, out=out, cache=cache, device=device, threads=threads, splits=splits)
    asked = make_ask(methods or [], tasks or [], seeds=seeds, shots=shots, protocol=protocol, plugins=plugins)
    varied = protocols.load(protocol)
    kinds = sorted({registry.tasks.get(name).kind for name in asked.tasks})
    if len(kinds) > 1:
        raise UsageError(f"sensitivity: the tasks are of the kinds {' and '.join(kinds)}, expected one kind a command")
    axes = [axis.strip() for axis in vary.split(",") if axis.strip()]
    results = []
    with watching(quiet=as_json) as watch:
        for setting in settings_of(varied, asked.tasks, axes, product=product):
            watch.say(f"setting: {setting.name}")
            named = setting.write(varied, asked.tasks, where.out / "sensitivity", protocol)
            wanted = make_ask(asked.methods, asked.tasks, seeds=seeds, shots=shots, protocol=named, plugins=plugins)
            results.append((setting, api.carry_out(wanted, where, watch).records))
    _show(results, as_json=as_json)


def _show(results: Sequence[tuple[Setting, Sequence[Record]]], *, as_json: bool) -> None:
    found = compared(results)
    if as_json:
        print_json(text.as_json(found))
        return
    for each in found:
        print_table(text.COLUMNS, text.rows(each), text.heading(each))
        print_text("\n".join(text.sentences(each)) + "\n")
