"""Run the command line as users do: in a process of its own, in a folder of its own."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def eden_bench(*arguments, cwd, code=None, **environment):
    """Run ``python -m eden_bench``, or Python code; return the finished process with its text streams."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("EDEN_BENCH_")}
    kept |= {"OMP_NUM_THREADS": "1", "XDG_CACHE_HOME": str(Path(cwd) / "cache"), **environment}
    start = ["-c", code] if code else ["-m", "eden_bench"]
    return subprocess.run(
        [sys.executable, *start, *map(str, arguments)], cwd=cwd, env=kept, capture_output=True, text=True, check=False
    )


def one_error(done):
    """Return the one sentence that a failed command says."""
    assert "Traceback" not in done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    return lines[0]
