"""Find, index and validate datasets below ``EDEN_BENCH_DATA``; cache a phantom if no data folder is set.

Behind ``data list``, ``data check`` and ``data phantom``, and behind everything that opens a dataset by name.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from eden_bench.contracts import PHANTOM, Dataset, DatasetIndex, Finding, Progress, no_progress
from eden_bench.data import split_lists
from eden_bench.digests import digest
from eden_bench.errors import DataDamaged, DataMissing, EdenError, NotBuilt, UsageError, unknown
from eden_bench.files import atomic, plain_text
from eden_bench.registry import datasets, tasks
from eden_bench.settings import Settings

PHANTOM_SEED = 0
_VERSION = re.compile(r"[-_]v?\d+(\.\d+)+$")


def reader(name: str) -> Dataset:
    """Return a dataset's reader by name.

    Raises:
        UsageError: there is no dataset of that name; names the nearest.
    """
    found = datasets.get(name)
    return found() if isinstance(found, type) else found


def pretraining_sets() -> Mapping[str, str]:
    """Return the default pretraining dataset of each modality, modalities sorted.

    Of several that say so on their cards it is the first by name; ``--pretrain-data`` names another.
    """
    cards = {name: reader(name).card for name in datasets.names()}
    sets = {card.modality: name for name, card in reversed(cards.items()) if card.pretraining_set}
    return dict(sorted(sets.items()))


def open_index(name: str, settings: Settings, progress: Progress = no_progress, *, build: bool = True) -> DatasetIndex:
    """Index a dataset: the user's if a data folder is set, else the cached phantom, written first if it is absent.

    Args:
        name: of the dataset.
        settings: where data and cache are.
        progress: told of each phantom image drawn.
        build: False in a dry run: no phantom is drawn and no licence is shown.

    Raises:
        UsageError: there is no dataset of that name.
        DataMissing: the data folder lacks the dataset, or it is incomplete.
        DataDamaged: one of its files cannot be read.
        NotBuilt: the phantom is not drawn yet, and this is a dry run.
    """
    index = reader(name).index(_folder_of(name, settings, progress, build))
    for odd in _not_unicode(index):
        raise DataDamaged(odd)
    if build and not index.phantom:
        _show_licence(reader(name), settings.cache)
    return split_lists.apply_lists(index, settings.splits) if settings.splits else index


@dataclass(frozen=True)
class SplitLists:
    """Train, validation and test lists of a task or dataset."""

    dataset: str
    lists: dict[str, list[str]]
    """Part to image ids."""
    rule: str

    @property
    def digest(self) -> str:
        """Digest of the lists, "splits" in every record of a run on them."""
        return digest(self.lists)


def lists_of(name: str, settings: Settings, progress: Progress = no_progress) -> SplitLists:
    """Return the split lists of a task, or of a dataset by its first task with some; else its own.

    Raises:
        UsageError: there is neither task nor dataset of that name.
        DataMissing: the data are not at hand.
    """
    known = [tasks.get(task) for task in tasks.names()]
    asked = [task for task in known if task.name == name] or [task for task in known if task.dataset == name]
    if not asked and name not in datasets.names():
        raise unknown("task or dataset", name, [*tasks.names(), *datasets.names()])
    index = open_index(asked[0].dataset if asked else name, settings, progress)
    made = next(filter(None, (task.lists(index, task.protocol("paper")) for task in asked)), None)
    if made is None:
        lists = {part: [item.id for item in index.split(part)] for part in ("train", "test")}
        made = lists, index.split_rule
    return SplitLists(index.dataset, *made)


def find_folder(dataset: Dataset, data: Path) -> Path | None:
    """Find a dataset's folder below the data folder, or return None.

    Case is passed over, and so is a version that archives put behind the name (``-1.0.0``).
    """
    try:
        folders = [path for path in sorted(data.iterdir()) if path.is_dir()]
    except OSError as error:
        raise DataMissing(
            f"{data} cannot be listed ({error.strerror}): make EDEN_BENCH_DATA the datasets' folder"
        ) from error
    there = {path.name.casefold(): path for path in folders}
    for name, path in list(there.items()):
        there.setdefault(_VERSION.sub("", name), path)
    wanted = (folder.casefold() for folder in dataset.card.folders)
    return next((there[folder] for folder in wanted if folder in there), None)


def need_folder(dataset: Dataset, data: Path) -> Path:
    """Return a dataset's folder. Raises DataMissing if it is absent.

    Raises:
        DataMissing: it is not there; says where to get the dataset and what to do without.
    """
    folder = own_folder(dataset) or find_folder(dataset, data)
    if folder is None:
        raise DataMissing(
            f"{dataset.name}: {data} has no folder {' or '.join(dataset.card.folders)}: get it "
            f"({dataset.card.source}), or leave EDEN_BENCH_DATA and --data out to use the phantom"
        )
    return folder


def check(name: str, settings: Settings, progress: Progress = no_progress, *, deep: bool = False) -> list[Finding]:
    """Validate every file of a dataset, and with deep what is decoded of it in the cache; return the findings.

    Raises:
        UsageError: there is no dataset of that name.
        DataMissing: its folder is not there.
    """
    root = _folder_of(name, settings, progress)
    dataset = reader(name)
    found = [Finding("ok", f"read from {root}"), *dataset.check(root, progress), *_names_found(dataset, root)]
    if deep:
        from eden_bench.data.deep_check import deep_check

        found += deep_check(dataset.index(root), dataset, settings.cache, progress)
    return found


def _names_found(dataset: Dataset, root: Path) -> list[Finding]:
    """Validate names: report those that no list and no record can hold."""
    try:
        return [Finding("error", odd) for odd in _not_unicode(dataset.index(root))]
    except EdenError:
        return []


def _not_unicode(index: DatasetIndex) -> Iterator[str]:
    for item in index.items:
        try:
            f"{item.id}{item.image}{item.patient}".encode()
        except UnicodeEncodeError:
            yield f"{index.dataset}: the name {os.fsencode(item.image.name)!r} is no UTF-8: rename the file"


def write_phantom(
    name: str,
    root: Path,
    *,
    patients: int | None = None,
    seed: int | None = None,
    progress: Progress = no_progress,
) -> Path:
    """Write a dataset's phantom to root/<name> under a lock, atomically; an existing one is reused.

    Returns:
        The folder.

    Raises:
        UsageError: the folder exists and is no phantom or another than asked for, or patients is below 4.
        EdenError: the disk is full or root cannot be written.
    """
    dataset, folder = reader(name), root / reader(name).card.folders[0]
    count = dataset.phantom_patients if patients is None else patients
    if count < 4:
        raise UsageError(
            f"phantom {name}: {count} patients, expected at least 4: two for training and two for the test"
        )
    with atomic.locked(root / f".{folder.name}.lock"):
        if folder.exists() and not (folder / PHANTOM).is_file():
            raise UsageError(
                f"{folder} exists and is no phantom: choose another folder, real data are never overwritten"
            )
        if folder.exists():
            _need_same(dataset, folder, patients, seed)
        else:
            _write_aside(dataset, folder, count, PHANTOM_SEED if seed is None else seed, progress)
    return folder


def cached_phantom(name: str, settings: Settings, progress: Progress = no_progress, *, build: bool = True) -> Path:
    """Return the folder of the cached phantom; write it once for each version of the phantom.

    Raises:
        NotBuilt: it is not there, and build is False, as in a dry run.
    """
    folder = _place_of_phantom(reader(name), settings)
    if (folder / PHANTOM).is_file():
        return folder
    if not build:
        raise NotBuilt.of(f"the phantom of {name}")
    return write_phantom(name, folder.parent, progress=progress)


def _show_licence(dataset: Dataset, cache: Path) -> None:
    """Print a dataset's licence to stderr, once for each cache folder and each wording."""
    licence = dataset.card.licence
    shown = cache / "licences" / f"{dataset.name}-{digest(licence)[:12]}"
    if not licence or shown.exists():
        return
    print(f"{dataset.name}: licence: {licence} (shown once)", file=sys.stderr)  # noqa: T201
    with contextlib.suppress(EdenError, OSError):  # a cache that cannot be written is said where it matters
        atomic.write_text(shown, licence)


def own_folder(dataset: Dataset) -> Path | None:
    """Return the folder that a dataset names itself (``root``), or None if it is searched for."""
    return dataset.root


def _folder_of(name: str, settings: Settings, progress: Progress, build: bool = True) -> Path:
    dataset = reader(name)
    if settings.data is None:
        return own_folder(dataset) or cached_phantom(name, settings, progress, build=build)
    return need_folder(dataset, settings.data)


def _place_of_phantom(dataset: Dataset, settings: Settings) -> Path:
    version = dataset.phantom_version or 1
    root = settings.cache / "phantom" / f"v{version}-{dataset.phantom_patients}-patients-seed{PHANTOM_SEED}"
    return root / dataset.card.folders[0]


def _need_same(dataset: Dataset, folder: Path, patients: int | None, seed: int | None) -> None:
    """Check that an existing phantom has the requested seed, patient count and version; None means any.

    Raises:
        UsageError: it has others, or its manifest cannot be read.
    """
    try:
        held = dict(json.loads(plain_text.read(folder / PHANTOM)))
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise UsageError(f"{folder / PHANTOM} cannot be read ({error}): choose another --out") from error
    asked = {"seed": seed, "patients": patients, "version": dataset.phantom_version}
    if any(value is not None and held.get(name, value) != value for name, value in asked.items()):
        version = f", version {held['version']}" if "version" in held else ""
        raise UsageError(
            f"{folder} holds seed {held.get('seed')}, {held.get('patients')} patients{version}: choose another --out"
        )


def _write_aside(dataset: Dataset, folder: Path, patients: int, seed: int, progress: Progress) -> None:
    atomic.sweep(folder.parent, folder.name)
    with atomic.folder(folder) as aside:
        try:
            dataset.write_phantom(aside, patients=patients, seed=seed, progress=progress)
        except OSError as error:
            raise EdenError(
                f"the phantom cannot be written to {folder.parent} ({error.strerror}): free some room, or choose "
                "another folder"
            ) from error
        if not (aside / PHANTOM).is_file():
            atomic.write_json(aside / PHANTOM, {"dataset": dataset.name, "patients": patients, "seed": seed})


def drawn_phantom(dataset: Dataset, settings: Settings) -> Path | None:
    """Return the folder of a dataset's cached phantom, or None if it is not written yet."""
    folder = _place_of_phantom(dataset, settings)
    return folder if (folder / PHANTOM).is_file() else None
