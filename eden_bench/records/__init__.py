"""Records of finished cells, in ``OUT/records/<cell id>/``, and of failures, in ``OUT/failures/``.

A record is a folder of ``record.json``, ``cases.csv`` and, where the task stored arrays or predicted masks were kept,
``arrays.npz``, written aside and renamed into place, so it is there or not there, never half; folders of two runs merge
with ``cp -r``. It is never changed: it carries its own digest, which shows an edit (no more: a forger can compute it
too), and ``--force`` moves the old one to ``OUT/superseded/``. Everything but ``provenance``, the digest over it and
the paths in ``command`` is a function of the cell, and repeats byte for byte.
"""

from eden_bench.records.arrays import encode
from eden_bench.records.content import FailureContent
from eden_bench.records.failures import clear_failure, failures, write_failure
from eden_bench.records.overview import glance
from eden_bench.records.record import ARRAYS, CASES, Record, RecordDamaged
from eden_bench.records.store import (
    SCHEMA,
    Warn,
    cases_csv,
    check_outcome,
    find,
    folder_of,
    folders,
    load,
    put,
    read,
    render,
    scores_in,
    seal,
    stored,
    supersede,
    warn_stderr,
    write,
)

__all__ = [
    "ARRAYS",
    "CASES",
    "SCHEMA",
    "FailureContent",
    "Record",
    "RecordDamaged",
    "Warn",
    "cases_csv",
    "check_outcome",
    "clear_failure",
    "encode",
    "failures",
    "find",
    "folder_of",
    "folders",
    "glance",
    "load",
    "put",
    "read",
    "render",
    "scores_in",
    "seal",
    "stored",
    "supersede",
    "warn_stderr",
    "write",
    "write_failure",
]
