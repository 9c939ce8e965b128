"""``python -m tasks.phantom --sheet FILE.png``: draw the phantom's contact sheet."""

from __future__ import annotations

import argparse
from pathlib import Path

from tasks.phantom import write_sheet


def main() -> None:
    """Parse the command line and draw."""
    parser = argparse.ArgumentParser(prog="python -m tasks.phantom", description="Draw the phantom's contact sheet.")
    parser.add_argument("--sheet", type=Path, required=True, metavar="FILE.png", help="where to write the picture")
    parser.add_argument("--seed", type=int, default=0, help="the phantom's seed (default: 0)")
    arguments = parser.parse_args()
    write_sheet(arguments.sheet, seed=arguments.seed)


main()
