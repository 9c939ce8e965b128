"""Kinds of files of a dataset, and how each may be broken; a reader's own test lists its files as ``ROLES``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from tests.tasks.hostile.content import FORMS, PLACES, Change
from tests.tasks.hostile.lists import TABLES
from tests.tasks.hostile.pictures import GIF_LIES, PNG_LIES, PNG_SIZES

KAGGLE, FOLDER = "vindr-cxr (Kaggle)", "folder task (TOML)"


class Role(NamedTuple):
    """One kind of file of a dataset."""

    reader: str
    file: str
    """Pattern below the dataset's folder; the first file is the one that is broken."""
    spoils: str
    """"item", "index", or the name of what the reader reads from it alone."""
    changes: tuple[Change, ...]
    harmless: Mapping[str, str] = {}
    """Name of a change to why this reader may read it, or "" where it must refuse what others may read."""


ANY_TABLE = (*FORMS, *PLACES, *TABLES)
ANY_PNG = (*FORMS, *PLACES, *PNG_LIES, *PNG_SIZES)
ANY_GIF = (*FORMS, *PLACES, *GIF_LIES)

A_PART = {"folder": "a part of the images will do, and a note says how many are here"}
FEWER = "the cut falls between two lines; images that no line names are left out, and a note says how many"
GREY_ROWS = {"claims 8000×8000": "the decoder fills the rows that are not there with grey and tells nobody"}
