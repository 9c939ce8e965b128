"""C14: ten seeds of a small task by one command, against one command a seed.

    python -m benchmarks.packs                    # by the wall clock, seven repeats of each: about ten minutes
    python -m benchmarks.packs --only C14-cpu     # one run of each, by the processor time of the processes

A seed is quick's fine-tuning of ``scr-heart`` on the phantom, halved (40 steps of 8 images at 64 px, 123 test films
scored at 256 px), of a ResNet-18 of a quarter of the width: what a pack saves is the start-up, so the ratio falls with
the steps (``--steps 80`` is quick's own). Both sides are the command line, one thread, and end in the stored
records and the rendered report. Equality: every record of one side has the scores and the cases of the other's, bit
for bit. Dropped against the bar's text: nothing; a peer without this tool is in ``benchmarks.gpu_parts.packs``.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.timing import Bar, Equality, Side, arguments, compare, machine, report, wanted

TARGET = 3.0
PROTOCOL = """base = "quick"
[methods.random]
arch = "resnet18-w16"
[tasks.scr-heart]
decoder_channels = [16, 16, 16, 16, 8]
max_steps = {steps}
validate_every = 10
"""


def main() -> None:
    options = arguments((__doc__ or "").partition("\n")[0], seeds="10", steps="40")
    seeds = range(int(options.seeds))
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "tiny.toml").write_text(PROTOCOL.format(steps=int(options.steps)), encoding="utf-8")
        sides = _sides(Path(folder), seeds)
        clause, by_processor = _equality(Path(folder), sides)
        bars = [_by_processor(by_processor, sides, clause)] if wanted(options, "C14-cpu") else []
        if wanted(options, "C14"):
            title = f"{len(seeds)} seeds of scr-heart at tiny width, a seed"
            bars.append(compare("C14", title, *sides, target=TARGET, equality=clause, repeats=options.repeats))
    report(bars, as_json=options.json)


def _sides(folder: Path, seeds: range) -> tuple[Side, Side]:
    """Return one command for all seeds, and one command a seed."""

    def ours() -> None:
        _run(folder, "ours", f"{seeds[0]}-{seeds[-1]}", fresh=True)

    def peer() -> None:
        for seed in seeds:
            _run(folder, "peer", str(seed), fresh=seed == seeds[0])

    return Side("one process", ours, len(seeds)), Side("a process a seed", peer, len(seeds))


def _run(folder: Path, out: str, seeds: str, *, fresh: bool) -> None:
    if fresh:
        shutil.rmtree(folder / out, ignore_errors=True)
    words = ["--methods", "random", "--tasks", "scr-heart", "--seeds", seeds, "--protocol", str(folder / "tiny.toml")]
    command = [sys.executable, "-m", "eden_bench", "run", *words, "--threads", "1", "--out", str(folder / out), "-q"]
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(command, capture_output=True, check=True, env=one_thread)


def _equality(folder: Path, sides: tuple[Side, Side]) -> tuple[Equality, tuple[float, ...]]:
    """Run each side once; compare their records, and return the processor seconds of a seed of each."""
    spent = tuple(_processor_seconds(side.run) / side.units for side in sides)
    mine, theirs = (_scored(folder / out) for out in ("ours", "peer"))
    holds = len(mine) == sides[0].units and mine == theirs
    return Equality(holds, f"scores and cases of {len(mine)} records are equal bit for bit: {holds}"), spent


def _processor_seconds(run: Callable[[], object]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _scored(out: Path) -> dict[str, tuple[object, bytes]]:
    """Return the scores and the cases of every record, by cell."""
    folders = sorted(path.parent for path in out.glob("records/*/record.json"))
    return {
        folder.name: (json.loads((folder / "record.json").read_text())["scores"], (folder / "cases.csv").read_bytes())
        for folder in folders
    }


def _by_processor(spent: tuple[float, ...], sides: tuple[Side, Side], clause: Equality) -> Bar:
    """Return the bar by processor time, which other work on the machine moves less than the wall clock."""
    (ours_s, peer_s), (ours, peer) = spent, sides
    verdict = "unequal" if not clause.holds else "pass" if peer_s / ours_s >= TARGET else "miss"
    return Bar(
        id="C14-cpu",
        title="the same by the processes' processor time",
        verdict=verdict,  # type: ignore[arg-type]
        ours=ours.name,
        peer=peer.name,
        ours_s=ours_s,
        peer_s=peer_s,
        ratio=peer_s / ours_s,
        target=TARGET,
        repeats=1,
        equality=clause.text,
        machine=machine(),
    )


if __name__ == "__main__":
    main()
