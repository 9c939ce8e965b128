"""Entry point of the command line: what ``eden-bench`` and ``python -m eden_bench`` call.

``python -m`` puts the current folder first among those that modules are searched in, also under torchrun; like
``eden-bench`` itself we do not search it.
"""

import os
import sys

_HOME = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120 - pathlib imports more
if not sys.flags.safe_path and sys.path[:1] == [os.getcwd()] != [_HOME]:  # noqa: PTH109
    del sys.path[0]


def main() -> None:
    """Run the command line. It is imported inside, so that Ctrl-C is quiet while its libraries still load."""
    try:
        from eden_bench.cli import main as command_line
    except KeyboardInterrupt:
        sys.exit(130)
    command_line()


if __name__ == "__main__":
    main()
