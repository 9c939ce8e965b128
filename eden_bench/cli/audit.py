"""``eden-bench data audit``: audits datasets for leakage."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from eden_bench import registry
from eden_bench.audit import storage
from eden_bench.audit.storage import examples
from eden_bench.cli.options import Cache, Data, Json, Out, Plugins
from eden_bench.cli.output import print_json, print_table
from eden_bench.cli.progress import bars
from eden_bench.cli.streams import print_text
from eden_bench.data.inventory import choose_datasets
from eden_bench.errors import CellsFailed, UsageError
from eden_bench.execution import locks, request
from eden_bench.execution.backbones import checkpoint_folders
from eden_bench.registry import load_plugin_files
from eden_bench.settings import Settings, resolve

if TYPE_CHECKING:
    from eden_bench.audit.audit import Audit
    from eden_bench.audit.leaks import Pretraining
    from eden_bench.contracts import DatasetIndex


def audit_datasets(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[DATASETS]", help="Datasets to audit together [all that are available]."),
    ] = None,
    checkpoint: Annotated[
        list[Path] | None,
        typer.Option("--checkpoint", help="Checkpoint folder: audit its pretraining data (repeatable)."),
    ] = None,
    methods: Annotated[
        list[str] | None, typer.Option("--methods", help="Audit all checkpoints under OUT of these methods.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit code 3 if there is a leak.")] = False,
    data: Data = None,
    out: Out = None,
    cache: Cache = None,
    plugin: Plugins = None,
    as_json: Json = False,
) -> None:
    """Find leakage: patients and images shared by train and test, datasets, and pretrained backbones.

    Copies are found although they were resized, re-encoded, re-windowed or trimmed. Findings are written to
    OUT/audit and shown by the report. Exit code 0 also with findings; with --strict, 3 if one is a leak.
    """
    from eden_bench.audit.audit import audit

    load_plugin_files(plugin)
    settings = resolve(data=data, out=out, cache=cache)
    pretrainings = _pretrainings(checkpoint or [], methods or [], settings)
    with bars() as progress:
        audits = audit(choose_datasets(names or ["all"], settings), settings, pretrainings, say=_say, progress=progress)
    with locks.writing(settings.out):
        folder = storage.write(settings.out, audits)
    if as_json:
        print_json([content for each in audits for content in storage.summary(each)])
    else:
        _show(audits, folder)
    if strict and any(finding.level == "leak" for each in audits for finding in each.findings):
        raise typer.Exit(CellsFailed.exit_code)


def _pretrainings(folders: list[Path], methods: list[str], settings: Settings) -> list[Pretraining]:
    """Resolve --checkpoint and --methods to the data of those pretrainings.

    Raises:
        UsageError: a method has no checkpoint under OUT.
    """
    from eden_bench.audit.audit import checkpoint_pretrainings

    found = list(folders)
    for method in request.choose(registry.methods, methods) if methods else ():
        theirs = checkpoint_folders(settings.out, method)
        if not theirs:
            raise UsageError(
                f"{method} has no finished checkpoint in {settings.out / 'checkpoints'}: pretrain it, name another "
                "--out, or name its folder with --checkpoint"
            )
        found += theirs
    return checkpoint_pretrainings(found)


def _show(audits: list[Audit], folder: Path) -> None:
    from eden_bench.audit.leaks import ADVICE

    for each in audits:
        looked = ", ".join(f"{index.dataset} ({_counted(index)})" for index in each.indexes)
        print_text(f"looked at {looked}")
        rows = [
            (finding.level, finding.dataset, finding.text, "; ".join(examples(each, finding)))
            for finding in each.findings
        ]
        if not rows:
            print_text("no patient or image was found where it must not be")
            continue
        print_table(("level", "dataset", "found", "for example"), rows)
        for kind in dict.fromkeys(finding.kind for finding in each.findings):
            print_text(f"{kind}: {ADVICE[kind]}")
    _say(f"every pair is in {folder / 'pairs.csv'}")


def _counted(index: DatasetIndex) -> str:
    phantom = "PHANTOM, " if index.phantom else ""
    return f"{phantom}{index.part or f'{len(index.items):,} images'}"


def _say(text: str) -> None:
    typer.echo(text, err=True)
