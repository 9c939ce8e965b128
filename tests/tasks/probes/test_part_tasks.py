"""Compositionality, decomposability and interpolation from end to end on a toy anatomy and on the phantom."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from eden_bench import case_statistics, records, registry
from eden_bench.contracts import Context, Features
from eden_bench.encoders import build_encoder
from eden_bench.errors import DataMissing
from tasks.probes import lines
from tests.tasks.finetuning.toy_anatomy import ToyAnatomy, toy_index

NAMES = ("compositionality", "decomposability", "interpolation")
SMALL = {"features": Features(size_px=32), "film_px": 96, "test_films": 5, "train_films": 6}


def control(name):
    """The encoder of a control of the group ``@controls``."""
    method = registry.methods.get(name)
    return method(method.Config()).load_encoder(0)


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    root = tmp_path_factory.mktemp("toy")

    def open_task(name, index=None, **changes):
        task = registry.tasks.get(name)
        protocol = replace(task.protocol("quick"), **{**SMALL, **changes})
        return task.open(index or toy_index(root), protocol, Context(cache=root / "cache", dataset=ToyAnatomy()))

    return open_task


@pytest.fixture(scope="module")
def outcomes(opened):
    """Of an untrained encoder, by task."""
    return {name: opened(name).run(build_encoder("resnet18-w16", 0), 0) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_scores_are_within_their_bounds_and_the_primary_is_the_statistic_it_names(outcomes, name):
    score, outcome = registry.tasks.get(name).score, outcomes[name]
    records.check_outcome(outcome, score)
    assert {"case", "patient"} <= set(outcome.cases)
    assert len(set(outcome.cases["case"])) == len(outcome.cases["case"])
    columns = {column: np.asarray(values) for column, values in outcome.cases.items()}
    for each in outcome.scores:
        definition = score.of(each)
        if definition.statistic:
            function = case_statistics.statistic_of(definition)
            assert function(columns, each) == pytest.approx(outcome.scores[each], abs=1e-12), each
    assert score.statistic


@pytest.mark.parametrize("name", NAMES)
def test_every_score_is_defined_in_words(outcomes, name):
    score = registry.tasks.get(name).score
    assert all(score.of(each).text for each in outcomes[name].scores)


@pytest.mark.parametrize("name", NAMES)
def test_it_is_done_once_a_checkpoint_whatever_the_seed(opened, name):
    task = opened(name)
    first, second = (task.run(build_encoder("resnet18-w16", 0), seed) for seed in (0, 7))
    assert registry.tasks.get(name).repeats == "once"
    assert first.scores == second.scores
    assert first.cases["case"] == second.cases["case"]


CHANCE = {
    "compositionality": {"part_whole_auc": 0.5, "auc_shifted": 0.5, "auc_2x2": 0.5, "top1": 0.1, "ridge_r2": 0.0},
    "decomposability": {"quadrants_r2": 0, "box_r2": 0, "r2_beyond_box": 0, "top1_own": 0.25},
    "interpolation": {
        "interpolation_error": lines.CHANCE,
        "extrapolation_error": lines.CHANCE,
        "interpolation_right_weights": 0.5,
        "interpolation_skill": 0.0,
    },
}


@pytest.mark.parametrize("name", NAMES)
def test_a_constant_encoder_is_at_chance_exactly(opened, name):
    outcome = opened(name).run(control("constant"), 0)
    records.check_outcome(outcome, registry.tasks.get(name).score)
    for score, chance in CHANCE[name].items():
        assert outcome.scores[score] == pytest.approx(chance, abs=1e-12), score
    assert outcome.scores[registry.tasks.get(name).score.name] == pytest.approx(outcome.controls["chance"], abs=1e-12)


def test_the_published_form_calls_a_constant_perfect(opened):
    scores = opened("compositionality").run(control("constant"), 0).scores
    assert [scores["raw_cosine"], scores["raw_cosine_mismatched"]] == pytest.approx([1, 1])
    assert scores["calibrated_cosine"] == 0
    assert opened("interpolation").run(control("constant"), 0).scores["interpolation_raw_cosine"] == pytest.approx(1)


@pytest.mark.parametrize(("name", "ceiling"), list(zip(NAMES, (1.0, 1.0, 0.0), strict=True)))
def test_the_oracle_is_at_its_ceiling(outcomes, name, ceiling):
    assert outcomes[name].controls["oracle"] == pytest.approx(ceiling, abs=1e-3)


def test_position_alone_never_tells_a_patient_from_another(opened):
    scores = opened("compositionality").run(control("position"), 0).scores
    assert scores["auc_other_patient"] == 0.5
    assert 0.5 < scores["part_whole_auc"] < 0.8


@pytest.mark.parametrize("name", NAMES)
def test_films_are_one_a_patient_and_their_lists_share_none(opened, name):
    task = opened(name)
    patients = [item.patient for item in (*task.train, *task.test)]
    assert len(patients) == len(set(patients)) == 11
    assert (task.data["train"], task.data["test"]) == (6, 5)
    more = opened(name, test_films=6)
    assert {item.id for item in task.test} < {item.id for item in more.test}
    assert more.data["splits"] != task.data["splits"]


def test_one_test_patient_is_refused(opened, tmp_path):
    with pytest.raises(DataMissing, match=r"toy: compositionality can use 1 test films in .*, expected films of at"):
        opened("compositionality", index=toy_index(tmp_path, test=1))


def test_an_untrained_network_has_the_published_cosine_and_so_do_mismatched_parts(tiny_data, tmp_path):
    """0.998 against 0.996 at 224 px: above every published value of a trained one, and it says nothing."""
    task, reader = registry.tasks.get("compositionality"), registry.datasets.get("chestxray14")
    protocol = replace(task.protocol("quick"), features=Features(size_px=96), test_films=2, train_films=2)
    index = reader.index(Path(tiny_data) / "chestxray14")
    opened = task.open(index, protocol, Context(cache=tmp_path / "cache", dataset=reader))
    scores = opened.run(build_encoder("resnet18", 0), 0).scores
    assert scores["raw_cosine"] > 0.99
    assert scores["raw_cosine_mismatched"] > 0.985
    assert scores["part_whole_auc"] < 0.95
    assert task.score.name not in ("raw_cosine", "calibrated_cosine")


@pytest.mark.parametrize("name", NAMES)
def test_a_report_computes_the_statistics_without_torch(name):
    (module,) = registry.tasks.get(name).statistics
    code = f"import {module}, sys; from eden_bench import case_statistics, registry\n"
    code += f"score = registry.tasks.get({name!r}).score\n"
    code += "sys.exit('torch' in sys.modules or case_statistics.statistic_of(score) is None)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
