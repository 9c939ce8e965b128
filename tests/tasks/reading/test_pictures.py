import io
import re
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from eden_bench.errors import DataDamaged
from tasks.reading.masks import read_binary, read_foreground, read_values
from tasks.reading.noticing import watching
from tasks.reading.pictures import read_colour, read_grey

ANY = ("PNG", "TIFF", "JPEG")
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


@pytest.mark.trap("chestxray14", "1024 × 1024 PNG, mode L", "decoded as they are")
def test_grey_is_read_as_it_is(tmp_path):
    image = read_grey("x", write(tmp_path / "a.png", saved(Image.fromarray(RAMP), "PNG")), ("PNG",))
    assert image.dtype == np.uint8
    assert (image == RAMP).all()


@pytest.mark.trap("datasets", "a picture's palette is reversed, or it is RGB or RGBA")
@pytest.mark.parametrize("alpha", [255, 0])
@pytest.mark.filterwarnings("ignore:'mode' parameter is deprecated")
def test_rgba_becomes_its_grey_and_transparency_changes_nothing(tmp_path, alpha):
    path = write(tmp_path / "a.png", saved(rgba(RAMP, alpha), "PNG"))
    assert (read_grey("x", path, ("PNG",)) == RAMP).all()


@pytest.mark.trap(
    "datasets",
    "a picture's palette is reversed, or it is RGB or RGBA",
    "the colours shown count, never the indices; transparency is ignored",
)
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


@pytest.mark.trap("datasets", "16 bits in a PNG or TIFF", "scaled to 8 by their whole range")
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


@pytest.mark.trap("datasets", "masks of 0 and 1 beside masks of 0 and 255", "above 0 is foreground")
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


@pytest.mark.trap("datasets", "truncated or hostile files", "one sentence that names the file, soon")
@pytest.mark.trap(
    "inputs",
    "one truncated JPEG among many",
    "kept: the whole set is refused, the file named; leaving it out means removing it",
)
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


@pytest.mark.trap("datasets", "truncated or hostile files")
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
