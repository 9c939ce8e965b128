"""Records of a folder hold once what they have in common, and say the same as each read alone."""

import json

import pytest

from eden_bench import records
from eden_bench.records.shared import Shared
from tests.eden_bench.stored import PRETRAIN, store


@pytest.fixture
def out(tmp_path):
    for seed in range(2):
        store(tmp_path, "adam", 0.5 + seed / 10, seed)
        store(tmp_path, "densecl", 0.5, seed, task="scr-lung", pretrain={**PRETRAIN, "images": 100})
    return tmp_path


def test_a_record_read_with_others_says_what_it_says_alone(out):
    for record in records.load(out):
        alone = records.read(record.folder)
        assert record == alone
        assert json.dumps(record.content) == json.dumps(alone.content)
        assert (record.facts, record.score, record.pretraining) == (alone.facts, alone.score, alone.pretraining)


def test_equal_parts_are_held_once_and_others_apart(out):
    found = records.load(out)
    adam, densecl = ([each for each in found if each.cell.method == name] for name in ("adam", "densecl"))
    for first, second in (adam, densecl):
        assert first.content["checkpoint"] is second.content["checkpoint"]
        assert first.content["cell"]["protocol"] is second.content["cell"]["protocol"]
        assert first.facts.checkpoint is second.facts.checkpoint
        assert first.pretraining is second.pretraining
        assert first.cell.seed != second.cell.seed
    assert adam[0].score is densecl[0].score
    assert adam[0].pretraining.images != densecl[0].pretraining.images
    assert adam[0].content["task"] != densecl[0].content["task"]


def test_a_whole_number_is_not_held_for_a_true_or_a_broken_one():
    shared = Shared()
    for value in (1, True, 1.0, "1"):
        assert repr(shared.content({"marks": {"part": value}})) == repr({"marks": {"part": value}})
