import io
import re
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from eden_bench.errors import DataDamaged
from tasks.reading.masks import read_binary, read_foreground, read_values
from tasks.reading.noticing import watching
from tasks.reading.pictures import read_colour, read_grey, size_of_picture

RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16)


def saved(picture: Image.Image, kind: str) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind)
    return stream.getvalue()


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def claiming_png(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + chunk(b"IEND", b"")
    )


def rgba(grey: np.ndarray, alpha: int) -> Image.Image:
    return Image.fromarray(np.dstack([grey, grey, grey, np.full_like(grey, alpha)]), "RGBA")


def test_grey_is_read_as_it_is(tmp_path):
    image = read_grey("x", write(tmp_path / "a.png", saved(Image.fromarray(RAMP), "PNG")), ("PNG",))
    assert image.dtype == np.uint8
    assert (image == RAMP).all()


@pytest.mark.parametrize("alpha", [255, 0])
@pytest.mark.filterwarnings("ignore:'mode' parameter is deprecated")
def test_rgba_becomes_its_grey_and_transparency_changes_nothing(tmp_path, alpha):
    path = write(tmp_path / "a.png", saved(rgba(RAMP, alpha), "PNG"))
    assert (read_grey("x", path, ("PNG",)) == RAMP).all()


def test_a_reversed_palette_is_obeyed(tmp_path):
    picture = Image.fromarray(255 - RAMP)
    picture = picture.convert("P")
    picture.putpalette([255 - k // 3 for k in range(768)])
    path = write(tmp_path / "a.png", saved(picture, "PNG"))
    assert (np.array(Image.open(path)) == 255 - RAMP).all(), "its indices are the inverted picture"
    assert (read_grey("x", path, ("PNG",)) == RAMP).all()


def test_a_palette_with_transparency_is_read_without_a_warning(tmp_path):
    picture = Image.fromarray(RAMP).convert("P")
    stream = io.BytesIO()
    picture.save(stream, "PNG", transparency=bytes(range(256)))
    assert (read_grey("x", write(tmp_path / "a.png", stream.getvalue()), ("PNG",)) == RAMP).all()


@pytest.mark.parametrize("bits", [12, 16])
def test_twelve_and_sixteen_bits_are_scaled_to_eight(tmp_path, bits):
    deep = np.linspace(0, 2**bits - 1, 256).round().astype(np.uint16).reshape(16, 16)
    path = write(tmp_path / "a.png", saved(Image.fromarray(deep), "PNG"))
    assert np.abs(read_grey("x", path, ("PNG",), bits=bits).astype(int) - RAMP).max() <= 1


def test_a_dark_and_a_bright_deep_image_share_one_grey_scale(tmp_path):
    for name, high in (("dark", 4000), ("bright", 5000)):
        deep = np.array([[2000, high]], np.uint16)
        path = write(tmp_path / name, saved(Image.fromarray(deep), "PNG"))
        assert read_grey("x", path, ("PNG",), told=True)[0, 0] == round(2000 * 255 / 65535)
        colour = read_colour("x", path, ("PNG",), told=True)
        assert (colour == read_grey("x", path, ("PNG",), told=True)[:, :, None]).all()
    with pytest.raises(DataDamaged, match=r"holds values from 2000 to 5000, expected 0 to 4095 \(12 bits\)"):
        read_grey("x", tmp_path / "bright", ("PNG",), bits=12)


@pytest.mark.parametrize("read", [read_grey, read_colour, read_foreground, read_values])
def test_a_picture_of_real_numbers_is_refused(tmp_path, read):
    path = write(tmp_path / "a.tif", saved(Image.fromarray(np.full((4, 4), 0.5, np.float32)), "TIFF"))
    with pytest.raises(DataDamaged, match="holds real numbers, expected whole ones of 8 or 16 bits: convert it"):
        read("x", path, ("TIFF",))


def test_a_mask_of_sixteen_bits_is_whatever_is_not_zero(tmp_path):
    disc = RAMP > 100
    path = write(tmp_path / "a.png", saved(Image.fromarray(disc.astype(np.uint16)), "PNG"))
    assert (read_binary("x", path, ("PNG",), (16, 16)) == disc).all()


def test_a_dark_colour_of_a_palette_is_foreground(tmp_path):
    picture = Image.fromarray((RAMP > 100).astype(np.uint8)).convert("P")
    picture.putpalette([0, 0, 0, 0, 0, 4])
    path = write(tmp_path / "a.png", saved(picture, "PNG"))
    assert not np.asarray(picture.convert("L")).any(), "luma rounds it away"
    assert (read_binary("x", path, ("PNG",), (16, 16)) == (RAMP > 100)).all()


@pytest.mark.parametrize("high", [1, 255])
def test_masks_of_zero_and_one_and_of_zero_and_255_read_alike(tmp_path, high):
    disc = (RAMP > 100).astype(np.uint8) * high
    path = write(tmp_path / "a.gif", saved(Image.fromarray(disc), "GIF"))
    mask = read_binary("x", path, ("GIF",), (16, 16))
    assert mask.dtype == bool
    assert (mask == (RAMP > 100)).all()


def test_a_mask_of_another_size_says_both_sizes(tmp_path):
    path = write(tmp_path / "a.gif", saved(Image.fromarray(RAMP[:8]), "GIF"))
    with pytest.raises(DataDamaged, match=r"x: .*a\.gif has 16×8 pixels, expected 1024×1024: put the original"):
        read_binary("x", path, ("GIF",), (1024, 1024))


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.9])
def test_a_truncated_picture_is_one_sentence(tmp_path, kind, share):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    content = saved(Image.fromarray(noise), kind)
    path = write(tmp_path / "a", content[: int(len(content) * share)])
    with pytest.raises(
        DataDamaged, match=f"x: .*a (cannot be decoded|is no such picture).*, expected a whole {kind} picture: unpack"
    ):
        read_grey("x", path, (kind,))


def test_only_the_formats_allowed_are_decoded(tmp_path):
    path = write(tmp_path / "a.png", saved(Image.fromarray(RAMP), "TIFF"))
    with pytest.raises(DataDamaged, match=r"a\.png is no such picture, expected a whole PNG or GIF picture"):
        read_grey("x", path, ("PNG", "GIF"))


@pytest.mark.parametrize(("width", "height"), [(8001, 8000), (30_000, 30_000), (2**31 - 1, 2**31 - 1), (64_000_001, 1)])
@pytest.mark.filterwarnings("default::PIL.Image.DecompressionBombWarning")
def test_a_picture_that_claims_too_many_pixels_is_never_decoded(tmp_path, width, height):
    path = write(tmp_path / "a.png", claiming_png(width, height))
    with pytest.raises(DataDamaged, match=r"a\.png claims .* pixels.*, expected at most 64 million"):
        read_grey("x", path, ("PNG",))


def test_an_empty_file_and_a_folder_are_refused(tmp_path):
    with pytest.raises(DataDamaged, match=r"a\.png is empty"):
        read_grey("x", write(tmp_path / "a.png", b""), ("PNG",))
    with pytest.raises(DataDamaged, match="is not a regular file"):
        read_grey("x", tmp_path, ("PNG",))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(["PNG", "GIF"]), st.data())
def test_flipped_bytes_give_a_picture_or_a_sentence(tmp_path, kind, data):
    content = bytearray(saved(Image.fromarray(RAMP), kind))
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = write(tmp_path / "a", bytes(content))
    try:
        image = read_grey("x", path, (kind,))
    except DataDamaged as error:
        assert re.match(r"x: .*a .*, expected .*: ", str(error))  # noqa: PT017
    else:
        assert image.dtype == np.uint8
        assert image.ndim == 2


def test_a_picture_that_claims_too_much_is_one_sentence_and_no_warning(tmp_path):
    path = write(tmp_path / "a.png", claiming_png(10_000, 10_000))
    code = (
        "import sys, pathlib\nfrom tasks.reading.pictures import read_grey\n"
        "try:\n    read_grey('x', pathlib.Path(sys.argv[1]), ('PNG',))\nexcept Exception as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert "claims 10,000×10,000 pixels, expected at most 64 million" in done.stdout


# ── EXIF: what a viewer shows ────────────────────────────────────────────────────────────────────


def stored_for(shown: np.ndarray, orientation: int) -> np.ndarray:
    """Return the pixels a camera stores so that a viewer shows these; pixel by pixel from the EXIF table (6.4.2.A).

    The table says at which side of what is shown row 0 and column 0 of the file lie.
    """
    row_0, column_0 = {1: "top left", 2: "top right", 3: "bottom right", 4: "bottom left", 5: "left top",
                       6: "right top", 7: "right bottom", 8: "left bottom"}[orientation].split()  # fmt: skip
    height, width = shown.shape
    rows, columns = (height, width) if row_0 in ("top", "bottom") else (width, height)
    stored = np.zeros((rows, columns), shown.dtype)
    for row in range(rows):
        for column in range(columns):
            place = {row_0: row, column_0: column}
            y = place["top"] if "top" in place else height - 1 - place["bottom"]
            x = place["left"] if "left" in place else width - 1 - place["right"]
            stored[row, column] = shown[y, x]
    return stored


def write_turned(path: Path, stored: np.ndarray, orientation: int) -> Path:
    picture = Image.fromarray(stored)
    if path.suffix == ".tif":
        picture.save(path, tiffinfo={274: orientation})
        return path
    exif = Image.Exif()
    exif[274] = orientation
    picture.save(path, exif=exif, **({"quality": 100} if path.suffix == ".jpg" else {}))
    return path


ANY = ("PNG", "TIFF", "JPEG")


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif"])
@pytest.mark.parametrize("shape", [(16, 16), (16, 24)])
def test_an_image_is_read_as_a_viewer_shows_it(tmp_path, orientation, suffix, shape):
    blocks = np.arange(shape[0] * shape[1] // 64, dtype=np.uint8).reshape(shape[0] // 8, -1) * 30
    shown = blocks.repeat(8, axis=0).repeat(8, axis=1)
    path = write_turned(tmp_path / f"film{suffix}", stored_for(shown, orientation), orientation)
    assert np.abs(read_grey("x", path, ANY).astype(int) - shown).max() <= 2
    assert np.abs(read_colour("x", path, ANY)[:, :, 2].astype(int) - shown).max() <= 2
    assert size_of_picture("x", path, ANY) == shape
    with watching() as seen:
        read_grey("x", path, ANY)
    assert [one.turned for one in seen] == [orientation != 1]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_a_mask_with_exif_fits_an_image_that_a_viewer_shows(tmp_path, orientation, suffix):
    shown = np.zeros((16, 24), np.uint8)
    shown[2:9, 3:7] = 255
    path = write_turned(tmp_path / f"mask{suffix}", stored_for(shown, orientation), orientation)
    assert (read_foreground("x", path, ANY) == (shown > 0)).all()
    assert (read_binary("x", path, ANY, (16, 24)) == (shown > 0)).all()
    assert (read_values("x", path, ANY) == shown).all()


def test_exif_behind_the_pixels_of_a_png_counts_for_its_size_too(tmp_path):
    path = write_turned(tmp_path / "film.png", RAMP[:8], 6)
    content = path.read_bytes()
    at = content.index(b"eXIf") - 4
    length = 12 + int.from_bytes(content[at : at + 4], "big")
    end = content.index(b"IEND") - 4
    path.write_bytes(content[:at] + content[at + length : end] + content[at : at + length] + content[end:])
    assert size_of_picture("x", path, ANY) == read_grey("x", path, ANY).shape == (16, 8)


@pytest.mark.filterwarnings("ignore:.*orrupt EXIF data")
def test_broken_exif_turns_nothing(tmp_path):
    picture, stream = Image.fromarray(RAMP), io.BytesIO()
    picture.save(stream, "JPEG", quality=100, exif=b"Exif\0\0MM\0*garbage")
    path = write(tmp_path / "a.jpg", stream.getvalue())
    assert read_grey("x", path, ANY).shape == size_of_picture("x", path, ANY) == (16, 16)


# ── depth ────────────────────────────────────────────────────────────────────────────────────────


def deep(bits: int, channels: int = 1) -> np.ndarray:
    """A ramp from black to white of so many bits."""
    ramp = np.linspace(0, 2**bits - 1, 256).round().astype(np.uint16).reshape(16, 16)
    return ramp if channels == 1 else np.dstack([ramp] * channels)


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


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("channels", [1, 3])
def test_true_sixteen_bits_are_read_by_their_whole_range(tmp_path, suffix, channels):
    path = tmp_path / f"film{suffix}"
    cv2.imwrite(str(path), deep(16, channels))
    assert np.abs(read_grey("x", path, ANY).astype(int) - RAMP).max() <= 1


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


# ── nothing to see ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("read", [read_grey, read_colour])
def test_an_image_of_one_value_is_refused_and_one_of_two_is_not(tmp_path, read):
    for flat, message in (
        (np.zeros((16, 16), np.uint8), "is black all over"),
        (np.full((16, 16), 90, np.uint8), r"has one value all over \("),
        (np.full((16, 16), 40_000, np.uint16), r"has one value all over \("),
        (np.full((16, 16), 0, np.uint16), "is black all over"),
    ):
        path = write(tmp_path / "a.png", saved(Image.fromarray(flat), "PNG"))
        with pytest.raises(DataDamaged, match=rf"a\.png {message}"):
            read("x", path, ANY)
        flat[3, 5] = 60_000 if flat.dtype == np.uint16 else 200
        assert read("x", write(tmp_path / "a.png", saved(Image.fromarray(flat), "PNG")), ANY).shape[:2] == (16, 16)


def test_transparent_pixels_of_an_image_are_noticed(tmp_path):
    for alpha, expected in ((255, False), (128, True)):
        path = write(tmp_path / "a.png", saved(rgba(RAMP, alpha), "PNG"))
        with watching() as seen:
            read_grey("x", path, ANY)
        assert [one.transparent for one in seen] == [expected]
