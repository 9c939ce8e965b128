"""The command line: dispatches commands, and converts every error to one sentence and an exit code.

A command's module is imported when the command is called, never for ``--help``, so that nothing here pulls in
torch, pandas or numpy.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TextIO

import typer

from eden_bench.cli.fast_start import LeanCommand, LeanGroup
from eden_bench.errors import EdenError, OutputFailed, PluginError, Preempted, UsageError, nearest
from eden_bench.plugins.name_conflicts import shadows
from eden_bench.printable import legible

_OK, _INTERNAL, _USAGE, _INTERRUPTED, _CUT_OFF = 0, 1, 2, 130, 141
_MACHINES = {
    getattr(errno, name): name
    for name in ("ENAMETOOLONG", "ELOOP", "EACCES", "EPERM", "EROFS", "ENOSPC", "EDQUOT", "EIO", "EMFILE", "ENFILE")
}
"""Errors of the system that are not ours but a path's, a disk's or a limit's."""
_WORKING = ("run", "pretrain")
"""Commands that leave work undone when their output is cut off."""
_EXIT_CODES = (
    "Exit codes: 0 all done, 1 internal error, 2 wrong usage or set-up, 3 some cells failed, 4 data missing or "
    "damaged, 75 stopped by SIGTERM or SIGUSR1 (requeue), 130 interrupted, 141 output cut off. Data go to stdout, "
    "progress and messages to stderr. Every option that names a folder or device can be set by EDEN_BENCH_DATA, _OUT, "
    "_CACHE, _DEVICE, _THREADS or in ./eden-bench.toml."
)


class Entry(NamedTuple):
    """One command: where it is, and the line that --help shows without importing it."""

    module: str
    attribute: str
    summary: str


COMMANDS = {
    "run": Entry("eden_bench.cli.run", "run", "Pretrain what is missing, fine-tune, score, print the table."),
    "report": Entry("eden_bench.cli.report", "report", "Print tables and tests from stored records."),
    "compare": Entry("eden_bench.cli.compare", "compare", "Compare results with published numbers or another folder."),
    "explain": Entry("eden_bench.cli.explain", "explain", "Trace a number to its formula, cells and commands."),
    "merge": Entry("eden_bench.cli.merge", "merge", "Merge results folders of several machines."),
    "pretrain": Entry("eden_bench.cli.run", "pretrain", "Pretrain methods without fine-tuning."),
    "list": Entry("eden_bench.cli.listing", "list_names", "List methods, tasks, datasets and protocols."),
    "show": Entry("eden_bench.cli.listing", "show", "Show a method's, task's, dataset's or protocol's card."),
    "data": Entry("eden_bench.cli.data", "app", "Datasets: list, check, audit, splits, phantom."),
    "plugins": Entry("eden_bench.cli.listing", "plugins", "List every plugin and whether it loads."),
    "import-weights": Entry("eden_bench.cli.weights", "import_file", "Import a published checkpoint as an encoder."),
    "sensitivity": Entry("eden_bench.cli.sensitivity", "sensitivity", "Does the ranking survive other settings?"),
    "embed": Entry("eden_bench.cli.embed", "embed", "Write a method's frozen features to a file."),
    "verify-model": Entry("eden_bench.cli.weights", "verify", "Print what a published model's authors may confirm."),
    "doctor": Entry("eden_bench.cli.doctor", "doctor", "Check this machine and installation."),
    "paths": Entry("eden_bench.cli.listing", "paths", "Show each setting and where it came from."),
}


class _Commands(LeanGroup):
    """A group that imports a command's module when the command is called."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ANN401 - click's or typer's own Context
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ANN401
        """Return a stand-in that has the command's summary, which is all that --help needs."""
        if cmd_name not in COMMANDS:
            return None
        return _command(lambda: None, COMMANDS[cmd_name].summary)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:  # noqa: ANN401
        """Import the command that is called."""
        if args[0] not in COMMANDS:
            ctx.fail(f"No such command {args[0]!r}.{nearest(args[0], COMMANDS)} Known: {', '.join(COMMANDS)}.")
        if args[0] != "doctor":
            _refuse_shadows()
        entry = COMMANDS[args[0]]
        return args[0], _command(getattr(import_module(entry.module), entry.attribute)), args[1:]


app = typer.Typer(
    name="eden-bench",
    cls=_Commands,
    add_completion=False,
    rich_markup_mode=None,
    epilog=_EXIT_CODES,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an unexpected error.")] = False,
) -> None:
    """Which pretraining helps on chest X-rays and fundus photographs, and what may be claimed."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command line and exit with its code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    given = [argument for argument in given if argument != "--debug"] or ["--help"]
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - for the whole process
    if sys.stdout is None:
        _say("the output is closed: send it to a file, or to /dev/null")
        sys.exit(_USAGE)
    with contextlib.redirect_stdout(legible(sys.stdout)), contextlib.redirect_stderr(legible(sys.stderr)):
        sys.exit(_run(given, debug))


def _run(arguments: list[str], debug: bool) -> int:
    """Run a command line; return its exit code."""
    try:
        if arguments == ["--version"]:
            typer.echo(f"eden-bench {_version()}")
            return _OK
        _need_unicode(arguments)
        code = typer.main.get_command(app).main(arguments, prog_name="eden-bench", standalone_mode=False)
        sys.stdout.flush()
    except (KeyboardInterrupt, typer.Abort):
        code = _INTERRUPTED
    except Preempted as stop:
        typer.echo(str(stop), err=True)
        code = stop.exit_code
    except (BrokenPipeError, SystemExit) as error:
        return _end_early(error, arguments)
    except Exception as error:  # noqa: BLE001, RUF100 - the edge: nothing may reach the user as a traceback
        return _fail(error, debug)
    if code == _INTERRUPTED:
        typer.echo("interrupted: what had finished is stored, the same command goes on from there", err=True)
    return code if isinstance(code, int) else _OK


def _fail(error: Exception, debug: bool) -> int:
    """Print an error in one line; return its exit code."""
    if debug:
        import traceback

        traceback.print_exception(error)
    if isinstance(error, EdenError):
        _say(str(error))
        return _hush(error.exit_code, sys.stdout) if isinstance(error, OutputFailed) else error.exit_code
    if hasattr(error, "format_message"):  # click's exceptions; typer carries its own copy of click from 0.20 on
        _say(_usage(error))
        return int(getattr(error, "exit_code", _USAGE))
    if isinstance(error, OSError) and error.errno in _MACHINES:
        where = f"{error.filename}: " if error.filename else ""
        _say(f"{where}{error.strerror}: choose another path, or mend that (--debug shows where)")
        return _USAGE
    _say(f"internal error: {type(error).__name__}: {error}{'' if debug else _keep_traceback(error)}")
    return _INTERNAL


def _say(message: str) -> None:
    typer.echo(f"error: {' '.join(message.split())}", err=True)


def _usage(error: Any) -> str:  # noqa: ANN401
    """Return click's message with the nearest option, and where to read more."""
    message, context = error.format_message(), getattr(error, "ctx", None)
    if option := getattr(error, "option_name", None):
        known = [name for parameter in context.command.params for name in parameter.opts] if context else []
        message = f"{error.message}.{nearest(option, known)}"
    return f"{message} See {context.command_path} --help." if context else str(message)


def _keep_traceback(error: Exception) -> str:
    """Save the traceback to a file and return where; if that fails, return how to see it."""
    import tempfile
    import traceback

    try:
        handle, name = tempfile.mkstemp(prefix="eden-bench-", suffix=".txt")
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.writelines(traceback.format_exception(error))
    except OSError:
        return " (--debug shows the traceback)"
    return f" (traceback in {name}; --debug shows it)"


def _need_unicode(arguments: Sequence[str]) -> None:
    """Validate that all arguments are Unicode, as records and reports need."""
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError as error:
            raise UsageError(f"argument {os.fsencode(argument)!r} is no UTF-8: rename the file or folder") from error


def _end_early(error: BaseException, arguments: Sequence[str]) -> int:
    """End a command whose output pipe was closed, or whose plugin called ``sys.exit``."""
    if isinstance(error, BrokenPipeError) or isinstance(error.__context__, BrokenPipeError):  # typer makes it an exit
        undone = arguments[0] in _WORKING and not {"-h", "--help"} & set(arguments)
        return _hush(_CUT_OFF if undone else _OK, sys.stdout, sys.stderr)
    _say(f"a plugin ended the program (SystemExit: {error}): make it raise an error, or leave it out")
    return _INTERNAL


def _hush(code: int, *streams: TextIO) -> int:
    """Silence a closed output pipe (``eden-bench list | head``), also at shutdown."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in streams:
        os.dup2(nowhere, stream.fileno())
    return code


def _command(function: Any, summary: str = "") -> Any:  # noqa: ANN401 - a function or a Typer
    """Build click's command from a function or a Typer; its help is the docstring up to its first section."""
    if isinstance(function, typer.Typer):
        return typer.main.get_command(function)
    text = summary or (function.__doc__ or "").partition("\n    Args:")[0].partition("\n    Raises:")[0]
    single = typer.Typer(add_completion=False, rich_markup_mode=None)
    single.command(cls=LeanCommand, help=text, context_settings={"help_option_names": ["-h", "--help"]})(function)
    return typer.main.get_command(single)


def _refuse_shadows() -> None:
    for finding in shadows():
        raise PluginError(finding)


def _version() -> str:
    from importlib.metadata import version

    return version("eden-bench")
