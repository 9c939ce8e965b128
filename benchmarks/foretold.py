"""What ``run --dry-run`` foretells after one run of a kind, beside what it then takes, by the wall clock.

    python -m benchmarks.foretold                # about four minutes on two quiet cores; --device cuda on a card
    python -m benchmarks.foretold --only fine-tuning

One run of each kind fills an empty folder: a fine-tuning of ``random`` on ``scr-heart`` at ``quick``, and a pretraining
of ``moco-v2`` of four epochs, with a fine-tuning after it. Then each other size is foretold by the command, run, and
compared: seconds of the records' or the checkpoint's own clock, which is what is foretold, and the peak of memory.
Asked: each within 25 %. Ends with 1 where one is further off.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.timing import Bar, arguments, machine, report, wanted

WITHIN = 0.25
_RUN = ("--methods", "random", "--tasks", "scr-heart")
PROTOCOL = """base = "quick"
[methods.moco-v2]
epochs = {epochs}
"""
CELLS = {"four seeds": ("--seeds", "1-4"), "12 shots, two seeds": ("--seeds", "0-1", "--shots", "12"),
         "two seeds of scr-heart, stored ones among": ("--seeds", "3-6")}  # fmt: skip
EPOCHS = {"twice the epochs": 2, "three times the epochs": 3}


class Place(NamedTuple):
    """Where commands run."""

    folder: Path
    device: str
    first_epochs: int = 4

    def run(self, *words: str, epochs: int = 0) -> Any:  # noqa: ANN401 - what a command prints as JSON
        """Run the command line; return its JSON."""
        length = epochs or self.first_epochs
        protocol = self.folder / str(length) / "sizes.toml"  # of one name, as one protocol's runs foretell
        protocol.parent.mkdir(exist_ok=True)
        protocol.write_text(PROTOCOL.format(epochs=length), encoding="utf-8")
        where = ["--out", str(self.folder / "runs"), "--device", self.device, "--protocol", str(protocol)]
        command = [sys.executable, "-m", "eden_bench", *words, *where, "--json", "-q"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(words)}: {(done.stderr.strip().splitlines() or ['nothing said'])[-1]}")
        return json.loads(done.stdout)


def main() -> None:
    """Fill a folder with one run of each kind, then compare."""
    options = arguments((__doc__ or "").partition("\n")[0])
    with tempfile.TemporaryDirectory() as folder:
        place = Place(Path(folder), options.device)
        bars = list(_fine_tunings(place)) if wanted(options, "fine-tuning") else []
        bars += list(_pretrainings(place)) if wanted(options, "pretraining") else []
    report(bars, as_json=options.json)


def _fine_tunings(place: Place) -> Iterator[Bar]:
    place.run("run", *_RUN, "--seeds", "0")
    for name, size in CELLS.items():
        told = place.run("run", *_RUN, *size, "--dry-run")["estimate"]
        before = set(_records(place))
        place.run("run", *_RUN, *size)
        new = [record for id, record in _records(place).items() if id not in before]
        peak = max(_peak(record["provenance"]) for record in new)
        yield judged(f"cells: {name}", told["cell_seconds"], sum(_seconds(one) for one in new), _told(told), peak)


def _pretrainings(place: Place) -> Iterator[Bar]:
    ask = ("run", "--methods", "moco-v2", "--tasks", "scr-heart", "--seeds", "0")
    place.run(*ask)
    for name, times in EPOCHS.items():
        epochs, before = times * place.first_epochs, set(_records(place))
        told = place.run(*ask, "--dry-run", epochs=epochs)["estimate"]
        place.run(*ask, epochs=epochs)
        (record,) = (record for id, record in _records(place).items() if id not in before)
        (made,) = place.run("pretrain", "--methods", "moco-v2", epochs=epochs)  # finished: only named
        card = json.loads((Path(made["folder"]) / "card.json").read_text(encoding="utf-8"))
        peak = max(_peak(card), _peak(record["provenance"]))
        yield judged(f"pretraining: {name}", told["pretrain_seconds"], card["history"]["seconds"], _told(told), peak)


def _records(place: Place) -> dict[str, Any]:
    """Return the stored records by the name of their folder."""
    files = sorted((place.folder / "runs").glob("records/*/record.json"))
    return {file.parent.name: json.loads(file.read_text(encoding="utf-8")) for file in files}


def _seconds(record: Any) -> float:  # noqa: ANN401 - JSON
    return float(record["provenance"]["seconds"])


def _told(estimate: Any) -> int:  # noqa: ANN401 - JSON
    return int(estimate["device_memory_bytes"] or estimate["memory_bytes"] or 0)


def _peak(measured: Any) -> int:  # noqa: ANN401 - JSON
    return int(measured.get("peak_device_memory_bytes") or measured.get("peak_memory_bytes") or 0)


def judged(title: str, told_s: float | None, taken_s: float, told_bytes: int, peak_bytes: int) -> Bar:
    """Return the bar of one size: seconds and memory taken beside those foretold."""
    pairs = ((told_s or 0.0, taken_s), (told_bytes, peak_bytes))
    near = all(abs(told / taken - 1) <= WITHIN for told, taken in pairs)
    text = (
        f"memory foretold {told_bytes / 2**20:,.0f} MiB, taken {peak_bytes / 2**20:,.0f} MiB; both within {WITHIN:.0%}"
    )
    return Bar(
        id="G10", title=title, verdict="pass" if near else "miss", ours="taken", peer="foretold", ours_s=taken_s,
        peer_s=told_s or 0.0, ratio=(told_s or 0.0) / taken_s, target=1.0, repeats=1, equality=text, machine=machine(),
    )  # fmt: skip


if __name__ == "__main__":
    main()
