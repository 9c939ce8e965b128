"""``eden-bench import-weights`` and ``verify-model``: take a checkpoint; say what a model's authors may confirm."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from eden_bench.cli.options import Json, Out
from eden_bench.cli.output import print_json, print_pairs
from eden_bench.errors import UsageError
from eden_bench.settings import resolve
from eden_bench.weights.paths import named_after

if TYPE_CHECKING:
    from eden_bench.weights.importing import Imported


def import_file(
    file: Annotated[Path, typer.Argument(help="Checkpoint file: .pth, .pt, .tar, .ckpt or .safetensors.")],
    name: Annotated[str | None, typer.Option("--name", help="Name of the method [the file's stem].")] = None,
    arch: Annotated[str | None, typer.Option("--arch", help="Expected architecture; refuse any other.")] = None,
    prefix: Annotated[
        str | None, typer.Option("--prefix", help="Prefix of the encoder's tensors, if the file has several networks.")
    ] = None,
    untrained: Annotated[bool, typer.Option("--untrained", help="Accept a network that was never trained.")] = False,
    look: Annotated[bool, typer.Option("--dry-run", help="Print what would be imported; write nothing.")] = False,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Import a checkpoint of any dialect: find the encoder, validate its coverage, save a checkpoint folder.

    Nothing in the file is executed: it is read with weights_only in a process of its own, with limits.
    """
    from eden_bench.weights.importing import import_weights, write

    called = named_after(file) if name is None else name
    if not called.replace("-", "").replace("_", "").isalnum():
        raise UsageError(f"--name {called!r}: expected letters, digits, '-' and '_'")
    imported = import_weights(file, arch=arch, prefix=prefix, untrained=untrained)
    if imported.coverage.lack:
        typer.echo(f"warning: {imported.coverage.lack}", err=True)
    folder = None
    if not look:
        folder = resolve(out=out).out / "checkpoints" / f"{called}-{imported.fingerprint}"
        write(imported, file, called, folder)
    told = _told(imported, folder)
    details = {**asdict(imported.coverage), "share": imported.coverage.share}
    print_json(told | {"coverage": details}) if as_json else print_pairs(told, f"weights {called}")
    if folder:
        typer.echo(f"enter it: eden-bench run --methods {called}={folder},random --tasks …", err=True)


def _told(imported: Imported, folder: Path | None) -> dict[str, str]:
    from eden_bench.weights.importing import shortened

    coverage = imported.coverage
    return {
        "file": coverage.file,
        "dialect": coverage.dialect,
        "found under": coverage.prefix or "no prefix",
        "passed over": ", ".join(coverage.others) or "nothing",
        "architecture": coverage.arch,
        "coverage": f"{coverage.matched} of {coverage.expected} entries ({coverage.share:.1%})",
        "missing": shortened(coverage.missing, 8),
        "unexpected": shortened(coverage.unexpected, 8),
        "left out": "; ".join(coverage.left_out) or "nothing",
        "embedding": coverage.reads,
        "adapted": "; ".join(coverage.reshaped) or "nothing",
        "not told apart": f"{coverage.look_alikes}; and what input was scaled to",
        "activations": f"{imported.fingerprint}{' of an UNTRAINED network' if coverage.untrained else ''}",
        "written to": str(folder or "nowhere"),
    }


def verify(
    name: Annotated[str, typer.Argument(help="Published model: rad-dino, eva-x, ark-plus …; a wrong name lists all.")],
    file: Annotated[Path | None, typer.Argument(help="Its weights [drawn by a rule that is printed].")] = None,
    as_json: Json = False,
) -> None:
    """Print what a published model's authors are asked to confirm: network, input, reading, and a test vector.

    Without a file, weights are drawn by their names, so that anyone can compute the same vector.
    """
    from eden_bench.weights.verification import verification

    told = verification(name, file)
    print_json(told) if as_json else print_pairs({key: _line(value) for key, value in told.items()}, f"model {name}")


def _line(value: object) -> str:
    return "; ".join(map(str, value)) or "nothing" if isinstance(value, list) else str(value)
