"""Records of a folder hold once what they have in common, and say the same as each read alone."""

import json
import random

import pytest

from eden_bench import records
from eden_bench.digests import canonical_json
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


ODD = {
    "b": {
        "text": 'ü "quoted" \u2028\x00',
        "number": 1e-7,
        "whole": 10**30,
        "yes": True,
        "none": None,
        "list": [1.0, -0.0],
    },
    "cell": {"protocol": {"z": 1, "a": [1, {"y": 2.5, "x": False}]}, "method_config": {}, "seed": 3, "shots": None},
    "cases": {"columns": ["b", "a"], "bytes": 4},
    "provenance": {"versions": {"torch": "2"}, "seconds": 0.1},
    "marks": {"é": 1, "a": 2},
    "score": [],
    "task": "plain",
}


def test_content_is_serialised_as_it_is_without_what_is_held():
    shared = Shared()
    for _ in range(2):
        content = shared.content(json.loads(json.dumps(ODD)))
        assert shared.canonical(content) == canonical_json(ODD)
        assert shared.section(content["cell"]) == canonical_json(ODD["cell"])


def test_numbers_that_are_equal_and_written_otherwise_are_told_apart():
    shared = Shared()
    for value in (1, 1.0, True):
        content = shared.content({"marks": {"a": value}})
        assert shared.canonical(content) == canonical_json({"marks": {"a": value}})


def outcome(parse, text):
    """What a text is parsed to, its names sorted; ValueError where it is refused."""
    try:
        return json.dumps(parse(text), sort_keys=True)
    except ValueError:
        return ValueError


TWICE = [
    '{\n "score": {\n  "a": 1\n },\n "score": {\n  "a": 2\n }\n}\n',
    '{\n "score": 1, "cell": 2,\n "cell": {\n  "seed": 1\n }\n}',
    '{\n "cell": {\n  "seed": 1\n },\n "x": 1, "cell": {\n  "seed": 2\n }\n}',
    '{\n "cell": {\n  "seed": 1,\n  "seed": 2\n },\n "x": 1,\n "x": 2\n}',
    '{\n "sc\\u006fre": 1,\n "score": 2\n}',
    '{\n "score": 2,\n "sc\\u006fre": 1\n}',
    '{\n "task": "a\\",\\n \\"b\\": 1",\n "x\\"": {}\n}',
    '{\n "task": 1,\n "x":2\n}',
    '{\n "cell": {},\n "task": []\n}',
    '{\n "cell": {\n  "protocol": {\n   "a": 1\n  }, "seed": 2\n }\n}',
    '{\n "task": {\n "a": 1,\n "b": 2\n }\n}',
    '{\n "task": NaN\n}',
    '{\n "task": 1\n}}',
    "[\n 1\n]\n",
    "{\n}\n",
    "",
]


@pytest.mark.parametrize("text", TWICE)
def test_a_text_of_another_layout_is_parsed_as_json_is(text):
    shared = Shared()
    for _ in range(2):
        assert outcome(shared.parsed, text) == outcome(json.loads, text)


def test_whatever_a_record_is_damaged_to_is_parsed_as_json_is(out):
    """6,000 texts, of one or two characters taken out, put in or doubled lines; some of them are still JSON."""
    draw = random.Random(0)
    text = (records.load(out)[0].folder / "record.json").read_text()
    lines = text.splitlines(keepends=True)
    shared, readable = Shared(), 0
    for number in range(6_000):
        if number % 3:
            place = draw.randrange(len(text))
            tried = (
                text[:place]
                + draw.choice(['"', ",", ":", "{", "}", " ", "\n", "1", "\\", '": ', ""])
                + text[place + draw.randrange(3) :]
            )
        else:
            first, second = sorted(draw.sample(range(len(lines)), 2))
            tried = "".join([*lines[:second], *lines[first : first + draw.randrange(3)], *lines[second:]])
        expected = outcome(json.loads, tried)
        assert outcome(shared.parsed, tried) == expected
        readable += expected is not ValueError
    assert 500 < readable < 5_500
