"""Influence of cases: each closed form against the derivative of its counted form, DeLong's variance, limits."""

import numpy as np
import pytest

from eden_bench.case_influence import influence, left_out, of_auc, patient_values
from eden_bench.case_statistics import counted_of, statistic_of
from eden_bench.contracts import ScoreDefinition

DRAWS = np.random.default_rng(3)
ENDINGS = ("", *(f"_{level}" for level in range(55, 100, 5)))


def labelled(cases=40):
    """Two labels with ties among their probabilities, and one that has a single value."""
    columns = {"case": np.arange(cases)}
    for label, share in (("Mass", 0.3), ("Hernia", 0.1)):
        target = (DRAWS.random(cases) < share).astype(int)
        target[:2] = 0, 1
        columns |= {f"target_{label}": target, f"probability_{label}": np.round(DRAWS.random(cases) + 0.4 * target, 1)}
    return columns | {"target_Edema": np.zeros(cases, int), "probability_Edema": DRAWS.random(cases)}


def counted_pixels(cases=12):
    true = DRAWS.integers(0, 60, cases)
    columns = {"true_px": true, "pixels": np.full(cases, 100)}
    for ending in ENDINGS:
        overlap = DRAWS.integers(0, true + 1)
        columns |= {f"overlap_px{ending}": overlap, f"predicted_px{ending}": overlap + DRAWS.integers(0, 20, cases)}
    return columns


def one_column(cases=15):
    return {"target": np.arange(cases) % 3 == 0, "novelty": np.round(DRAWS.random(cases), 1)}


CASES = [("auc", "auc", labelled), ("iou_thresholds", "iou_thresholds", counted_pixels)]
CASES += [("novelty", "auc_of_column", one_column)]


@pytest.mark.parametrize(("name", "statistic", "make"), CASES)
def test_a_closed_form_is_the_derivative_of_the_counted_form(name, statistic, make):
    columns, score = make(), ScoreDefinition(name=name, text="", statistic=statistic)
    cases, step = len(next(iter(columns.values()))), 1e-6
    up, down = (counted_of(score)(columns, name, np.ones((cases, cases)) + s * np.eye(cases)) for s in (step, -step))
    found = influence(columns, score)
    assert found == pytest.approx(cases * (up - down) / (2 * step), abs=1e-6)
    assert abs(found.sum()) < 1e-9
    assert np.abs(found).max() > 0.01


def test_means_are_differentiated_over_the_cases_that_have_a_value():
    """By hand: weights (w₀, w₂) of 0.2 and 0.8 and none; dT/dw = (x - 0.5) / 2, times 3 cases."""
    score = ScoreDefinition(name="dice", text="")
    assert influence({"dice": np.array([0.2, np.nan, 0.8])}, score) == pytest.approx([-0.45, 0, 0.45])


def test_labels_of_unequal_size_weigh_the_same():
    """By hand: a = (0, 1), b = (1); only a's vary, each by (x - 0.5) / 2 / 2, times 3 cases."""
    score = ScoreDefinition(name="iou", text="", statistic="mean_over_labels")
    columns = {"label": np.array(["a", "a", "b"]), "iou": np.array([0.0, 1.0, 1.0])}
    assert influence(columns, score) == pytest.approx([-0.375, 0.375, 0])


def test_the_variance_is_delongs_by_plain_loops():
    target, probability = np.arange(30) % 4 == 0, np.round(DRAWS.random(30), 1)
    positives, negatives = probability[target], probability[~target]

    def beats(x, y):
        return 1.0 if x > y else 0.5 if x == y else 0.0

    of_positives = [sum(beats(x, y) for y in negatives) / len(negatives) for x in positives]
    of_negatives = [sum(beats(x, y) for x in positives) / len(positives) for y in negatives]
    delong = np.var(of_positives, ddof=1) / len(positives) + np.var(of_negatives, ddof=1) / len(negatives)
    found, count = of_auc(probability, target), len(target)
    m, n = len(positives), len(negatives)
    parts = (found[target] ** 2).sum() * m / (m - 1) + (found[~target] ** 2).sum() * n / (n - 1)
    assert parts / count**2 == pytest.approx(delong, rel=1e-12)


def test_patients_carry_the_influence_of_all_their_cases():
    score, of_patient = ScoreDefinition(name="dice", text=""), np.array([0, 0, 1])
    values = patient_values({"dice": np.array([0.3, 0.6, 0.9])}, score, of_patient)
    assert values == pytest.approx([0.6 + 2 * (-0.3 + 0) / 3, 0.6 + 2 * 0.3 / 3])
    assert values.mean() == pytest.approx(0.6)


def test_leaving_out_each_patient_tends_to_the_closed_form():
    columns, score = labelled(400), ScoreDefinition(name="auc", text="", statistic="auc")
    patients = np.arange(400) // 2
    closed = patient_values(columns, score, patients)
    for counted in (counted_of(score), None):
        jackknife = left_out(columns, "auc", patients, statistic_of(score), counted)
        assert jackknife.mean() == pytest.approx(closed.mean(), abs=1e-12)
        assert np.corrcoef(jackknife, closed)[0, 1] > 0.999
        assert jackknife.std() == pytest.approx(closed.std(), rel=0.02)


def test_a_statistic_without_a_form_leaves_out_patients_and_says_when_it_cannot(monkeypatch):
    columns = {"target": np.array([0, 0, 1]), "novelty": np.array([0.1, 0.5, 0.3])}
    with pytest.raises(ValueError, match="novelty has no value without some of the patients"):
        left_out(
            columns,
            "novelty",
            np.arange(3),
            statistic_of(ScoreDefinition(name="n", text="", statistic="auc_of_column")),
            None,
        )
    monkeypatch.setattr("eden_bench.case_influence.MOST_LEFT_OUT", 8)
    with pytest.raises(ValueError, match="leaving out each of 3 patients in turn looks at too many cases"):
        left_out(columns, "novelty", np.arange(3), np.mean, None)
    with pytest.raises(ValueError, match="no function of cases that is known here gives mine"):
        influence(columns, ScoreDefinition(name="mine", text="", statistic="unheard-of"))
