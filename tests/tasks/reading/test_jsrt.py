from pathlib import Path

import numpy as np
import pytest

from eden_bench.errors import DataDamaged
from tasks.reading.jsrt import Nodule, read_img, read_nodules


def film() -> np.ndarray:
    """A 12-bit film: air (high) in the upper half, bone (low) in the lower, one odd value to show the byte order."""
    raw = np.zeros((2048, 2048), np.uint16)
    raw[:1024], raw[0, 0], raw[1, 0] = 4095, 0x0102, 1000
    return raw


@pytest.mark.trap(
    "scr",
    "2048² big-endian uint16 without header, 12 bits",
    "read so; little-endian copies are refused, other sizes too",
)
def test_img_has_no_header_is_big_endian_and_inverted(tmp_path):
    (tmp_path / "JPCLN001.IMG").write_bytes(film().astype(">u2").tobytes())
    image = read_img("scr", tmp_path / "JPCLN001.IMG")
    assert image.shape == (2048, 2048)
    assert image.dtype == np.uint8
    assert image[512, 5] == 0, "air is dark"
    assert image[1500, 5] == 255, "bone is bright"
    assert image[0, 0] == round(255 * (1 - 0x0102 / 4095))
    assert image[1, 0] == round(255 * (1 - 1000 / 4095))


@pytest.mark.trap("scr", "2048² big-endian uint16 without header, 12 bits")
def test_a_little_endian_copy_is_refused(tmp_path):
    (tmp_path / "a.IMG").write_bytes(film().astype("<u2").tobytes())
    with pytest.raises(DataDamaged, match=r"a\.IMG holds the value 65295, expected at most 4095 \(12 bits"):
        read_img("scr", tmp_path / "a.IMG")


@pytest.mark.trap("scr", "2048² big-endian uint16 without header, 12 bits")
@pytest.mark.parametrize("size", [1, 4_194_304, 8_388_607, 8_388_609])
def test_a_truncated_img_says_its_bytes(tmp_path, size):
    with (tmp_path / "a.IMG").open("wb") as file:
        file.truncate(size)
    with pytest.raises(DataDamaged, match=rf"a\.IMG has {size:,} bytes, expected 8,388,608 .*: unpack All247"):
        read_img("scr", tmp_path / "a.IMG")


def nodules(path: Path, *lines: str) -> tuple[Nodule, ...]:
    path.write_bytes("\r".join([*lines, ""]).encode())
    return read_nodules("scr", path)


@pytest.mark.trap("scr", "clinical text with CR alone, age `?`", "read")
def test_clinical_text_ends_its_lines_with_cr_alone(tmp_path):
    read = nodules(
        tmp_path / "CLNDAT_EN.txt",
        "JPCLN001.IMG\t5\t15\t53\tFemale\t1634\t692\tmalignant\tl.upper lobe",
        "JPCLN002.IMG\t5\t30.5\t?\tMale\t1614\t1090\tbenign\tl.upper lobe(S3)\tabscess",
    )
    assert read == (
        Nodule("JPCLN001.IMG", 5, 15, 53, "Female", 1634, 692, True, "l.upper lobe"),
        Nodule("JPCLN002.IMG", 5, 30.5, None, "Male", 1614, 1090, False, "l.upper lobe(S3)"),
    )


@pytest.mark.parametrize("line", ["JPCLN003.IMG\t5", "JPCLN003.IMG\tx\t15\t53\tF\t1\t2\tbenign\tsite"])
def test_a_broken_line_of_clinical_text_is_named(tmp_path, line):
    good = "JPCLN001.IMG\t5\t15\t53\tFemale\t1634\t692\tmalignant\tl.upper lobe"
    with pytest.raises(DataDamaged, match=r"CLNDAT_EN\.txt line 2 reads 'JPCLN003\.IMG"):
        nodules(tmp_path / "CLNDAT_EN.txt", good, line)
