"""Copies are found whatever was done to them, and two people or two films of one person are no copies."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eden_bench.audit import hashing, matching
from eden_bench.audit.hashing import CUTS, WHOLE, WINDOWS, Hashes, ranks, thumbnail
from eden_bench.audit.matching import aligned_detail, find_copies, near_bits
from tests.eden_bench.audited import anywhere, film, gamma, jpeg, squashed, trimmed

PATIENTS = 24
CHANGES = {
    "smaller": lambda image, n: squashed(image, 100),
    "larger": lambda image, n: squashed(image, 300),
    "re-encoded": lambda image, n: jpeg(image),
    "gamma 0.7": lambda image, n: gamma(image, 0.7),
    "gamma 1.4": lambda image, n: gamma(image, 1.4),
    "trimmed at the left": lambda image, n: trimmed(image, 0, 0, 1 / 16, 0),
    "trimmed at a corner": lambda image, n: trimmed(image, 0, 1 / 16, 0, 1 / 16),
    "trimmed all round": lambda image, n: trimmed(image, *[1 / 16] * 4),
    "trimmed by half as much": lambda image, n: trimmed(image, *[1 / 32] * 4),
    "trimmed anywhere": anywhere,
    "all of it": lambda image, n: jpeg(gamma(squashed(anywhere(image, n), 200), 0.8)),
}


@pytest.fixture(scope="module")
def originals():
    """Thumbnails of films of 24 patients, then of a follow-up of each."""
    return np.stack([thumbnail(film(patient, visit)) for visit in (0, 1) for patient in range(PATIENTS)])


def pairs(thumbs):
    return {(copy.first, copy.second) for copy in find_copies(Hashes.of(thumbs), thumbs)}


def test_films_of_different_patients_and_follow_ups_are_no_copies(originals):
    assert pairs(originals) == set()


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_copy_is_found_and_nothing_else_is(originals, change):
    copies = [thumbnail(CHANGES[change](film(patient), patient)) for patient in range(PATIENTS)]
    found = pairs(np.concatenate([originals, np.stack(copies)]))
    expected = {(patient, 2 * PATIENTS + patient) for patient in range(PATIENTS)}
    assert {tuple(sorted(pair)) for pair in found} == expected


def test_the_copy_is_found_on_whichever_side_it_stands():
    whole, part = thumbnail(film(1)), thumbnail(trimmed(film(1), 1 / 16, 0, 1 / 16, 0))
    assert len(pairs(np.stack([whole, part]))) == len(pairs(np.stack([part, whole]))) == 1


def test_near_bits_are_those_of_a_plain_loop():
    rng = np.random.default_rng(0)
    queries = rng.integers(0, 2**63, (37, 2), dtype=np.uint64)
    index = rng.integers(0, 2**63, (3, 2, 5000), dtype=np.uint64)
    index[1, :, 4999] = queries[36] ^ np.uint64(3)
    expected = [
        (row, column)
        for row, query in enumerate(queries)
        for column in [17, 4095, 4096, 4999]
        if min(sum(int(q ^ w).bit_count() for q, w in zip(query, v[:, column], strict=True)) for v in index) <= 52
    ]
    rows, columns = near_bits(queries, index, 52)
    found = {(int(r), int(c)) for r, c in zip(rows, columns, strict=True)}
    assert found & {(r, c) for r in range(37) for c in [17, 4095, 4096, 4999]} == set(expected)
    assert (36, 4999) in found


def test_two_hashes_that_differ_everywhere_differ_in_256_bits():
    nothing, everything = np.zeros((1, 4), np.uint64), np.full((1, 4, 1), 2**64 - 1, np.uint64)
    assert near_bits(nothing, everything, 255)[0].size == 0
    assert near_bits(nothing, everything, 256)[0].size == 1


def test_the_first_window_is_the_whole_film_and_the_first_sixteen_have_no_half_trim():
    assert WINDOWS[0] == (0, 0, 0, 0)
    assert all(set(cuts) <= {CUTS[0], CUTS[2]} for cuts in WINDOWS[:WHOLE])
    assert len(set(WINDOWS)) == 81


def test_coefficients_of_the_whole_window_are_the_cosine_transform():
    image = np.random.default_rng(1).random((1, 64, 64), dtype=np.float32)
    found = hashing.coefficients(image)[0, 0].reshape(18, 18)
    middles = (np.arange(64) + 0.5) / 64
    for row, column in ((0, 0), (3, 5), (17, 1)):
        wave = np.outer(np.cos(np.pi * row * middles), np.cos(np.pi * column * middles))
        assert found[row, column] == pytest.approx((wave * image[0]).sum(), abs=1e-2)


@given(st.floats(0.7, 1.4))
def test_ranks_are_the_same_under_any_gamma_that_keeps_values_apart(power):
    image = (100 + 5 * np.random.default_rng(2).integers(0, 32, (64, 64))).astype(np.uint8)
    assert (ranks(image[None]) == ranks(gamma(image, power)[None])).all()


def test_ranks_are_half_way_among_the_values_below_and_alike():
    image = np.repeat(np.arange(64, dtype=np.uint8), 64).reshape(64, 64)
    assert ranks(image[None])[0, :, 0] == pytest.approx((np.arange(64) + 0.5) / 64 - 0.5)


def test_a_flat_area_takes_few_ranks():
    image = np.full((64, 64), 255, np.uint8)
    image[:32] = np.repeat(np.arange(64, dtype=np.uint8), 32).reshape(32, 64)
    assert ranks(image[None])[0, 63, 0] == pytest.approx((64 * 32 + 64) / (64 * 32 + 128) - 0.5)


def test_aligned_detail_of_an_image_with_itself_is_one_and_with_nothing_is_zero():
    image = thumbnail(film(2))
    assert aligned_detail(image, image, (0, 0, 0, 0)) == pytest.approx(1)
    assert aligned_detail(image, np.zeros_like(image), (0, 0, 0, 0)) == 0


def test_alignment_reaches_trims_between_the_hashed_ones():
    cuts = (0.01, 0.05, 0.02, 0.04)
    original, copy = thumbnail(film(3)), thumbnail(trimmed(film(3), *cuts))
    assert aligned_detail(copy, original, (0, 1 / 16, 1 / 32, 1 / 32)) > matching.LEAST_DETAIL


def test_colour_is_reduced_to_its_luma():
    grey = film(4)
    assert (thumbnail(np.repeat(grey[:, :, None], 3, axis=2)) == thumbnail(grey)).all()
