"""Damaged and hostile DICOM files are refused in one sentence, soon and without much memory."""

import random
import struct
import subprocess
import sys
from pathlib import Path

import cv2
import pytest
from openjpeg.utils import encode_array

from eden_bench.errors import DataDamaged
from tasks.reading.dicom import read_dicom, read_patient
from tests.tasks.reading.test_dicom import JPEG, JPEG_2000, PUBLIC, RAMP, before_the_rows, changed, compressed, film


@pytest.mark.parametrize(
    ("values", "match"),
    [
        ({"Rows": 65535, "Columns": 65535}, "claims 65,535×65,535 pixels, expected 1 to 64 million"),
        ({"Rows": 0}, "claims 64×0 pixels"),
        ({"Rows": 49}, r"has 3,072 bytes of pixels, expected 3,136 \(64×49\)"),
        ({"BitsAllocated": 16}, "has 3,072 bytes of pixels, expected 6,144"),
        ({"BitsAllocated": 64}, "has 64 bits a pixel"),
        ({"BitsStored": 12}, "stores 12 bits below bit 7 of 8"),
        ({"HighBit": 6}, "stores 8 bits below bit 6 of 8, expected the lowest ones"),
        ({"NumberOfFrames": "999999999"}, "claims 999,999,999 frames"),
        ({"SamplesPerPixel": 3}, "is MONOCHROME2, expected a grey image"),
        ({"PixelData": b""}, "has 0 bytes of pixels"),
        ({"PixelData": None}, "holds no pixels"),
        ({"Rows": None}, "cannot be decoded"),
    ],
)
def test_claims_that_cannot_be_true_are_refused_by_name(tmp_path, values, match):
    path = changed(film(tmp_path), **values)
    with pytest.raises(DataDamaged, match=match) as caught:
        read_dicom("d", path)
    assert str(caught.value).startswith(f"d: {path} ")


def test_a_compressed_image_that_claims_another_size_is_not_decoded(tmp_path):
    frame = bytearray(bytes(cv2.imencode(".jpg", RAMP)[1]))
    place = frame.index(b"\xff\xc0")
    frame[place + 5 : place + 9] = b"\xff\xff\xff\xff"
    with pytest.raises(DataDamaged, match="holds a compressed image of 65535×65535 pixels, expected 64×48"):
        read_dicom("d", compressed(film(tmp_path), bytes(frame), JPEG))
    frame = bytearray(encode_array(RAMP))
    frame[8:16] = struct.pack(">2I", 900, 3000)
    with pytest.raises(DataDamaged, match="holds a compressed image of 900×3000 pixels, expected 64×48"):
        read_dicom("d", compressed(film(tmp_path), bytes(frame), JPEG_2000))


def test_a_compressed_image_of_other_kind_or_cut_short_is_refused(tmp_path):
    with pytest.raises(DataDamaged, match="holds no such compressed image"):
        read_dicom("d", compressed(film(tmp_path), b"\x89PNG" * 20, JPEG))
    progressive = bytes(cv2.imencode(".jpg", RAMP, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1])
    with pytest.raises(DataDamaged, match="holds no such compressed image"):
        read_dicom("d", compressed(film(tmp_path), progressive, JPEG))
    with pytest.raises(DataDamaged, match="cannot be decoded"):
        read_dicom("d", compressed(film(tmp_path), encode_array(RAMP)[:90], JPEG_2000))


def test_fragments_without_end_are_refused(tmp_path):
    path = compressed(film(tmp_path), b"\xff\xd8", JPEG)
    changed(path, PixelData=struct.pack("<HHL", 0xFFFE, 0xE000, 0) * 5000)
    with pytest.raises(DataDamaged, match=r"too many sequence items|does not pack its compressed pixels"):
        read_dicom("d", path)


def test_sequences_within_sequences_and_items_without_end_are_refused(tmp_path):
    opened = struct.pack("<HH2sHL", 0x28, 0x3010, b"SQ", 0, 0xFFFFFFFF)
    item = struct.pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF)
    with pytest.raises(DataDamaged, match=r"cannot be decoded .maximum recursion depth"):
        read_dicom("d", before_the_rows(film(tmp_path), (opened + item) * 4000))
    with pytest.raises(DataDamaged, match="has too many sequence items, expected at most 4,096"):
        read_dicom("d", before_the_rows(film(tmp_path), opened + item * 125_000))


def test_a_file_too_large_is_not_read(tmp_path):
    path = tmp_path / "film.dcm"
    with path.open("wb") as file:
        file.truncate(300 << 20)
    with pytest.raises(DataDamaged, match="has 314,572,800 bytes, expected at most"):
        read_dicom("d", path)


@pytest.mark.parametrize("content", [b"not a DICOM file" * 40, b"\0" * 400, b"\0" * 128 + b"DICM", b"DICM"])
def test_bytes_that_are_no_dicom_are_refused(tmp_path, content):
    path = tmp_path / "film.dcm"
    path.write_bytes(content)
    with pytest.raises(DataDamaged, match=r"film.dcm (is no DICOM file|holds no pixels|cannot be decoded)"):
        read_dicom("d", path)


def test_an_error_of_pydicoms_own_is_one_sentence(tmp_path):
    path = film(tmp_path)
    content = bytearray(path.read_bytes())
    content[138] = 2  # length of the first element, a number of four bytes
    path.write_bytes(content)
    for read in (read_dicom, read_patient):
        with pytest.raises(DataDamaged, match=r"cannot be decoded .Expected total bytes to be an even multiple"):
            read("d", path)


def refusal(read, path: Path) -> str:
    try:
        read("d", path)
    except DataDamaged as error:
        return str(error)
    return ""


def test_whatever_is_changed_in_a_file_it_is_read_or_refused_by_name(tmp_path):
    rng = random.Random(0)
    kinds = [film(tmp_path).read_bytes(), film(tmp_path, jpeg=True, window=(90, 60)).read_bytes()]
    kinds.append(compressed(film(tmp_path), encode_array(RAMP), JPEG_2000).read_bytes())
    path = tmp_path / "film.dcm"
    for _ in range(250):
        content = bytearray(rng.choice(kinds))
        for _ in range(rng.choice([1, 2, 8])):
            place = rng.randrange(min(len(content), 1100))
            if rng.random() < 0.7:
                content[place] = rng.choice([0, 1, 255, rng.randrange(256)])
            else:
                del content[place : place + rng.randrange(1, 30)]
        path.write_bytes(content)
        for read in (read_dicom, read_patient):
            said = refusal(read, path)
            assert not said or str(path) in said


def test_nothing_is_said_beside_the_error_and_pydicom_is_imported_late():
    code = (
        "import sys, pathlib; import tasks.reading.dicom as d; from eden_bench.errors import DataDamaged\n"
        "assert 'pydicom' not in sys.modules\n"
        f"for path in sorted(pathlib.Path({str(PUBLIC)!r}).glob('[JM]*.dcm')):\n"
        "    try: d.read_dicom('d', path)\n"
        "    except DataDamaged: pass\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
