import importlib.util
import struct
from pathlib import Path

import numpy as np
import pydicom
import pytest
from openjpeg.utils import encode_array
from pydicom.encaps import encapsulate
from pydicom.pixels import apply_modality_lut, apply_voi_lut

from eden_bench.errors import DataDamaged
from tasks.phantom.layouts.dicom import Ids, uid, write_dicom
from tasks.reading.dicom import read_dicom, read_patient
from tasks.reading.files import NoDecoder

PUBLIC = Path(pydicom.__file__).parent / "data/test_files"
IDS = Ids("patient-7", uid(0, "study"), uid(0, "series"), uid(0, "image"))
RAMP = np.tile(np.arange(64, dtype=np.uint8) * 4, (48, 1))
DEEP = np.tile(np.arange(64, dtype=np.uint16) * 65, (48, 1))
JPEG, JPEG_2000 = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.90"


def film(folder: Path, pixels=RAMP, **options) -> Path:
    path = folder / "film.dcm"
    write_dicom(path, pixels, IDS, **options)
    return path


def changed(path: Path, **values) -> Path:
    """Set elements of a file, None to delete; compression stays as it is."""
    content = pydicom.dcmread(path)
    for name, value in values.items():
        if value is None:
            delattr(content, name)
        else:
            setattr(content, name, value)
    content.save_as(path)
    return path


def compressed(path: Path, frame: bytes, syntax: str, **values) -> Path:
    content = pydicom.dcmread(path)
    content.file_meta.TransferSyntaxUID = syntax
    content.PixelData = encapsulate([frame])
    content["PixelData"].VR = "OB"
    content["PixelData"].is_undefined_length = True
    content.save_as(path)
    return changed(path, **values)


def before_the_rows(path: Path, inserted: bytes) -> Path:
    content = path.read_bytes()
    place = content.index(b"\x28\x00\x02\x00US")
    path.write_bytes(content[:place] + inserted + content[place:])
    return path


# ── grey levels ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.trap(
    "siim-acr", "1024², 8 bits, MONOCHROME2", "read as they are; what is not square fits no run lengths and is damage"
)
def test_eight_bits_without_window_stay_as_they_are(tmp_path):
    assert np.array_equal(read_dicom("d", film(tmp_path, RAMP // 2 + 20)), RAMP // 2 + 20)


@pytest.mark.trap("siim-acr", "JPEG Baseline", "decoded by pydicom's handlers")
def test_jpeg_baseline_is_read_to_a_grey_level_or_two(tmp_path):
    image = read_dicom("d", film(tmp_path, jpeg=True))
    assert image.dtype == np.uint8
    assert np.abs(image.astype(int) - RAMP).max() <= 3


@pytest.mark.parametrize("pixels", [RAMP, DEEP])
def test_monochrome1_is_turned_over(tmp_path, pixels):
    plain = read_dicom("d", film(tmp_path, pixels))
    assert np.array_equal(read_dicom("d", film(tmp_path, pixels, monochrome1=True)), 255 - plain)
    assert plain[0, 0] < plain[0, -1]


def test_deep_pixels_without_window_are_stretched_from_the_lowest_to_the_highest(tmp_path):
    image = read_dicom("d", film(tmp_path, DEEP + 300, bits=16))
    assert np.array_equal(image[0], np.rint(255 * np.arange(64) / 63))


def test_a_window_shows_its_range_and_cuts_the_rest(tmp_path):
    image = read_dicom("d", film(tmp_path, DEEP, bits=12, window=(2048, 1000)))[0]
    values = DEEP[0].astype(float)
    expected = np.clip((values - 2047.5) / 999 + 0.5, 0, 1) * 255
    assert np.array_equal(image, np.rint(expected))
    assert (image == 0).sum() > 10
    assert (image == 255).sum() > 10


@pytest.mark.parametrize(("centre", "width"), [(5, 0), ("1e999", 5), (0, -1)])
@pytest.mark.parametrize("pixels", [RAMP, DEEP])
def test_an_impossible_window_is_passed_over(tmp_path, pixels, centre, width):
    plain = read_dicom("d", film(tmp_path, pixels))
    path = changed(film(tmp_path, pixels), WindowCenter=centre, WindowWidth=width)
    assert np.array_equal(read_dicom("d", path), plain)


def test_a_window_around_zero_counts(tmp_path):
    path = changed(film(tmp_path, RAMP // 4 * 4), WindowCenter=0, WindowWidth=8)
    shown = np.clip((RAMP // 4 * 4 + 0.5) / 7 + 0.5, 0, 1)  # PS3.3 C.11.2.1.2
    assert np.array_equal(read_dicom("d", path), np.rint(255 * shown))


def test_a_window_that_shows_one_grey_is_refused(tmp_path):
    path = changed(film(tmp_path, np.maximum(RAMP, 1)), WindowCenter=0, WindowWidth=1)
    with pytest.raises(DataDamaged, match=r"has one value all over \(255\), expected an image with content: put the"):
        read_dicom("d", path)


@pytest.mark.trap("vindr-cxr", "VOI LUT or window, MONOCHROME1")
@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize("rescale", [None, (1.0, -1024.0), (2.5, 10.0)])
@pytest.mark.parametrize("signed", [0, 1])
def test_windows_agree_with_pydicom(tmp_path, function, rescale, signed):
    path = changed(film(tmp_path, DEEP, bits=12), WindowCenter=[900, 5], WindowWidth=[700, 5], VOILUTFunction=function)
    changed(path, PixelRepresentation=signed)
    if rescale:
        changed(path, RescaleSlope=rescale[0], RescaleIntercept=rescale[1])
    content = pydicom.dcmread(path)
    lowest, highest = (-2048, 2047) if signed else (0, 4095)
    range_ = apply_modality_lut(np.array([lowest, highest]), content)
    shown = apply_voi_lut(apply_modality_lut(content.pixel_array, content), content)
    expected = 255 * (shown - range_[0]) / (range_[1] - range_[0])
    assert np.abs(read_dicom("d", path) - expected).max() <= 0.501


def test_signed_pixels_rise_with_their_value(tmp_path):
    pixels = np.tile(np.arange(-32, 32, dtype=np.int16), (48, 1))
    path = changed(film(tmp_path, pixels.view(np.uint16)), PixelRepresentation=1)
    assert np.array_equal(read_dicom("d", path)[0], np.rint(255 * np.arange(64) / 63))


def test_bits_above_those_stored_are_not_seen(tmp_path):
    image = read_dicom("d", film(tmp_path, DEEP, bits=12))
    assert np.array_equal(read_dicom("d", film(tmp_path, DEEP | 0xF000, bits=12)), image)


def lut(first: int, values: list[int], bits: int) -> pydicom.Sequence:
    item = pydicom.Dataset()
    item.add_new("LUTDescriptor", "US", [len(values), first, bits])
    item.add_new("LUTData", "US", values)
    return pydicom.Sequence([item])


@pytest.mark.trap("vindr-cxr", "VOI LUT or window, MONOCHROME1")
def test_a_voi_lut_goes_before_a_window_and_holds_its_ends(tmp_path):
    path = film(tmp_path, RAMP, window=(10, 2))
    changed(path, VOILUTSequence=lut(100, [0, 10, 20, 40], 12))
    image = read_dicom("d", path)[0]
    assert set(image[RAMP[0] <= 100]) == {0}
    assert set(image[RAMP[0] >= 103]) == {255}


def test_a_lut_of_eight_bits_may_have_more_than_256_entries(tmp_path):
    table = (np.arange(4096) // 16).tolist()
    path = changed(film(tmp_path, DEEP, bits=12), VOILUTSequence=lut(0, table, 8))
    assert np.array_equal(read_dicom("d", path), DEEP // 16)


def test_a_modality_lut_goes_before_the_window(tmp_path):
    path = film(tmp_path, RAMP, window=(500.5, 1001))
    changed(path, ModalityLUTSequence=lut(0, list(range(0, 1024, 4)), 16))
    assert np.abs(read_dicom("d", path).astype(float) - RAMP * 4 / 1000 * 255).clip(0).min() <= 1
    assert read_dicom("d", path)[0, 31] == round(255 * 4 * 124 / 1000)


# ── what pydicom's own test files hold ───────────────────────────────────────────────────────────

NEED_THE_EXTRA = {"JPEGLSNearLossless_16.dcm", "JPGExtended.dcm", "MR_small_jpeg_ls_lossless.dcm"}


def test_a_film_that_needs_another_decoder_says_which():
    if importlib.util.find_spec("libjpeg"):
        pytest.skip("the extra 'jpeg' is installed")
    for name in NEED_THE_EXTRA:
        with pytest.raises(NoDecoder, match=r"pip install 'eden-bench\[jpeg\]'"):
            read_dicom("d", PUBLIC / name)


@pytest.mark.parametrize(
    "name",
    [
        "693_J2KI.dcm",
        "CT_small.dcm",
        "JPEG2000.dcm",
        "JPEGLSNearLossless_16.dcm",
        "JPGExtended.dcm",
        "MR_small_implicit.dcm",
        "MR_small_jp2klossless.dcm",
        "MR_small_jpeg_ls_lossless.dcm",
        "examples_overlay.dcm",
    ],
)
def test_compressed_signed_and_implicit_files_agree_with_pydicom(name):
    if name in NEED_THE_EXTRA:
        pytest.importorskip("libjpeg", reason="the extra 'jpeg' is not installed")
    content = pydicom.dcmread(PUBLIC / name)
    raw = content.pixel_array
    values = apply_modality_lut(raw, content)
    shown = apply_voi_lut(values, content).astype(float)
    image = read_dicom("d", PUBLIC / name).astype(float)
    assert image.shape == shown.shape
    if "WindowCenter" in content:
        assert np.corrcoef(image.ravel(), shown.ravel())[0, 1] > 0.9999
    else:
        expected = 255 * (shown - shown.min()) / (shown.max() - shown.min())
        assert np.abs(image - expected).max() <= 0.51


def test_jpeg_lossless_is_read(tmp_path):
    pytest.importorskip("libjpeg", reason="the extra 'jpeg' is not installed")
    path = compressed(film(tmp_path), jpeg_lossless(RAMP), "1.2.840.10008.1.2.4.70")
    assert np.array_equal(read_dicom("d", path), RAMP)


def jpeg_lossless(pixels: np.ndarray) -> bytes:
    """Write a lossless JPEG (process 14, predictor 1) whose Huffman code is the size in four bits."""
    height, width = pixels.shape
    values = pixels.astype(int)
    left = np.empty_like(values)
    left[:, 1:] = values[:, :-1]
    left[1:, 0] = values[:-1, 0]
    left[0, 0] = 128
    bits = ""
    for difference in (values - left).ravel().tolist():
        size = abs(difference).bit_length()
        bits += f"{size:04b}"
        if size:
            bits += f"{difference if difference > 0 else difference + (1 << size) - 1:0{size}b}"
    bits += "1" * (-len(bits) % 8)
    body = int(bits, 2).to_bytes(len(bits) // 8).replace(b"\xff", b"\xff\0")
    table = b"\xff\xc4" + struct.pack(">HB16B", 19 + 10, 0, 0, 0, 0, 10, *[0] * 12) + bytes(range(10))
    frame = b"\xff\xc3" + struct.pack(">HBHHB3B", 11, 8, height, width, 1, 1, 0x11, 0)
    scan = b"\xff\xda" + struct.pack(">HB2B3B", 8, 1, 1, 0, 1, 0, 0)
    return b"\xff\xd8" + frame + table + scan + body + b"\xff\xd9"


def test_jpeg_2000_of_12_bits_is_read(tmp_path):
    path = compressed(film(tmp_path, DEEP, bits=12), encode_array(DEEP, bits_stored=12), JPEG_2000)
    assert np.array_equal(read_dicom("d", path), read_dicom("d", film(tmp_path, DEEP, bits=12)))


@pytest.mark.parametrize(
    ("name", "match"),
    [
        (
            "MR_truncated.dcm",
            r"MR_truncated.dcm has 8,130 bytes of pixels, expected 8,192 \(64×64\): download it again",
        ),
        ("MR_small_RLE.dcm", "has the transfer syntax '1.2.840.10008.1.2.5', expected no compression, JPEG"),
        ("MR_small_bigendian.dcm", "has the transfer syntax '1.2.840.10008.1.2.2'"),
        ("image_dfl.dcm", "is deflated as a whole"),
        ("SC_rgb_small_odd.dcm", "is RGB, expected a grey image"),
        ("examples_palette.dcm", "is PALETTE COLOR, expected a grey image"),
        ("examples_ybr_color.dcm", "claims 30 frames, expected one"),
        ("rtdose_1frame.dcm", "has 32 bits a pixel, expected 8 or 16"),
        ("rtplan.dcm", "holds no pixels, expected an image"),
        ("no_meta.dcm", "is no DICOM file, expected one"),
        ("badVR.dcm", "cannot be decoded"),
    ],
)
def test_what_is_no_grey_radiograph_is_refused_by_name(name, match):
    with pytest.raises(DataDamaged, match=match):
        read_dicom("d", PUBLIC / name)


# ── who it is of ─────────────────────────────────────────────────────────────────────────────────


def test_the_patient_is_read_without_pixels(tmp_path):
    path = film(tmp_path)
    path.write_bytes(path.read_bytes()[: -RAMP.size])
    assert read_patient("d", path) == "patient-7"
    assert read_patient("d", changed(film(tmp_path), PatientID=None)) == ""


def test_a_file_without_preamble_is_read(tmp_path):
    path = film(tmp_path)
    path.write_bytes(path.read_bytes()[132:])
    assert np.array_equal(read_dicom("d", path), RAMP)
    assert read_patient("d", path) == "patient-7"


def test_equal_arguments_write_equal_bytes(tmp_path):
    first = film(tmp_path, jpeg=True).read_bytes()
    assert film(tmp_path / "again", jpeg=True).read_bytes() == first
    assert uid(0, "a") != uid(1, "a")
    assert pydicom.uid.UID(uid(0, "a")).is_valid
    with pytest.raises(ValueError, match="pixels must be uint8 for JPEG Baseline, not uint16"):
        film(tmp_path, DEEP, jpeg=True)
