"""Lab lungs: right and left lung of our films, listed in register.csv."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING

from eden_bench import (
    DataDamaged,
    DataMissing,
    DatasetCard,
    DatasetIndex,
    Finding,
    Item,
    Progress,
    no_progress,
    register_dataset,
    register_task,
)
from tasks.finetuning import SegmentationTask

if TYPE_CHECKING:
    import numpy as np

_REMEDY = "copy the release again into EDEN_BENCH_DATA/lab-lungs"
_COLUMNS = ("film", "person", "set")
SIDES = ("left", "right")


class LabLungs:
    """Reader of ``register.csv``, ``films/FILM.png`` and ``lungs/FILM-left.png``, ``lungs/FILM-right.png``."""

    name = "lab-lungs"
    card = DatasetCard(
        title="Lab lungs",
        modality="chest-x-ray",
        citation="unpublished",
        licence="ours; not to be passed on",
        source="the lab's share",
        folders=("lab-lungs", "lab_lungs"),
        expected_images=60,
    )
    phantom_patients = 40

    def index(self, root: Path) -> DatasetIndex:
        rows = self._rows(root)
        return DatasetIndex(
            dataset=self.name,
            root=root,
            items=tuple(self._item(root, row) for row in rows),
            expected_images=60,
            split_rule="column 'set' of register.csv",
            phantom=(root / "PHANTOM.json").is_file(),
        )

    def read_image(self, item: Item) -> np.ndarray:
        return _decode(item.image)

    def read_mask(self, item: Item, structure: str) -> np.ndarray:
        left, right = (_decode(file) > 0 for file in item.masks[structure])
        return left | right

    def check(self, root: Path, progress: Progress = no_progress) -> list[Finding]:
        try:
            items = self.index(root).items
            for number, item in enumerate(items):
                progress("checking", number, len(items))
                if self.read_image(item).shape != self.read_mask(item, "lungs").shape:
                    raise DataDamaged(f"lab-lungs: {item.id}: masks of another size than the film: {_REMEDY}")
        except (DataMissing, DataDamaged) as error:
            return [Finding("error", str(error))]
        return [Finding("ok", f"{len(items)} films")]

    def write_phantom(self, root: Path, *, patients: int, seed: int, progress: Progress = no_progress) -> None:
        import cv2
        import numpy as np

        from tasks.phantom import draw_patient, render

        for folder in ("films", "lungs"):
            (root / folder).mkdir(parents=True)
        rows = []
        for number in range(patients):
            progress("drawing", number, patients)
            for follow_up in range(1 + number % 2):
                film = f"F{number:03}{'ab'[follow_up]}"
                rendered = render(draw_patient(seed, number, follow_up=follow_up), 256)
                cv2.imwrite(str(root / "films" / f"{film}.png"), rendered.image)
                for side in SIDES:
                    mask = rendered.mask(f"{side} lung").astype(np.uint8) * 255
                    cv2.imwrite(str(root / "lungs" / f"{film}-{side}.png"), mask)
                rows.append((film, f"P{number:03}", "test" if number % 4 == 0 else "train"))
        with (root / "register.csv").open("w", newline="") as file:
            csv.writer(file).writerows([_COLUMNS, *rows])
        (root / "PHANTOM.json").write_text(json.dumps({"dataset": self.name, "patients": patients, "seed": seed}))

    def _rows(self, root: Path) -> list[dict[str, str]]:
        file = root / "register.csv"
        if not file.is_file():
            raise DataMissing(f"lab-lungs: {file} is absent, expected the list of films: {_REMEDY}")
        with file.open(newline="") as lines:
            rows = list(csv.DictReader(lines))
        if not rows or tuple(rows[0]) != _COLUMNS:
            raise DataDamaged(
                f"lab-lungs: {file} has columns {tuple(rows[0]) if rows else ()}, expected {_COLUMNS}: {_REMEDY}"
            )
        return rows

    def _item(self, root: Path, row: dict[str, str]) -> Item:
        film = root / "films" / f"{row['film']}.png"
        masks = tuple(root / "lungs" / f"{row['film']}-{side}.png" for side in SIDES)
        for file in (film, *masks):
            if not file.is_file():
                raise DataMissing(f"lab-lungs: {file} is absent, but listed in register.csv: {_REMEDY}")
        return Item(id=row["film"], patient=row["person"], split=row["set"], image=film, masks={"lungs": masks})


def _decode(file: Path) -> np.ndarray:
    import cv2

    grey = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)
    if grey is None:
        raise DataDamaged(f"lab-lungs: {file} cannot be decoded, expected a grey PNG: {_REMEDY}")
    return grey


register_dataset(LabLungs())
register_task(
    SegmentationTask(name="lab-lungs", dataset="lab-lungs", title="Lab lung segmentation", structures=("lungs",))
)
