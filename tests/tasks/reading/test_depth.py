"""Pictures of more than eight bits share one grey scale, or are refused where it cannot be known."""

import cv2
import numpy as np
import pytest
from PIL import Image

from eden_bench.errors import DataDamaged
from tasks.reading.pictures import read_colour, read_grey
from tests.tasks.reading.test_pictures import ANY, RAMP, saved, write


def deep(bits: int, channels: int = 1) -> np.ndarray:
    """A ramp from black to white of so many bits."""
    ramp = np.linspace(0, 2**bits - 1, 256).round().astype(np.uint16).reshape(16, 16)
    return ramp if channels == 1 else np.dstack([ramp] * channels)


@pytest.mark.trap(
    "datasets",
    "10, 12 or 14 bits in a file of 16",
    (
        "refused where nothing is above a quarter of the range, file by file, for it would be all but black; a "
        "TOML task says `bits`"
    ),
)
@pytest.mark.trap("inputs", "10, 12 or 14 bits in files of 16, mixed depths, a marker burnt in")
@pytest.mark.parametrize("bits", [8, 10, 12, 14])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("read", [read_grey, read_colour])
def test_few_bits_in_a_file_of_sixteen_are_refused_unless_told(tmp_path, bits, suffix, channels, read):
    path = tmp_path / f"film{suffix}"
    cv2.imwrite(str(path), deep(bits, channels))
    highest = (2**bits - 1) if channels == 1 else 257 * ((2**bits - 1) >> 8)
    message = f"holds values up to {highest}, expected some above 16383 where" if highest else "is black"
    with pytest.raises(DataDamaged, match=rf"film\{suffix} {message}"):
        read("x", path, ANY)
    if channels == 1:
        image = read("x", path, ANY, bits=bits, told=True)
        assert np.abs(image.reshape(16, 16, -1).astype(int) - RAMP[:, :, None]).max() <= 1
    else:
        with pytest.raises(DataDamaged, match=r"has colours of 16 bits, expected grey values of|is black"):
            read("x", path, ANY, bits=bits, told=True)


@pytest.mark.trap("datasets", "10, 12 or 14 bits in a file of 16")
@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("channels", [1, 3])
def test_true_sixteen_bits_are_read_by_their_whole_range(tmp_path, suffix, channels):
    path = tmp_path / f"film{suffix}"
    cv2.imwrite(str(path), deep(16, channels))
    assert np.abs(read_grey("x", path, ANY).astype(int) - RAMP).max() <= 1


@pytest.mark.trap(
    "inputs", "10, 12 or 14 bits in files of 16, mixed depths, a marker burnt in", "refused, or read with `bits`"
)
@pytest.mark.parametrize(("marked", "refused"), [(0, True), (20, True), (21, False)])
def test_a_bright_marker_does_not_hide_that_the_film_has_few_bits(tmp_path, marked, refused):
    """Twelve bits in a file of 16, and letters burnt in at 65,535: at most 2 in 1,000 pixels are letters."""
    film = np.random.default_rng(5).integers(0, 4096, (100, 100)).astype(np.uint16)
    film.flat[:marked] = 65_535
    Image.fromarray(film).save(tmp_path / "film.png")
    if refused:
        with pytest.raises(DataDamaged, match="holds values up to 4095, expected some above 16383"):
            read_grey("toy", tmp_path / "film.png", ("PNG",))
        assert read_grey("toy", tmp_path / "film.png", ("PNG",), bits=16, told=True).max() <= 255
    else:
        assert read_grey("toy", tmp_path / "film.png", ("PNG",)).max() == 255


@pytest.mark.parametrize(("bits", "enough"), [(16, 16384), (12, 1024)])
def test_the_lowest_quarter_of_the_range_is_where_few_bits_are(tmp_path, bits, enough):
    for highest in (enough - 1, enough):
        path = write(tmp_path / "a.png", saved(Image.fromarray(np.array([[0, highest]], np.uint16)), "PNG"))
        if highest == enough:
            assert read_grey("x", path, ANY, bits=bits)[0, 1] == round(255 * highest / (2**bits - 1))
        else:
            with pytest.raises(DataDamaged, match=f"say bits = {bits - 2} in the TOML file of a task of your own"):
                read_grey("x", path, ANY, bits=bits)


def test_thirty_two_bits_are_read_where_they_hold_sixteen_and_refused_beyond(tmp_path):
    for highest, fine in ((60_000, True), (4000, False), (70_000, False)):
        path = tmp_path / "a.tif"
        Image.fromarray(np.array([[0, highest]], np.int32)).save(path)
        if fine:
            assert read_grey("x", path, ANY)[0, 1] == round(255 * highest / 65535)
        else:
            with pytest.raises(DataDamaged, match=r"holds values (up to 4000|from 0 to 70000), expected"):
                read_grey("x", path, ANY)


def test_deep_and_white_at_zero_is_refused_and_eight_bits_are_turned_over(tmp_path):
    path = tmp_path / "a.tif"
    Image.fromarray(deep(16)).save(path, tiffinfo={262: 0})
    content = bytearray(path.read_bytes())
    with Image.open(path) as picture:
        assert picture.tag_v2[262] in (0, 1)
        offset = picture.tag_v2._offset
    for entry in range(int.from_bytes(content[offset : offset + 2], "little")):
        at = offset + 2 + 12 * entry
        if int.from_bytes(content[at : at + 2], "little") == 262:
            content[at + 8 : at + 10] = b"\0\0"
    path.write_bytes(bytes(content))
    with pytest.raises(DataDamaged, match="is deep and has white at 0, expected black at 0: convert it"):
        read_grey("x", path, ANY)
