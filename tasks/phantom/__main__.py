"""``python -m tasks.phantom --sheet FILE.png --fundus-sheet FILE.jpg``: draw the phantoms' contact sheets."""

from __future__ import annotations

import argparse
from pathlib import Path

from tasks.phantom import write_sheet
from tasks.phantom.sheets.fundus import write_fundus_sheet


def main() -> None:
    """Parse the command line and draw."""
    parser = argparse.ArgumentParser(prog="python -m tasks.phantom", description="Draw the phantoms' contact sheets.")
    parser.add_argument("--sheet", type=Path, metavar="FILE.png", help="where to write the chest phantom's")
    parser.add_argument("--fundus-sheet", type=Path, metavar="FILE.jpg", help="where to write the fundus phantom's")
    parser.add_argument("--seed", type=int, default=0, help="the phantom's seed (default: 0)")
    arguments = parser.parse_args()
    if not (arguments.sheet or arguments.fundus_sheet):
        parser.error("name at least one of --sheet and --fundus-sheet")
    if arguments.sheet:
        write_sheet(arguments.sheet, seed=arguments.seed)
    if arguments.fundus_sheet:
        write_fundus_sheet(arguments.fundus_sheet, seed=arguments.seed)


main()
