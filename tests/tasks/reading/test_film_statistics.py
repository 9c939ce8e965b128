"""What ``data check`` tells of films and masks, against plain counts."""

import numpy as np
import pytest

from tasks.reading.film_statistics import Film, Look, film_statistics, odd_ones_out, seen_of_film
from tasks.reading.outlines import polygon_area_px, polygons_mask


def test_levels_are_counted_as_a_set_counts_them():
    draw = np.random.default_rng(0)
    for shape in ((40, 30), (20, 30, 3)):
        image = draw.choice(np.array([0, 3, 90, 200, 255], np.uint8), shape)
        assert seen_of_film(image) == Film(len(set(image.ravel().tolist())), black=False, alike=False)


@pytest.mark.parametrize(("bright", "alike"), [(10, True), (11, False)])
def test_an_image_is_nearly_flat_where_99_percent_lie_within_three_levels(bright, alike):
    image = np.tile(np.array([49, 50, 51, 50], np.uint8), 250)
    image[:bright] = 200
    assert seen_of_film(image.reshape(10, 100)).alike is alike
    assert not seen_of_film(image.reshape(10, 100)).black
    dark = np.where(image < 100, image - 49, image).astype(np.uint8)
    assert seen_of_film(dark.reshape(10, 100)).black is alike


def test_odd_areas_are_named_and_an_even_spread_is_not():
    areas = {f"{k:02d}": 0.10 + 0.002 * k for k in range(20)}
    assert odd_ones_out(areas) == []
    assert odd_ones_out({**areas, "tiny": 0.004, "huge": 0.9}) == ["tiny", "huge"]
    assert odd_ones_out({str(k): 10.0**-k for k in range(9)}) == [], "too few to say"


def said(looks, start):
    (finding,) = [finding for finding in film_statistics(looks) if finding.text.startswith(start)]
    return finding


def test_areas_are_told_with_empty_full_and_odd_masks():
    looks = [Look(id=f"{k:02d}", shares={"heart": 0.1 + 0.001 * k, "lung": 0.0}) for k in range(12)]
    looks.append(Look(id="odd", shares={"heart": 1.0, "lung": 0.0}))
    heart = said(looks, "masks of heart")
    assert heart.level == "note"
    assert heart.text == (
        "masks of heart: 13 cover 10.00% to 100.00% of the image, median 10.60%; 1 cover it whole, for example odd; "
        "1 unlike the others: odd (100.00%)"
    )
    assert heart.numbers == {
        "structure": "heart", "masks": 13, "empty": 0, "full": 1, "area": pytest.approx([0.1, 0.106, 1]), "odd": ["odd"]
    }  # fmt: skip
    assert said(looks, "masks of lung: all 13 are empty").level == "error"


def test_images_of_few_levels_black_and_flat_ones_are_counted():
    films = [Film(250, black=False, alike=False)] * 3 + [Film(16, False, False), Film(2, True, True)]
    looks = [*(Look(id=str(k), film=film) for k, film in enumerate(films)), Look(id="flat", flat=True)]
    levels = said(looks, "grey levels used by an image: 2 to 250, median 250; 2 use fewer than 32, for example 3 (16)")
    assert (levels.level, levels.numbers["images_of_few_levels"]) == ("note", 2)
    flat = said(looks, "of 6 images 1 are flat, for example flat; 1 are all but black, for example 4")
    assert flat.numbers == {"flat_images": 1, "black_images": 1, "nearly_flat_images": 0, "of": 6}


def test_the_area_of_a_polygon_is_near_what_is_drawn():
    corners = [(20.0, 10.0), (90.0, 15.0), (70.0, 80.0), (15.0, 60.0)]
    polygon = [value for corner in corners for value in corner]
    assert polygon_area_px(polygon) == polygon_area_px(polygon[::-1]) > 0
    assert polygon_area_px([0, 0, 4, 0, 4, 3, 0, 3]) == 12
    assert polygons_mask([polygon], (100, 100)).sum() == pytest.approx(polygon_area_px(polygon), rel=0.05)
