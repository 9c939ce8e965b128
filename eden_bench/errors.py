"""Errors with a remedy. Each is one sentence: what was found, what was expected, what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


class EdenError(Exception):
    """Base of every error that eden-bench raises on purpose; printed as one line, without a traceback.

    Exit code 1 is left to what nobody foresaw; a set-up that does not do is exit code 2.
    """

    exit_code = 2


class UsageError(EdenError):
    """The command or a configuration is wrong (exit code 2)."""

    exit_code = 2


class StoreFailed(UsageError):
    """A result cannot be written. The run stops, since nothing more could be stored."""


class OutputFailed(EdenError):
    """Output cannot be printed: the disk behind it is full."""


class CellsFailed(EdenError):
    """Some cells of a plan failed; the others are stored (exit code 3)."""

    exit_code = 3


class DataMissing(EdenError):
    """A dataset is absent, incomplete or damaged (exit code 4)."""

    exit_code = 4


class DataDamaged(DataMissing):
    """One file of a dataset is invalid or cannot be decoded; the message names it."""


class NotBuilt(EdenError):
    """A dry run would have to decode, draw or write something that is not cached yet."""

    @classmethod
    def of(cls, what: str) -> NotBuilt:
        """Build the error of a dry run for a store or a phantom."""
        return cls(f"{what} is not in the cache yet: run the command without --dry-run to make it")


class TrainingDiverged(EdenError):
    """A loss became NaN or infinite; the message names the step."""

    exit_code = 3


class OutOfMemory(EdenError):
    """Memory ran out on a device; the message says what was asked of it and what to change."""

    exit_code = 3


class Preempted(BaseException):
    """The system asked the process to stop, and it did so at a safe point (exit code 75, "try again").

    No Exception, as KeyboardInterrupt is none: whatever turns errors into failed cells lets it pass.
    """

    exit_code = 75

    def __init__(self, by: str = "the system") -> None:
        """Say who asked and what to do: ``by`` names the signal."""
        super().__init__(f"stopped as {by} asked; requeue: the same command goes on")


class WeightsMissing(EdenError):
    """A method's weights are not available: its cells are skipped and reported as "weights missing", not as failed.

    Where a command names the weights, it is exit code 4.
    """

    exit_code = 4


class WeightsRefused(UsageError):
    """A checkpoint fails validation: it does not fit the encoder, or cannot be read."""


class PluginError(UsageError):
    """A plugin could not be loaded or breaks its contract."""


def nearest(name: str, names: Iterable[str]) -> str:
    """Return ' Did you mean …?' for the closest of names, or an empty string if none is close.

    >>> nearest("nadam", ["adam", "densecl"])
    " Did you mean 'adam'?"
    """
    close = difflib.get_close_matches(name, list(names), n=1, cutoff=0.5)
    return f" Did you mean {close[0]!r}?" if close else ""


def unknown(kind: str, name: str, names: Iterable[str]) -> UsageError:
    """Build the error for an unknown name, with the nearest known one."""
    names = sorted(names)
    return UsageError(f"unknown {kind} {name!r}.{nearest(name, names)} Known: {', '.join(names) or 'none'}.")


def listed(names: Sequence[str], most: int = 64) -> str:
    """Return names for a sentence, and how many more there are.

    >>> listed(["007", "008", "009"], most=2)
    '007, 008 and 1 more'
    """
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
