"""Equal things have equal digests, on every machine."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from eden_bench import digests


@dataclass(frozen=True)
class Point:
    x: float
    tags: tuple[str, ...] = ("a",)


def test_key_order_does_not_matter_and_values_do():
    assert digests.digest({"a": 1, "b": 2.5}) == digests.digest({"b": 2.5, "a": 1})
    assert digests.digest({"a": 1}) != digests.digest({"a": 2})


def test_the_digest_of_a_known_value_never_changes():
    assert digests.canonical_json(Point(0.1)) == '{"tags":["a"],"x":0.1}'
    assert digests.digest(Point(0.1)) == "4208e15f7684b7f469d8c89391a9978ccc940b8c88704371ca90815eceb312fb"


def test_nan_has_no_identity():
    with pytest.raises(ValueError, match="not JSON compliant"):
        digests.digest({"a": float("nan")})


def test_an_object_without_json_is_refused_by_name():
    with pytest.raises(TypeError, match="object has no canonical JSON"):
        digests.digest(object())


def test_a_files_digest_is_that_of_its_bytes(tmp_path: Path):
    (tmp_path / "f").write_bytes(b"abc")
    assert digests.file_digest(tmp_path / "f") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
