"""Symmetry: pairs by name, plain loops, an oracle at its ceiling, a constant at chance, shuffled features fall."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from baselines.position import PositionEncoder
from eden_bench import case_statistics, records, registry
from eden_bench.contracts import Context, Features
from eden_bench.encoders import Encoder, build_encoder
from eden_bench.errors import DataMissing
from tasks.phantom.chest.rendering import LANDMARKS
from tasks.probes import symmetry
from tasks.probes.ranks import directions
from tasks.symmetry import MIRRORED
from tests.tasks.finetuning.toy_anatomy import ToyAnatomy, toy_index

DRAW = np.random.default_rng(5)
PAIRS, FILMS = 3, 40
MARKS = np.tile(np.arange(2 * PAIRS), FILMS)
PATIENTS = np.repeat(np.arange(FILMS) // 2, 2 * PAIRS)  # two films a patient
CODES = np.eye(2 * PAIRS)
NAMED = ("left apex", "left base", "right apex", "right base", "heart")


class Constant(Encoder):
    """An encoder that sees nothing."""

    arch, channels, strides = "constant", (5,), (32,)

    def maps(self, images):
        return (torch.full((len(images), 5, 1, 1), 0.1),)


@pytest.fixture
def opened(tmp_path):
    def open_task(names=NAMED):
        index = toy_index(tmp_path, train=8)
        places = {name: (20.0 + 9 * k, 30.0 + 7 * k) for k, name in enumerate(names)}
        index = replace(index, items=tuple(replace(item, points=places) for item in index.items))
        task = registry.tasks.get("symmetry")
        protocol = replace(task.protocol("quick"), features=Features(size_px=32), film_px=96)
        return task.open(index, protocol, Context(cache=tmp_path / "cache", dataset=ToyAnatomy()))

    return open_task


def test_pairs_are_names_alike_but_for_the_side():
    assert symmetry.pairs(sorted(LANDMARKS)) == [
        ("left clavicle", "right clavicle"),
        ("left diaphragm", "right diaphragm"),
    ]
    hybridgnet = [
        f"{side} {what}"
        for side in ("right", "left")
        for what in ("lung apex", "lung base", "clavicle, lateral end", "clavicle, medial end")
    ]
    assert len(symmetry.pairs([*hybridgnet, "heart 1", "heart 2"])) == 4
    assert symmetry.pairs(["left_rib", "Right_rib", "bright spot", "left spot", "left of the right lung"]) == [
        ("left_rib", "Right_rib")
    ]
    assert symmetry.pairs(["left rib", "Left rib", "right rib"]) == []


def test_retrieval_is_the_plain_loop():
    features, mirrored = (directions(DRAW.normal(size=(len(MARKS), 4))) for _ in range(2))
    found = symmetry.scored(features, mirrored, MARKS, PATIENTS, PAIRS)
    for i in range(len(MARKS)):
        others = [j for j in range(len(MARKS)) if PATIENTS[j] != PATIENTS[i]]
        across = [j for j in others if (MARKS[j] < PAIRS) != (MARKS[i] < PAIRS)]
        for name, queries in (("mirrored", mirrored), ("unmirrored", features)):
            best = max(across, key=lambda j, queries=queries: queries[i] @ features[j])
            assert found[name][i] == (MARKS[best] % PAIRS == MARKS[i] % PAIRS)
        best = max(others, key=lambda j: features[i] @ features[j])
        assert found["laterality"][i] == ((MARKS[best] < PAIRS) == (MARKS[i] < PAIRS))
        assert found["mirrored_gain"][i] == found["mirrored"][i] - found["unmirrored"][i]


def test_an_oracle_is_at_its_ceiling_and_needs_the_mirror():
    mean = CODES.mean(axis=0)
    plain, mirrored = (directions(CODES[marks], mean) for marks in (MARKS, symmetry.other_side(MARKS, PAIRS)))
    found = {name: v.mean() for name, v in symmetry.scored(plain, mirrored, MARKS, PATIENTS, PAIRS).items()}
    assert found == pytest.approx(
        {"mirrored": 1, "laterality": 1, "unmirrored": 1 / PAIRS, "mirrored_gain": 1 - 1 / PAIRS}
    )


def test_an_encoder_blind_to_mirroring_gains_nothing_and_tells_no_side():
    blind = directions(np.eye(PAIRS)[MARKS % PAIRS], 1 / PAIRS)
    found = symmetry.scored(blind, blind, MARKS, PATIENTS, PAIRS)
    assert (found["mirrored"] == 1).all()
    assert not found["mirrored_gain"].any()
    assert (found["laterality"] == 0.5).all()


def test_shuffled_features_fall_to_chance():
    plain = DRAW.permutation(CODES[MARKS] + 0.1 * DRAW.normal(size=(len(MARKS), 2 * PAIRS)))
    found = symmetry.scored(directions(plain, 1 / 6), directions(plain[::-1], 1 / 6), MARKS, PATIENTS, PAIRS)
    assert found["mirrored"].mean() == pytest.approx(1 / PAIRS, abs=0.12)
    assert found["laterality"].mean() == pytest.approx(0.5, abs=0.12)


@pytest.mark.parametrize("encoder", [Constant(), PositionEncoder()])
def test_a_constant_is_at_chance_exactly_and_so_is_position_which_is_hidden(opened, encoder):
    outcome = opened().run(encoder, 0)
    records.check_outcome(outcome, MIRRORED)
    assert outcome.controls == {"chance": 0.5, "oracle": 1.0}
    assert set(outcome.cases["mirrored"]) == set(outcome.cases["laterality"]) == {0.5}
    assert outcome.scores["mirrored_raw"] == outcome.scores["unmirrored"] == 0.5


def test_a_mirrored_patch_is_the_patch_turned_left_to_right(opened):
    task = opened()
    seen = []

    class Seeing(Constant):
        def maps(self, images):
            seen.append(images)
            return super().maps(images)

    task.run(Seeing(), 0)
    plain, mirrored = seen
    assert torch.equal(mirrored, plain.flip(-1))
    assert not torch.equal(mirrored, plain)


def test_every_score_is_defined_and_is_the_statistic_of_its_cases(opened):
    outcome = opened().run(build_encoder("resnet18-w16", 0), 0)
    columns = {name: np.asarray(values) for name, values in outcome.cases.items()}
    assert len(outcome.cases["case"]) == 6 * 4
    for name, value in outcome.scores.items():
        definition = MIRRORED.of(name)
        assert definition.text
        if definition.statistic:
            assert case_statistics.statistic_of(definition)(columns, name) == pytest.approx(value, abs=1e-12)


def test_one_pair_is_refused(opened):
    with pytest.raises(DataMissing, match=r"1 of the landmarks heart, left apex, right apex in .* expected 2: name"):
        opened(("left apex", "right apex", "heart"))
