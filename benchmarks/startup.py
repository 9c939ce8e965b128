"""C11: ``eden-bench --help``, ``list`` and ``report --help`` answer within 0.30 s of wall time each.

The peer, in the same run, is what a tool pays that imports torch at its start. Each repeat is a process of its own,
so interpreter start and the reading of files count. ``python -m benchmarks.startup`` from the repository root.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import replace

from benchmarks.timing import STEADY, Bar, Equality, Side, arguments, compare, report, wanted

LIMIT_S = 0.30
COMMANDS = {"C11": ("--help",), "C11b": ("list",), "C11c": ("report", "--help")}
_EXPECTED = {"C11": "doctor", "C11b": "moco-v2", "C11c": "--allow-unequal"}
_SPY = """
import sys
from eden_bench.cli import main
try:
    main()
finally:
    print("torch" in sys.modules, file=sys.stderr)
"""


def main() -> None:
    options = arguments(__doc__ or "")
    with tempfile.TemporaryDirectory() as folder:
        bars = [_bar(id, words, folder, options.repeats) for id, words in COMMANDS.items() if wanted(options, id)]
    report(bars, as_json=options.json)


def _bar(id: str, words: tuple[str, ...], folder: str, repeats: int) -> Bar:
    command = [sys.executable, "-m", "eden_bench", *words]
    peer = [sys.executable, "-c", "import torch"]
    bar = compare(
        id,
        f"eden-bench {' '.join(words)} within {LIMIT_S} s",
        Side(" ".join(["python -m eden_bench", *words]), lambda: _run(command, folder)),
        Side("python -c 'import torch'", lambda: _run(peer, folder)),
        target=1.0,
        equality=_answers(id, words, folder),
        repeats=repeats,
    )
    # the bar is a time, not a ratio; noise only slows, so a time within the limit stands on a noisy machine too
    if bar.verdict == "unequal":
        return bar
    slow = "unsteady" if bar.peer_halves > STEADY else "miss"
    return replace(bar, verdict="pass" if bar.ours_s <= LIMIT_S else slow)


def _answers(id: str, words: tuple[str, ...], folder: str) -> Equality:
    """Check that the command prints its answer, and does not import torch."""
    done = subprocess.run([sys.executable, "-c", _SPY, *words], cwd=folder, capture_output=True, text=True, check=False)
    answered = done.returncode == 0 and _EXPECTED[id] in done.stdout
    light = done.stderr.splitlines()[-1:] == ["False"]
    return Equality(answered and light, f"answers with {_EXPECTED[id]!r}: {answered}; torch not imported: {light}")


def _run(command: list[str], folder: str) -> None:
    subprocess.run(command, cwd=folder, capture_output=True, check=True)


if __name__ == "__main__":
    main()
