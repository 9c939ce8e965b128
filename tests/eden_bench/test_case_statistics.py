"""Scores as named functions of their cases: equal to what the tasks computed, and open to plugins."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from eden_bench import case_statistics
from eden_bench.case_statistics import register_statistic, statistic_of
from eden_bench.contracts import Outcome, ScoreDefinition
from eden_bench.errors import EdenError, PluginError
from eden_bench.records import check_outcome
from tasks.finetuning.definitions import AUC, DICE, IOU_THRESHOLDS
from tasks.finetuning.pixel_counts import Counts, Pixels
from tasks.finetuning.scores import label_scores

DRAW = np.random.default_rng(0)


def columns(cases):
    return {name: np.asarray(values) for name, values in cases.items()}


def test_the_mean_auc_is_that_of_scikit_learn_and_leaves_out_labels_of_one_value():
    probabilities, targets = DRAW.random((40, 3)), DRAW.integers(0, 2, (40, 3))
    targets[:, 2] = 0
    cases = {f"probability_{i}": probabilities[:, i] for i in range(3)} | {
        f"target_{i}": targets[:, i] for i in range(3)
    }
    expected = np.mean([roc_auc_score(targets[:, i], probabilities[:, i]) for i in range(2)])
    assert statistic_of(AUC)(cases, "auc") == pytest.approx(expected)
    assert label_scores(probabilities, targets, ["0", "1", "2"])["auc"] == pytest.approx(expected)


@pytest.mark.parametrize("score", [DICE, IOU_THRESHOLDS], ids=lambda score: score.name)
def test_the_scores_of_a_segmentation_follow_from_its_cases(score):
    true = DRAW.integers(0, 50, (6, 2))
    overlap = np.minimum(true, DRAW.integers(0, 50, (6, 2)))
    predicted = overlap + DRAW.integers(0, 20, (6, 2))
    falling = np.linspace(1, 0.2, 10)
    levels = np.stack([(each.sum(axis=1)[:, None] * falling).astype(int) for each in (overlap, predicted)], axis=1)
    counts = Counts(Pixels(overlap, predicted, true), None, levels, 200)
    found = statistic_of(score)(columns(counts.cases(("heart", "lung"))), score.name)
    assert found == pytest.approx(counts.scores(("heart", "lung"))[score.name])


def test_a_plugins_statistic_is_found_and_a_second_of_its_name_is_refused(monkeypatch):
    monkeypatch.setattr(case_statistics, "_KNOWN", dict(case_statistics._KNOWN))

    @register_statistic("median")
    def median(columns, name):
        return float(np.median(columns[name]))

    score = ScoreDefinition(name="error", text="", statistic="median")
    assert statistic_of(score)({"error": np.array([1, 2, 9])}, "error") == 2
    with pytest.raises(PluginError, match="statistic 'median' is defined twice"):
        register_statistic("median")(case_statistics.mean)
    assert statistic_of(ScoreDefinition(name="x", text="", statistic="unknown")) is None


ERROR = ScoreDefinition(
    name="error",
    text="",
    unit="px",
    bounds=(0, None),
    alternatives={"share": "of all", "gap": ScoreDefinition(name="gap", text="", bounds=(-1, 1)), "auc_<label>": "one"},
)


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ({"error": -0.5}, r"score 'error' is -0.5, expected a number in \[0, inf\]"),
        ({"error": 3, "gap": -2}, r"score 'gap' is -2.0, expected a number in \[-1, 1\]"),
        ({"error": 3, "auc_x": -1}, r"score 'auc_x' is -1.0"),
        ({"error": float("nan")}, "score 'error' is nan"),
        ({"gap": 0}, "expected its primary 'error'"),
    ],
)
def test_a_score_outside_its_own_bounds_is_refused(scores, message):
    with pytest.raises(EdenError, match=message):
        check_outcome(Outcome(scores, {"case": ["a"]}), ERROR)


def test_a_score_within_its_bounds_may_be_beyond_one():
    check_outcome(Outcome({"error": 37.5, "share": 12, "gap": -0.9}, {"case": ["a"]}, controls={"middle": 80.0}), ERROR)
    with pytest.raises(EdenError, match=r"control 'middle' is -1.0"):
        check_outcome(Outcome({"error": 37.5}, {"case": ["a"]}, controls={"middle": -1}), ERROR)


def test_a_definition_survives_json_and_the_one_before_named_no_statistic():
    import json

    assert ScoreDefinition.from_json(json.loads(json.dumps(ERROR.as_json()))) == ERROR
    old = {"name": "auc", "text": "x", "version": 1, "decimals": 2, "pooled": True, "alternatives": {}}
    assert ScoreDefinition.from_json(old).statistic == "auc"
    assert ScoreDefinition.from_json({**old, "pooled": False}).statistic == "mean"


def test_bounds_must_rise():
    with pytest.raises(ValueError, match=r"score x: bounds must rise, not \(1, 0\)"):
        ScoreDefinition(name="x", text="", bounds=(1, 0))


def test_every_label_counts_alike_and_one_without_a_value_not_at_all():
    cases = {"label": ["a", "a", "a", "b", "c"], "iou": [0.0, 0.0, 0.3, 0.9, np.nan]}
    assert case_statistics.mean_over_labels(columns(cases), "iou") == pytest.approx((0.1 + 0.9) / 2)
    drawn = {name: column[[0, 2, 2]] for name, column in columns(cases).items()}
    assert case_statistics.mean_over_labels(drawn, "iou") == pytest.approx(0.2)


def test_the_fast_form_of_a_mean_over_labels_is_that_of_the_drawn_cases_written_out():
    draw = np.random.default_rng(8)
    values = np.where(draw.random(30) < 0.2, np.nan, draw.random(30))
    columns = {"label": draw.choice(["a", "b", "c"], 30), "iou": values}
    counts = draw.integers(0, 3, (50, 30)).astype(float)
    counts[0] = counts[0] * (columns["label"] != "b")
    found = case_statistics.counted_mean_over_labels(columns, "iou", counts)
    for row, value in zip(counts.astype(int), found, strict=True):
        drawn = np.repeat(np.arange(30), row)
        assert value == pytest.approx(
            case_statistics.mean_over_labels({k: v[drawn] for k, v in columns.items()}, "iou"), abs=1e-12
        )
    nothing = case_statistics.counted_mean_over_labels(columns, "iou", np.isnan(values)[None].astype(float))
    assert np.isnan(nothing).all()


def test_an_alternatives_own_name_goes_before_a_pattern_that_fits_it_too():
    assert DICE.of("dice_region").text.startswith("where there is an evaluation region")
    assert DICE.of("dice_heart").text.startswith("where there are several structures")
    assert (DICE.of("hd95_worst5").statistic, DICE.of("hd95_heart").statistic) == ("highest_5_percent", "mean")
