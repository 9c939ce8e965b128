"""A user's own list files: who trains, who validates and who is tested, one image a line.

They lie in FOLDER/<dataset>/train.txt, test.txt and, where they say it, validation.txt. A line may carry more than
the image's name (``name.png,1``, ``name.png 0 0 1``), as the lists do that are passed around.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path

from eden_bench import atomic, plaintext
from eden_bench.contracts import DatasetIndex, Item
from eden_bench.digests import digest
from eden_bench.errors import UsageError

PARTS = ("train", "validation", "test")

_EXTENSIONS = (".png", ".jpg", ".jpeg", ".dcm", ".dicom", ".gif", ".tif", ".tiff", ".bmp", ".img", ".npy")
"""Taken off a name; whatever else follows a dot may belong to it, as in a DICOM's UID."""


def applied(index: DatasetIndex, folder: Path) -> DatasetIndex:
    """Return an index split by the lists in folder/<dataset>, or as it is where that folder is not there.

    Images that no list names are left out.

    Raises:
        UsageError: a list is absent, empty or names what the dataset does not hold, or an image or a patient stands in
            two of them; says how many, and one of them.
    """
    lists = folder / index.dataset
    if not lists.is_dir():
        note = f"{index.dataset}: {folder} has no folder {index.dataset}, so the dataset's own split holds"
        return replace(index, notes=(*index.notes, note))
    return split_by(index, lists)


def split_by(index: DatasetIndex, folder: Path) -> DatasetIndex:
    """Return an index split by train.txt, test.txt and perhaps validation.txt of a folder; errors as `applied`."""
    known = {item.id: item for item in index.items}
    files = {part: folder / f"{part}.txt" for part in PARTS}
    parts = {part: _read(files[part], known) for part in PARTS if part != "validation" or files[part].exists()}
    for one, other in combinations(parts, 2):
        _refuse_shared("images", set(parts[one]), set(parts[other]), files[one], files[other])
        first, second = ({known[name].patient for name in parts[part]} for part in (one, other))
        _refuse_shared("patients", first, second, files[one], files[other])
    test, kept = set(parts["test"]), {name for names in parts.values() for name in names}
    return replace(
        index,
        items=tuple(replace(i, split="test" if i.id in test else "train") for i in index.items if i.id in kept),
        validation=tuple(parts["validation"]) if "validation" in parts else None,
        split_rule=f"the user's own lists in {folder.parent.name}/{folder.name}",
    )


def write(folder: Path, lists: Mapping[str, Sequence[str]], rule: str) -> str:
    """Write each part that has images as <part>.txt, and their digest and rule as splits.json; return the digest.

    Raises:
        UsageError: a list of that name is there already and is another one.
    """
    identity = digest({part: list(names) for part, names in lists.items()})
    texts = {part: "".join(f"{name}\n" for name in names) for part, names in lists.items() if names}
    for part, text in texts.items():
        file = folder / f"{part}.txt"
        if file.exists() and file.read_text(encoding="utf-8") != text:
            raise UsageError(f"{file} is there and is another list: choose another --out, lists are never overwritten")
    for part, text in texts.items():
        atomic.write_text(folder / f"{part}.txt", text)
    counts = {part: len(names) for part, names in lists.items()}
    atomic.write_json(folder / "splits.json", {"splits": identity, "split_rule": rule, **counts})
    return identity


def _read(file: Path, known: Mapping[str, Item]) -> list[str]:
    try:
        lines = plaintext.read(file).splitlines()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"{file} cannot be read ({reason}): expected a list of images, one a line") from error
    tokens = [line if line in known else line.replace(",", " ").split()[0] for line in lines if line.strip(" ,\t")]
    if not tokens:
        raise UsageError(f"{file} is empty, expected a list of images, one a line: fill it or remove it")
    stems = Counter(map(_stem, known))
    by_stem = {stem: name for name in known if stems[stem := _stem(name)] == 1}
    names = {token: _name(token, known, by_stem) for token in tokens}
    strange = [token for token, name in names.items() if name not in known]
    if strange:
        raise UsageError(
            f"{file}: {len(strange):,} of {len(names):,} images are not in the dataset, for example {strange[0]!r}: "
            f"expected names like {next(iter(known), '')!r}; correct the list, or complete the dataset"
        )
    return list(dict.fromkeys(names.values()))


def _name(token: str, known: Mapping[str, Item], by_stem: Mapping[str, str]) -> str:
    """Return the id that a token means: as it stands, or the one id that has its stem, or the token."""
    whole = token.replace("\\", "/")
    exact = next((name for name in (token, whole, whole.rpartition("/")[2]) if name in known), None)
    return exact or by_stem.get(_stem(token), token)


def _stem(name: str) -> str:
    """Return a name without folders and extensions."""
    stem = name.replace("\\", "/").rpartition("/")[2]
    while stem.lower().endswith(_EXTENSIONS):
        stem = stem.rpartition(".")[0]
    return stem


def _refuse_shared(what: str, one: set[str], other: set[str], first: Path, second: Path) -> None:
    shared = one & other
    if shared:
        raise UsageError(
            f"{first} and {second.name} share {len(shared):,} {what}, for example {min(shared)!r}, expected none: take "
            "each out of one of them"
        )
