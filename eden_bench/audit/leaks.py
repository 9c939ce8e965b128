"""Detect leakage: copies and patients shared by training and test, with a level and advice for each finding."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from eden_bench.audit.groups import Films
from eden_bench.audit.known_origins import origins
from eden_bench.contracts import DatasetIndex

Kind = Literal[
    "damaged",
    "copies within a split",
    "copies across splits",
    "patients across splits",
    "copies across datasets",
    "test images pretrained on",
    "known origin",
]
Level = Literal["leak", "risk", "note"]

LEVELS: dict[Kind, Level] = {
    "test images pretrained on": "leak",
    "copies across splits": "leak",
    "patients across splits": "leak",
    "known origin": "risk",
    "copies across datasets": "note",
    "copies within a split": "note",
    "damaged": "note",
}
"""In the order they are shown: a leak raises scores, a risk may."""

ADVICE: dict[Kind, str] = {
    "test images pretrained on": (
        "the backbone has seen these test images, though not their labels: say so beside the score, or score without "
        "them (pairs.csv names them)"
    ),
    "copies across splits": (
        "the same film is trained on and tested on, so the score is too high: drop the test images that pairs.csv "
        "names, or move them to the training list"
    ),
    "patients across splits": (
        "films of one patient are trained on and tested on, so the score is too high: split by patient"
    ),
    "known origin": "true without looking at a pixel: audit both datasets together to count the images",
    "copies across datasets": (
        "results on the two datasets are not independent, and training on one is training on part of the other"
    ),
    "copies within a split": "one film counts several times: harmless in training, it weighs more in a test score",
    "damaged": "these images were passed over: 'eden-bench data check' says what is wrong with each",
}


@dataclass(frozen=True)
class AuditFinding:
    """One finding of an audit: its kind, how many images, and which pairs."""

    kind: Kind
    dataset: str
    """Whose images are counted."""
    other: str
    """The dataset they are shared with; empty within one dataset."""
    count: int
    total: int
    text: str
    pairs: Mapping[int, int] = field(default_factory=dict, repr=False)
    """Row of ``Films.images`` to the row it was found beside."""

    @property
    def level(self) -> Level:
        """Severity of the finding."""
        return LEVELS[self.kind]


class Pretraining(NamedTuple):
    """What a backbone was pretrained on: a dataset's training split, the held-out validation part included."""

    label: str
    dataset: str


def find_leaks(
    indexes: Sequence[DatasetIndex], films: Films, pretrainings: Iterable[Pretraining]
) -> list[AuditFinding]:
    """Detect all leaks, risks and notes; return them, the worst first.

    Args:
        indexes: the datasets that were looked at, of one modality.
        films: their images.
        pretrainings: on what backbones were pretrained; those on other datasets are passed over.
    """
    names = sorted((index.dataset for index in indexes), key=lambda name: len(films.rows(name)))
    pairs = itertools.combinations(names, 2)
    found = [
        *(finding for index in indexes for finding in _within(index.dataset, films)),
        *(_shared(one, other, films) for one, other in pairs),
        *(_pretrained_on(name, each, films) for each in pretrainings for name in names if each.dataset in names),
        *(finding for name in names for finding in _known(name, films)),
    ]
    return sorted((each for each in found if each.count), key=lambda each: list(LEVELS).index(each.kind))


def _within(name: str, films: Films) -> Iterator[AuditFinding]:
    train, test = films.rows(name, "train"), films.rows(name, "test")
    everyone = films.rows(name)
    unread = {row: row for row in everyone if not films.images[row].sha256}
    yield _counted("damaged", name, "", unread, everyone, "images cannot be read")
    across = films.partners(test, train)
    yield _counted("copies across splits", name, "", across, test, "test images are copies of training images")
    again = {row: rows[0] for part in (train, test) for rows in films.by_film(part).values() for row in rows[1:]}
    yield _counted("copies within a split", name, "", again, everyone, "images repeat another of their split")
    own = {row: films.images[row].item.patient for row in everyone}
    yield _same_patients(name, "", own, films)
    for other in sorted(films.datasets - {name}):
        copies = films.partners(everyone, films.rows(other)).items()
        told = {row: films.images[partner].item.patient for row, partner in copies}
        if len({own[row] for row in told}) > len(set(told.values())):
            yield _same_patients(name, other, told, films)


def _same_patients(name: str, other: str, patients: Mapping[int, str], films: Films) -> AuditFinding:
    """Find test images of patients who are trained on too: by the dataset's own patients, or by its copies in other."""
    train = {patients[row]: row for row in films.rows(name, "train") if row in patients}
    test = films.rows(name, "test")
    found = {row: train[patients[row]] for row in test if patients.get(row) in train}
    told = f", as their copies in {other} tell" if other else ""
    text = f"test images are of patients who are trained on too{told}"
    return _counted("patients across splits", name, other, found, test, text)


def _shared(name: str, other: str, films: Films) -> AuditFinding:
    mine = films.rows(name)
    copies = films.partners(mine, films.rows(other))
    return _counted("copies across datasets", name, other, copies, mine, f"images are also in {other}")


def _pretrained_on(name: str, pretraining: Pretraining, films: Films) -> AuditFinding:
    """Find test images that pretraining saw; within one dataset they are copies across its splits."""
    test, seen = films.rows(name, "test"), films.rows(pretraining.dataset, "train")
    found = films.partners(test, seen) if name != pretraining.dataset else {}
    text = f"test images were pretrained on ({pretraining.label})"
    return _counted("test images pretrained on", name, pretraining.dataset, found, test, text)


def _known(name: str, films: Films) -> Iterator[AuditFinding]:
    """Report a dataset's known origins, unless every image was found in its source."""
    mine = films.rows(name)
    for rule in origins(name):
        found = len(films.partners(mine, films.rows(rule.source)))
        looked = f"; {found:,} of the {len(mine):,} here were found there" if rule.source in films.datasets else ""
        if found < len(mine):
            yield AuditFinding("known origin", name, rule.source, len(mine), len(mine), f"{rule.text}{looked}")


def _counted(
    kind: Kind, name: str, other: str, pairs: Mapping[int, int], among: Sequence[int], text: str
) -> AuditFinding:
    said = f"{len(pairs):,} of {len(among):,} {text}"
    return AuditFinding(kind, name, other, len(pairs), len(among), said, pairs)
