"""``eden-bench doctor``: checks this machine and installation, and prints what to do."""

from __future__ import annotations

from dataclasses import asdict

import typer

from eden_bench import doctor as examination
from eden_bench.cli.options import Cache, Data, Json, Out
from eden_bench.cli.output import print_json, print_table
from eden_bench.settings import gather

_WRONG_SETUP = 2


def doctor(data: Data = None, out: Out = None, cache: Cache = None, as_json: Json = False) -> None:
    """Check Python, torch, devices, folders and shadowed packages. Exit code 2 if something must be fixed."""
    checks = list(examination.examine(gather(data=data, out=out, cache=cache)))
    if as_json:
        print_json([asdict(check) for check in checks])
    else:
        print_table(("check", "state", "finding"), [(check.name, check.level, check.text) for check in checks])
    if any(check.level == "error" for check in checks):
        raise typer.Exit(_WRONG_SETUP)
