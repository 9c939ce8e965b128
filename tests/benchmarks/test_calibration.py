"""The calibration in small: few false claims, intervals that hold the truth, and the paper's test for contrast."""

import numpy as np
import pytest

from benchmarks import calibration
from benchmarks.calibration import Study, lines, planted, simulate
from benchmarks.null_matrices import WORLDS, Design, draw

RIB, FEW_SHOTS = WORLDS[1], WORLDS[3]


@pytest.mark.parametrize(
    ("scope", "design"),
    [
        ("checkpoints", Design(methods=5, equal_checkpoints=True)),
        ("checkpoints", Design(methods=5, equal_checkpoints=True, seeds=3)),
        ("methods", Design(methods=5, pretrainings=3, seeds=3)),
    ],
)
def test_claims_are_seldom_false_and_intervals_hold_the_truth(scope, design):
    """Binomial bounds at 99.9 % of 150 families and 1,200 intervals, which are not independent."""
    found = simulate(Study("small", scope, design), 150, (RIB, FEW_SHOTS))
    assert found.false_claims <= 0.12
    assert found.equal_at_margin <= 0.12
    assert all(0.91 <= share <= 0.99 for share in found.coverage.values())
    assert found.paper > 0.1
    assert "false claims in" in lines(found)[0]


def test_the_truth_of_a_null_matrix_is_no_difference_and_its_sizes_are_those_stated():
    scores = draw(RIB, Design(methods=2, pretrainings=2, seeds=3), 4000, np.random.default_rng(5))
    gaps = (scores[:, 0] - scores[:, 1]).mean(axis=(1, 2, 3))
    patients = RIB.interaction**2 + (RIB.interaction / 2) ** 2 / 2 + (RIB.interaction / 2) ** 2 / 6
    runs = RIB.pretraining**2 / 2 + RIB.seed**2 / 2 * (1 / 3 + 1 / 6)
    assert abs(gaps.mean()) < 4 * gaps.std() / 4000**0.5
    assert gaps.var() == pytest.approx(2 * (patients / RIB.patients + runs), rel=0.1)


def test_planted_pairs_are_found(monkeypatch):
    monkeypatch.setattr(calibration, "WORLDS", (RIB, FEW_SHOTS))
    assert all(abs(found - 6) <= 1 for found in planted(6, 10))
