"""``eden-bench data``: lists and validates datasets, writes split lists and phantoms."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from eden_bench import registry
from eden_bench.cli.audit import audit_datasets
from eden_bench.cli.fast_start import LeanCommand, LeanGroup
from eden_bench.cli.options import Cache, Data, Json, Plugins, Splits
from eden_bench.cli.output import print_json, print_pairs, print_table
from eden_bench.cli.progress import bars
from eden_bench.cli.streams import print_text
from eden_bench.data import dataset_folders
from eden_bench.data.dataset_folders import check, lists_of
from eden_bench.data.inventory import choose_datasets, dataset_rows
from eden_bench.data.split_lists import write
from eden_bench.errors import DataMissing, EdenError
from eden_bench.settings import Settings, resolve

if TYPE_CHECKING:
    from eden_bench.data.inventory import DatasetRow

app = typer.Typer(
    cls=LeanGroup,
    rich_markup_mode=None,
    help="Datasets: list and validate them, audit for leakage, write split lists and phantoms.",
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.command("list", cls=LeanCommand)
def list_datasets(data: Data = None, plugin: Plugins = None, as_json: Json = False) -> None:
    """List datasets: where each was found, how much of it, its licence and how to get it."""
    registry.load_plugin_files(plugin)
    settings = resolve(data=data)
    rows = dataset_rows(settings)
    if as_json:
        print_json([asdict(row) for row in rows])
        return
    columns = ("dataset", "state", "folder", "licence", "source")
    print_table(columns, [(row.name, _state(row, settings), row.found, row.licence, row.source) for row in rows])


@app.command("check", cls=LeanCommand)
def check_datasets(
    names: Annotated[list[str], typer.Argument(help="Datasets to validate, or 'all' for those available.")],
    data: Data = None,
    deep: Annotated[
        bool, typer.Option("--deep", help="Also read the decoded images in the cache, and mend what is damaged.")
    ] = False,
    cache: Cache = None,
    plugin: Plugins = None,
    as_json: Json = False,
) -> None:
    """Validate every file: counts, sizes, pairing, splits, patients. Exit code 4 if something is wrong."""
    registry.load_plugin_files(plugin)
    settings = resolve(data=data, cache=cache)
    rows = [row for name in choose_datasets(names, settings) for row in _findings(name, settings, deep)]
    if as_json:
        print_json(rows)
    else:
        columns = ("dataset", "level", "finding")
        print_table(columns, [[str(row[column]) for column in columns] for row in rows])
    wrong = sum(row["level"] == "error" for row in rows)
    if wrong:
        raise DataMissing(f"{wrong} of {len(rows)} findings are errors: the table says what to do about each")


@app.command("splits", cls=LeanCommand)
def write_splits(
    name: Annotated[str, typer.Argument(help="Name of a task or dataset.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder to write DATASET/train.txt and the other lists to.")
    ] = None,
    data: Data = None,
    cache: Cache = None,
    splits: Splits = None,
    plugin: Plugins = None,
    as_json: Json = False,
) -> None:
    """Print and write the train, validation and test lists; validates your own given by --splits FOLDER."""
    registry.load_plugin_files(plugin)
    found = lists_of(name, resolve(data=data, cache=cache, splits=splits))
    if out is not None:
        write(out / found.dataset, found.lists, found.rule)
    counts = {part: len(names) for part, names in found.lists.items()}
    if as_json:
        print_json({"dataset": found.dataset, "splits": found.digest, "split_rule": found.rule, **counts})
        return
    print_pairs({**{part: f"{count:,} images" for part, count in counts.items()}, "rule": found.rule}, found.dataset)
    print_text(f"digest {found.digest}")
    if out is not None:
        typer.echo(f"written to {out / found.dataset}; use them with: --splits {out}", err=True)


@app.command("phantom", cls=LeanCommand)
def write_phantoms(
    names: Annotated[
        list[str] | None, typer.Option("--datasets", help="Datasets to write [all that have a phantom].")
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="Folder to write to; pass it to run as --data.")] = Path("phantom"),
    seed: Annotated[int | None, typer.Option("--seed", help="Seed of the synthetic patients [0].")] = None,
    patients: Annotated[
        int | None, typer.Option("--patients", help="Number of patients [the dataset's default].")
    ] = None,
    plugin: Plugins = None,
    as_json: Json = False,
) -> None:
    """Write the phantom, a synthetic anatomy with known truth, in the layouts of the real datasets."""
    registry.load_plugin_files(plugin)
    chosen = [name for name in registry.datasets.select(names or ["@all"]) if _has_phantom(name, names)]
    with bars() as progress:
        folders = [
            dataset_folders.write_phantom(name, out.absolute(), patients=patients, seed=seed, progress=progress)
            for name in chosen
        ]
    rows = [{"dataset": name, "folder": str(folder)} for name, folder in zip(chosen, folders, strict=True)]
    if as_json:
        print_json(rows)
    else:
        print_table(("dataset", "folder"), [list(row.values()) for row in rows])
        typer.echo(f"use it with: --data {out}", err=True)


app.command("audit", cls=LeanCommand)(audit_datasets)


def _has_phantom(name: str, asked: list[str] | None) -> bool:
    """Return whether a dataset can write a phantom; if not, print it, or raise if it was requested by name."""
    by_name = name in ",".join(asked or ()).split(",")
    if by_name or dataset_folders.own_folder(dataset_folders.reader(name)) is None:
        return True
    typer.echo(f"{name} brings its own folder and has no phantom: left out", err=True)
    return False


def _state(row: DatasetRow, settings: Settings) -> str:
    if row.problem:
        return f"unusable: {row.problem}"
    if not row.found:
        return "absent" if settings.data else "absent: no data folder is set, the phantom serves"
    counted = "whole" if row.images >= row.expected else f"{row.images:,} of {row.expected:,} images"
    return f"PHANTOM, {row.images:,} images" if row.phantom else counted


def _findings(name: str, settings: Settings, deep: bool) -> list[dict[str, object]]:
    """Validate one dataset; an error of its reader becomes a finding."""
    try:
        with bars() as progress:
            found = check(name, settings, progress, deep=deep)
    except (EdenError, OSError) as error:
        return [{"dataset": name, "level": "error", "finding": str(error)}]
    return [
        {"dataset": name, "level": finding.level, "finding": finding.text}
        | ({"numbers": dict(finding.numbers)} if finding.numbers else {})
        for finding in found
    ]
