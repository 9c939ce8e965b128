"""Read, validate and write split lists: train, validation and test, one image a line.

They lie in FOLDER/<dataset>/train.txt, test.txt and, where they say it, validation.txt. A line may carry more than
the image's name (``name.png,1``, ``name.png 0 0 1``), as the lists do that are passed around. A line is one image or
the list is refused: a name may hold blanks, and what stands before one is not taken for another image.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path, PurePosixPath
from unicodedata import normalize

from eden_bench.contracts import DatasetIndex, Item
from eden_bench.digests import digest
from eden_bench.errors import UsageError
from eden_bench.files import atomic, plain_text

PARTS = ("train", "validation", "test")

_EXTENSIONS = (".png", ".jpg", ".jpeg", ".dcm", ".dicom", ".gif", ".tif", ".tiff", ".bmp", ".webp", ".img", ".npy")
"""Taken off a name; whatever else follows a dot may belong to it, as in a DICOM's UID."""
_ENDS = re.compile(r" *[,;\t] *| +")
"""Where a name may end and a label begin."""
_NUMBER = re.compile(r"[-+]?\d+(\.\d*)?")
_LABEL = re.compile(r"[-+]?(0|[1-9]\d*)(\.\d*)?")
"""A number that may be a label though an image has it for a name; of zeros in front, it is a name."""


def apply_lists(index: DatasetIndex, folder: Path) -> DatasetIndex:
    """Split an index by the lists in folder/<dataset>; return it unchanged if that folder does not exist.

    Images that no list names are left out.

    Raises:
        UsageError: a list is absent, empty or names what the dataset does not hold, or an image or a patient stands in
            two of them, or twice in one; says how many, and one of them.
    """
    lists = folder / index.dataset
    if not lists.is_dir():
        note = f"{index.dataset}: {folder} has no folder {index.dataset}, so the dataset's own split holds"
        return replace(index, notes=(*index.notes, note))
    return split_by(index, lists)


def split_by(index: DatasetIndex, folder: Path) -> DatasetIndex:
    """Split an index by train.txt, test.txt and perhaps validation.txt of a folder; errors as `apply_lists`."""
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
    """Read and validate a list; return the ids that it names, one for every line that is not blank."""
    try:
        lines = plain_text.read(file).splitlines()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"{file} cannot be read ({reason}): expected a list of images, one a line") from error
    said = [line if line in known else line.strip(" ,\t") for line in lines if line.strip(" ,\t")]
    if not said:
        raise UsageError(f"{file} is empty, expected a list of images, one a line: fill it or remove it")
    names = _Names(known)
    meant = [names.meant_by(line) for line in said]
    _refuse_strange(file, said, meant, known)
    ids = [ids[0] for ids in meant]
    if twice := [(name, count) for name, count in Counter(ids).items() if count > 1]:
        raise UsageError(
            f"{file} names {len(twice):,} images more than once, for example {twice[0][0]!r} on {twice[0][1]} lines, "
            "expected each once: take the others out"
        )
    return ids


def _refuse_strange(file: Path, said: Sequence[str], meant: Sequence[Sequence[str]], known: Mapping[str, Item]) -> None:
    if strange := [line for line, ids in zip(said, meant, strict=True) if not ids]:
        raise UsageError(
            f"{file}: {len(strange):,} of {len(said):,} images are not in the dataset, for example {strange[0][:80]!r}:"
            f" expected names like {next(iter(known), '')!r}; correct the list, or complete the dataset"
        )
    for line, ids in zip(said, meant, strict=True):
        if len(ids) > 1:
            raise UsageError(
                f"{file}: {line[:80]!r} may be {ids[0]!r} or {ids[1]!r}, expected one image: write the name in full"
            )


class _Names:
    """Match lines of a list with the names of a dataset."""

    def __init__(self, known: Mapping[str, Item]) -> None:
        self._known, self._signs = known, frozenset("".join(known))
        self._by_stem: dict[str, list[str]] = {}
        for name in known:
            self._by_stem.setdefault(_stem(name), []).append(name)

    def meant_by(self, line: str) -> list[str]:
        """Return the ids that a line may mean: by all of it, else by what stands before a label; several, or none."""
        return next((ids for ids in map(self._called, self._readings(line)) if ids), [])

    def _readings(self, line: str) -> Iterator[str]:
        """Yield what of a line may be a name, the longest first."""
        yield line
        for end in reversed(list(_ENDS.finditer(line))):
            if self._ends_a_name(line[: end.start()].strip('"'), end[0].strip(" ") or " ", line[end.end() :]):
                yield line[: end.start()]

    def _ends_a_name(self, name: str, sign: str, rest: str) -> bool:
        """Return whether a name ends here: no other image follows, and no name of the dataset continues so."""
        words, whole = _ENDS.split(rest), name.lower().endswith(_EXTENSIONS)
        if any(self._is_another(word, name) for word in words):
            return False
        pictures = [_stem(word) for word in words if word.lower().endswith(_EXTENSIONS)]
        if whole or pictures:
            return whole and all(re.match(re.escape(_stem(name)) + r"([_.-]|$)", other) for other in pictures)
        return sign not in self._signs and (sign != " " or all(map(_NUMBER.fullmatch, words)))

    def _is_another(self, word: str, name: str) -> bool:
        """Return whether a word is another image of the dataset rather than a label."""
        return not _LABEL.fullmatch(word) and bool(self._called(word)) and _stem(word.strip('"')) != _stem(name)

    def _called(self, name: str) -> list[str]:
        """Return the id that a name is, or those it may be without folders and extension."""
        whole = name.strip('"').replace("\\", "/")
        exact = next((one for one in (name, whole, whole.rpartition("/")[2]) if one in self._known), None)
        if exact:
            return [exact]
        return [one for one in self._by_stem.get(_stem(whole), []) if _folders_agree(one, whole)]


def _folders_agree(one: str, other: str) -> bool:
    """Compare two names' folders, as far as both name some: another folder's image is another."""
    folders = [PurePosixPath(name).parts[-2::-1] for name in (one, other)]
    return all(a == b for a, b in zip(*folders, strict=False))


def _stem(name: str) -> str:
    """Return a name without folders and extensions, its accents composed."""
    stem = normalize("NFC", name.replace("\\", "/").rpartition("/")[2])
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
