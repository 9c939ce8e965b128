"""Novelty by patches and of films taken otherwise: plain loops, oracle, constant, boxes and permutations."""

from dataclasses import replace

import numpy as np
import pytest

from eden_bench import records, registry
from eden_bench.contracts import Box, Context
from eden_bench.encoders import build_encoder
from tasks.probes import novelty_patches, novelty_scores
from tasks.probes.patches import grid_centres
from tasks.probes.ranks import auroc
from tests.tasks.finetuning.toy_anatomy import toy_index
from tests.tasks.probes.test_novelty import SMALL, TASK, Labelled

PATCHES = {"patch_grid": 4, "patch_share": 0.25, "patch_films": 8, "nuisance_films": 6}


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    root = tmp_path_factory.mktemp("novelty")
    index = toy_index(root, train=30, test=24)
    side = 96  # pixels of the toy films
    boxed = [
        replace(item, boxes=(Box("a", side / 4, 0, side / 2, side / 4),)) if any(item.labels) else item
        for item in index.items
    ]
    protocol = replace(TASK.protocol("quick"), **SMALL | PATCHES)
    return TASK.open(replace(index, items=tuple(boxed)), protocol, Context(cache=root / "cache", dataset=Labelled()))


def told(opened, monkeypatch, rule):
    """Let the probe embed by a rule of a film's item and the box's centre in pixels."""

    def embed(encoder, rows, boxes, *, mirrored=False):
        centres = (boxes[:, :2] + boxes[:, 2:]) / 2
        return np.array([rule(opened.items[row], centre) for row, centre in zip(rows, centres, strict=True)])

    monkeypatch.setattr(opened, "embed", embed)


def test_places_are_the_centres_of_equal_cells():
    assert grid_centres(2, 8).tolist() == [[2, 2], [6, 2], [2, 6], [6, 6]]


def test_a_place_is_in_a_box_where_its_centre_is(opened):
    scale = opened.native_px[0, 0] / opened.protocol.film_px
    centres = grid_centres(4, opened.protocol.film_px)
    found = novelty_patches.in_boxes(opened, opened.test, centres)
    for item, inside in zip(opened.test, found, strict=True):
        (box, *_) = item.boxes or (Box("", 0, 0, 0, 0),)
        loop = [box.left <= x * scale < box.right and box.top <= y * scale < box.bottom for x, y in centres]
        assert inside.tolist() == loop
    assert {row.sum() for row in found} == {0, 1}


def test_a_patch_is_compared_with_those_of_the_bank_at_about_its_place(opened):
    draw = np.random.default_rng(0)
    centres = grid_centres(4, opened.protocol.film_px)
    features = draw.normal(size=(9, 16, 3))
    found = novelty_patches.novel_patches(features, 6, centres, opened)
    flat = features.reshape(-1, 3)
    white = novelty_scores.whitened(flat, flat[: 6 * 16]).reshape(features.shape)
    for film in range(3):
        for place in range(16):  # cells are a quarter of the side apart, so that only the same place is near
            each = sorted(1 - white[6 + film, place] @ white[k, place] for k in range(6))
            assert found[film, place] == pytest.approx(np.mean(each[: opened.protocol.neighbours]))


def test_an_oracle_of_patches_is_at_its_ceiling_in_films_and_boxes(opened, monkeypatch):
    def rule(item, centre):
        scale = opened.native_px[0, 0] / opened.protocol.film_px
        x, y = centre * scale
        ill = any(b.left <= x < b.right and b.top <= y < b.bottom for b in item.boxes or ())
        sign = 1.0 if opened.items.index(item) % 2 else -1.0  # both signs are in the bank, at every place
        return np.array([0.0, 9.0]) if ill else np.array([sign, 0.0])

    told(opened, monkeypatch, rule)
    _, scores = novelty_patches.by_patches(opened, None)
    assert scores["novelty_patches"] == scores["patches_in_boxes"] == scores["patches_pointing"] == 1
    assert scores["pointing_chance"] == pytest.approx(1 / 16)


def test_a_constant_is_at_chance_exactly(opened):
    method = registry.methods.get("constant")
    outcome = opened.run(method(method.Config()).load_encoder(0), 0)
    assert outcome.scores["novelty_patches"] == outcome.scores["patches_in_boxes"] == outcome.scores["nuisance"] == 0.5
    assert outcome.scores["patches_pointing"] == pytest.approx(outcome.scores["pointing_chance"])


def test_what_is_told_by_exposure_alone_is_a_nuisance(opened, monkeypatch):
    class Exposed:
        def embed(self, encoder, rows, boxes, *, mirrored=False):
            changed = opened.films[rows].astype(float).std(axis=(1, 2))
            return np.c_[changed, np.ones(len(rows))]

    first = len(opened.train)
    ordinary = [first + k for k, item in enumerate(opened.test) if not any(item.labels)][:6]
    monkeypatch.setattr(opened, "embed", Exposed().embed)
    features = Exposed().embed(None, np.arange(len(opened.items)), None)
    found = novelty_patches.nuisance(opened, None, features)["nuisance"]
    assert opened.films.shape[0] == len(opened.items)  # the probe's own films are back
    views = np.stack(
        [
            novelty_patches.augmented.view(opened.films[row], *novelty_patches._otherwise(opened.items[row], opened))
            for row in ordinary
        ]
    )
    turned = np.c_[views.astype(float).std(axis=(1, 2)), np.ones(len(views))]
    bank = features[:first]
    white = novelty_scores.whitened(np.concatenate([bank, features[ordinary], turned]), bank)
    far = novelty_scores.distances(white[first:], white[:first], opened.protocol.neighbours)
    assert found == auroc(far[6:], far[:6])


def test_every_score_is_defined_and_its_record_is_sound(opened):
    outcome = opened.run(build_encoder("resnet18-w16", 0), 0)
    records.check_outcome(outcome, TASK.score)
    for name in ("novelty_patches", "patches_in_boxes", "patches_pointing", "nuisance"):
        assert TASK.score.of(name).text
        assert 0 <= outcome.scores[name] <= 1
    column = np.array(outcome.cases["novelty_patches"])
    assert np.isfinite(column[:8]).all()
    assert np.isnan(column[8:]).all()
