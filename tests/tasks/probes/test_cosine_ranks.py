"""Ranks with equals against the mean over every order of them, written out."""

from itertools import permutations

import numpy as np
import pytest

from tasks.probes import cosine_ranks


def over_all_orders(cosines, truth):
    """Share of first places and mean of 1 / rank over every order that sorts by falling cosine."""
    orders = [o for o in permutations(range(len(cosines))) if all(np.diff([cosines[i] for i in o]) <= 0)]
    ranks = [order.index(truth) + 1 for order in orders]
    return np.mean([rank == 1 for rank in ranks]), np.mean([1 / rank for rank in ranks])


@pytest.mark.parametrize("seed", range(8))
def test_equals_share_their_ranks(seed):
    random = np.random.default_rng(seed)
    cosines, truth = random.integers(0, 3, (5, 6)) / 4, random.integers(0, 6, 5)
    wanted = [over_all_orders(row.tolist(), own) for row, own in zip(cosines, truth, strict=True)]
    found = cosine_ranks.top1(cosines, truth), cosine_ranks.reciprocal_rank(cosines, truth)
    assert np.stack(found, axis=1) == pytest.approx(np.array(wanted))


def test_cosines_that_differ_by_rounding_are_equal():
    assert cosine_ranks.top1(np.array([[0.1 + 0.2, 0.3]]), np.array([1])).tolist() == [0.5]


def test_what_is_only_rounding_is_0():
    features = np.array([[3.0, 5.0], [1.0 + 1e-9, 1.0]])
    assert cosine_ranks.unit(features, np.array([0.0, 1.0])) == pytest.approx(
        np.array([[0.6, 0.8], [1.0, 0.0]]), abs=1e-8
    )
    assert cosine_ranks.unit(features, np.array([1.0, 1.0]))[1].tolist() == [0, 0]
