"""Novelty: plain loops, a constant encoder at chance exactly, an oracle at its ceiling, a shuffled one at chance."""

from dataclasses import replace

import numpy as np
import pytest

from eden_bench import case_statistics, records, registry
from eden_bench.contracts import Context, Features
from eden_bench.encoders import Encoder, build_encoder
from eden_bench.errors import DataMissing
from tasks.probes import novelty_scores
from tasks.probes.ranks import auroc, directions
from tests.tasks.finetuning.toy_anatomy import LABELS, ToyAnatomy, toy_index

DRAW = np.random.default_rng(3)
BANK, QUERIES = DRAW.normal(size=(12, 4)), DRAW.normal(size=(7, 4))
TASK = registry.tasks.get("novelty")
SMALL = {"features": Features(size_px=32), "film_px": 32, "neighbours": 2, "patch_grid": 0, "nuisance_films": 0}


def test_distance_is_the_plain_loop():
    found = novelty_scores.distances(directions(QUERIES), directions(BANK), 5)
    for query, distance in zip(QUERIES, found, strict=True):
        cosines = [query @ film / np.linalg.norm(query) / np.linalg.norm(film) for film in BANK]
        assert distance == pytest.approx(np.mean(sorted(1 - cosine for cosine in cosines)[:5]))


def test_distance_does_not_depend_on_how_many_are_compared_at_once(monkeypatch):
    at_once = novelty_scores.distances(directions(QUERIES), directions(BANK), 3)
    monkeypatch.setattr(novelty_scores, "_ROWS", 2)
    assert novelty_scores.distances(directions(QUERIES), directions(BANK), 3) == pytest.approx(at_once, abs=1e-15)


def test_whitening_makes_the_shrunk_covariance_the_identity():
    bank = DRAW.normal(size=(40, 3)) @ np.array([[5.0, 1, 0], [0, 1, 0], [0, 0, 0.1]])
    whiten = novelty_scores.whitening(bank)
    centred = bank - bank.mean(axis=0)
    plain = centred.T @ centred / len(bank)
    error = ((np.einsum("ni,nj->nij", centred, centred) - plain) ** 2).sum() / len(bank) ** 2
    target = np.trace(plain) / 3 * np.eye(3)
    share = min(error, ((plain - target) ** 2).sum()) / ((plain - target) ** 2).sum()  # Ledoit and Wolf, eq. 14
    assert 0 < share < 1
    shrunk = (1 - share) * plain + share * target
    assert whiten @ shrunk @ whiten == pytest.approx(np.eye(3), abs=1e-8)
    assert whiten == pytest.approx(whiten.T)


def test_a_direction_that_the_bank_never_leaves_for_is_the_most_novel():
    bank = np.array([[1.0, 0], [-1, 0], [1, 0], [-1, 0]])
    assert abs(novelty_scores.whitened(np.array([[0.1, 0.1]]), bank)[0] @ [0, 1]) > 0.99


def test_a_feature_at_the_banks_mean_points_nowhere():
    bank = np.array([[1.0, 0], [-1, 0], [0, 2], [0, -2]])
    assert novelty_scores.whitened(np.zeros((1, 2)), bank).tolist() == [[0, 0]]
    assert novelty_scores.distances(np.zeros((1, 2)), directions(bank), 2).tolist() == [1.0]


def test_a_finding_is_told_from_films_with_none_and_others_are_left_out():
    novelty = np.array([0.1, 0.9, 0.5, 0.2, 0.3])
    labels = np.array([[0, 0], [1, 0], [0, 1], [1, 1], [0, 0]], bool)
    found = novelty_scores.by_finding(novelty, np.c_[labels, np.zeros(5, bool)], ("a", "b", "never"))
    assert found == {"a": 0.75, "b": 0.75}


class Labelled(ToyAnatomy):
    """Films of two textures, of which one is that of every film with a finding."""

    def read_image(self, item):
        plain = super().read_image(item)
        plain[::4] = plain[::4] // (2 if any(item.labels) else 1)
        return plain


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    root = tmp_path_factory.mktemp("novelty")
    index = toy_index(root, train=30, test=24)
    dataset = Labelled()
    return TASK.open(index, replace(TASK.protocol("quick"), **SMALL), Context(cache=root / "cache", dataset=dataset))


class GivenFeatures(Encoder):
    """Stand-in for an encoder that gives each film a feature, whatever its pixels."""

    reads_boxes = True

    def __init__(self, rows):
        super().__init__()
        self.rows = rows

    def embed_boxes(self, boxes):
        assert len(boxes) == len(self.rows)
        return self.rows


def of_labels(task):
    """One axis for films without a finding, to either side, and another for films with one."""
    ill = np.array([any(item.labels) for item in task.items])
    rows = np.where(ill[:, None], [0.0, 1.0], [1.0, 0.0])
    rows[::2] *= np.where(ill[::2, None], 1, -1)
    return rows


def control(name):
    method = registry.methods.get(name)
    return method(method.Config()).load_encoder(0)


def test_the_bank_holds_no_finding_and_test_films_both(opened):
    assert not any(any(item.labels) for item in opened.train)
    assert len(opened.train) == 10
    assert 0 < opened.labels.any(axis=1).sum() < len(opened.test)
    assert "without a finding" in opened.data["split_rule"]


def test_an_oracle_is_at_its_ceiling_and_its_permutation_falls_to_chance(opened):
    rows = of_labels(opened)
    assert opened.run(GivenFeatures(rows), 0).scores["novelty"] == 1
    draws = [np.random.default_rng(seed).permutation(len(opened.test)) for seed in range(40)]
    first = len(opened.train)
    permuted = [opened.run(GivenFeatures(np.concatenate([rows[:first], rows[first:][d]])), 0) for d in draws]
    assert np.mean([each.scores["novelty"] for each in permuted]) == pytest.approx(0.5, abs=0.08)


@pytest.mark.parametrize("name", ["constant", "position"])
def test_a_constant_encoder_is_at_chance_exactly(opened, name):
    outcome = opened.run(control(name), 0)
    told = {"novelty", "novelty_raw", "novelty_centred", "macro"}
    assert {each: outcome.scores[each] for each in told} == dict.fromkeys(told, 0.5)
    assert outcome.scores["average_precision"] == pytest.approx(opened.labels.any(axis=1).mean())


def test_scores_are_the_statistics_of_the_cases_and_every_one_is_defined(opened):
    outcome = opened.run(build_encoder("resnet18-w16", 0), 0)
    records.check_outcome(outcome, TASK.score)
    columns = {name: np.asarray(values) for name, values in outcome.cases.items()}
    function = case_statistics.statistic_of(TASK.score)
    for name, value in {**outcome.scores, **outcome.controls}.items():
        if name in columns:
            assert function(columns, name) == value, name
    assert {"novelty", "novelty_raw", "brightness", "unusual brightness"} <= set(columns)
    assert all(TASK.score.of(name).text for name in outcome.scores)
    assert [name for name in outcome.scores if name.startswith("auc_")] == [f"auc_{label}" for label in LABELS[:2]]
    counts = np.random.default_rng(0).integers(0, 3, (5, len(columns["case"]))).astype(float)
    fast = case_statistics.counted_of(TASK.score)(columns, "novelty", counts)
    for one, drawn in zip(fast, counts.astype(int), strict=True):
        assert one == pytest.approx(function({k: np.repeat(v, drawn) for k, v in columns.items()}, "novelty"))


def test_brightness_alone_is_a_control_of_the_same_films(opened):
    outcome = opened.run(control("constant"), 0)
    bright = opened.films[~opened.is_train].mean(axis=(1, 2))
    ill = opened.labels.any(axis=1)
    assert outcome.controls["brightness"] == auroc(bright[ill], bright[~ill])
    usual = opened.films[opened.is_train].mean()
    assert outcome.controls["unusual brightness"] == auroc(abs(bright[ill] - usual), abs(bright[~ill] - usual))


def test_films_that_are_all_healthy_are_refused(tmp_path):
    index = toy_index(tmp_path, train=30, test=6)
    well = tuple(replace(item, labels=(0.0, 0.0, 0.0)) if item.split == "test" else item for item in index.items)
    with pytest.raises(DataMissing, match="0 of 6 test films have one"):
        TASK.open(
            replace(index, items=well), TASK.protocol("quick"), Context(cache=tmp_path / "c", dataset=ToyAnatomy())
        )
