"""Labels of positions: plain loops, ties by their chance, closed forms."""

import numpy as np
import pytest

from tasks.probes import label_maps

DRAW = np.random.default_rng(3)


def test_a_position_shows_what_at_least_half_of_its_pixels_do():
    masks = (DRAW.random((2, 12, 8)) < 0.5).astype(np.uint8)
    found = label_maps.reduced(masks, (3, 4))
    for structure, row, column in np.ndindex(2, 3, 4):
        cell = masks[structure, 4 * row : 4 * row + 4, 2 * column : 2 * column + 2]
        assert found[structure, row, column] == (cell.mean() >= 0.5)
    assert label_maps.reduced(masks, (12, 8)).tolist() == masks.tolist()


def test_votes_are_enlarged_about_pixels_centres_and_cut_at_a_half():
    votes = np.array([[[1.0, 0.0], [1.0, 0.0]], [[0.4, 0.4], [0.4, 0.4]]])
    found = label_maps.enlarged(votes, 8)
    assert found[0].tolist() == [[True] * 4 + [False] * 4] * 8
    assert not found[1].any()


def test_iou_is_the_plain_count():
    found, truth = DRAW.random((2, 2, 5, 5)) < 0.5
    for k in range(2):
        pairs = list(zip(found[k].ravel(), truth[k].ravel(), strict=True))
        expected = sum(a and b for a, b in pairs) / sum(a or b for a, b in pairs)
        assert label_maps.iou(found, truth)[k] == expected
    assert np.isnan(label_maps.iou(*np.zeros((2, 1, 2, 2), bool))).all()


def test_votes_are_the_plain_loop_over_all_orders_of_ties():
    similarity = np.array([[3.0, 2, 2, 2, 1], [1, 1, 1, 1, 1], [5, 4, 3, 2, 1]])
    labels = DRAW.random((5, 2))
    found = label_maps.voted(similarity, labels, 2)
    for row, votes in zip(similarity, found, strict=True):
        orders = [DRAW.permutation(5) for _ in range(4000)]
        drawn = [labels[order[np.argsort(-row[order], kind="stable")[:2]]].mean(axis=0) for order in orders]
        assert votes == pytest.approx(np.mean(drawn, axis=0), abs=0.02)
    assert found[1] == pytest.approx(labels.mean(axis=0))
    assert found[2] == pytest.approx(labels[:2].mean(axis=0))


def test_all_vote_where_there_are_fewer_than_asked_for():
    assert label_maps.voted(np.array([[0.1, 0.9]]), np.array([[1.0], [0.0]]), 5).tolist() == [[0.5]]


def test_clusters_have_the_structures_that_at_least_half_of_their_positions_show():
    train = np.repeat(np.eye(3), 4, axis=0)
    labels = np.array([[1, 0], [1, 0], [1, 0], [0, 1], *[[0, 1]] * 2, *[[0, 0]] * 2, *[[0, 0]] * 4], float)
    found = label_maps.cluster_labels(train, labels, np.eye(3), 3, 0)
    assert found.tolist() == [[1, 0], [0, 1], [0, 0]]


def test_features_that_are_all_equal_are_one_cluster():
    found = label_maps.cluster_labels(np.zeros((8, 2)), np.eye(8)[:, :1], np.zeros((2, 2)), 6, 0)
    assert found.tolist() == [[0.0], [0.0]]
