"""EXIF orientation: images and masks are read as a viewer shows them."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tasks.reading.masks import read_binary, read_foreground, read_values
from tasks.reading.noticing import watching
from tasks.reading.pictures import read_colour, read_grey, size_of_picture
from tests.tasks.reading.test_pictures import ANY, RAMP, write


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


@pytest.mark.trap("datasets", "EXIF orientation, of images and masks", "read as a viewer shows it, and `check` says so")
@pytest.mark.trap("inputs", "EXIF orientation, of images and masks", "obeyed, and `check` says so")
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


@pytest.mark.trap("datasets", "EXIF orientation, of images and masks")
@pytest.mark.trap("inputs", "EXIF orientation, of images and masks")
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
