"""Options that say where cells are computed."""

from __future__ import annotations

from typing import Annotated

import typer

from eden_bench.errors import UsageError
from eden_bench.execution.launchers.launcher import Launch, Name

Launcher = Annotated[
    str,
    typer.Option("--launcher", help="local: in this process; devices: a process a GPU (or --workers); ray: a cluster."),
]
Workers = Annotated[
    int | None, typer.Option("--workers", help="CPU workers, of --threads each [as many as the cores hold].")
]
PerGpu = Annotated[int, typer.Option("--per-gpu", help="Workers that share a GPU and its memory.")]
Pack = Annotated[
    int | None,
    typer.Option("--pack", help="Seeds of one task, method and shots that are one job [as --at-once]."),
]
AtOnce = Annotated[
    str | None, typer.Option("--at-once", metavar="N", help="Seeds of a pack that train by turns on one GPU [1].")
]
Retries = Annotated[int, typer.Option("--retries", help="Tries more for a cell whose worker died.")]
RayAddress = Annotated[
    str | None, typer.Option("--ray-address", metavar="HOST:PORT", help="Ray cluster to join [one of our own].")
]


def launching(
    device: str | None,
    *,
    launcher: str,
    workers: int | None,
    per_gpu: int,
    pack: int | None,
    retries: int,
    ray_address: str | None,
) -> tuple[Launch, str | None]:
    """Return how to launch, and the kind of device for the settings, where several may be named.

    Raises:
        UsageError: the options do not fit each other.

    >>> how = {"workers": None, "per_gpu": 1, "pack": None, "retries": 2, "ray_address": None}
    >>> launching("cuda:0,cuda:2", launcher="devices", **how)[1]
    'cuda'
    """
    several = tuple(part.strip() for part in device.split(",")) if device and launcher != "local" else ()
    named = tuple(name for name in several if ":" in name)
    if len(several) > 1 and (len(named) < len(several) or any(not name.startswith("cuda:") for name in named)):
        raise UsageError(f"--device {device}: expected for example cuda:0,cuda:1")
    if named and launcher == "ray":
        raise UsageError(f"--device {device}: a Ray cluster has its own GPUs: give --device cuda, or cpu")
    name: Name = launcher  # type: ignore[assignment]  # Launch checks it
    launch = Launch(
        launcher=name,
        devices=named,
        workers=workers,
        per_gpu=per_gpu,
        pack=pack,
        retries=retries,
        ray_address=ray_address,
    )
    return launch, "cuda" if named else device
