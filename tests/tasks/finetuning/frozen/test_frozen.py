"""Frozen protocols from end to end on a toy anatomy: what is trained, what is not, what is kept."""

import errno
import hashlib
import importlib
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from baselines.pixels import PixelsEncoder
from eden_bench.contracts import Context, Features
from eden_bench.data import feature_store
from eden_bench.encoders import build_encoder
from eden_bench.encoders.features import features
from eden_bench.errors import EdenError, StoreFailed, UsageError
from eden_bench.protocols import frozen
from tasks.finetuning import ClassificationTask, SegmentationTask
from tasks.finetuning.frozen import protocol as protocols
from tests.tasks.finetuning.toy_anatomy import ToyAnatomy, toy_index

LABELS = ClassificationTask(name="toy-labels", dataset="toy", title="Toy labels")
MASKS = SegmentationTask(name="toy-masks", dataset="toy", title="Toy masks", structures=("heart",))
ARCH, VIT = "resnet18-w16", "vit_mini_patch8_64"
SHORT = {"max_steps": 4, "validate_every": 2, "batch_size": 4}


def small(task, name):
    made = task.protocol(f"{name}-quick")
    smaller = {"features": replace(made.features, size_px=32)} if hasattr(made, "features") else {"size_px": 32}
    if "source_px" in vars(made):
        smaller["source_px"] = 40
    return replace(made, **smaller, **(SHORT if hasattr(made, "max_steps") else {}))


def opened(tmp_path, task, name, **changes):
    context = Context(cache=tmp_path / "cache", dataset=ToyAnatomy())
    return task.open(toy_index(tmp_path), replace(small(task, name), **changes), context)


def state(encoder):
    encoder = getattr(encoder, "encoder", encoder)
    tensors = sorted(encoder.state_dict().items())
    return hashlib.sha256(b"".join(value.numpy().tobytes() for _, value in tensors)).hexdigest()


@pytest.mark.parametrize("name", protocols.CLASSIFICATION[:3])
def test_a_frozen_classification_scores_and_leaves_the_encoder_as_it_was(tmp_path, name):
    task, encoder = opened(tmp_path, LABELS, name), build_encoder(ARCH, 0)
    before = state(encoder)
    outcome = task.run(encoder, 0)
    assert state(encoder) == before
    cases = outcome.cases
    found = [roc_auc_score(cases[f"target_{name}"], cases[f"probability_{name}"]) for name in ("large", "left")]
    assert outcome.scores["auc"] == pytest.approx(np.mean(found))
    assert task.run(build_encoder(ARCH, 0), 0) == outcome


@pytest.mark.parametrize("name", protocols.SEGMENTATION[:2])
def test_a_frozen_segmentation_trains_its_head_alone(tmp_path, name):
    task, encoder = opened(tmp_path, MASKS, name), build_encoder(ARCH, 0)
    before = state(encoder)
    outcome = task.run(encoder, 0)
    assert state(encoder) == before
    assert 0 <= outcome.scores["dice"] <= 1
    head = [value for name, value in outcome.network.state_dict().items() if not name.startswith("encoder.")]
    untrained = [
        value for name, value in task.network(encoder, 0).state_dict().items() if not name.startswith("encoder.")
    ]
    assert not all(torch.equal(a, b) for a, b in zip(head, untrained, strict=True))


@pytest.mark.parametrize(("task", "name"), [(LABELS, "lora"), (MASKS, "lora")])
def test_lora_moves_its_updates_and_nothing_of_the_encoder(tmp_path, task, name):
    opened_task, encoder = (
        opened(tmp_path, task, name, size_px=64, **({"source_px": 64} if task is LABELS else {})),
        None,
    )
    encoder = build_encoder(VIT, 0)
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    outcome = opened_task.run(encoder, 0)
    after = outcome.network.encoder.state_dict()
    kept = {name.replace(".layer.", "."): value for name, value in after.items() if not name.endswith((".up", ".down"))}
    assert kept.keys() == before.keys()
    assert all(torch.equal(kept[name], before[name]) for name in before)
    assert any(value.any() for name, value in after.items() if name.endswith(".up"))


def test_an_untrained_low_rank_update_changes_nothing():
    from tasks.finetuning import lora

    encoder, images = build_encoder(VIT, 0).eval(), torch.rand(2, 3, 64, 64)
    expected = encoder.embed(images)
    lora.add(encoder, 4, 8.0)
    assert torch.equal(encoder.embed(images), expected)
    with torch.no_grad():
        encoder.blocks[0].attn.qkv.up += 1
    assert not torch.equal(encoder.embed(images), expected)


def test_a_low_rank_update_is_the_formulas():
    from tasks.finetuning.lora import LowRank

    layer = torch.nn.Linear(5, 3)
    made, x = LowRank(layer, 2, 6.0), torch.rand(4, 5)
    with torch.no_grad():
        made.up.normal_()
    expected = x @ (layer.weight + 3 * made.up @ made.down).T + layer.bias
    assert torch.allclose(made(x), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("source", "kind", "settings"),
    [
        ("eva", "EvaAttention", {"scale_norm": False}),
        ("swin_transformer_v2", "WindowAttention", {"window_size": (4, 4)}),
        ("swin_transformer_v2_cr", "WindowMultiHeadAttention", {"window_size": (4, 4)}),
    ],
)
def test_networks_that_multiply_by_a_layers_weight_themselves_are_updated_too(source, kind, settings):
    from tasks.finetuning import lora

    made = getattr(importlib.import_module(f"timm.models.{source}"), kind)(16, num_heads=2, **settings).eval()
    encoder, features = torch.nn.Module(), torch.rand(2, 16, 16)
    encoder.attn, encoder.arch = made, source
    expected = made(features)
    lora.add(encoder, 2, 4.0)
    assert torch.allclose(made(features), expected, atol=1e-6)
    updates = [value for name, value in made.named_parameters() if name.endswith("up")]
    with torch.no_grad():
        updates[0] += 1  # of queries, keys or values
    assert not torch.allclose(made(features), expected, atol=1e-4)


def test_lora_of_a_convolutional_network_says_what_it_lacks(tmp_path):
    with pytest.raises(UsageError, match="no attention projections"):
        opened(tmp_path, LABELS, "lora").run(build_encoder(ARCH, 0), 0)


def test_a_frozen_encoder_stays_in_eval_mode(tmp_path):
    network = opened(tmp_path, MASKS, "frozen-unet").network(build_encoder(ARCH, 0), 0)
    assert not any(module.training for module in network.encoder.modules())  # as the first step finds it
    network.train()
    assert network.decoder.training
    assert not any(module.training for module in network.encoder.modules())


def test_all_images_depend_on_no_seed_and_a_few_shots_do(tmp_path):
    for name in ("linear", "knn"):
        assert LABELS.repeats_for(LABELS.protocol(name), None) == "once"
        assert LABELS.repeats_for(LABELS.protocol(name), 6) == "seeds"
    assert LABELS.repeats_for(LABELS.protocol("attentive"), None) == "seeds"
    task, encoder = opened(tmp_path, LABELS, "linear"), build_encoder(ARCH, 0)
    assert task.run(encoder, 0) == task.run(encoder, 1)
    assert task.run(encoder, 0, shots=6).cases != task.run(encoder, 1, shots=6).cases


def test_what_is_chosen_is_best_on_the_validation_images(tmp_path):
    task = opened(tmp_path, LABELS, "knn", neighbours=(1, 3, 5))
    chosen = task.run(build_encoder(ARCH, 0), 0).training["chosen"]
    found = task.features(build_encoder(ARCH, 0))
    rows, targets = list(task.splits.validation), task.targets
    unit = found / np.linalg.norm(found, axis=1, keepdims=True)
    auc = {}
    for k in (1, 3, 5):
        predicted = []
        for row in rows:
            cosines = unit[list(task.splits.train)] @ unit[row]
            nearest = np.argsort(-cosines, kind="stable")[:k]
            weights = np.exp(cosines[nearest] / 0.07)
            predicted.append(weights @ targets[np.array(task.splits.train)[nearest]] / weights.sum())
        both = [c for c in range(targets.shape[1]) if len(set(targets[rows, c])) == 2]
        auc[k] = np.mean([roc_auc_score(targets[rows, c], np.array(predicted)[:, c]) for c in both])
    assert auc[chosen] == max(auc.values())


def test_controls_are_read_too(tmp_path):
    assert 0 <= opened(tmp_path, LABELS, "linear").run(PixelsEncoder(), 0).scores["auc"] <= 1


def test_every_task_knows_its_frozen_protocols_in_both_sizes():
    for task in (LABELS, MASKS):
        for name in task.frozen:
            assert name in frozen.TITLES
            for size in ("", "-quick"):
                assert task.protocol(name + size)
    assert set(frozen.TITLES) == {*LABELS.frozen, *MASKS.frozen}


class TestStoredFeatures:
    WANTED = Features(pooling="embed", size_px=32)

    @pytest.fixture
    def task(self, tmp_path):
        return opened(tmp_path, LABELS, "linear")

    def test_they_are_the_encoders_and_computed_once(self, task, monkeypatch):
        encoder = build_encoder(ARCH, 0)
        found = task.features(encoder)
        assert found == pytest.approx(features(encoder, task.store.images, self.WANTED), abs=0)
        monkeypatch.setattr(feature_store, "features", None)
        assert np.array_equal(task.features(build_encoder(ARCH, 0)), found)

    @pytest.mark.parametrize("change", ["weights", "features"])
    def test_other_weights_or_another_contract_are_others(self, task, change, monkeypatch):
        task.features(build_encoder(ARCH, 0))
        monkeypatch.setattr(feature_store, "features", None)
        if change == "features":
            task.protocol = replace(task.protocol, features=Features(pooling="mean", size_px=32))
        with pytest.raises(TypeError):
            task.features(build_encoder(ARCH, change == "weights"))

    def test_a_flipped_bit_is_found_and_computed_anew(self, task, tmp_path, caplog):
        found = np.array(task.features(build_encoder(ARCH, 0)))
        (file,) = (tmp_path / "cache" / "features").glob("*.npy")
        content = bytearray(file.read_bytes())
        content[-3] ^= 1
        file.write_bytes(content)
        assert np.array_equal(task.features(build_encoder(ARCH, 0)), found)
        assert "damaged" in caplog.text

    def test_a_damaged_sidecar_and_what_a_killed_process_left_cost_a_pass_and_no_more(self, task, tmp_path):
        found = np.array(task.features(build_encoder(ARCH, 0)))
        (file,) = (tmp_path / "cache" / "features").glob("*.npy")
        file.with_suffix(".sha256").write_bytes(b"\xff\xfe")
        left = file.with_name(f".aside-{file.name}-0123abcd")
        left.touch()
        assert np.array_equal(task.features(build_encoder(ARCH, 0)), found)
        assert not left.exists()

    def test_a_full_disk_is_said(self, task, monkeypatch):
        def full(file, header):
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(np.lib.format, "write_array_header_1_0", full)
        with pytest.raises(StoreFailed, match="No space left"):
            task.features(build_encoder(ARCH, 0))

    def test_an_encoder_whose_source_changed_is_another(self, task, monkeypatch):
        task.features(build_encoder(ARCH, 0))
        monkeypatch.setattr(feature_store, "_source_of", lambda kind: "edited")
        monkeypatch.setattr(feature_store, "features", None)
        with pytest.raises(TypeError):
            task.features(build_encoder(ARCH, 0))

    def test_features_that_are_not_finite_are_refused(self, task):
        encoder = build_encoder(ARCH, 0)
        with torch.no_grad():
            next(encoder.parameters()).fill_(math.nan)
        with pytest.raises(EdenError, match="NaN or an infinite value of image 0"):
            task.features(encoder)
