"""Malformed files over all readers: how many, the slowest, the largest, and what failed.

Run ``python -m benchmarks.hostile_files`` from the repository root; ``--only scr,drive`` takes some readers,
``--say yes`` prints every sentence, ``--of 1000`` takes more than 24 files of each reader.
"""

from __future__ import annotations

import sys
import tempfile
import time
from itertools import groupby
from pathlib import Path

from benchmarks.timing import arguments, machine, wanted
from tests.tasks.hostile.cases import LIMIT_MIB, LIMIT_S, Result, run, sample, write_base


def main() -> None:
    """Run the sample's cases of the readers that --only names, print a table, and exit with 1 where one failed."""
    options = arguments(__doc__ or "", say="", of="24")
    known = {case.name: case for case in sample(int(options.of)) if wanted(options, case.role.reader)}
    with tempfile.TemporaryDirectory() as folder:
        base, work = Path(folder, "base"), Path(folder, "work")
        write_base(base, {case.role.reader for case in known.values()})
        start = time.perf_counter()
        results = list(run(list(known), base, work))
        seconds = time.perf_counter() - start
    print("| reader | files | refused | harmless | slowest, CPU s | (wall s) | highest, MiB | failures |")
    print("|---|---|---|---|---|---|---|---|")
    for name, group in groupby(results, key=lambda result: known[result.name].role.reader):
        print(_line(name, list(group)))
    print(_line("all", results))
    print(f"\nbars: {LIMIT_S:g} s of processor time and {LIMIT_MIB} MiB a file; {seconds:.0f} s in all; {machine()}")
    for result in results:
        for failure in result.failures:
            print(f"FAILED {result.name}: {failure}")
        if options.say:
            print(
                f"{result.name} [{result.cpu_s:.2f} s, {result.peak_mib:.0f} MiB]: {result.said or 'nothing refused'}"
            )
    sys.exit(any(result.failures for result in results))


def _line(name: str, results: list[Result]) -> str:
    refused, failed = sum(bool(result.said) for result in results), sum(bool(result.failures) for result in results)
    slowest, highest = max(results, key=lambda r: r.cpu_s), max(results, key=lambda r: r.peak_mib)
    wall = max(result.wall_s for result in results)
    figures = f"{slowest.cpu_s:.2f} | {wall:.2f} | {highest.peak_mib:.0f} | {failed}"
    return f"| {name} | {len(results)} | {refused} | {len(results) - refused} | {figures} |"


if __name__ == "__main__":
    main()
