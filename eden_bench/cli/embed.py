"""``eden-bench embed``: writes the frozen features of one method to a file that ``--methods NAME=FILE`` reads."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from eden_bench import embedding
from eden_bench.cli.options import Cache, Data, Device, Json, Out, Plugins, Splits, Threads
from eden_bench.cli.output import print_json, print_pairs
from eden_bench.cli.watching import watching


def embed(
    method: Annotated[str, typer.Argument(help="A method, or NAME=PATH of weights.")],
    to: Annotated[Path, typer.Option("--to", help="File to write; ends in .npz.")],
    tasks: Annotated[str, typer.Option("--tasks", help="Whose datasets are embedded.")] = "@classification",
    protocol: Annotated[str | None, typer.Option("--protocol", help="linear or linear-quick [by the data].")] = None,
    plugin: Plugins = None,
    data: Data = None,
    out: Out = None,
    cache: Cache = None,
    splits: Splits = None,
    device: Device = None,
    threads: Threads = None,
    as_json: Json = False,
) -> None:
    """Embed every image of some tasks' datasets; pretrain the method first if it must be.

    To enter a model that cannot be run here, put its vectors in the place of the file's and name it in --methods.
    """
    with watching(quiet=as_json) as watch:
        where = {"data": data, "out": out, "cache": cache, "splits": splits, "device": device, "threads": threads}
        made = embedding.embed(method, tasks, to, protocol=protocol, plugins=plugin or (), watch=watch, **where)
    told = {name: f"{len(made.ids[name]):,} images, pixels {digest[:12]}" for name, digest in made.data.items()}
    width = {name: vectors.shape[1] for name, vectors in made.vectors.items()}
    if as_json:
        print_json({"file": str(to), "model": made.model, "data": dict(made.data), "width": width})
    else:
        print_pairs({"file": str(to), "model": made.model, "width": str(max(width.values())), **told}, "embeddings")
