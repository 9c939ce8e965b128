"""Splits: disjoint in patients, never moved by a seed; few-shot subsets nested and shared."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from eden_bench import seeds
from eden_bench.errors import DataMissing, UsageError
from tasks.finetuning.protocol import SegmentationProtocol
from tasks.finetuning.splits import both_values, choose, split
from tests.tasks.finetuning.toy_anatomy import toy_index

PROTOCOL = SegmentationProtocol()


@pytest.fixture
def splits(tmp_path):
    return split(toy_index(tmp_path, train=80, test=10), 0.1)


def test_every_image_is_in_one_part_and_every_patient_in_one_part(splits):
    parts = [splits.train, splits.validation, splits.test]
    assert sorted(row for part in parts for row in part) == list(range(90))
    patients = [{splits.items[row].patient for row in part} for part in parts]
    assert not patients[0] & patients[1]
    assert not patients[0] & patients[2]
    assert not patients[1] & patients[2]


def test_validation_is_a_tenth_of_the_training_images(splits):
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (72, 8, 10)


def test_validation_patients_stay_when_other_patients_are_absent(tmp_path, splits):
    index = toy_index(tmp_path, train=80, test=10)
    first = splits.items[splits.validation[0]].patient
    fewer = replace(
        index, items=tuple(i for i in index.items if i.patient in {first, "p0", "p1", "t0"} or i.id > "030")
    )
    again = split(fewer, 0.1)
    kept = {again.items[row].patient for row in again.validation}
    assert kept & {splits.items[row].patient for row in splits.validation}


@pytest.mark.trap("datasets", "a patient on both sides of a split", "refused")
def test_a_patient_in_train_and_test_is_refused(tmp_path):
    index = toy_index(tmp_path)
    moved = replace(index.items[0], patient="t0")
    with pytest.raises(DataMissing, match=r"1 patients are in both train and test \(t0\)"):
        split(replace(index, items=(moved, *index.items[1:])), 0.1)


def test_a_validation_list_takes_the_place_of_the_rule(tmp_path, splits):
    listed = replace(toy_index(tmp_path, train=80, test=10), validation=("000", "001"), split_rule="lists")
    again = split(listed, 0.1)
    assert again.lists["validation"] == ["000", "001"]
    assert len(again.train) == 78
    assert again.rule == "lists; validation is a list too; no seed moves any"
    assert "validation is 10%" in splits.rule


def test_an_empty_test_set_is_refused(tmp_path):
    with pytest.raises(DataMissing, match="18 training and 0 test images"):
        split(toy_index(tmp_path, test=0), 0.1)


@pytest.mark.parametrize("subset", ["resample-per-seed", "fixed-subset"])
def test_few_shot_subsets_are_nested(splits, subset):
    protocol = replace(PROTOCOL, few_shot_subset=subset)
    subsets = [set(choose(splits, protocol, 4, shots).train) for shots in (3, 6, 12, 24)]
    assert [len(s) for s in subsets] == [3, 6, 12, 24]
    assert subsets[0] < subsets[1] < subsets[2] < subsets[3] <= set(splits.train)


def test_a_resampled_subset_follows_the_seed_and_a_fixed_one_does_not(splits):
    fixed = replace(PROTOCOL, few_shot_subset="fixed-subset")
    drawn = {tuple(choose(splits, PROTOCOL, seed, 6).train) for seed in range(5)}
    assert len(drawn) == 5
    assert len({tuple(choose(splits, fixed, seed, 6).train) for seed in range(5)}) == 1


def targets_of(splits, *shares):
    """Labels of the training images, each positive in its share of them."""
    draw = np.random.default_rng(7).random((len(splits.train), len(shares)))
    return (draw < np.array(shares)).astype(np.float32)


@pytest.mark.parametrize("seed", range(5))
def test_two_shots_of_one_label_have_both_values_and_as_many_shots_as_classes_have_every_class(splits, seed):
    one = targets_of(splits, 0.1)
    for shots in (2, 3, 6, 12):
        rows = np.searchsorted(splits.train, np.sort(choose(splits, PROTOCOL, seed, shots, both_values(one)).train))
        assert set(one[rows, 0]) == {0.0, 1.0}
    classes = np.eye(5, dtype=bool)[np.arange(len(splits.train)) % 31 % 5]
    drawn = choose(splits, PROTOCOL, seed, 5, classes).train
    assert classes[np.isin(splits.train, drawn)].sum(axis=0).tolist() == [1] * 5


@pytest.mark.parametrize("seed", range(5))
def test_many_labels_have_both_values_once_there_is_a_shot_for_each_and_the_rarest_comes_first(splits, seed):
    targets = targets_of(splits, 0.04, 0.1, 0.2, 0.5, 0.9, 0.0)
    subsets = [choose(splits, PROTOCOL, seed, shots, both_values(targets)).train for shots in (3, 6, 12, 24)]
    assert all(set(few) < set(many) for few, many in pairwise(subsets))
    assert targets[splits.train.index(subsets[0][0]), int(targets[:, :5].sum(axis=0).argmin())] == 1
    drawn = targets[np.isin(splits.train, subsets[1])]
    assert [set(column) for column in drawn.T] == [{0.0, 1.0}] * 5 + [{0.0}]


def test_the_shots_after_the_first_to_show_something_are_those_of_the_permutation(splits):
    targets = targets_of(splits, 0.1, 0.3)
    order = np.array(splits.train)[seeds.shuffled(len(splits.train), 3, "shots")]
    drawn = choose(splits, PROTOCOL, 3, 24, both_values(targets)).train
    ahead = [row for row in drawn if row not in order[:24]]
    assert len(ahead) <= 4
    assert [row for row in drawn[4:] if row not in ahead] == [row for row in order if row in drawn[4:]]


def test_what_every_image_shows_moves_no_draw(splits):
    order = np.array(splits.train)[seeds.shuffled(len(splits.train), 3, "shots")]
    shown = np.ones((len(splits.train), 2), bool)
    assert choose(splits, PROTOCOL, 3, 12, shown).train.tolist() == order[:12].tolist()
    within = choose(splits, replace(PROTOCOL, few_shot_validation="within"), 3, 24, shown)
    assert (within.validation.tolist(), within.train.tolist()) == (order[:2].tolist(), order[2:24].tolist())


@pytest.mark.parametrize("shots", [3, 12, 24])
def test_validation_within_the_shots_takes_no_rare_label_from_training(splits, shots):
    within, targets = replace(PROTOCOL, few_shot_validation="within"), targets_of(splits, 0.06)
    for seed in range(5):
        drawn = choose(splits, within, seed, shots, both_values(targets)).train
        assert set(targets[np.isin(splits.train, drawn), 0]) == {0.0, 1.0}


def test_no_seed_moves_validation_or_test(splits):
    for seed in range(3):
        assert tuple(choose(splits, PROTOCOL, seed, None).validation) == splits.validation
        assert tuple(choose(splits, PROTOCOL, seed, None).train) == splits.train


@pytest.mark.parametrize(("kind", "train", "validation"), [("full", 24, 8), ("within", 22, 2), ("none", 24, 0)])
def test_the_validation_images_of_a_few_shot_run_are_as_the_protocol_says(splits, kind, train, validation):
    chosen = choose(splits, replace(PROTOCOL, few_shot_validation=kind), 0, 24)
    assert (len(chosen.train), len(chosen.validation)) == (train, validation)
    assert not set(chosen.train) & set(chosen.validation)


def test_validation_within_three_shots_takes_one_of_them(splits):
    within = replace(PROTOCOL, few_shot_validation="within")
    chosen = choose(splits, within, 0, 3)
    assert (len(chosen.train), len(chosen.validation)) == (2, 1)
    assert {*chosen.train, *chosen.validation} == set(choose(splits, PROTOCOL, 0, 3).train)


def test_more_shots_than_training_images_are_refused(splits):
    with pytest.raises(UsageError, match="--shots 73: expected 2 to 72"):
        choose(splits, PROTOCOL, 0, 73)


def test_the_digest_names_the_lists_and_nothing_else(splits):
    assert splits.digest == replace(splits, rule="other").digest
    assert splits.digest != replace(splits, train=splits.train[1:]).digest


def test_rows_are_integer_positions(splits):
    assert choose(splits, PROTOCOL, 0, 3).train.dtype == np.int64
