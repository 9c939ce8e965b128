"""Leave out images that cannot be decoded, where a user asks for it; each file is tried once and remembered."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from eden_bench.data.pixel_store import in_threads
from eden_bench.digests import digest, file_stamp
from eden_bench.errors import DataDamaged
from eden_bench.files import atomic
from eden_bench.settings import gather
from tasks.reading.files import NoDecoder


def damaged_images(
    dataset: str, images: Mapping[str, Path], reading: str, decode: Callable[[Path], object]
) -> dict[str, str]:
    """Return what is wrong with each image that cannot be decoded, by name.

    What was found is kept in the cache by files' sizes and times, so that a dataset is decoded once for it.

    Args:
        dataset: its name.
        images: name to file.
        reading: what the pixels follow from besides.
        decode: raises DataDamaged for such a file; whatever else it raises ends the search.
    """
    names = list(images)
    stamps = [file_stamp(images[name]) for name in names]
    key = digest(
        [dataset, reading, [[str(images[n].absolute()), *stamp] for n, stamp in zip(names, stamps, strict=True)]]
    )
    kept = gather().cache / "damaged" / f"{key[:32]}.json"
    if kept.is_file():
        found: dict[str, str] = json.loads(kept.read_text(encoding="utf-8"))
        return found

    def wrong(place: int) -> str:
        try:
            decode(images[names[place]])
        except DataDamaged as error:
            of_system = isinstance(error.__cause__, OSError) and error.__cause__.errno
            if isinstance(error, NoDecoder) or of_system:
                raise  # the machine's fault, which may be mended: nothing to remember of the file
            return str(error)
        return ""

    told = {name: text for name, text in zip(names, in_threads(wrong, len(names)), strict=True) if text}
    atomic.write_json(kept, told)
    return told
