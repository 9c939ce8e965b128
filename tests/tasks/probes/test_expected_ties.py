"""Average precision and share of nearest in which candidates tie, against the mean over every order."""

import itertools

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, silhouette_score

from tasks.probes import landmark_scores
from tasks.probes.landmark_scores import silhouettes
from tasks.probes.ranks import average_precision, cosine_table, directions, share_of_nearest

DRAW = np.random.default_rng(3)
ROWS = DRAW.integers(0, 3, (15, 6)).astype(float)
TRUE = DRAW.random((15, 6)) < 0.4
TRUE[~TRUE.any(axis=1), 0] = True
TRUE[0] = False


def over_all_orders(row, true, score):
    """The mean of a score of hits over all orders that sort a row falling."""
    orders = (o for o in itertools.permutations(range(len(row))) if all(row[a] >= row[b] for a, b in zip(o, o[1:])))  # noqa: B905, RUF007
    return np.mean([score(true[list(order)]) for order in orders])


def precision(hits):
    return np.mean([hits[: k + 1].mean() for k in np.flatnonzero(hits)])


def test_average_precision_is_the_mean_over_all_orders_of_ties():
    found = average_precision(ROWS, TRUE)
    assert np.isnan(found[0])
    assert found[1:] == pytest.approx(
        [over_all_orders(r, t, precision) for r, t in zip(ROWS[1:], TRUE[1:], strict=True)]
    )


def test_average_precision_without_ties_is_scikit_learns():
    scores, true = DRAW.normal(size=(9, 30)), DRAW.random((9, 30)) < 0.3
    expected = [average_precision_score(t, s) for t, s in zip(true, scores, strict=True)]
    assert average_precision(scores, true) == pytest.approx(expected)


def test_the_share_of_the_nearest_is_the_mean_over_all_orders_of_ties():
    for count in (1, 3, 6, 9):
        found = share_of_nearest(ROWS, TRUE, count)
        expected = [over_all_orders(r, t, lambda hits: hits[:count].mean()) for r, t in zip(ROWS, TRUE, strict=True)]  # noqa: B023
        assert found == pytest.approx(expected)


def test_what_is_no_candidate_is_not_ranked():
    closed = ROWS.copy()
    closed[:, [1, 4]] = -np.inf
    kept = [0, 2, 3, 5]
    for score in (average_precision, lambda s, t: share_of_nearest(s, t, 2)):
        np.testing.assert_allclose(score(closed, TRUE), score(ROWS[:, kept], TRUE[:, kept]))
    assert np.isnan(share_of_nearest(np.full((1, 2), -np.inf), np.ones((1, 2), bool), 3)).all()


def test_equal_features_tie_whatever_order_they_were_summed_in():
    base = directions(DRAW.normal(size=(40, 300)))
    noisy = base * (1 + 1e-15 * DRAW.normal(size=(40, 1)))
    found = cosine_table(base, np.concatenate([base, noisy]))
    assert (found[:, :40] == found[:, 40:]).all()


def test_a_constant_encoders_neighbours_are_at_chance():
    films, marks = 4, 3
    landmarks, images = np.tile(np.arange(marks), films), np.repeat(np.arange(films), marks)
    found = landmark_scores.neighbour_scores(np.zeros((12, 2)), landmarks, images)
    orders = set(itertools.permutations([True] * 3 + [False] * 6))
    assert found["purity"] == pytest.approx(1 / marks)
    assert found["map"] == pytest.approx(np.mean([precision(np.array(order)) for order in orders]))


def test_silhouettes_are_scikit_learns_features_without_direction_among_them():
    features = directions(DRAW.normal(size=(60, 7)))
    features[5] = 0
    landmarks = DRAW.integers(0, 4, 60)
    landmarks[0] = 9  # alone
    assert silhouettes(features, landmarks).mean() == pytest.approx(
        silhouette_score(features, landmarks, metric="cosine"), abs=1e-9
    )
    assert silhouettes(np.zeros((6, 2)), np.arange(6) % 2).tolist() == [0] * 6


def test_raw_cosines_of_two_films_are_the_plain_loop():
    features, landmarks, images = directions(DRAW.normal(size=(8, 3))), np.arange(8) % 2, np.arange(8) // 4
    pairs = [(i, j) for i in range(8) for j in range(8) if images[i] != images[j]]
    for name, same in (("same", True), ("other", False)):
        expected = np.mean([features[i] @ features[j] for i, j in pairs if (landmarks[i] == landmarks[j]) == same])
        assert landmark_scores.cosines(features, landmarks, images)[name] == pytest.approx(expected)


def test_rounding_never_leads_beyond_a_scores_bounds():
    features = directions(np.tile(DRAW.normal(size=(3, 50)), (20, 1)))
    landmarks = np.tile(np.arange(3), 20)
    assert silhouettes(features, landmarks).max() <= 1
    assert max(landmark_scores.cosines(features, landmarks, np.arange(60)).values()) <= 1
