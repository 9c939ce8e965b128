"""Diagnostics of stored probabilities: values derived by hand and by loops, from arrays and from records."""

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, roc_auc_score

from eden_bench.contracts import ScoreDefinition
from eden_bench.digests import digest
from eden_bench.records import Record
from eden_bench.report.diagnostics.collect import diagnostics
from eden_bench.report.diagnostics.external import dropped, united
from eden_bench.report.diagnostics.groups import grouped, groups_of
from eden_bench.report.diagnostics.missed import missed
from eden_bench.report.diagnostics.predicted import Predicted, Unusable
from eden_bench.statistics.calibration import calibration_error, reliability
from tests.eden_bench.stored import InMemory, store

AUC = ScoreDefinition(name="auc", text="", statistic="auc")
LABELS = ("Mass", "Edema")


def predicted(patients=240, films=2, cells=2, seed=0, labels=LABELS, blind=""):
    """Films of patients, of whom women are seen worse where blind is "sex"; ages from 0 to 99."""
    draw = np.random.default_rng(seed)
    count = patients * films
    women, ages = np.repeat(draw.random(patients) < 0.5, films), np.repeat(draw.integers(0, 100, patients), films)
    targets = draw.random((count, len(labels))) < 0.3
    skill = np.where(women & (blind == "sex"), 0.2, 2.0)[None, :, None]
    logits = draw.normal(0, 1, (cells, count, len(labels))) + skill * targets
    return Predicted(
        cells=tuple(f"cell{number}" for number in range(cells)),
        labels=tuple(labels),
        patients=np.repeat([f"p{number:04}" for number in range(patients)], films),
        targets=targets,
        probabilities=1 / (1 + np.exp(-logits)),
        about={"sex": np.where(women, "F", "M").astype(object), "age": ages.astype(float)},
    )


def record(
    found, cell=0, *, task="chestxray14", dataset="chestxray14", thresholds=None, network_of=None, shared=None, **more
):
    """Return the record of one cell of some predictions, in memory."""
    cases = {
        "case": [f"{number:05}" for number in range(len(found.patients))],
        "patient": found.patients.tolist(),
        **{
            name: [None if value != value else value for value in column.tolist()]
            for name, column in found.about.items()
        },
    }
    for column, label in enumerate(found.labels):
        cases[f"probability_{label}"] = found.probabilities[cell, :, column].tolist()
        cases[f"target_{label}"] = found.targets[:, column].astype(int).tolist()
    told = {"shared_labels": shared} if shared else {}
    made = store(
        None,
        "adam",
        0.5,
        cell,
        task=task,
        dataset=dataset,
        score=AUC,
        cases=cases,
        kind="classification",
        told=told,
        **more,
    )
    content = copy.deepcopy(dict(made.content))
    if thresholds is not None:
        content["training"]["thresholds"] = thresholds
    if network_of is not None:
        content["cell"]["protocol"]["network_of"] = network_of
        content["id"] = Record(Path(), content).cell.id
    return InMemory(made.folder, content, made.rendered)


def of_kind(found, kind):
    return next(one for one in found if one.kind == kind)


# ── calibration ──────────────────────────────────────────────────────────────────────────────────


def test_calibration_is_the_mean_over_cells_of_each_labels_scores_and_their_mean_over_labels():
    found = predicted()
    one = of_kind(diagnostics([record(found, 0), record(found, 1)]), "calibration")
    by_label = {row[0]: dict(zip(one.columns, row, strict=True)) for row in one.rows}
    for column, label in enumerate(LABELS):
        target, each = found.targets[:, column].astype(int), found.probabilities[:, :, column]
        row = by_label[label]
        assert row["films"] == 480
        assert row["share positive"] == pytest.approx(target.mean())
        assert row["Brier"] == pytest.approx(np.mean([brier_score_loss(target, p) for p in each]), abs=1e-8)
        assert row["Brier of the share"] == pytest.approx(brier_score_loss(target, np.full(480, target.mean())))
        for name, kind in (("error", "width"), ("error, mass", "mass")):
            assert row[name] == pytest.approx(np.mean([calibration_error(reliability(p, target, kind)) for p in each]))
    assert by_label["mean over labels"]["Brier"] == pytest.approx(np.mean([by_label[each]["Brier"] for each in LABELS]))
    assert f"Brier score: {by_label['mean over labels']['Brier']:.4f}" in one.sentences[0]
    assert sum(one.curves["Mass"].cases) == 2 * 480
    assert len(one.cells) == 2
    assert "Calibration: adam on chestxray14, full training set, protocol quick [PHANTOM; QUICK]" in one.text()


# ── groups ───────────────────────────────────────────────────────────────────────────────────────


def test_a_groups_auroc_is_scikit_learns_mean_over_labels_and_cells():
    found = predicted()
    rows = {(row[0], row[1]): row for row in grouped(found)["rows"]}
    assert set(rows) == {
        ("sex", "F"),
        ("sex", "M"),
        *(("age", name) for name in ("0-19", "20-39", "40-59", "60-79", "80+")),
    }
    for name in ("F", "M"):
        mask = found.about["sex"] == name
        each = [
            roc_auc_score(found.targets[mask, column], found.probabilities[cell, mask, column])
            for cell in range(2)
            for column in range(2)
        ]
        row = rows["sex", name]
        assert row[2:4] == (len(set(found.patients[mask])), mask.sum())
        assert row[4] == pytest.approx(np.mean(each))
        assert row[5] < row[4] < row[6]


def test_the_worst_group_and_the_gap_are_found_with_an_interval_that_leaves_out_zero():
    found = grouped(predicted(blind="sex"))
    gap = found["gaps"][0]
    rows = {row[1]: row[4] for row in found["rows"]}
    assert (gap.of, gap.worst, gap.best) == ("sex", "F", "M")
    assert gap.value == pytest.approx(rows["M"] - rows["F"])
    assert 0 < gap.low < gap.value < gap.high
    assert "sex: the worst group is F" in found["sentences"][0]
    assert "it may be none" not in found["sentences"][0]
    assert "it may be none" in grouped(predicted(seed=3))["sentences"][0]


def test_films_of_one_patient_are_drawn_together():
    """Copies of each film say nothing new: their interval is that of one film a patient, not a narrower one."""
    one = predicted(films=1)
    copies = replace(
        one,
        patients=np.repeat(one.patients, 9),
        targets=np.repeat(one.targets, 9, axis=0),
        probabilities=np.repeat(one.probabilities, 9, axis=1),
        about={name: np.repeat(values, 9) for name, values in one.about.items()},
    )
    first, second = (grouped(found)["gaps"][0] for found in (one, copies))
    assert second.value == pytest.approx(first.value)
    assert second.high - second.low == pytest.approx(first.high - first.low)


@pytest.mark.parametrize(("patients", "shown"), [(49, False), (50, True)])
def test_a_group_of_fewer_than_fifty_patients_is_not_shown(patients, shown):
    found = predicted(patients=200, films=2)
    few = np.isin(found.patients, np.unique(found.patients)[:patients])
    found = replace(found, about={"view": np.where(few, "AP", "PA").astype(object)})
    rows = {row[1]: row for row in grouped(found)["rows"]}
    assert (rows["AP"][4] is not None) == shown
    if not shown:
        assert rows["AP"] == ("view", "AP", None, None, None, None, None, "fewer than 50 patients")
        assert grouped(found)["gaps"] == ()
        assert "view: 1 of its groups have 50 patients or more" in grouped(found)["sentences"][0]


def test_groups_are_compared_over_the_labels_that_all_of_them_have():
    found = predicted()
    targets = found.targets.copy()
    women = np.flatnonzero(found.about["sex"] == "F")
    targets[women, 1] = False
    targets[women[:4], 1] = True  # four films, one fewer than needed
    found = replace(found, targets=targets, about={"sex": found.about["sex"]})
    made = grouped(found)
    assert "the 1 labels that each group has 5 films with and without (Mass)" in made["sentences"][0]
    men = found.about["sex"] == "M"
    expected = np.mean([roc_auc_score(targets[men, 0], found.probabilities[cell, men, 0]) for cell in range(2)])
    assert {row[1]: row[4] for row in made["rows"]}["M"] == pytest.approx(expected)


def test_age_bands_begin_at_their_first_year_and_the_unknown_are_in_none():
    ages = np.array([0, 19, 20, 79, 80, 99, np.nan])
    found = replace(
        predicted(patients=7, films=1), about={"age": ages, "sex": np.array(["F", "", "M", "", "", "", ""])}
    )
    bands = {name: np.flatnonzero(mask).tolist() for name, mask in groups_of(found)["age"].items()}
    assert bands == {"0-19": [0, 1], "20-39": [2], "60-79": [3], "80+": [4, 5]}
    assert list(groups_of(found)["sex"]) == ["F", "M"]


# ── missed findings ──────────────────────────────────────────────────────────────────────────────

HALVES = {"Mass": 0.5, "Edema": 0.4}


def missed_by_loop(found, thresholds, inside):
    rates = []
    for cell in range(len(found.cells)):
        ill = [row for row in np.flatnonzero(inside) if found.targets[row].any()]
        lost = [
            all(found.probabilities[cell, row, column] < thresholds[label] for column, label in enumerate(found.labels))
            for row in ill
        ]
        rates.append(np.mean(lost))
    return np.mean(rates)


def test_underdiagnosis_is_the_share_of_ill_films_of_which_no_label_reaches_its_threshold():
    found = predicted(blind="sex")
    made = missed(found, [HALVES, HALVES])
    rows = {(row[0], row[1]): row for row in made["rows"]}
    women = found.about["sex"] == "F"
    assert rows["all", "all"][4] == pytest.approx(missed_by_loop(found, HALVES, np.ones(480, bool)))
    assert rows["sex", "F"][4] == pytest.approx(missed_by_loop(found, HALVES, women))
    assert rows["sex", "F"][3] == (found.targets.any(axis=1) & women).sum()
    edema = found.targets[:, 1]
    assert rows["label", "Edema"][4] == pytest.approx((found.probabilities[:, edema, 1] < 0.4).mean())
    gap = made["gaps"][0]
    assert (gap.worst, gap.best) == ("F", "M")
    assert gap.value == pytest.approx(rows["sex", "F"][4] - rows["sex", "M"][4])
    assert 0 < gap.low < gap.value < gap.high


def test_a_label_no_finding_is_itself_what_calls_a_film_healthy():
    found = predicted(labels=("Mass", "No finding"))
    made = missed(found, [{"Mass": 0.5, "No finding": 0.6}] * 2)
    ill = ~found.targets[:, 1]
    assert made["rows"][0][4] == pytest.approx((found.probabilities[:, ill, 1] >= 0.6).mean())


def test_too_few_ill_films_give_no_share():
    found = replace(predicted(cells=1), targets=np.zeros((480, 2), bool))
    made = missed(found, [HALVES])
    assert {row[4] for row in made["rows"]} == {None}
    assert made["rows"][0][-1] == "fewer than 5 films with a finding"
    assert made["sentences"] == (
        "Underdiagnosis: – of the films with a finding are called healthy, at each label's threshold of highest F1 on "
        "the validation images.",
    )


def test_a_probability_at_its_threshold_is_positive():
    found = replace(predicted(cells=1), probabilities=np.full((1, 480, 2), 0.5))
    assert missed(found, [{"Mass": 0.5, "Edema": 0.9}])["rows"][0][4] == 0


@pytest.mark.parametrize(
    ("thresholds", "message"),
    [(None, "from before thresholds were stored"), ({}, "no threshold was fixed: no validation image")],
)
def test_without_thresholds_nothing_is_said_to_be_missed(thresholds, message):
    with pytest.raises(Unusable, match=message):
        missed(predicted(cells=1), [thresholds])
    one = of_kind(diagnostics([record(predicted(cells=1), thresholds=thresholds)]), "missed")
    assert (one.rows, len(one.sentences)) == ((), 1)
    assert one.sentences[0].startswith("Not computed: ")
    assert message in one.sentences[0]


def test_a_label_without_a_threshold_is_left_out_and_named():
    found = predicted()
    made = missed(found, [{"Mass": 0.5}, HALVES])
    assert "Edema: left out, for no threshold was fixed" in made["sentences"][0]
    assert made["rows"][0][3] == found.targets[:, 0].sum()


# ── external validation ──────────────────────────────────────────────────────────────────────────

SHARED = {"Nodule/Mass": ["Nodule", "Mass"], "Edema": ["Edema"]}
NAMES = ("chestxray14", "vindr-cxr")


def test_the_drop_is_the_same_networks_auroc_inside_less_outside():
    inside = predicted(labels=("Nodule", "Mass", "Edema"))
    outside = predicted(labels=("Nodule/Mass", "Edema"), seed=5, films=1, blind="sex")
    made = dropped(inside, outside, SHARED, NAMES)
    rows = {row[0]: row for row in made["rows"]}
    either = inside.targets[:, :2].any(axis=1)
    there = [roc_auc_score(either, inside.probabilities[cell, :, :2].max(axis=1)) for cell in range(2)]
    here = [roc_auc_score(outside.targets[:, 0], outside.probabilities[cell, :, 0]) for cell in range(2)]
    assert rows["Nodule/Mass"][1:4] == pytest.approx((np.mean(there), np.mean(here), np.mean(there) - np.mean(here)))
    mean = rows["mean over labels"]
    assert mean[3] == pytest.approx((rows["Nodule/Mass"][3] + rows["Edema"][3]) / 2)
    assert 0 < mean[4] < mean[3] < mean[5]
    assert "a drop of" in made["sentences"][0]


def test_both_sides_are_drawn_apart_where_they_have_as_many_patients():
    """Were they drawn alike, a network on twice the same films would lose 0 to 0; apart, the variances add."""
    found = predicted(labels=("Edema",))
    gap = dropped(found, found, {"Edema": ["Edema"]}, NAMES)["gaps"][0]
    assert gap.value == 0
    assert gap.low < -0.01 < 0.01 < gap.high


def test_a_finding_with_one_value_is_left_out_and_one_without_its_labels_too():
    inside, outside = predicted(labels=("Nodule", "Edema")), predicted(labels=("Nodule/Mass", "Edema"), seed=5)
    assert united(inside, SHARED).labels == ("Edema",)
    made = dropped(inside, outside, SHARED, NAMES)
    assert [row[0] for row in made["rows"]] == ["mean over labels", "Edema", "Nodule/Mass"]
    assert made["rows"][2][-1] == "one value only"


def test_records_of_a_network_and_of_what_looked_at_it_are_paired_by_cell():
    inside, outside = predicted(labels=("Nodule", "Mass", "Edema")), predicted(labels=("Nodule/Mass", "Edema"), seed=5)
    own = [record(inside, cell, thresholds={}) for cell in (0, 1)]
    task = {"task": "chestxray14-to-vindr", "dataset": "vindr-cxr", "shared": SHARED}
    others = [record(outside, cell, network_of=own[cell].id, **task) for cell in (0, 1)]
    one = of_kind(diagnostics([*others, *own]), "external")
    expected = dropped(inside, outside, SHARED, NAMES)
    assert one.gaps[0].value == pytest.approx(expected["gaps"][0].value)
    assert one.gaps[0][1:3] == ("vindr-cxr", "chestxray14")
    alone = of_kind(diagnostics(others), "external")
    assert "of its network's own test set is not here" in alone.sentences[0]


# ── what cannot be used ──────────────────────────────────────────────────────────────────────────


def test_records_without_probabilities_are_passed_over():
    assert diagnostics([store(None, "adam", 0.8, 0)]) == ()
    assert diagnostics([]) == ()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda found: replace(found, probabilities=found.probabilities + 1), "a probability that is not in"),
        (lambda found: replace(found, probabilities=found.probabilities * np.nan), "a probability that is not in"),
        (lambda found: replace(found, probabilities=np.full((1, 480, 2), "high")), "text where a probability"),
    ],
)
def test_probabilities_that_are_none_are_said(change, message):
    (one,) = diagnostics([record(change(predicted(cells=1)))])
    assert message in one.sentences[0]
    assert one.rows == ()


def test_records_of_other_films_are_said():
    whole, part = predicted(), predicted(patients=200)
    (one,) = diagnostics([record(whole, 0), record(part, 1)])
    assert "not of the same test images" in one.sentences[0]


def test_rows_of_other_shots_configs_and_methods_are_apart():
    found = predicted(cells=1)
    few = record(found, shots=3)
    made = [one for one in diagnostics([record(found), few]) if one.kind == "calibration"]
    assert [one.shots for one in made] == [3, None]
    assert digest(made[0].cells) != digest(made[1].cells)
