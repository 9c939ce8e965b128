"""``eden-bench merge``: the records of several results folders in one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from eden_bench.cli.options import Json
from eden_bench.cli.output import print_json
from eden_bench.cli.streams import print_text
from eden_bench.execution import locks
from eden_bench.report.merge import Merged
from eden_bench.report.merge import merge as merge_folders


def merge(
    folders: Annotated[list[Path], typer.Argument(metavar="OUT…", help="Results folders, of other machines too.")],
    into: Annotated[Path, typer.Option(help="Results folder to copy their records to; what it holds is kept.")],
    as_json: Json = False,
) -> None:
    """Merge results folders: equal records are one, damaged ones are left out, contradicting ones an error."""
    with locks.writing(into):
        done = merge_folders(folders, into)
    if as_json:
        print_json(
            {
                "into": str(done.into),
                "records": done.total,
                "copied": {str(folder): count for folder, count in done.copied.items()},
                "shared": done.shared,
            }
        )
    else:
        print_text("\n".join(_sentences(done)))


def _sentences(done: Merged) -> list[str]:
    copied = ", ".join(f"{count} from {folder}" for folder, count in done.copied.items())
    return [
        f"{done.into}: {done.total} records, {copied} copied, {done.shared} repeats, all equal",
        f"checkpoints stay where they are, and 'run --replay' with them; next: eden-bench report --out {done.into}",
    ]
