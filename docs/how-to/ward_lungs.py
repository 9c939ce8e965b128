"""Ward lungs: lung masks of 138 radiographs of a ward (say here whose, and in which paper)."""

from __future__ import annotations

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

_UNPACK = "unpack the release again into EDEN_BENCH_DATA/ward-lungs"


class WardLungs:
    """Reader of ``images/NAME.png`` and ``masks/NAME.png``."""

    name = "ward-lungs"
    card = DatasetCard(
        title="Radiographs of a ward",
        modality="chest-x-ray",
        citation="authors, journal, year",
        licence="what its terms say",
        source="where to get it, in words a search engine finds",
        folders=("ward-lungs",),
        expected_images=138,
    )
    phantom_patients = 40

    def index(self, root: Path) -> DatasetIndex:
        """List the images and their masks without decoding one."""
        files = sorted((root / "images").glob("*.png"))
        if not files:
            raise DataMissing(f"ward-lungs: {root}/images has no PNG, expected 138: {_UNPACK}")
        return DatasetIndex(
            dataset=self.name,
            root=root,
            items=tuple(self._item(number, file) for number, file in enumerate(files)),
            expected_images=138,
            split_rule="every fifth image by name is tested",
            phantom=(root / "PHANTOM.json").is_file(),
        )

    def read_image(self, item: Item) -> np.ndarray:
        """Decode a radiograph: (H, W) uint8."""
        return self._decode(item.image)

    def read_mask(self, item: Item, structure: str) -> np.ndarray:
        """Decode the mask of both lungs: (H, W) bool."""
        (file,) = item.masks[structure]
        return self._decode(file) > 0

    def check(self, root: Path, progress: Progress = no_progress) -> list[Finding]:
        """Decode every image and mask; name what cannot be used."""
        try:
            items = self.index(root).items
            odd = [item.id for item in items if self.read_mask(item, "lungs").shape != self.read_image(item).shape]
        except DataMissing as error:
            return [Finding("error", str(error))]
        return [Finding("ok", f"{len(items)} images")] + [
            Finding("error", f"{id_}: mask of another size") for id_ in odd
        ]

    def write_phantom(self, root: Path, *, patients: int, seed: int, progress: Progress = no_progress) -> None:
        """Write noise with two dark ellipses, so that everything runs without the data."""
        import cv2  # here, since listing names should not wait for it
        import numpy as np

        for folder in ("images", "masks"):
            (root / folder).mkdir(parents=True)
        for number in range(patients):
            draw, mask = np.random.default_rng((seed, number)), np.zeros((256, 256), np.uint8)
            film = draw.integers(150, 250, mask.shape).astype(np.uint8)
            for side in (-1, 1):
                centre = (128 + side * int(draw.integers(45, 65)), 128)
                cv2.ellipse(mask, centre, (int(draw.integers(25, 40)), int(draw.integers(60, 90))), 0, 0, 360, 255, -1)
            film[mask > 0] //= 2
            for folder, picture in (("images", film), ("masks", mask)):
                cv2.imwrite(str(root / folder / f"WARD_{number:04}_0.png"), picture)
        told = {"dataset": self.name, "patients": patients, "seed": seed}
        (root / "PHANTOM.json").write_text(json.dumps(told))  # last: where it stands, the folder is whole

    def _item(self, number: int, file: Path) -> Item:
        mask = file.parent.parent / "masks" / file.name
        if not mask.is_file():
            raise DataMissing(f"ward-lungs: {file.name} has no mask, expected {mask}: {_UNPACK}")
        return Item(
            id=file.stem,
            patient=file.stem.split("_")[1],
            split="test" if number % 5 == 0 else "train",
            image=file,
            masks={"lungs": (mask,)},
        )

    def _decode(self, file: Path) -> np.ndarray:
        import cv2

        grey = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)
        if grey is None:
            raise DataDamaged(f"ward-lungs: {file} cannot be decoded, expected a grey PNG: {_UNPACK}")
        return grey


register_dataset(WardLungs())
register_task(
    SegmentationTask(
        name="ward-lungs",
        dataset="ward-lungs",
        title="Ward lung segmentation",
        structures=("lungs",),
    )
)
