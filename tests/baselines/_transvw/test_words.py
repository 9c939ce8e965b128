import numpy as np
import pytest

from baselines._transvw.words import CropLaw, Instances, WordPyramid, Words, discover, instances_of
from pretrain.views.windows import cut

LAW = CropLaw()


def found(count=30, held_out=8, words=6, nearest=(5, 3), spacing_px=20, is_tissue=lambda *_: True, seed=0):
    draw = np.random.default_rng(1)
    latents, others = draw.random((count, 4)), draw.random((held_out, 4))
    made = discover(
        latents, others, words=words, nearest=nearest, spacing_px=spacing_px, margin_px=LAW.margin_px,
        is_tissue=is_tissue, seed=seed,
    )  # fmt: skip
    return made, latents, others


def by_distance(latents, to):
    return sorted(range(len(latents)), key=lambda i: sum((a - b) ** 2 for a, b in zip(latents[i], to, strict=True)))


@pytest.mark.trap("transvw", "unused references; nearest images, the reference first")
def test_a_word_is_shown_by_the_nearest_images_of_its_reference():
    words, latents, others = found()
    for train, validation in zip(words.train, words.validation, strict=True):
        assert train.tolist() == by_distance(latents, latents[train[0]])[:5]
        assert validation.tolist() == by_distance(others, latents[train[0]])[:3]


@pytest.mark.trap("transvw", "unused references; nearest images, the reference first", "held")
def test_no_reference_serves_twice():
    words, *_ = found(count=12, words=12)
    assert sorted(words.train[:, 0].tolist()) == list(range(12))


def test_a_reference_leads_its_own_twin():
    latents = np.zeros((3, 2))
    words = discover(latents, latents, words=3, nearest=(3, 1), spacing_px=1, margin_px=100, is_tissue=lambda *_: True,
                     seed=0)  # fmt: skip
    assert sorted(words.train[:, 0].tolist()) == [0, 1, 2]


@pytest.mark.trap(
    "transvw",
    "coordinates apart, off the border, on tissue",
    "held; the official search gives up where one is too close, this one does not",
)
def test_coordinates_keep_their_distance_from_each_other_and_the_border():
    words, *_ = found(words=30, spacing_px=60)
    assert words.centres.min() >= LAW.margin_px
    assert words.centres.max() <= 1024 - LAW.margin_px
    for i, one in enumerate(words.centres):
        assert all(np.hypot(*(one - other)) >= 60 for other in words.centres[:i])


def test_where_places_run_out_there_are_fewer_words():
    words, *_ = found(words=30, spacing_px=400)
    assert 1 < len(words.centres) < 9


@pytest.mark.trap("transvw", "coordinates apart, off the border, on tissue")
def test_a_coordinate_that_shows_air_is_passed_over():
    words, *_ = found(is_tissue=lambda reference, centre: centre[0] > 512)
    assert len(words.centres) == 6
    assert words.centres[:, 0].min() > 512


def test_references_that_show_air_everywhere_are_passed_over():
    words, *_ = found(count=12, words=6, is_tissue=lambda reference, centre: reference % 2)
    assert sorted(words.train[:, 0].tolist()) == [1, 3, 5, 7, 9, 11]


def test_few_images_leave_rows_short():
    words, *_ = found(count=3, held_out=2, words=9, nearest=(5, 4))
    assert words.train.shape == (3, 5)
    assert (words.train[:, 3:] == -1).all()
    assert (words.validation[:, 2:] == -1).all()


def test_another_seed_finds_other_words():
    first, again, other = found()[0], found()[0], found(seed=1)[0]
    assert np.array_equal(first.centres, again.centres)
    assert not np.array_equal(first.centres, other.centres)


@pytest.mark.trap("transvw", "three crops an instance, one in validation", "held")
def test_each_image_of_a_word_gives_three_crops_and_a_held_out_one_gives_one():
    words = Words(np.array([[400.0, 500.0], [600.0, 300.0]]), np.array([[1, 0], [2, -1]]), np.array([[1], [0]]))
    train, held_out = instances_of(words, np.array([10, 20, 30]), np.array([40, 50]), LAW, seed=0)
    assert train.image.tolist() == [20] * 3 + [10] * 3 + [30] * 3
    assert train.word.tolist() == [0] * 6 + [1] * 3
    assert (held_out.image.tolist(), held_out.word.tolist(), held_out.side_px.tolist()) == ([50, 40], [0, 1], [128] * 2)
    first = np.arange(9) % 3 == 0
    assert (train.side_px[first] == 128).all()
    assert np.array_equal(train.centre[first], words.centres[train.word[first]])
    assert not np.isin(train.centre[~first], words.centres).any()


@pytest.mark.trap(
    "transvw",
    (
        "crops of 64 px of a 512-px slice, the other two 50 to 79 px, up to 10 px from the same corner; 5 px "
        "between words, 100 px to the border"
    ),
)
def test_the_other_crops_vary_within_the_published_shares_from_the_first_ones_corner():
    words = Words(np.full((1, 2), 512.0), np.zeros((1, 900), np.int64), np.zeros((1, 1), np.int64))
    train, _ = instances_of(words, np.zeros(1, np.int64), np.zeros(1, np.int64), LAW, seed=0)
    others = np.arange(2700) % 3 > 0
    assert (train.side_px[others].min(), train.side_px[others].max()) == (50 * 2, 79 * 2)
    corners = train.centre[others] - train.side_px[others, None] / 2
    shifts = corners - (512 - 64)
    assert (shifts.min(), shifts.max()) == pytest.approx((-20, 20), abs=0.5)
    assert shifts.mean(axis=0) == pytest.approx([0, 0], abs=1)
    assert abs(np.corrcoef(train.side_px[others], shifts.sum(axis=1))[0, 1]) < 0.1


@pytest.mark.trap(
    "transvw",
    (
        "crops of 64 px of a 512-px slice, the other two 50 to 79 px, up to 10 px from the same corner; 5 px "
        "between words, 100 px to the border"
    ),
)
@pytest.mark.parametrize("law", [LAW, CropLaw(border_px=0), CropLaw(side_px=60, border_px=10), CropLaw(side_px=300)])
def test_all_crops_of_a_word_at_the_edge_of_the_margin_lie_within_the_image(law):
    edges = np.array([[law.margin_px] * 2, [1024 - law.margin_px] * 2], float)
    words = Words(edges, np.zeros((2, 300), np.int64), np.zeros((2, 1), np.int64))
    train, _ = instances_of(words, np.zeros(1, np.int64), np.zeros(1, np.int64), law, seed=0)
    half = train.side_px[:, None] / 2
    assert (train.centre - half).min() >= 0
    assert (train.centre + half).max() <= 1024


def test_the_first_crop_keeps_the_published_share_of_100_of_512_from_the_border():
    assert LAW.margin_px - LAW.side_px / 2 == 1024 * 100 / 512


@pytest.mark.parametrize("side_px", [1024, 512])
@pytest.mark.parametrize("centre", [(300.0, 700.0), (300.25, 699.5), (20.0, 1010.0)])
def test_a_crop_lies_at_its_place_in_its_image_and_never_beside_it(side_px, centre):
    class Ramps:
        def levels(self, sample):
            assert sample == 7
            x, y = np.meshgrid(*[(np.arange(side_px) + 0.5) / side_px * 250] * 2)
            return (np.dstack([x, y, x]).round().astype(np.uint8),)

    one = Instances(np.array([7]), np.array([centre]), np.array([256]), np.array([0]))
    anchor = WordPyramid(Ramps(), one, 64).anchor(0, 0, 0, 1, 1)
    assert (anchor.px, anchor.box[2:]) == ((64, 64), (side_px / 4, side_px / 4))
    window = cut(anchor, (0, 0, 64, 64), 64)
    inside = np.clip(centre, 128, 1024 - 128) / 1024 * 250
    assert window.pixels.mean(axis=(0, 1))[:2] == pytest.approx(inside, abs=1)
