"""The self-test measures, judges against what is published, and survives whatever fails."""

import importlib
import itertools
import json
import sys

import pytest
import typer

from eden_bench.doctor import Check
from eden_bench.doctor.expected import CARDS, FLOORS, card_of
from eden_bench.doctor.self_test import Bench, Rate, judged
from eden_bench.settings import gather

command = importlib.import_module("eden_bench.cli.doctor")
test = sys.modules["eden_bench.doctor.self_test"]
CARD = Bench("cuda:0", "NVIDIA A100-SXM4-80GB", 1, None)


@pytest.mark.parametrize(
    ("name", "card"),
    [
        ("NVIDIA H100 80GB HBM3", "H100"),
        ("NVIDIA H100 PCIe", "H100 PCIe"),
        ("NVIDIA A100-SXM4-80GB", "A100"),
        ("NVIDIA A100-SXM4-40GB", "A100-SXM4-40GB"),
        ("Tesla V100-SXM2-32GB", "V100"),
        ("NVIDIA L4", "L4"),
        ("NVIDIA L40S", "L40S"),
        ("NVIDIA GeForce RTX 3090", "RTX 3090"),
    ],
)
def test_a_card_is_known_by_the_name_that_torch_tells(name, card):
    assert card_of(name) == CARDS[card]


@pytest.mark.parametrize("name", ["NVIDIA H100 80GB HBM3 MIG 1g.10gb", "Quadro P400", "", "NVIDIA L400"])
def test_of_a_slice_or_an_unknown_card_nothing_is_expected(name):
    assert card_of(name) is None


def test_no_card_hides_one_that_comes_after_it():
    assert all(card_of(f"NVIDIA {name}") == card for name, card in CARDS.items())


@pytest.mark.parametrize(("found", "level"), [(101.0, "ok"), (99.0, "note")])
def test_half_of_what_it_should_reach_is_much_slower(found, level):
    check = judged("copy", Rate(found, 200.0, "copied {} GB/s"), CARD)
    assert check.level == level
    assert check.text.startswith(f"copied {found:g} GB/s, {found / 200:.0%} of the 200 that NVIDIA A100-SXM4-80GB sh")
    assert ("much slower than it should be" in check.text) == (level == "note")


def test_of_an_unknown_card_the_figure_alone_is_told():
    check = judged("copy", Rate(5.0, 0.0, "copied {} GB/s"), Bench("cuda:0", "Card X", 1, None))
    assert (check.level, check.text) == ("ok", "copied 5 GB/s; nothing published is known of Card X")


def test_a_rate_is_units_a_second_of_the_fastest_repeat_after_one_untimed(monkeypatch):
    clock, took = [0.0], itertools.chain([9.0, 0.2, 0.1], itertools.repeat(0.3))
    monkeypatch.setattr(test.time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(test, "_EACH_S", 9.5)
    bench = Bench("cpu", "", 1, None)
    assert test._rate(lambda: clock.__setitem__(0, clock[0] + next(took)), 3.0, bench) == pytest.approx(30.0)


@pytest.fixture
def few(monkeypatch):
    """Measurements that take no time."""

    def broken(bench):
        raise RuntimeError("CUDA error: an illegal instruction\nmore")

    known = {"a": broken, "b": lambda bench: Rate(2.0, 1.0, "{} of {unit}".replace("{unit}", "b"))}
    monkeypatch.setattr(test, "_MEASUREMENTS", known)


def test_a_measurement_that_fails_is_a_note_and_stops_no_other(few, tmp_path):
    assert list(test.self_test(gather(cache=tmp_path, device="cpu"))) == [
        Check("a on cpu", "note", "could not be measured (RuntimeError: CUDA error: an illegal instruction)"),
        Check("b on cpu", "ok", "2 of b, 200% of the 1 that it should reach"),
    ]


def test_after_ten_seconds_nothing_more_is_begun(few, tmp_path, monkeypatch):
    monkeypatch.setattr(test, "_BUDGET_S", -1.0)
    assert {check.text.partition(":")[0] for check in test.self_test(gather(cache=tmp_path))} == {"left out"}


def test_a_machine_without_its_device_is_an_error(few, tmp_path, monkeypatch):
    monkeypatch.setattr(test, "resolve_device", lambda text: 1 / 0)
    (check,) = test.self_test(gather(cache=tmp_path))
    assert (check.level, check.text) == ("error", "no device to test (ZeroDivisionError: division by zero)")


def test_every_measurement_works_on_this_processor(tmp_path, monkeypatch):
    """Rates are positive and finite; the expectation of a processor grows with its threads."""
    monkeypatch.setattr(test, "_EACH_S", 0.0)
    bench = Bench("cpu", "", 1, tmp_path)
    for name in ("matmul", "convolution", "memory copy", "decoder", "disk flush"):
        rate = test._MEASUREMENTS[name](bench)
        assert 0 < rate.found < 1e15
        assert rate.expected > 0
    assert test._matmul(bench._replace(threads=4)).expected == 4 * FLOORS["matmul"]
    assert list(tmp_path.iterdir()) == []


def test_the_doctor_tests_the_machine_when_asked(few, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command.examination, "examine", lambda settings: [Check("python", "ok", "")])
    for asked, names in ((False, ["python"]), (True, ["python", "a on cpu", "b on cpu"])):
        command.doctor(cache=tmp_path, device="cpu", self_test=asked, as_json=True)
        assert [row["name"] for row in json.loads(capsys.readouterr().out)] == names


def test_a_machine_that_must_be_mended_first_is_not_tested(few, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command.examination, "examine", lambda settings: [Check("torch", "error", "")])
    with pytest.raises(typer.Exit):
        command.doctor(cache=tmp_path, self_test=True, as_json=True)
    assert len(json.loads(capsys.readouterr().out)) == 1
