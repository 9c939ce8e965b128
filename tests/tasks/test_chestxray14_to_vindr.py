"""External validation: shared findings, the network of another dataset, and the drop that a report tells."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from eden_bench import api, registry
from eden_bench.contracts import Context
from eden_bench.encoders import build_encoder
from eden_bench.errors import DataMissing, EdenError
from eden_bench.execution.inputs import Inputs
from eden_bench.execution.replay import replay
from eden_bench.settings import Settings
from tasks.chestxray14 import LABELS as OF_14
from tasks.chestxray14 import chestxray14, chestxray14_task
from tasks.chestxray14_to_vindr import SHARED, chestxray14_to_vindr
from tasks.finetuning.classification import probabilities_of
from tasks.finetuning.networks import Classifier
from tasks.phantom.layouts.vindr_cxr import COLUMNS
from tasks.reading.vindr import LABELS as OF_VINDR
from tasks.vindr_cxr import vindr_cxr
from tests.tasks.gradcam.test_run import folder  # noqa: F401 - a fixture: twenty films in ChestX-ray14's layout
from tests.tasks.test_vindr_cxr import put, table

PROTOCOL = 'base = "quick"\n[classification]\nsize_px = 32\nsource_px = 40\nmax_steps = 2\nvalidate_every = 1\n'
SAID = ("Cardiomegaly", "Nodule/Mass", "Pleural effusion", "Pneumonia")
"""The shared findings that the table of these tests has."""
HEADER = (*SAID[:2], *OF_VINDR)
IDS = [f"{number:032x}" for number in range(10)]
TESTED = IDS[4:]


def row(number):
    """Findings of a test image: each shared one on others, and pneumonia on none."""
    return [str(int(value)) for value in (number % 2, number % 3 == 0, number < 7, 0, 0, 0, 0, 0)]


@pytest.fixture(scope="module")
def data(folder):  # noqa: F811
    root = folder / "vindr-cxr"
    for number, name in enumerate(IDS):
        draw = np.random.default_rng(number).integers(20, 200, (40, 32)).astype(np.uint8)
        put(root / ("train" if number < 4 else "test"), name, draw)
    rows = [f"{name},R1,0,0,1,0,0,0,0,0" for name in IDS[:4]]
    table(root / "annotations/image_labels_train.csv", f"image_id,rad_id,{','.join(HEADER)}", rows)
    rows = [f"{name},{','.join(row(number))}" for number, name in enumerate(IDS) if number >= 4]
    table(root / "annotations/image_labels_test.csv", f"image_id,{','.join(HEADER)}", rows)
    return folder


def quick(**changes):
    return replace(chestxray14_task.quick, size_px=32, source_px=40, precision="fp32", **changes)


def opened(data, tmp_path, protocol=None):
    index = vindr_cxr.index(data / "vindr-cxr")
    return chestxray14_to_vindr.open(index, protocol or quick(), Context(cache=tmp_path / "cache", dataset=vindr_cxr))


def network(seed=0, protocol=None):
    made = Classifier(build_encoder("resnet18-w16", seed), len(OF_14), seed).eval()
    torch.nn.init.normal_(made.head.weight, std=0.05, generator=torch.Generator().manual_seed(seed))
    made.protocol, made.label_names = protocol or quick(), OF_14
    return made


def test_every_shared_finding_is_a_column_of_vindr_and_every_label_one_of_chestxray14():
    assert set(SHARED) <= set(COLUMNS)
    mapped = [label for labels in SHARED.values() for label in labels]
    assert sorted(mapped) == sorted(set(OF_14) - {"Hernia"})


@pytest.mark.parametrize("higher", ["Nodule", "Mass"])
def test_each_finding_is_scored_with_the_label_that_stands_for_it(data, tmp_path, higher):
    task, net = opened(data, tmp_path), network()
    net.head.bias.data[OF_14.index(higher)] = 3
    outcome = task.run(net, 0)
    with torch.inference_mode():
        own = probabilities_of(net, task.images(np.arange(6)), quick(), 0)
    of = {name: own[:, place] for place, name in enumerate(OF_14)}
    expected = {
        "Cardiomegaly": of["Cardiomegaly"],
        "Nodule/Mass": np.maximum(of["Nodule"], of["Mass"]),
        "Pleural effusion": of["Effusion"],
        "Pneumonia": of["Pneumonia"],
    }
    assert task.data["labels"] == list(SAID)
    assert np.array_equal(expected["Nodule/Mass"], of[higher])
    for place, (label, probability) in enumerate(expected.items()):
        target = [int(row(number)[place]) for number in range(4, 10)]
        assert outcome.cases[f"target_{label}"] == target
        assert outcome.cases[f"probability_{label}"] == pytest.approx(probability)
        if label != "Pneumonia":
            assert outcome.scores[f"auc_{label}"] == pytest.approx(roc_auc_score(target, probability))
    assert outcome.cases["case"] == TESTED
    assert task.data["labels_without_auc"] == ["Pneumonia"]
    assert outcome.scores["auc"] == pytest.approx(np.mean([outcome.scores[f"auc_{label}"] for label in SAID[:3]]))


@pytest.fixture
def here(data, tmp_path):
    (tmp_path / "tiny.toml").write_text(PROTOCOL)
    return {"data": data, "cache": data / "cache", "device": "cpu", "threads": 1, "out": tmp_path / "runs"}


def test_the_fine_tuning_comes_along_and_the_record_is_replayed(here, tmp_path):
    protocol = str(tmp_path / "tiny.toml")
    done = api.run("random", "chestxray14-to-vindr", seeds="0", protocol=protocol, **here)
    internal, external = done.records
    assert [slot.state for slot in done.slots] == ["ran", "ran"]
    assert external.cell.protocol["network_of"] == internal.id
    assert external.data.shared_labels["Nodule/Mass"] == ["Nodule", "Mass"]
    assert external.data.labels == SAID
    assert replay(external, Inputs(Settings(**here))).identical


def test_a_network_that_saw_its_films_otherwise_is_refused(data, tmp_path):
    with pytest.raises(EdenError, match=r"source_px is 40 here and was 48 when chestxray14 was fine-tuned: set it for"):
        opened(data, tmp_path).run(network(protocol=replace(quick(), source_px=48)), 0)


def test_a_network_of_other_labels_is_refused(data, tmp_path):
    other = network()
    other.label_names = OF_14[:5]
    with pytest.raises(EdenError, match="was given Classifier without Nodule, Pneumonia, expected the classifier that"):
        opened(data, tmp_path).run(other, 0)


def test_a_table_without_the_findings_is_data_missing(data, tmp_path):
    root = tmp_path / "vindr-cxr"
    for name in ("train", "test"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).symlink_to(data / "vindr-cxr" / name)
    (root / "annotations").mkdir()
    told = (data / "vindr-cxr/annotations/image_labels_train.csv").read_text()
    (root / "annotations/image_labels_train.csv").write_text(told)
    lines = (data / "vindr-cxr/annotations/image_labels_test.csv").read_text().splitlines()
    index = vindr_cxr.index(data / "vindr-cxr")
    context = Context(cache=tmp_path / "cache", dataset=vindr_cxr)
    with pytest.raises(DataMissing, match=r"has no image_labels_test\.csv, expected the findings of the test images"):
        chestxray14_to_vindr.open(replace(index, root=root), quick(), context)
    (root / "annotations/image_labels_test.csv").write_text("\n".join([*lines[:-1], ""]))
    with pytest.raises(DataMissing, match=f"does not say what the test image {IDS[-1]} shows"):
        chestxray14_to_vindr.open(replace(index, root=root), quick(), context)
    (root / "annotations/image_labels_test.csv").write_text("image_id,ILD\n" + f"{IDS[4]},0\n")
    with pytest.raises(DataMissing, match="has none of the columns Atelectasis, Cardiomegaly"):
        chestxray14_to_vindr.open(replace(index, root=root), quick(), context)


def test_it_is_listed_as_data_and_makes_no_list_of_its_own(data):
    task = registry.tasks.get("chestxray14-to-vindr")
    assert task.lists(vindr_cxr.index(data / "vindr-cxr"), quick()) is None
    assert chestxray14.name == task.looks_at
