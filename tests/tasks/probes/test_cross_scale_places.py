"""Cross-scale consistency at places of a grid: patches lie inside at every scale, known encoders score as they must."""

import numpy as np
import pytest

from baselines.constant import ConstantEncoder
from baselines.pixels import PixelsEncoder
from baselines.position import PositionEncoder
from tasks.probes.cross_scale_places import OpenCrossScalePlaces
from tasks.probes.cross_scale_protocol import PlacesProtocol
from tasks.probes.patches import leaves_film
from tasks.probes.protocol import FACTORS
from tests.tasks.probes import toy_landmarks as toy


@pytest.fixture
def probe(tmp_path, places):
    return toy.opened(OpenCrossScalePlaces, tmp_path)


@pytest.fixture(autouse=True)
def places(monkeypatch):
    monkeypatch.setattr(toy, "PROTOCOL", PlacesProtocol(**vars(toy.PROTOCOL)))


def test_no_patch_leaves_its_film_at_any_scale_and_the_largest_reaches_the_edge(probe):
    size, share = probe.protocol.film_px, probe.protocol.patch_share
    boxes = {name: probe.boxes(factor * share) for name, factor in FACTORS.items()}
    assert not any(leaves_film(each, size).any() for each in boxes.values())
    assert (boxes["double"].min(), boxes["double"].max()) == (0, size)


def test_places_are_a_grid_named_by_row_and_column(probe):
    x, y = probe.places[0].T.reshape(2, 3, 3)
    assert (np.diff(x, axis=1) > 0).all()
    assert (np.diff(y, axis=0) > 0).all()
    assert probe.names[5] == "row 2 column 3"


def test_a_constant_is_at_chance_and_an_encoder_told_the_place_at_the_ceiling(probe):
    assert probe.run(ConstantEncoder(), 0).scores["cross_scale"] == pytest.approx(1 / 9, abs=1e-12)
    assert probe.run(PositionEncoder(), 0).scores["cross_scale"] == 1


def test_a_permuted_encoder_is_at_chance(probe):
    outcome = probe.run(toy.Permuted(PixelsEncoder()), 0)
    n = len(outcome.cases["case"])
    assert abs(outcome.scores["cross_scale"] - 1 / 9) < 3.5 * np.sqrt(8 / 81 / n)


def test_films_need_no_landmarks(tmp_path, monkeypatch):
    monkeypatch.setattr(toy, "BASE", {})
    assert len(toy.opened(OpenCrossScalePlaces, tmp_path).names) == 9
