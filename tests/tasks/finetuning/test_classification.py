"""Classification from end to end on a toy anatomy."""

import csv
import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score, roc_auc_score

from eden_bench import devices
from eden_bench.contracts import Context
from eden_bench.encoders import build_encoder
from eden_bench.errors import DataMissing
from eden_bench.records import cases_csv
from tasks.finetuning import ClassificationTask
from tasks.finetuning.networks import Classifier
from tests.tasks.finetuning.toy_anatomy import ToyAnatomy, toy_index

TASK = ClassificationTask(name="toy-labels", dataset="toy", title="Toy labels")
PROTOCOL = replace(TASK.quick, size_px=32, source_px=40, max_steps=4, validate_every=2, batch_size=4)
ARCH = "resnet18-w16"


def opened(tmp_path, protocol=PROTOCOL, index=None):
    index = index or toy_index(tmp_path)
    return TASK.open(index, protocol, Context(cache=tmp_path / "cache", dataset=ToyAnatomy()))


@pytest.mark.trap("random", "head N(0, 0.01), bias 0", "held for every method")
def test_the_head_starts_small_and_is_drawn_from_the_seed():
    encoder = build_encoder("resnet18", 0)
    first, again, other = (Classifier(encoder, 14, seed).head for seed in (1, 1, 2))
    assert torch.equal(first.weight, again.weight)
    assert not torch.equal(first.weight, other.weight)
    assert first.weight.std().item() == pytest.approx(0.01, rel=0.05)
    assert (first.bias == 0).all()


def test_a_run_repeats_bit_for_bit_and_follows_its_seed(tmp_path):
    task = opened(tmp_path)
    first, second, other = (task.run(build_encoder(ARCH, 0), seed, shots=6) for seed in (5, 5, 6))
    assert first == second
    assert first.cases != other.cases


@pytest.mark.parametrize("kind", ["ten", "centre"])
def test_the_scores_are_sklearns_on_the_cases(tmp_path, kind):
    outcome = opened(tmp_path, replace(PROTOCOL, test_crops=kind)).run(build_encoder(ARCH, 0), 0)
    cases = outcome.cases
    found = [roc_auc_score(cases[f"target_{name}"], cases[f"probability_{name}"]) for name in ("large", "left")]
    assert outcome.scores["auc"] == pytest.approx(np.mean(found))
    assert [outcome.scores["auc_large"], outcome.scores["auc_left"]] == pytest.approx(found)


def test_a_label_with_one_value_only_is_left_out_and_named(tmp_path):
    task = opened(tmp_path)
    outcome = task.run(build_encoder(ARCH, 0), 0)
    assert "auc_never" not in outcome.scores
    assert outcome.training["labels_without_auc"] == task.data["labels_without_auc"] == ["never"]


def test_thresholds_are_chosen_on_the_validation_images_seen_as_test_images_are(tmp_path):
    """Moved into the test list, the validation images have the probabilities that the thresholds were chosen on."""
    task = opened(tmp_path)
    outcome = task.run(build_encoder(ARCH, 0), 0)
    network, rows = outcome.network, np.array(task.splits.validation)
    probabilities, targets = task._predicted(network, rows, 1), task.targets[rows]
    expected = {}
    for column, label in enumerate(("large", "left")):
        f1 = {p: f1_score(targets[:, column], probabilities[:, column] >= p) for p in sorted(probabilities[:, column])}
        if len(set(targets[:, column])) == 2:
            expected[label] = max(p for p in f1 if f1[p] == max(f1.values()))
    assert expected
    assert outcome.training["thresholds"] == pytest.approx(expected)


def test_a_run_without_validation_images_has_no_thresholds(tmp_path):
    task = opened(tmp_path, replace(PROTOCOL, few_shot_validation="none"))
    assert task.run(build_encoder(ARCH, 0), 0, shots=6).training["thresholds"] == {}


def test_what_is_told_of_patient_and_image_is_a_column_of_the_cases(tmp_path):
    index = toy_index(tmp_path)
    about = [{"sex": "F", "age": 58.0}, {"sex": "", "age": None}]
    items = tuple(replace(item, about=about[n % 2] if n % 3 else {}) for n, item in enumerate(index.items))
    cases = opened(tmp_path, index=replace(index, items=items)).run(build_encoder(ARCH, 0), 0).cases
    assert list(cases)[:4] == ["case", "patient", "sex", "age"]
    table = list(csv.DictReader(io.StringIO(cases_csv(cases).decode())))
    expected = [(items[n].about.get("sex") or "", str(items[n].about.get("age") or "")) for n in range(20, 26)]
    assert [(row["sex"], row["age"]) for row in table] == expected


@pytest.mark.trap(
    "inputs", "few-shot classification with one class", "drawn by label, nested; what had one value is said"
)
def test_few_shots_have_both_values_and_a_label_with_one_in_training_is_named(tmp_path):
    task = opened(tmp_path)
    assert [task.run(build_encoder(ARCH, 0), seed, shots=3).training["one_value_in_training"] for seed in range(3)] == [
        ["never"]
    ] * 3
    assert len(task.run(build_encoder(ARCH, 0), 0, shots=2).training["one_value_in_training"]) >= 1


def test_a_test_set_without_any_auc_is_refused_before_training(tmp_path):
    index = toy_index(tmp_path, test=1)
    with pytest.raises(DataMissing, match="none of 3 labels has both values among the test images"):
        opened(tmp_path, index=index)


def test_an_image_without_labels_is_refused_by_name(tmp_path):
    index = toy_index(tmp_path)
    bare = replace(index, items=(replace(index.items[0], labels=()), *index.items[1:]))
    with pytest.raises(DataMissing, match=rf"1 of \d+ images in .* have no labels, for example {index.items[0].id}, "):
        opened(tmp_path, index=bare)


def test_ten_crops_average_probabilities(tmp_path):
    task = opened(tmp_path, replace(PROTOCOL, test_crops="ten", source_px=32, precision="fp32"))
    network = Classifier(build_encoder(ARCH, 0), 3, 0).eval()
    rows = np.array(task.splits.test)
    with torch.inference_mode():
        ten = task._predicted(network, rows, 1)
        images = task.images(rows)
        mean, std = torch.tensor(PROTOCOL.mean)[:, None, None], torch.tensor(PROTOCOL.std)[:, None, None]
        two = [network((image / 255 - mean) / std).sigmoid() for image in (images, images.flip(-1))]
    np.testing.assert_allclose(ten, ((two[0] + two[1]) / 2).numpy(), atol=1e-6)


def test_the_precision_that_auto_means_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(devices, "cpu_instructions", lambda: ["AMX"])
    task = opened(tmp_path, replace(PROTOCOL, precision="auto"))
    assert task.data["precision"] == task.protocol.precision == "bf16"


def test_labels_are_part_of_the_datas_digest(tmp_path):
    index = toy_index(tmp_path)
    changed = replace(index, items=(replace(index.items[0], labels=(1.0, 1.0, 0.0)), *index.items[1:]))
    assert opened(tmp_path).data["digest"] != opened(tmp_path, index=changed).data["digest"]
