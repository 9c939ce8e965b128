"""Make the reference results that travel with the package: python -m benchmarks.reference OUT [--to ARCHIVE].

OUT is a results folder of the phantom at ``quick`` with one thread. Of each record are kept: everything but arrays, and
of the cases the columns that its primary score is computed from; where the archive would exceed 2 MB, of fewer seeds.
Every record is sealed anew, read back, and its score computed from the kept cases must be the stored one.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import lzma
import math
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from eden_bench import records
from eden_bench.case_statistics import statistic_of
from eden_bench.records import CASES, Record
from eden_bench.records.store import _facts, seal, to_json
from eden_bench.report.reference import ARCHIVE

MOST_BYTES = 2_000_000
_ALWAYS = ("case", "patient", "label")


class Watched(dict):
    """Columns that remember which of them were read."""

    def __init__(self, columns: Mapping[str, np.ndarray]) -> None:
        super().__init__(columns)
        self.read: set[str] = set()

    def __getitem__(self, name: str) -> np.ndarray:
        self.read.add(name)
        return super().__getitem__(name)


def thinned(record: Record) -> dict[str, bytes]:
    """Return a record's files without arrays, with the columns of the cases that its score needs."""
    frame = record.cases()
    columns = Watched({name: frame[name].to_numpy() for name in frame.columns})
    statistic = statistic_of(record.score)
    if statistic is not None:
        statistic(columns, record.score.name)
    kept = [name for name in frame.columns if name in _ALWAYS or name in columns.read]
    cases = _columns(record.cases_bytes(), kept)
    content = {name: value for name, value in record.content.items() if name not in ("arrays", "digest")}
    content["cases"] = {"rows": record.facts.cases.rows, "columns": kept, **_facts(cases)}
    content["provenance"] = {**content["provenance"], "started": ""}
    return {CASES: cases, "record.json": to_json(seal(content)).encode()}


def _columns(cases: bytes, kept: Sequence[str]) -> bytes:
    """Return some columns of a CSV file, texts as they are."""
    lines = list(csv.reader(io.StringIO(cases.decode())))
    places = [lines[0].index(name) for name in kept]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([line[place] for place in places] for line in lines)
    return text.getvalue().encode()


def check(folder: Path) -> None:
    """Read the records back and compute each score from its cases."""
    for record in records.load(folder, warn=_fail):
        statistic = statistic_of(record.score)
        if statistic is None:
            continue
        frame = record.cases()
        value = statistic({name: frame[name].to_numpy() for name in frame.columns}, record.score.name)
        if not math.isclose(value, record.value, rel_tol=1e-6):
            raise SystemExit(f"{record.folder}: its cases give {value!r}, its score is {record.value!r}")


def pack(found: Sequence[Record]) -> bytes:
    """Return the archive of some records: sorted, without times or owners, so that equal records give equal bytes."""
    files = [(f"records/{record.id}/{name}", content) for record in found for name, content in thinned(record).items()]
    target = io.BytesIO()
    order = sorted(files, key=lambda file: (file[0].rpartition("/")[2], _like(file[1])))
    with (
        lzma.open(target, "wb", preset=9 | lzma.PRESET_EXTREME) as packed,
        tarfile.open(fileobj=packed, mode="w") as tar,
    ):
        for name, content in order:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return target.getvalue()


def _like(content: bytes) -> tuple[bytes, int]:
    """Return a key by which like files stand beside each other, for the compression."""
    return content[:200] if content[:4] == b"case" else _task(content), len(content)


def _task(content: bytes) -> bytes:
    cell = json.loads(content)["cell"]
    return f"{cell['task']} {cell['method']} {cell['seed']}".encode()


def smallest(found: Sequence[Record], most: int = MOST_BYTES) -> Iterator[tuple[int, bytes]]:
    """Yield archives of fewer and fewer seeds, the last of which fits."""
    seeds = sorted({record.cell.seed for record in found})
    while seeds:
        packed = pack([record for record in found if record.cell.seed in seeds])
        yield len(seeds), packed
        if len(packed) <= most:
            return
        seeds.pop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--to", type=Path, default=ARCHIVE)
    options = parser.parse_args()
    found = records.load(options.out, warn=_fail)
    wrong = [record.id for record in found if not (record.phantom and record.marks.quick)]
    if wrong:
        raise SystemExit(f"{len(wrong)} records are not phantom at quick, the first is {wrong[0]}")
    for seeds, packed in smallest(found):
        print(f"{seeds} seeds: {len(packed):,} bytes")
    with tempfile.TemporaryDirectory() as folder, tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        tar.extractall(folder, filter="data")
        check(Path(folder))
        kept = records.load(Path(folder), warn=_fail)
    options.to.parent.mkdir(exist_ok=True)
    options.to.write_bytes(packed)
    methods, tasks = {record.label for record in kept}, {record.cell.task for record in kept}
    print(f"{options.to}: {len(kept)} records, {len(methods)} methods, {len(tasks)} tasks, {seeds} seeds")


def _fail(line: str) -> None:
    raise SystemExit(line)


if __name__ == "__main__":
    main()
