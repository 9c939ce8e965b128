"""Marks that restrict what numbers mean: phantom, quick, part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from eden_bench.records import Record


class Marks(NamedTuple):
    """Marks of a table that restrict what its numbers mean: phantom, quick, part."""

    phantom: bool
    quick: bool
    part: str

    @property
    def words(self) -> tuple[str, ...]:
        """For example ("PHANTOM", "QUICK"); empty for whole real data under the paper's protocol."""
        part = (f"PART: {self.part}",) if self.part else ()
        return (*(("PHANTOM",) if self.phantom else ()), *(("QUICK",) if self.quick else ()), *part)

    @classmethod
    def of(cls, records: Sequence[Record]) -> Marks:
        """Return the marks of records that may stand in one table."""
        phantom = any(record.phantom or record.pretraining.phantom for record in records)
        return cls(phantom, records[0].marks.quick, _part(records))


def _part(records: Sequence[Record]) -> str:
    """Name the incomplete data: the task's, those of the pretraining, or both."""
    found = [records[0].marks.part or ""]
    parts = {record.pretraining.part or "" for record in records}
    return "; ".join(filter(None, [*found, *(f"pretraining on {part}" for part in sorted(parts) if part)]))
