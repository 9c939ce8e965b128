"""Writing phantom films as DICOM: computed radiographs whose identifiers and bytes depend on the seed alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from eden_bench import seeds


class Ids(NamedTuple):
    """Identifiers of a DICOM file: patient, study, series, image."""

    patient: str
    study: str
    series: str
    image: str


def uid(seed: int, *address: seeds.Address) -> str:
    """Derive a DICOM UID from an address, always the same (root 2.25: a number without registration)."""
    return f"2.25.{seeds.key(seed, 'dicom', *address)}"


def write_dicom(
    path: Path,
    pixels: np.ndarray,
    ids: Ids,
    *,
    bits: int | None = None,
    jpeg: bool = False,
    monochrome1: bool = False,
    window: tuple[float, float] | None = None,
    view: str = "PA",
    age: int | None = None,
    sex: str = "",
) -> None:
    """Write one film as DICOM; the same bytes for the same arguments, since nothing is dated.

    Args:
        path: the file; its folder is made.
        pixels: (H, W) uint8 or uint16 as they shall be stored: with monochrome1, air is bright.
        ids: patient and UIDs.
        bits: bits stored; all of the pixels' own by default.
        jpeg: compress by JPEG Baseline (uint8 only), as in SIIM-ACR.
        monochrome1: declare that low values are bright.
        window: centre and width of a linear window.
        view: PA or AP.
        age: in years.
        sex: "F" or "M".

    Raises:
        ValueError: jpeg with pixels that are not uint8.
    """
    if jpeg and pixels.dtype != np.uint8:
        raise ValueError(f"pixels must be uint8 for JPEG Baseline, not {pixels.dtype}")
    from pydicom import Dataset, FileMetaDataset, dcmwrite
    from pydicom.encaps import encapsulate
    from pydicom.uid import UID, ComputedRadiographyImageStorage, ExplicitVRLittleEndian, JPEGBaseline8Bit

    film = Dataset()
    film.SOPClassUID = ComputedRadiographyImageStorage
    for keyword, value in (_identity(ids, view, age, sex) | _layout(pixels, bits, monochrome1)).items():
        setattr(film, keyword, value)
    if window is not None:
        film.WindowCenter, film.WindowWidth = window
    stored = pixels.astype(pixels.dtype.newbyteorder("<"), copy=False).tobytes()
    film.PixelData = encapsulate([_jpeg(pixels)]) if jpeg else stored + b"\0" * (len(stored) % 2)
    film["PixelData"].VR = "OB" if jpeg or pixels.dtype == np.uint8 else "OW"
    film.file_meta = FileMetaDataset()
    film.file_meta.TransferSyntaxUID = JPEGBaseline8Bit if jpeg else ExplicitVRLittleEndian
    film.file_meta.ImplementationClassUID = UID(uid(0, "eden-bench"))
    film.file_meta.ImplementationVersionName = "EDEN_BENCH"
    path.parent.mkdir(parents=True, exist_ok=True)
    dcmwrite(path, film, enforce_file_format=True)


def _identity(ids: Ids, view: str, age: int | None, sex: str) -> dict[str, Any]:
    return {
        "SOPInstanceUID": ids.image,
        "StudyInstanceUID": ids.study,
        "SeriesInstanceUID": ids.series,
        "PatientID": ids.patient,
        "PatientName": ids.patient,
        "PatientAge": "" if age is None else f"{age:03d}Y",
        "PatientSex": sex,
        "Modality": "CR",
        "BodyPartExamined": "CHEST",
        "ViewPosition": view,
    }


def _layout(pixels: np.ndarray, bits: int | None, monochrome1: bool) -> dict[str, Any]:
    allocated = 8 * pixels.itemsize
    stored = bits or allocated
    return {
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME1" if monochrome1 else "MONOCHROME2",
        "Rows": pixels.shape[0],
        "Columns": pixels.shape[1],
        "BitsAllocated": allocated,
        "BitsStored": stored,
        "HighBit": stored - 1,
        "PixelRepresentation": 0,
    }


def _jpeg(pixels: np.ndarray) -> bytes:
    return bytes(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 90])[1])
