"""Options that several commands share, each written once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Data = Annotated[
    Path | None, typer.Option("--data", help="Parent folder of the datasets; without it, the synthetic phantom.")
]
Out = Annotated[Path | None, typer.Option("--out", help="Folder of records, checkpoints and reports [./runs].")]
Cache = Annotated[Path | None, typer.Option("--cache", help="Folder of cached images and of the phantom.")]
Device = Annotated[str | None, typer.Option("--device", help="auto, cpu, mps, cuda or cuda:N.")]
Threads = Annotated[
    str | None, typer.Option("--threads", metavar="N", help="CPU threads; part of a cell's identity [cores].")
]
Deterministic = Annotated[
    bool | None, typer.Option("--deterministic", help="The same digits twice on one GPU, or an error; slower there.")
]
Speedups = Annotated[
    str | None,
    typer.Option(
        "--speedups", help="Of pretraining on a GPU: compile, tune; commas. Last digits move: a recipe of its own."
    ),
]
Splits = Annotated[
    Path | None,
    typer.Option("--splits", help="Folder of your split lists, DATASET/train.txt, test.txt [the dataset's]."),
]
Track = Annotated[
    str | None,
    typer.Option("--track", help="Send scores and curves too: tensorboard, or module:function; commas [nowhere]."),
]
Reference = Annotated[
    bool, typer.Option("--with-reference", help="Beside the phantom's results that travel with the package.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Plugins = Annotated[list[Path] | None, typer.Option("--plugin", help="Load a plugin file first (repeatable).")]
