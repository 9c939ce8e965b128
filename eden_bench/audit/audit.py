"""Audit datasets for leakage: open, fingerprint, compare and report them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from eden_bench.audit import fingerprints
from eden_bench.audit.groups import Films, group_by_film
from eden_bench.audit.leaks import AuditFinding, Pretraining, find_leaks
from eden_bench.contracts import DatasetIndex, Progress, no_progress
from eden_bench.data.dataset_folders import open_index, pretraining_sets, reader
from eden_bench.errors import DataMissing, UsageError
from eden_bench.settings import Settings
from eden_bench.weights.checkpoints import Checkpoint


@dataclass(frozen=True)
class Audit:
    """The result of an audit: the datasets compared, and the findings."""

    indexes: tuple[DatasetIndex, ...]
    """Of one modality, all phantoms or none."""
    films: Films
    findings: tuple[AuditFinding, ...]


def audit(
    names: Sequence[str],
    settings: Settings,
    pretrainings: Iterable[Pretraining] = (),
    *,
    say: Callable[[str], None] = lambda text: None,
    progress: Progress = no_progress,
) -> list[Audit]:
    """Audit datasets for leakage. Other modalities, and phantoms and real data, are never compared.

    Args:
        names: datasets. What backbones are pretrained on is looked at too, where it is at hand.
        settings: where the data and the cache are.
        pretrainings: on what backbones were pretrained; the bench's own pretraining sets where there are none.
        say: is told what could not be looked at.
        progress: told of images decoded and compared.

    Raises:
        DataMissing: a dataset is not at hand.
        UsageError: the cache cannot be written.
    """
    modalities = {reader(name).card.modality for name in names}
    defaults = [name for modality, name in pretraining_sets().items() if modality in modalities]
    wanted = list(pretrainings) or [Pretraining(f"{name}, as the bench pretrains", name) for name in defaults]
    indexes = [open_index(name, settings, progress) for name in names]
    for dataset in dict.fromkeys(each.dataset for each in wanted if each.dataset not in names):
        try:
            indexes.append(open_index(dataset, settings, progress))
        except DataMissing as error:
            say(f"not compared with what backbones are pretrained on: {error}")
    groups: dict[tuple[str, bool], list[DatasetIndex]] = {}
    for index in indexes:
        groups.setdefault((reader(index.dataset).card.modality, index.phantom), []).append(index)
    return [_audited(tuple(group), wanted, settings.cache, progress) for group in groups.values()]


def checkpoint_pretrainings(folders: Iterable[Path]) -> list[Pretraining]:
    """Read from the cards of checkpoints what their backbones were pretrained on.

    Raises:
        WeightsMissing: a folder holds no finished checkpoint.
        UsageError: a card does not name a dataset.
    """
    found = []
    for folder in folders:
        card = Checkpoint(folder).card
        data = card.get("data")
        name = data.get("dataset") if isinstance(data, dict) else None
        if not isinstance(name, str):
            raise UsageError(f"{folder}: its card names no pretraining dataset, so it cannot be audited against it")
        reader(name)
        found.append(Pretraining(f"{card['method']}, {folder.name}", name))
    return found


def _audited(
    indexes: tuple[DatasetIndex, ...], pretrainings: Sequence[Pretraining], cache: Path, progress: Progress
) -> Audit:
    seen = [
        (index, fingerprints.fingerprint_images(reader(index.dataset), index.items, cache, progress))
        for index in indexes
    ]
    films = group_by_film(seen, progress)
    return Audit(indexes, films, tuple(find_leaks(indexes, films, pretrainings)))
