"""The child process of ``tests.tasks.hostile``: breaks files, does what a user does, measures, prints JSON lines."""

from __future__ import annotations

import contextlib
import json
import re
import resource
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from eden_bench import registry
from eden_bench.contracts import Dataset, Finding
from eden_bench.data.dataset_folders import reader
from eden_bench.errors import EdenError
from tests.tasks.hostile.cases import FOLDER, KAGGLE, LIMIT_MIB, LIMIT_S, Case, Result, cases

_WALL_S = 60
"""A machine with other work on it; what waits for ever is found all the same."""


class Watched:
    """Calls of a reader, the errors they end in, and what is wrong with those."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.errors: list[tuple[str, str]] = []
        self.failures: list[str] = []
        self.found: list[Finding] = []

    def call(self, what: str, do: Callable[[], Any]) -> Any:
        """Return what do returns, None where it raises."""
        try:
            return do()
        except EdenError as error:
            self.errors.append((what, str(error)))
            self._look_at(what, str(error))
        except Exception as error:
            self.errors.append((what, repr(error)))
            self.failures.append(f"{what}: {type(error).__name__}: {error}"[:300])
        return None

    def _look_at(self, what: str, said: str) -> None:
        if self.file.stem not in said:
            self.failures.append(f"{what} does not name {self.file.name}: {said[:300]}")
        if re.search(r"[\x00-\x1f\x7f]", said) or len(said) > 1000:
            self.failures.append(f"{what} is not one line of at most 1,000 letters: {said[:300]!r}")


def main() -> None:
    """Run the cases whose names come from the standard input."""
    base, work = map(Path, sys.argv[1:])
    wanted, known = json.load(sys.stdin), {case.name: case for case in cases()}
    for name in {known[name].role.reader for name in wanted}:
        for problem in _use(base / name, name, Watched(base)).failures:
            raise SystemExit(f"{name} is not whole before it is broken: {problem}")
    resource.setrlimit(resource.RLIMIT_AS, (int((_status("VmSize") + LIMIT_MIB) * 2**20),) * 2)
    for name in wanted:
        print(json.dumps({"start": name}), flush=True)
        print(json.dumps({"result": _run(known[name], base, work)}), flush=True)


def _run(case: Case, base: Path, work: Path) -> Result:
    root = work / case.role.reader
    shutil.copytree(base / case.role.reader, root, copy_function=_linked)
    file = sorted(root.glob(case.role.file))[0]
    content = file.read_bytes()
    file.unlink()
    file.write_bytes(content)
    case.change.do(file)
    del content
    Path("/proc/self/clear_refs").write_text("5")
    rest_mib = _status("VmRSS")  # with what the cases before have left in the heap
    with _clock():
        started, wall = time.process_time(), time.perf_counter()
        watched = _use(root, case.role.reader, Watched(file))
        cpu_s, wall_s = time.process_time() - started, time.perf_counter() - wall
    peak_mib = _status("VmHWM") - rest_mib
    shutil.rmtree(root)
    failures = [*watched.failures, *_verdict(case, watched)]
    failures += [f"took {cpu_s:.1f} s"] if cpu_s > LIMIT_S else []
    failures += [f"took {peak_mib:.0f} MiB"] if peak_mib > LIMIT_MIB else []
    said = watched.errors[0][1] if watched.errors else ""
    figures = round(cpu_s, 3), round(wall_s, 3), round(peak_mib, 1)
    return Result(case.name, *figures, said.replace(str(work), "…"), tuple(failures))


def _status(name: str) -> float:
    """Return a figure of this process, MiB."""
    return int(re.findall(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())[0]) / 1024


def _linked(source: str, target: str) -> None:
    Path(target).hardlink_to(source)


@contextlib.contextmanager
def _clock() -> Iterator[None]:
    """End the process where it works, or waits, for too long: C code cannot be interrupted otherwise."""
    signal.setitimer(signal.ITIMER_PROF, 2 * LIMIT_S)
    signal.alarm(_WALL_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.alarm(0)


def _use(root: Path, name: str, watched: Watched) -> Watched:
    """Index, read everything, read what else the reader offers, and check."""
    dataset = watched.call("load", lambda: _reader(root, name))
    index = watched.call("index", lambda: dataset.index(root)) if dataset else None
    for item in index.items if index else ():
        watched.call(f"item {item.id}", partial(dataset.read_image, item))
        for structure in (*item.masks, *item.drawn)[:2]:
            watched.call(f"item {item.id}", partial(dataset.read_mask, item, structure))
    if index:
        for what, read in _further(dataset, root):
            watched.call(what, read)
    if dataset:
        findings = watched.call("check", lambda: dataset.check(root)) or []
        watched.found = [finding for finding in findings if finding.level != "ok"]
    return watched


def _reader(root: Path, name: str) -> Dataset:
    if name != FOLDER:
        return reader("vindr-cxr" if name == KAGGLE else name)
    for kind in (registry.tasks, registry.datasets):
        kind.load_all()
        kind._made.pop("hostile", None)
        kind._origins.pop("hostile", None)
    registry.load_plugin_file(root / "task.toml")
    return registry.datasets.get("hostile")


def _further(dataset: Dataset, root: Path) -> Iterator[tuple[str, Callable[[], Any]]]:
    for what in ("boxes", "readings", "instances"):
        if hasattr(dataset, what):
            yield what, partial(getattr(dataset, what), root)
    if hasattr(dataset, "nodules"):
        yield "nodules", lambda: dataset.nodules(root / "Clinical_Information/CLNDAT_EN.txt")


def _verdict(case: Case, watched: Watched) -> Iterator[str]:
    """Say what else than expected was refused, or was not."""
    spoilt = {what for what, _ in watched.errors}
    if case.harmless:
        yield from (f"{what} is refused although {case.harmless}" for what in spoilt)
        return
    if not spoilt:
        yield "nothing is refused"
        return
    if case.role.spoils == "item" and spoilt != {"index"}:
        if len(spoilt) > 1 or not next(iter(spoilt)).startswith("item "):
            yield f"more than one item is spoilt: {', '.join(sorted(spoilt))}"
    elif case.role.spoils not in ("item", "index") and spoilt != {case.role.spoils}:
        yield f"more than {case.role.spoils} is spoilt: {', '.join(sorted(spoilt))}"
    if not any(watched.file.stem in finding.text for finding in watched.found) and "load" not in spoilt:
        yield "check does not name the file"


if __name__ == "__main__":
    main()
