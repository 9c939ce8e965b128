"""Probe tasks as data: no torch until one is opened."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import ClassVar, Literal

from eden_bench.contracts import Context, DatasetIndex, OpenTask, ScoreDefinition, Task
from eden_bench.contracts.tasks import Seeds
from eden_bench.errors import unknown
from tasks.probes.protocol import ProbeProtocol


@dataclass(frozen=True, kw_only=True)
class ProbeTask(Task):
    """A probe of frozen features, done once a checkpoint."""

    name: str
    dataset: str
    title: str
    score: ScoreDefinition
    opens: str
    """Class of the open probe, a subclass of ``tasks.probes.base.OpenProbe``: "module:name", imported when it opens."""
    paper: ProbeProtocol
    quick: ProbeProtocol
    kind: Literal["probe"] = "probe"
    groups: tuple[str, ...] = ("probes",)
    ceilings: tuple[str, ...] = ()
    repeats: ClassVar[Seeds] = "once"

    @property
    def statistics(self) -> tuple[str, ...]:  # type: ignore[override]  # of each probe its own
        """Return the module of the open probe, which registers the statistics of its scores."""
        return (self.opens.partition(":")[0],)

    def protocol(self, name: str) -> ProbeProtocol:
        """Return the protocol "paper" or "quick".

        Raises:
            UsageError: the task has no protocol of that name.
        """
        protocols = {"paper": self.paper, "quick": self.quick}
        if name not in protocols:
            raise unknown(f"protocol of {self.name}", name, protocols)
        return protocols[name]

    def open(self, index: DatasetIndex, protocol: ProbeProtocol, context: Context) -> OpenTask:
        """Decode the films, or map them from the cache."""
        module, _, name = self.opens.partition(":")
        made: OpenTask = getattr(importlib.import_module(module), name)(self, index, protocol, context)
        return made
