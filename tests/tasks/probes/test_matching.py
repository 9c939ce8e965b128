"""Matching: plain loops, maps against SciPy, an oracle at the grid's ceiling, a constant at chance exactly."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage
from torch import nn

from eden_bench import case_statistics, records, registry
from eden_bench.contracts import Context, Features
from tasks.probes import augmented, matches
from tests.tasks.finetuning.toy_anatomy import ToyAnatomy, toy_index

DRAW = np.random.default_rng(5)
TASK = registry.tasks.get("matching")
SMALL = {"features": Features(size_px=16), "film_px": 96, "grid": 32, "searched_films": 5}
SIDE = 96


def test_the_best_place_leads_back_as_in_the_plain_loop():
    query, here, there = (DRAW.normal(size=(n, 3)) for n in (4, 9, 9))
    near = DRAW.random((4, 9)) < 0.4
    found, back = matches.best_places(query @ there.T), matches.best_places(there @ here.T)
    for q in range(4):
        g = int(np.argmax([query[q] @ place for place in there]))
        home = int(np.argmax([there[g] @ place for place in here]))
        assert found[q].argmax() == g
        assert matches.led_back(found, back, near)[q] == near[q, home]


def test_places_that_tie_count_alike():
    weights = matches.best_places(np.array([[1.0, 1.0, 0.0]]))
    found = matches.off(weights, np.array([[1.0, 4.0, 0.0]]), {"within": 2.0})
    assert (found["within"].tolist(), found["radial_error"].tolist()) == ([0.5], [2.5])
    near = np.array([[True, False, False]])
    assert matches.led_back(weights, np.full((3, 3), 1 / 3), near) == pytest.approx([1 / 3])


def test_a_map_turns_about_the_middle_and_scales():
    mapping = augmented.view_map(90, 2.0, 10)
    assert augmented.moved(np.array([[5.0, 5.0], [6.0, 5.0]]), mapping) == pytest.approx(np.array([[5, 5], [5, 7]]))


def test_a_view_shows_what_scipy_shows_and_a_dot_lands_where_the_map_says():
    film = ndimage.gaussian_filter(DRAW.random((64, 64)) * 255, 3).astype(np.uint8)
    mapping = augmented.view_map(10, 1.1, 64)
    back = np.linalg.inv(mapping[:, :2])[::-1, ::-1]  # rows before columns
    middle = np.full(2, 31.5)
    expected = ndimage.affine_transform(film.astype(float), back, middle - back @ middle, order=1, mode="nearest")
    assert np.abs(augmented.view(film, mapping, 1.0) - expected).max() < 2
    dot = np.zeros((64, 64), np.uint8)
    dot[19:22, 39:42] = 200
    shown = augmented.view(dot, mapping, 1.0).astype(float)
    y, x = np.mgrid[:64, :64] + 0.5
    centre = np.array([(shown * x).sum(), (shown * y).sum()]) / shown.sum()
    assert centre == pytest.approx(augmented.moved(np.array([40.5, 20.5]), mapping), abs=0.05)


def test_gamma_is_of_grey_levels_in_0_to_1():
    film = np.arange(256, dtype=np.uint8).reshape(16, 16)
    found = augmented.view(film, augmented.view_map(0, 1, 16), 1.25)
    assert found.ravel().tolist() == [round(255 * (grey / 255) ** 1.25) for grey in range(256)]


class Marked(ToyAnatomy):
    """Films with three landmarks, whose places vary from film to film."""


def marked(root, **sizes):
    index = toy_index(root, **sizes)
    draw = np.random.default_rng(2)
    middle = np.array([[30.0, 30], [60, 40], [48, 70]])
    items = [
        replace(item, points=dict(zip("abc", map(tuple, middle + draw.uniform(-8, 8, (3, 2))), strict=True)))
        for item in index.items
    ]
    return replace(index, items=tuple(items))


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    root = tmp_path_factory.mktemp("matching")
    context = Context(cache=root / "cache", dataset=Marked())
    return TASK.open(marked(root, train=8, test=7), replace(TASK.protocol("quick"), **SMALL), context)


def control(name):
    method = registry.methods.get(name)
    return method(method.Config()).load_encoder(0)


class Oracle(nn.Module):
    """Knows of each place how it lies to the landmarks of its own film: features alike where it lies alike."""

    def __init__(self, task, order=None):
        super().__init__()
        first, count = len(task.train), len(task.test)
        views = [augmented.moved(task.places[first + k], task.maps[k]) for k in range(count)]
        self.places = np.concatenate([task.places, views])
        self.order = np.arange(3) if order is None else order

    def features_of(self, film, centres):
        near = np.exp(-(np.linalg.norm(centres[:, None] - self.places[film], axis=2) ** 2) / 200)
        return np.c_[near, np.full(len(near), 1e-9)]


def asked(task, monkeypatch, order=None):
    """Run the task with an oracle, whose landmarks on test films may be exchanged."""
    oracle, truth = Oracle(task), task.places

    def embed(_, rows, boxes, mirrored=False):
        centres = (boxes[:, :2] + boxes[:, 2:]) / 2
        found = [oracle.features_of(row, centre[None])[0] for row, centre in zip(rows, centres, strict=True)]
        whole = np.array(found)
        # only the landmarks' own patches, asked for all together, are exchanged
        if order is not None and len(rows) == truth.shape[0] * 3:
            whole = whole.reshape(-1, 3, 4)[:, order].reshape(-1, 4)
        return whole

    monkeypatch.setattr(task, "embed", embed)
    return task.run(oracle, 0)


def test_an_oracle_is_at_the_grids_ceiling(opened, monkeypatch):
    outcome = asked(opened, monkeypatch)
    for name in ("pck_5", "augmented_pck_5", "cycle", "augmented_cycle"):
        assert outcome.scores[name] == 1, name
    assert outcome.controls["oracle"] == 1
    assert outcome.scores["radial_error"] < 2 * outcome.scores["radial_error_of_oracle"]


def test_exchanged_landmarks_are_found_nowhere(opened, monkeypatch):
    assert asked(opened, monkeypatch, order=[1, 2, 0]).scores["pck_5"] < 0.1


def test_a_constant_encoder_is_at_chance_exactly(opened):
    scores = opened.run(control("constant"), 0).scores
    for name in ("pck_5", "pck_2", "radial_error", "augmented_pck_5", "augmented_radial_error"):
        assert scores[name] == pytest.approx(scores[f"{name}_of_chance"], abs=1e-12), name
    assert scores["pck_5_raw"] == pytest.approx(scores["pck_5"], abs=1e-12)


def test_controls_are_the_plain_loops(opened):
    outcome = opened.run(control("pixels"), 0)
    first, count = len(opened.train), len(opened.test)
    copied, nearest, chance = [], [], []
    steps = [(k + 0.5) * SIDE / 32 for k in range(32)]
    for k in range(count):
        for mark in range(3):
            here, there = opened.places[first + k][mark], opened.places[first + (k + 1) % count][mark]
            copied.append(np.hypot(*(here - there)) / SIDE * 100)
            every = [np.hypot(x - there[0], y - there[1]) / SIDE * 100 for x in steps for y in steps]
            nearest.append(min(every))
            chance.append(np.mean([each <= 5 for each in every]))
    cases, scores = outcome.cases, outcome.scores
    assert cases["pck_5_of_copy_the_coordinates"] == [float(each <= 5) for each in copied]
    assert cases["radial_error_of_copy_the_coordinates"] == pytest.approx(copied)
    assert cases["radial_error_of_oracle"] == pytest.approx(nearest)
    assert outcome.controls["chance"] == pytest.approx(np.mean(chance))
    assert scores["radial_error_of_oracle"] <= 100 / 32 / np.sqrt(2)


def test_a_landmark_that_a_view_does_not_show_has_no_score(tmp_path):
    index = marked(tmp_path, train=4, test=4)
    far = tuple(replace(item, points={**item.points, "a": (0.5, 0.5)}) for item in index.items)
    protocol = replace(TASK.protocol("quick"), **SMALL, scale_change=0.0)
    context = Context(cache=tmp_path / "c", dataset=Marked())
    outcome = TASK.open(replace(index, items=far), protocol, context).run(control("pixels"), 0)
    shown = [np.isnan(value) for value in outcome.cases["augmented_pck_5"]]
    assert shown == [True, False, False] * 4
    assert not np.isnan(outcome.cases["pck_5"]).any()


def test_scores_are_the_statistics_of_the_cases_and_every_one_is_defined(opened):
    outcome = opened.run(control("pixels"), 0)
    records.check_outcome(outcome, TASK.score)
    columns = {name: np.asarray(values) for name, values in outcome.cases.items()}
    for name, value in outcome.scores.items():
        definition = TASK.score.of(name)
        assert definition.text, name
        assert case_statistics.statistic_of(definition)(columns, name) == pytest.approx(value, abs=1e-12)
    for name, value in outcome.controls.items():
        assert np.mean(columns[f"pck_5_of_{name.replace(' ', '_')}"]) == pytest.approx(value)


def test_films_are_one_a_patient(tmp_path):
    index = marked(tmp_path, train=4, test=6)
    twice = tuple(replace(item, patient="t4" if item.patient == "t5" else item.patient) for item in index.items)
    protocol = replace(TASK.protocol("quick"), **{**SMALL, "searched_films": 9})
    task = TASK.open(replace(index, items=twice), protocol, Context(cache=tmp_path / "c", dataset=Marked()))
    assert len(task.test) == len({item.patient for item in task.test}) == 5
