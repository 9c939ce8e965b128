"""``eden-bench doctor``: checks this machine and installation, and prints what to do."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from eden_bench import doctor as examination
from eden_bench.cli.options import Cache, Data, Device, Json, Out, Threads
from eden_bench.cli.output import print_json, print_table
from eden_bench.settings import gather

_WRONG_SETUP = 2


def doctor(
    data: Data = None,
    out: Out = None,
    cache: Cache = None,
    device: Device = None,
    threads: Threads = None,
    self_test: Annotated[
        bool, typer.Option("--self-test", help="Also work for ten seconds, and say what this machine should reach.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Check Python, torch, devices, folders and shadowed packages. Exit code 2 if something must be fixed."""
    settings = gather(data=data, out=out, cache=cache, device=device, threads=threads)
    checks = list(examination.examine(settings))
    if self_test and all(check.level != "error" for check in checks):
        checks += examination.self_test(settings)
    if as_json:
        print_json([asdict(check) for check in checks])
    else:
        print_table(("check", "state", "finding"), [(check.name, check.level, check.text) for check in checks])
    if any(check.level == "error" for check in checks):
        raise typer.Exit(_WRONG_SETUP)
