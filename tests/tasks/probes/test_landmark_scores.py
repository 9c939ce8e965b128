"""Scores of landmark features: plain loops, scikit-learn, a constant encoder at chance, an oracle at its ceiling."""

import numpy as np
import pytest
from sklearn.metrics import silhouette_score

from tasks.probes import landmark_scores
from tasks.probes.ranks import directions

DRAW = np.random.default_rng(1)
FILMS, MARKS = 6, 4
LANDMARKS = np.tile(np.arange(MARKS), FILMS)
PATIENTS = np.repeat(np.arange(FILMS) // 2, MARKS)  # two films a patient
IMAGES = np.repeat(np.arange(FILMS), MARKS)
NOISE = DRAW.normal(size=(FILMS * MARKS, 5))
ORACLE = np.eye(MARKS)[LANDMARKS] + 0.01 * DRAW.normal(size=(FILMS * MARKS, MARKS))


def by_loop(features):
    """The nearest patch of another patient, patch by patch."""
    found = []
    for i, feature in enumerate(features):
        others = [j for j in range(len(features)) if PATIENTS[j] != PATIENTS[i]]
        best = max(others, key=lambda j: feature @ features[j])
        found.append(float(LANDMARKS[best] == LANDMARKS[i]))
    return found


def test_identification_is_the_plain_loop():
    features = directions(NOISE, NOISE.mean(axis=0))
    assert landmark_scores.identified(features, LANDMARKS, PATIENTS).tolist() == by_loop(features)


def test_a_constant_encoder_is_at_chance_exactly_and_an_oracle_at_its_ceiling():
    constant = directions(np.ones((FILMS * MARKS, 3)), 1.0)
    assert landmark_scores.identified(constant, LANDMARKS, PATIENTS).tolist() == [1 / MARKS] * (FILMS * MARKS)
    oracle = directions(ORACLE, ORACLE.mean(axis=0))
    assert landmark_scores.identified(oracle, LANDMARKS, PATIENTS).mean() == 1
    found = landmark_scores.neighbour_scores(oracle, LANDMARKS, IMAGES)
    assert found["map"] == pytest.approx(1)


def test_shuffled_features_fall_to_chance():
    many = np.tile(np.arange(10), 40)
    patients = np.repeat(np.arange(40), 10)
    shuffled = directions(DRAW.permutation(np.eye(10)[many] + 0.1 * DRAW.normal(size=(400, 10))), 0.1)
    assert landmark_scores.identified(shuffled, many, patients).mean() == pytest.approx(0.1, abs=0.05)


def test_neighbours_are_the_plain_loop():
    features = directions(NOISE, NOISE.mean(axis=0))
    purity, precision = [], []
    for i, feature in enumerate(features):
        others = sorted(
            (j for j in range(len(features)) if IMAGES[j] != IMAGES[i]), key=lambda j: -(feature @ features[j])
        )
        hits = [LANDMARKS[j] == LANDMARKS[i] for j in others]
        purity.append(np.mean(hits[:10]))
        precision.append(np.mean([np.mean(hits[: k + 1]) for k in range(len(hits)) if hits[k]]))
    found = landmark_scores.neighbour_scores(features, LANDMARKS, IMAGES)
    assert found == pytest.approx({"purity": np.mean(purity), "map": np.mean(precision)})


def test_silhouette_is_scikit_learns_and_clusters_of_an_oracle_are_the_landmarks():
    oracle = directions(ORACLE, ORACLE.mean(axis=0))
    found = landmark_scores.cluster_scores(oracle, LANDMARKS, 0)
    assert found["silhouette"] == pytest.approx(silhouette_score(oracle, LANDMARKS, metric="cosine"), abs=1e-6)
    assert (found["ami"], found["ari"]) == (1.0, 1.0)
    assert landmark_scores.cluster_scores(np.zeros((8, 3)), np.arange(8) % 2, 0) == {
        "silhouette": 0,
        "ami": 0,
        "ari": 0,
    }


def test_a_linear_probe_of_an_oracle_is_right_on_other_patients():
    assert landmark_scores.linear_probe(ORACLE, LANDMARKS, PATIENTS) == 1
    assert landmark_scores.linear_probe(np.ones((24, 2)), LANDMARKS, PATIENTS) == pytest.approx(1 / MARKS)


def test_places_that_tie_count_alike():
    centres, truth = np.array([[0.0, 0.0], [4.0, 0.0], [0.0, 3.0]]), np.array([[0.0, 0.0], [4.0, 0.0]])
    similarity = np.array([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    assert landmark_scores.placed(similarity, centres, truth).tolist() == [2.0, 5.0]
