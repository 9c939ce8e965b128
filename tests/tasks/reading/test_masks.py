"""Masks that are pictures: black and one other value, or refused, whatever way they were drawn or saved."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from eden_bench.errors import DataDamaged
from tasks.reading.masks import read_foreground, read_values
from tasks.reading.pictures import read_grey

FORMATS = ("PNG", "TIFF", "GIF", "BMP")
SHAPE = np.zeros((24, 30), bool)
SHAPE[5:15, 4:20] = True
GREY = SHAPE.astype(np.uint8) * 255


def put(folder, picture, name="mask.png", **options):
    picture.save(folder / name, **options)
    return folder / name


def refused(folder, picture, message, name="mask.png", read=read_foreground, **options):
    with pytest.raises(DataDamaged, match=rf"^toy: .*{name} {message}"):
        read("toy", put(folder, picture, name, **options), FORMATS)


@pytest.mark.trap("datasets", "masks smoothed or saved as JPEG, drawn in the alpha channel, or label maps")
@pytest.mark.trap(
    "inputs",
    "a mask in the alpha channel, palettes",
    "refused where transparency and colours disagree; palettes by their colours",
)
@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_a_mask_drawn_in_the_alpha_channel_on_one_colour_is_refused(tmp_path, mode):
    for colour in (255, 0):
        flat = np.full_like(GREY, colour)
        channels = [flat] * (len(mode) - 1)
        drawn = Image.fromarray(np.dstack([*channels, GREY]))
        refused(tmp_path, drawn, "shows one shape by its colours and another by its transparency, expected the same")


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_an_alpha_channel_that_is_opaque_or_of_the_same_shape_changes_nothing(tmp_path, mode):
    for alpha in (np.full_like(GREY, 255), GREY):
        picture = Image.fromarray(np.dstack([*[GREY] * (len(mode) - 1), alpha]))
        assert (read_foreground("toy", put(tmp_path, picture), FORMATS) == SHAPE).all()


def test_a_palette_whose_transparent_index_is_another_shape_is_refused(tmp_path):
    indices = Image.fromarray(SHAPE.astype(np.uint8)).convert("P")
    indices.putpalette([255, 255, 255, 255, 255, 255])
    refused(tmp_path, indices, "shows one shape by its colours", transparency=0)


@pytest.mark.trap(
    "datasets",
    "masks smoothed or saved as JPEG, drawn in the alpha channel, or label maps",
    "refused: a mask is black and one other value",
)
@pytest.mark.trap("inputs", "masks with greys between two values", "refused")
@pytest.mark.parametrize("kind", ["smoothed", "jpeg", "shrunk"])
def test_a_mask_with_greys_between_is_refused(tmp_path, kind):
    if kind == "smoothed":
        soft = cv2.GaussianBlur(GREY, (5, 5), 1.0)
    elif kind == "shrunk":
        soft = cv2.resize(GREY, (20, 16), interpolation=cv2.INTER_AREA)
    else:
        stream = io.BytesIO()
        Image.fromarray(GREY).save(stream, "JPEG", quality=75)
        soft = np.array(Image.open(stream))
    count = len(np.unique(soft))
    assert count > 2
    message = rf"holds {count} values, expected black and one other value: threshold it at half of its maximum"
    refused(tmp_path, Image.fromarray(soft), message)
    refused(tmp_path, Image.fromarray(np.dstack([soft] * 3)), message, "colour.tif")


@pytest.mark.parametrize("values", [(0, 1, 2), (1, 2), (85, 255)])
def test_two_values_without_black_and_three_values_are_refused(tmp_path, values):
    picture = np.array(values, np.uint8)[np.arange(24 * 30).reshape(24, 30) % len(values)]
    for mode in ("L", "P", "I;16"):
        made = Image.fromarray(picture.astype(np.uint16)) if mode == "I;16" else Image.fromarray(picture)
        refused(tmp_path, made if mode == "I;16" else made.convert(mode), f"holds {len(values)} values")


@pytest.mark.trap("inputs", "a mask in the alpha channel, palettes")
@pytest.mark.parametrize("colours", [(0, 0, 0, 255, 255, 255), (0, 0, 0, 128, 0, 0), (0, 0, 0, 0, 0, 1)])
def test_of_a_palette_the_colours_count(tmp_path, colours):
    for reverse in (False, True):
        indices = Image.fromarray((SHAPE ^ reverse).astype(np.uint8)).convert("P")
        indices.putpalette(colours[3:] + colours[:3] if reverse else colours)
        assert (read_foreground("toy", put(tmp_path, indices), FORMATS) == SHAPE).all()


def test_a_palette_without_black_is_refused(tmp_path):
    indices = Image.fromarray(SHAPE.astype(np.uint8)).convert("P")
    indices.putpalette([68, 1, 84, 253, 231, 37])
    refused(tmp_path, indices, "holds 2 values, expected black and one other value")


def test_colours_of_sixteen_bits_are_refused_for_they_would_lose_a_mask_of_ones(tmp_path):
    path = tmp_path / "mask.png"
    cv2.imwrite(str(path), np.dstack([SHAPE.astype(np.uint16)] * 3))
    with pytest.raises(DataDamaged, match="has colours of 16 bits, expected a grey picture or one of 8 bits"):
        read_foreground("toy", path, FORMATS)


@pytest.mark.parametrize("value", [1, 255, 300, 65535])
def test_one_value_whatever_its_depth_is_foreground(tmp_path, value):
    kind = np.uint8 if value < 256 else np.uint16
    path = put(tmp_path, Image.fromarray(SHAPE.astype(kind) * kind(value)))
    assert (read_foreground("toy", path, FORMATS) == SHAPE).all()


def test_an_empty_and_a_full_mask_are_read(tmp_path):
    assert not read_foreground("toy", put(tmp_path, Image.fromarray(GREY * 0)), FORMATS).any()
    assert read_foreground("toy", put(tmp_path, Image.fromarray(GREY * 0 + 7)), FORMATS).all()
    assert (read_foreground("toy", put(tmp_path, Image.fromarray(SHAPE)), FORMATS) == SHAPE).all(), "of one bit"


def test_a_label_map_has_few_labels(tmp_path):
    labels = (np.arange(24 * 30).reshape(24, 30) % 64).astype(np.uint8)
    assert (read_values("toy", put(tmp_path, Image.fromarray(labels)), FORMATS) == labels).all()
    soft = (np.arange(24 * 30).reshape(24, 30) % 65).astype(np.uint8)
    refused(tmp_path, Image.fromarray(soft), "holds 65 values, expected at most 64, one a label", read=read_values)


@pytest.mark.parametrize("suffix", [".tif", ".gif"])
@pytest.mark.parametrize("read", [read_foreground, read_grey])
def test_a_stack_of_pages_is_refused_for_the_first_alone_would_be_read(tmp_path, suffix, read):
    first, second = (Image.fromarray(np.eye(8, k=k, dtype=np.uint8) * 255) for k in (0, 1))
    first.save(tmp_path / f"one{suffix}")
    assert (
        read("toy", tmp_path / f"one{suffix}", ("TIFF", "GIF")).astype(bool).tolist() == np.eye(8, dtype=bool).tolist()
    )
    first.save(tmp_path / f"two{suffix}", save_all=True, append_images=[second])
    with pytest.raises(DataDamaged, match="has several pages, expected one: save the one that is meant"):
        read("toy", tmp_path / f"two{suffix}", ("TIFF", "GIF"))
