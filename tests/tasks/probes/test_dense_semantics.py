"""Dense semantics on toy films: oracle at its ceiling, constant at chance, position at the floor, permuted falls."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from baselines.constant import ConstantEncoder
from baselines.pixels import PixelsEncoder
from baselines.position import PositionEncoder
from eden_bench import case_statistics, records, registry
from eden_bench.contracts import NORMALISATIONS, Context, Features
from eden_bench.encoders import Encoder, build_encoder
from eden_bench.errors import DataMissing
from tasks.dense_semantics import MIOU
from tasks.probes import label_maps
from tasks.probes.dense_semantics import STRUCTURES
from tests.tasks.finetuning.toy_anatomy import ToyAnatomy, toy_index

PX = 64
SMALL = {"features": Features(pooling="map", size_px=PX), "film_px": PX, "draws": 3, "train_films": 12}


class Organs(ToyAnatomy):
    """Of the toy's ellipse the upper half is heart, the lower lungs; most of the rest is clavicles."""

    def read_mask(self, item, structure):
        inside, _ = self.shape(item)
        y, _ = np.mgrid[:96, :96]
        return {"heart": inside & (y < 48), "lungs": inside & (y >= 48), "clavicles": (y < 72) & ~inside}[structure]


class Told(Encoder):
    """An encoder whose map of an image is looked up."""

    arch, channels, strides = "told", (8,), (8,)

    def __init__(self, films, maps):
        super().__init__()
        self.known = {film.tobytes(): one for film, one in zip(films, maps, strict=True)}

    def maps(self, images):
        grey = images[:, 0].cpu().numpy()
        films = np.rint((grey * 0.229 + 0.485) * 255).astype(np.uint8)
        return (torch.tensor(np.stack([self.known[film.tobytes()] for film in films]), dtype=torch.float32),)


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    root = tmp_path_factory.mktemp("dense")

    def open_task(**changes):
        task = registry.tasks.get("dense-semantics")
        index = toy_index(root, train=changes.pop("train", 12))
        items = tuple(replace(item, masks=dict.fromkeys(STRUCTURES, (item.image,))) for item in index.items)
        protocol = replace(task.protocol("quick"), **{**SMALL, **changes})
        return task.open(replace(index, items=items), protocol, Context(cache=root / "cache", dataset=Organs()))

    return open_task


def codes_of(task, grid=(8, 8)):
    """A direction of its own for every set of structures that a position may show, (N, 8, h, w)."""
    labels = np.stack([label_maps.reduced(masks, grid) for masks in task.masks])
    number = np.einsum("nshw,s->nhw", labels, [1, 2, 4]).astype(int)
    return np.moveaxis(np.eye(8)[number], -1, 1)


def test_an_oracle_is_at_the_ceiling_and_falls_when_its_positions_are_shuffled(opened):
    task = opened()
    codes = codes_of(task)
    oracle = task.run(Told(task.films, codes), 0)
    records.check_outcome(oracle, MIOU)
    assert oracle.scores["miou_5"] == pytest.approx(oracle.scores["ceiling"], abs=1e-12)
    assert oracle.scores["clusters_12"] == pytest.approx(oracle.scores["ceiling"], abs=1e-12)
    assert oracle.controls["oracle"] == oracle.scores["ceiling"] > oracle.scores["floor_5"]
    draw = np.random.default_rng(0)
    shuffled = np.stack([code.reshape(8, 64)[:, draw.permutation(64)].reshape(8, 8, 8) for code in codes])
    found = task.run(Told(task.films, shuffled), 0).scores
    assert found["miou_5"] == pytest.approx(oracle.controls["chance"], abs=0.05)
    assert oracle.controls["chance"] < oracle.scores["floor_5"] - 0.1
    assert found["ceiling"] == oracle.scores["ceiling"]


@pytest.mark.parametrize("has_map", [True, False])
def test_a_constant_is_at_chance_exactly(opened, has_map):
    task = opened()
    alike = Told(task.films, np.full((len(task.films), 3, 8, 8), 0.1)) if has_map else ConstantEncoder()
    outcome = task.run(alike, 0)
    assert outcome.scores["miou_5"] == outcome.scores["miou_5_raw"]
    assert outcome.scores["miou_5"] == pytest.approx(outcome.controls["chance"], abs=1e-12)
    assert outcome.controls["chance"] > 0.1


def test_position_alone_copies_the_coordinates(opened):
    """Its five nearest positions in five films are those at its own place."""
    outcome = opened(patch_grid=8).run(PositionEncoder(), 0)
    assert outcome.training["grid"] == [8, 8]
    assert outcome.scores["miou_5"] == pytest.approx(outcome.scores["floor_5"], abs=1e-12)
    assert outcome.controls["copy the coordinates"] == outcome.scores["floor_5"]


def test_pixels_are_cut_about_each_place_of_a_grid(opened):
    """A map of one position would say nothing of where an organ is; the film's border is repeated beyond it."""
    task = opened(patch_grid=8, features=Features(pooling="map", size_px=24))
    found, grid = task.maps(PixelsEncoder())
    assert grid == (8, 8)
    film = np.pad(task.films[3], 8, mode="edge")
    for row, column in ((0, 0), (2, 5), (7, 7)):
        patch = film[8 * row :][:24, 8 * column :][:, :24]
        assert found[3, 8 * row + column] == pytest.approx(
            PixelsEncoder().maps(_normal(patch))[-1].numpy().ravel(), abs=1e-5
        )
    assert task.run(PixelsEncoder(), 0).scores["miou_5"] > 0


def _normal(patch):
    mean, std = (torch.tensor(values)[:, None, None] for values in NORMALISATIONS["imagenet"])
    return (torch.tensor(patch / 255, dtype=torch.float32).expand(1, 3, -1, -1) - mean) / std


def test_propagation_is_the_plain_loop(opened):
    task = opened()
    found = np.random.default_rng(1).normal(size=(len(task.films), 4, 8, 8))
    outcome = task.run(Told(task.films, found), 0)
    rows = found.astype(np.float32).reshape(len(found), 4, 64).transpose(0, 2, 1).astype(float)
    rows -= rows[:12].mean(axis=(0, 1))
    rows /= np.linalg.norm(rows, axis=-1, keepdims=True)
    labels = np.stack([label_maps.reduced(masks, (8, 8)) for masks in task.masks]).reshape(len(found), 3, 64)
    for film in range(12, len(found)):
        each = []
        for chosen in task.supports(1):
            near = np.argsort(-(rows[film] @ rows[chosen[0]].T), axis=1)[:, :5]
            votes = np.stack([labels[chosen[0]][:, five].mean(axis=1) for five in near], axis=1).reshape(3, 8, 8)
            each.append(label_maps.iou(label_maps.enlarged(votes, PX), task.masks[film] > 0))
        assert outcome.cases["miou_1"][film - 12] == pytest.approx(np.mean(each), abs=1e-12)


def test_the_ceiling_is_the_films_own_labels(opened):
    task = opened()
    outcome = task.run(build_encoder("resnet18-w16", 0), 0)
    masks = task.masks[12]
    own = label_maps.enlarged(label_maps.reduced(masks, (2, 2)), PX)
    assert outcome.cases["ceiling"][0] == pytest.approx(label_maps.iou(own, masks > 0).mean())


def test_every_score_is_defined_and_is_the_mean_of_its_column(opened):
    outcome = opened().run(build_encoder("resnet18-w16", 0), 0)
    records.check_outcome(outcome, MIOU)
    columns = {name: np.asarray(values) for name, values in outcome.cases.items()}
    assert MIOU.name in outcome.scores
    for name, value in outcome.scores.items():
        definition = MIOU.of(name)
        assert definition.text
        assert case_statistics.statistic_of(definition)(columns, name) == pytest.approx(value, abs=1e-12), name


def test_labelled_films_follow_the_protocols_seed_alone(opened):
    drawn = [[each.tolist() for each in opened(seed=seed).supports(5)] for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert all(len(set(each)) == 5 for each in drawn[0])
    encoder = build_encoder("resnet18-w16", 0)
    assert opened().run(encoder, 0).scores == opened().run(encoder, 7).scores


def test_masks_are_part_of_the_datas_digest(opened, monkeypatch):
    first = opened(film_px=32).data["digest"]
    monkeypatch.setattr(Organs, "read_mask", lambda self, item, structure: self.shape(item)[0])
    monkeypatch.setattr(Organs, "reading", "otherwise", raising=False)
    assert opened(film_px=32).data["digest"] != first


def test_fewer_films_than_are_to_be_labelled_are_refused(opened):
    with pytest.raises(DataMissing, match=r"toy: dense-semantics has 4 training films in .*, expected 5 to take"):
        opened(train=4)
