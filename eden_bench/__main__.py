"""The door of the command line: what ``eden-bench`` and ``python -m eden_bench`` call."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; it is imported inside, so that Ctrl-C is quiet while its libraries still load."""
    try:
        from eden_bench.cli import main as command_line
    except KeyboardInterrupt:
        sys.exit(130)
    command_line()


if __name__ == "__main__":
    main()
