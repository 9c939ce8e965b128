"""The cells of a plan that wait to be started, in the plan's order, and what each of them waits for."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Sequence

from eden_bench.execution.backbones import Backbone
from eden_bench.execution.plan import Slot

_Kin = tuple[Backbone, str, int | None]


class Queue:
    """Waiting cells. One that has to wait longer keeps its place."""

    def __init__(self, slots: Sequence[Slot], looked_at: Collection[str]) -> None:
        """Line up.

        Args:
            slots: in the order of the plan.
            looked_at: tasks whose networks other cells look at.
        """
        self._waiting, self._left, self._taken = deque(slots), len(slots), set[Slot]()
        self._by_kin: dict[_Kin, deque[Slot]] = {}
        for slot in slots:
            self._by_kin.setdefault(_kin(slot), deque()).append(slot)
        self._unmade = {(_kin(slot), slot.seed) for slot in slots if slot.task in looked_at}
        self.unpretrained = list(dict.fromkeys(slot.backbone for slot in slots if slot.backbone.digest is None))
        """Backbones that must be pretrained before some of the cells."""

    def __len__(self) -> int:
        return self._left

    def look(self) -> Iterator[Slot]:
        """Yield the waiting cells, first come first; those that are not taken stay."""
        passed = []
        try:
            while self._waiting:
                slot = self._waiting.popleft()
                if slot not in self._taken:
                    passed.append(slot)
                    yield slot
        finally:
            self._waiting.extendleft(slot for slot in reversed(passed) if slot not in self._taken)

    def take(self, slot: Slot) -> None:
        """Take a cell out: it is started, or ended."""
        self._taken.add(slot)
        self._left -= 1

    def mates(self, slot: Slot) -> Iterator[Slot]:
        """Yield the waiting cells that share task, backbone and shots with one, and do not wait for a network."""
        kin = self._by_kin[_kin(slot)]
        while kin and kin[0] in self._taken:
            kin.popleft()
        for mate in kin:
            if mate is not slot and mate not in self._taken and not self.waits_for_network(mate):
                yield mate

    def waits_for_network(self, slot: Slot) -> bool:
        """Return whether the network that a cell looks at is still to be trained in this run."""
        if slot.looks_at is None:
            return False
        return ((slot.backbone, slot.looks_at.task.name, slot.shots), slot.seed) in self._unmade

    def ended(self, slot: Slot) -> None:
        """Let those start that look at a cell's network: it is there, or failed."""
        self._unmade.discard((_kin(slot), slot.seed))


def _kin(slot: Slot) -> _Kin:
    return slot.backbone, slot.task, slot.shots
