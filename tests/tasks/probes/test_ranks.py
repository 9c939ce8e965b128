"""Ranks against plain loops; a constant encoder at chance exactly; ties by their expected rank."""

import itertools

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from tasks.probes.ranks import auroc, cosine_table, directions, reciprocal_rank, top1

DRAW = np.random.default_rng(0)


def over_all_orders(row, truth, score):
    """The mean of a score over all orders that sort a row falling, ties broken in every way."""
    orders = [order for order in itertools.permutations(range(len(row))) if list(row[list(order)]) == sorted(row)[::-1]]
    return np.mean([score(list(order).index(truth) + 1) for order in orders])


def test_ranks_are_the_mean_over_all_orders_of_ties():
    similarity, truth = DRAW.integers(0, 3, (20, 5)).astype(float), DRAW.integers(0, 5, 20)
    for row, true, first, reciprocal in zip(
        similarity, truth, top1(similarity, truth), reciprocal_rank(similarity, truth), strict=True
    ):
        assert first == pytest.approx(over_all_orders(row, true, lambda rank: float(rank == 1)))
        assert reciprocal == pytest.approx(over_all_orders(row, true, lambda rank: 1 / rank))


def test_a_constant_encoder_is_at_chance_exactly():
    constant = directions(np.ones((7, 4)), np.ones(4))
    similarity, truth = constant @ constant.T, np.arange(7)
    assert top1(similarity, truth).tolist() == [1 / 7] * 7
    assert reciprocal_rank(similarity, truth).mean() == pytest.approx(np.mean(1 / np.arange(1, 8)))
    assert auroc(similarity[0, :3], similarity[0, 3:]) == 0.5


def test_several_true_candidates_and_none_at_all():
    similarity = np.array([[0.9, 0.9, 0.1], [-np.inf, 0.2, 0.1], [-np.inf] * 3])
    truth = np.array([[True, True, False], [False, False, True], [False] * 3])
    found = top1(similarity, truth)
    assert found[:2].tolist() == [1.0, 0.0]
    assert np.isnan(found[2])


def test_auroc_is_scikit_learns():
    matched, mismatched = DRAW.normal(0.3, 1, 30).round(1), DRAW.normal(0, 1, 50).round(1)
    expected = roc_auc_score([1] * 30 + [0] * 50, [*matched, *mismatched])
    assert auroc(matched, mismatched) == pytest.approx(expected)


def test_centring_takes_away_what_all_have_in_common():
    common = 100 * np.ones(16)
    features = common + DRAW.normal(size=(50, 16))
    raw = directions(features) @ directions(features).T
    assert raw.min() > 0.99
    centred = directions(features, features.mean(axis=0))
    off = (centred @ centred.T)[~np.eye(50, dtype=bool)]
    assert abs(off.mean()) < 0.05
    assert np.allclose(np.linalg.norm(centred, axis=1), 1)


def test_equal_candidates_tie_whatever_a_product_rounds():
    features = np.random.default_rng(0).normal(size=(37, 33))
    queries, candidates = directions(features), directions(np.concatenate([features, features]))
    assert top1(cosine_table(queries, candidates), np.arange(37)).tolist() == [0.5] * 37
    stacked = cosine_table(queries[None], candidates[None])
    assert stacked.shape == (1, 37, 74)
    assert stacked[0, 3, 5] == pytest.approx(queries[3] @ candidates[5], abs=1e-12)
