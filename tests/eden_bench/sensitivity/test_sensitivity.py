"""Settings and rankings: what is varied, how orders compare, and a planted artefact of pooling."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from scipy.stats import kendalltau

from eden_bench import protocols, registry
from eden_bench.errors import UsageError
from eden_bench.sensitivity import ranking, text
from eden_bench.sensitivity.ranking import Ranking, Sensitivity
from eden_bench.sensitivity.settings import Setting, settings

LINEAR = protocols.load("linear-quick")


def changes(axes, *, protocol="linear-quick", task="shenzhen", product=False):
    return [one.changes for one in settings(protocols.load(protocol), [task], axes, product=product)]


def test_one_choice_is_changed_at_a_time():
    assert changes(["pooling", "size"]) == [
        {}, {"pooling": "mean"}, {"pooling": "class"}, {"size_px": 32}, {"size_px": 128}
    ]  # fmt: skip
    assert changes(["normalisation"])[0] == {}
    assert len(changes(["normalisation"])) == 3


def test_another_layer_is_pooled_by_its_mean():
    assert changes(["layer", "norm"]) == [{}, {"layer": -2, "pooling": "mean"}, {"norm": "before", "pooling": "mean"}]


def test_every_combination_is_one_that_an_encoder_can_be_asked_for():
    found = changes(["pooling", "layer", "norm"], product=True)
    assert {"pooling": "mean", "layer": -2} in found
    assert {"layer": -2} not in found
    assert {"pooling": "class", "norm": "before"} in found
    assert {"pooling": "mean", "layer": -2, "norm": "before"} not in found


def test_the_step_budget_of_a_fine_tuning():
    assert changes(["budget"], protocol="quick", task="scr-heart") == [{}, {"few_shot_budget": "epochs"}]


@pytest.mark.parametrize(
    ("axes", "how", "says"),
    [
        (["poling"], {}, "Did you mean 'pooling'"),
        (["budget"], {}, "has no such choice, expected pooling, layer"),
        (
            ["pooling"],
            {"protocol": "frozen-seg-quick", "task": "scr-heart"},
            "expected layer, norm, normalisation, size",
        ),
        (["pooling"], {"protocol": "quick", "task": "scr-heart"}, "expected few_shot_budget"),
    ],
)
def test_a_choice_that_is_not_there_is_refused(axes, how, says):
    with pytest.raises(UsageError, match=says):
        changes(axes, **how)


def test_a_setting_is_a_protocol_file(tmp_path):
    file = Setting({"pooling": "mean", "layer": -2}).write(LINEAR, ["shenzhen"], tmp_path, "linear-quick")
    made = protocols.load(file)
    assert (made.evaluation, made.base) == ("linear", "quick")
    changed = made.task_protocol(registry.tasks.get("shenzhen")).features
    assert (changed.pooling, changed.layer) == ("mean", -2)
    assert Setting({}).write(LINEAR, ["shenzhen"], tmp_path, "linear-quick") == "linear-quick"


def test_a_setting_wins_over_what_the_base_says_of_the_task_alone(tmp_path):
    base = tmp_path / "mine.toml"
    base.write_text('base = "linear-quick"\n[tasks.shenzhen.features]\npooling = "mean"\n')
    file = Setting({"pooling": "class"}).write(protocols.load(str(base)), ["shenzhen"], tmp_path, str(base))
    assert protocols.load(file).task_protocol(registry.tasks.get("shenzhen")).features.pooling == "class"


def test_tasks_that_start_from_other_values_are_refused(tmp_path):
    base = tmp_path / "mine.toml"
    base.write_text('base = "linear-quick"\n[tasks.shenzhen.features]\nsize_px = 96\n')
    with pytest.raises(UsageError, match="shenzhen starts from 96 and chestxray14 from 64, expected one value"):
        settings(protocols.load(str(base)), ["shenzhen", "chestxray14"], ["size"], product=False)


def table(scores, verdicts=(), size_px=64, steps=-1):
    record = SimpleNamespace(
        cell=SimpleNamespace(protocol={"features": {"size_px": size_px}}), training=SimpleNamespace(steps_planned=steps)
    )
    rows = [
        SimpleNamespace(label=k, summary=SimpleNamespace(mean=v), cells={("", 0): record}) for k, v in scores.items()
    ]
    pairs = [
        SimpleNamespace(row=row, other=other, checkpoints=SimpleNamespace(verdict=verdict))
        for row, other, verdict in verdicts
    ]
    return SimpleNamespace(rows=rows, pairs=pairs, score=SimpleNamespace(higher_is_better=True))


def test_tau_is_scipys_and_claims_are_compared_whichever_row_comes_first():
    base = table({"a": 3, "b": 2, "c": 1}, [("a", "b", "better"), ("a", "c", "undecided")])
    other = table({"b": 3, "a": 2, "c": 1}, [("b", "a", "better"), ("a", "c", "undecided")], size_px=32)
    found = ranking._ranking(Setting({"size_px": 32}), other, base)
    assert found.tau == pytest.approx(kendalltau([3, 2, 1], [2, 3, 1]).statistic)
    assert found.flips == ("a against b: better becomes worse",)
    assert found.cost == 0.25
    same = ranking._ranking(Setting({}), base, base)
    assert (same.tau, same.flips, same.keeps) == (1.0, (), True)


def test_a_row_that_is_lost_keeps_nothing():
    base = table({"a": 3, "b": 2})
    found = ranking._ranking(Setting({"pooling": "class"}), table({"a": 3}), base)
    assert (found.absent, found.tau, found.keeps) == (("b",), None, False)


def test_the_cheapest_keeps_order_and_claims():
    def one(changes, tau, cost, flips=()):
        return Ranking(setting=Setting(changes), means={"a": 1.0}, tau=tau, cost=cost, flips=flips)

    every = (one({}, 1.0, 1.0), one({"x": 1}, 1.0, 0.25, ("a",)), one({"x": 2}, 0.3, 0.1), one({"x": 3}, 1.0, 0.5))
    found = Sensitivity(task="t", shots=None, higher_is_better=True, rankings=every)
    assert found.cheapest.setting.changes == {"x": 3}
    assert text.sentences(found)[0] == "the order of the protocol as it is holds in 2 of 3 other settings"


def test_a_planted_artefact_of_pooling_is_found(eden_bench, tmp_path):
    plugin = Path(__file__).with_name("poolings.py")
    ask = ("--methods", "by-map,by-itself", "--tasks", "chestxray14", "--vary", "pooling", "--plugin", str(plugin))
    shown = eden_bench("sensitivity", *ask, "--json")
    assert shown.returncode == 0, shown.stderr
    (found,) = json.loads(shown.stdout)
    own, mean, none = found["settings"]
    assert mean["tau"] == -1.0
    assert own["means"]["by-map"] == mean["means"]["by-itself"] == 0.5
    assert own["means"]["by-itself"] == mean["means"]["by-map"] != 0.5
    assert none["changes"] == {"pooling": "class"}
    assert none["absent"]
    assert list((tmp_path / "runs" / "sensitivity").glob("*.toml"))
