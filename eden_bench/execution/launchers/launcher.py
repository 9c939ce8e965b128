"""What a launcher is, and what is said of it on the command line."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

from eden_bench.errors import UsageError
from eden_bench.execution.execute import Result
from eden_bench.execution.job import Job

Name = Literal["local", "devices", "ray"]
_ADDRESS = re.compile(r"auto|([\w.-]+|\[[0-9a-fA-F:.]+\]):[1-9][0-9]{0,4}")


class Launcher(Protocol):
    """Computes jobs. The caller may start one whenever ``free``, and asks for results one at a time."""

    @property
    def workers(self) -> int:
        """Jobs that are computed at once."""
        ...

    @property
    def free(self) -> bool:
        """Whether another job may be started."""
        ...

    def start(self, ticket: int, job: Job) -> None:
        """Take a job, under a number that its results will carry."""
        ...

    def wait(self) -> tuple[int, Result]:
        """Wait for the next result of any job that was started; each of its seeds gives one.

        Raises:
            StoreFailed: a checkpoint or a cache cannot be written.
            EdenError: no worker can be had.
        """
        ...

    def close(self) -> None:
        """End at once, with whatever is being computed."""
        ...


@dataclass(frozen=True, kw_only=True)
class Launch:
    """How jobs are launched."""

    launcher: Name = "local"
    devices: tuple[str, ...] = ()
    """GPUs of this machine to use, for "devices"; none named: all that there are."""
    workers: int | None = None
    """CPU workers; None: as many as fit with their threads."""
    per_gpu: int = 1
    """Workers that share a GPU and its memory."""
    pack: int | None = None
    """Seeds of one task, backbone and shots that are one job; None: as many as a task trains at once (a setting)."""
    retries: int = 2
    """How often a cell is tried again whose worker died."""
    ray_address: str | None = None
    """Cluster to join; None: one of our own, on this machine."""

    def __post_init__(self) -> None:
        """Refuse numbers and combinations that mean nothing."""
        if self.launcher not in get_args(Name):
            raise UsageError(f"--launcher {self.launcher}: expected {', '.join(get_args(Name))}")
        for name, value, least in (
            ("workers", self.workers, 1),
            ("per-gpu", self.per_gpu, 1),
            ("pack", self.pack, 1),
            ("retries", self.retries, 0),
        ):
            if value is not None and value < least:
                raise UsageError(f"--{name} is {value}, expected at least {least}")
        if self.launcher == "local" and (self.workers or self.per_gpu > 1 or self.devices):
            raise UsageError("--workers, --per-gpu and several devices need --launcher devices or ray")
        if self.ray_address and self.launcher != "ray":
            raise UsageError("--ray-address needs --launcher ray")
        if self.ray_address and not _ADDRESS.fullmatch(self.ray_address):
            client = ", not Ray Client's" if "://" in self.ray_address else ", or auto"
            raise UsageError(f"--ray-address {self.ray_address}: expected HOST:PORT of the cluster's head{client}")
