"""List the datasets that are available: where, how complete, under which licence; behind ``data list``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from eden_bench.contracts import Dataset
from eden_bench.data.dataset_folders import drawn_phantom, find_folder, own_folder, reader
from eden_bench.errors import DataMissing, EdenError
from eden_bench.registry import datasets
from eden_bench.settings import Settings


@dataclass(frozen=True, kw_only=True)
class DatasetRow:
    """One line of ``data list``."""

    name: str
    title: str
    found: str
    """The folder, or an empty string."""
    images: int
    expected: int
    phantom: bool
    problem: str
    """Why the folder cannot be used, or an empty string."""
    notes: tuple[str, ...]
    licence: str
    source: str


def dataset_rows(settings: Settings) -> list[DatasetRow]:
    """List every known dataset: where it was found, how many images, its licence and its source."""
    return [_row(reader(name), settings) for name in datasets.names()]


def choose_datasets(names: Iterable[str], settings: Settings) -> list[str]:
    """Resolve names, globs and groups of datasets. 'all' is every available one, else every phantom.

    Raises:
        UsageError: a pattern matches nothing.
        DataMissing: the data folder holds none of the datasets.
    """
    patterns = [part for name in names for part in name.split(",")]
    if "all" not in patterns:
        return datasets.select(patterns)
    if settings.data is None:
        return datasets.names()
    there = [row.name for row in dataset_rows(settings) if row.found or row.problem]
    if not there:
        raise DataMissing(f"{settings.data} holds none of the datasets: 'eden-bench data list' says where to get them")
    return there


def _row(dataset: Dataset, settings: Settings) -> DatasetRow:
    card, folder, index, problem = dataset.card, None, None, ""
    try:
        found = find_folder(dataset, settings.data) if settings.data else drawn_phantom(dataset, settings)
        folder = own_folder(dataset) or found
        index = dataset.index(folder) if folder else None
    except EdenError as error:
        problem = str(error)
    except Exception as error:  # noqa: BLE001, RUF100 - the edge: one dataset must not hide the others
        problem = f"{type(error).__name__}: {error}"
    return DatasetRow(
        name=dataset.name,
        title=card.title,
        found=str(folder) if folder else "",
        images=len(index.items) if index else 0,
        expected=card.expected_images,
        phantom=index.phantom if index else False,
        problem=problem,
        notes=index.notes if index else (),
        licence=card.licence,
        source=card.source,
    )
