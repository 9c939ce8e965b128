"""Encode and decode arrays stored beside a record: one uncompressed ``arrays.npz`` of bounded size."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from typing import TYPE_CHECKING

from eden_bench.errors import EdenError
from eden_bench.files.array_file import UNREADABLE

if TYPE_CHECKING:
    import numpy as np

MOST_BYTES = 64 << 20
"""Of all arrays of one record together."""
_KINDS = "biufU"


def encode(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Encode arrays as an uncompressed .npz, names sorted, so that equal arrays give equal bytes.

    Raises:
        EdenError: an array is no boolean, integer, floating or text array, its name would be a path, or all together
            exceed ``MOST_BYTES``.
    """
    import numpy as np

    if paths := [name for name in arrays if not name or set(name) & set("/\\\0") or name.startswith(".")]:
        raise EdenError(
            f"the task returned arrays named {', '.join(map(repr, paths))}, expected names that are no paths"
        )
    made = {name: np.ascontiguousarray(arrays[name]) for name in sorted(arrays)}
    strange = [f"{name} ({array.dtype})" for name, array in made.items() if array.dtype.kind not in _KINDS]
    if strange:
        raise EdenError(f"the task returned arrays {', '.join(strange)}, expected numbers, booleans or text")
    size = sum(array.nbytes for array in made.values())
    if size > MOST_BYTES:
        raise EdenError(f"the task returned arrays of {size:,} bytes, expected at most {MOST_BYTES:,}: store fewer")
    target = io.BytesIO()
    np.savez(target, **made)  # type: ignore[arg-type]
    return target.getvalue()


def decode(content: bytes) -> dict[str, np.ndarray]:
    """Decode the .npz of ``encode`` to arrays.

    Raises:
        ValueError: it is no such file: not a zip, compressed, or with an object array in it.
    """
    import numpy as np

    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
                raise ValueError("its arrays are compressed, expected them as they are")
        with np.load(io.BytesIO(content), allow_pickle=False) as found:
            return {name: found[name] for name in found.files}
    except (*UNREADABLE, zipfile.BadZipFile, KeyError) as error:
        raise ValueError(f"it is no .npz: {error}") from error
