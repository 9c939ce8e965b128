import json
import os
from dataclasses import dataclass

import pytest
import torch
from safetensors.torch import load_file

from eden_bench.encoders import build_encoder
from eden_bench.errors import WeightsMissing, WeightsRefused
from eden_bench.weights.checkpoints import CARD, WEIGHTS, Checkpoint, read_weights, recipe_id, write_checkpoint

ARCH = "resnet18-w16"


@pytest.fixture
def checkpoint(tmp_path):
    encoder = build_encoder(ARCH, seed=3)
    return write_checkpoint(tmp_path / "made", encoder.state_dict(), {"method": "mine", "arch": ARCH, "epochs": 2})


def test_an_encoder_comes_back_bit_for_bit(checkpoint):
    expected = build_encoder(ARCH, seed=3).state_dict()
    found = checkpoint.load_encoder().state_dict()
    assert list(found) == list(expected)
    assert all(value.equal(expected[key]) for key, value in found.items())


def test_the_file_holds_torchvisions_keys_without_a_classifier(checkpoint):
    weights = load_file(checkpoint.folder / WEIGHTS)
    assert "layer4.1.bn2.running_var" in weights
    assert not any(key.startswith("fc") for key in weights)


@pytest.mark.trap("methods", "ResNet-50 without classifier")
def test_a_resnet50_has_the_published_318_entries(tmp_path):
    made = write_checkpoint(tmp_path, build_encoder("resnet50", 0).state_dict(), {"method": "m", "arch": "resnet50"})
    assert len(load_file(made.folder / WEIGHTS)) == 318


def test_the_card_says_what_it_was_given_and_the_digest(checkpoint):
    assert checkpoint.exists
    assert (checkpoint.card["method"], checkpoint.card["epochs"]) == ("mine", 2)
    assert len(checkpoint.encoder_digest) == 64


def test_equal_weights_have_equal_digests_and_others_do_not(tmp_path, checkpoint):
    card = {"method": "other", "arch": ARCH}
    same = write_checkpoint(tmp_path / "same", build_encoder(ARCH, seed=3).state_dict(), card)
    other = write_checkpoint(tmp_path / "other", build_encoder(ARCH, seed=4).state_dict(), card)
    assert same.encoder_digest == checkpoint.encoder_digest != other.encoder_digest


def test_channels_last_weights_are_stored_as_the_plain_ones(tmp_path, checkpoint):
    encoder = build_encoder(ARCH, seed=3).to(memory_format=torch.channels_last)
    made = write_checkpoint(tmp_path / "nhwc", encoder.state_dict(), {"method": "m", "arch": ARCH})
    assert made.encoder_digest == checkpoint.encoder_digest


def test_without_a_card_there_is_no_checkpoint(tmp_path):
    assert not Checkpoint(tmp_path).exists
    with pytest.raises(WeightsMissing, match=r"holds no card\.json, so it is no finished checkpoint"):
        _ = Checkpoint(tmp_path).card


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read"),
        ("[]", "is no checkpoint's card"),
        ('{"format": 1}', "expected the fields format, method"),
    ],
)
def test_a_broken_card_is_refused(tmp_path, text, message):
    (tmp_path / CARD).write_text(text)
    with pytest.raises(WeightsRefused, match=message):
        _ = Checkpoint(tmp_path).card


@pytest.mark.timeout(20)
def test_a_card_that_is_a_device_is_refused_and_never_read(tmp_path):
    (tmp_path / CARD).symlink_to("/dev/zero")
    with pytest.raises(WeightsRefused, match="it is no regular file"):
        _ = Checkpoint(tmp_path).card


@pytest.mark.parametrize("damage", [lambda c: c[:100], lambda c: c[:-1], lambda c: b"", lambda c: b"PK\x03\x04" + c])
def test_a_truncated_or_foreign_file_is_refused(checkpoint, damage):
    path = checkpoint.folder / WEIGHTS
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(WeightsRefused, match="is not a whole safetensors file"):
        checkpoint.load_encoder()


def test_an_absent_file_is_refused(tmp_path):
    with pytest.raises(WeightsRefused, match=r"nowhere\.safetensors is not a whole safetensors file"):
        read_weights(tmp_path / "nowhere.safetensors")


def test_altered_weights_are_refused(checkpoint):
    path = checkpoint.folder / WEIGHTS
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(WeightsRefused, match=r"has digest .{12}, expected .{12}: the file was altered"):
        checkpoint.load_encoder()


def test_another_architecture_is_refused_by_its_first_key(checkpoint):
    path = checkpoint.folder / CARD
    path.write_text(json.dumps(checkpoint.card | {"arch": "resnet18-w24"}))
    with pytest.raises(WeightsRefused, match=r"does not fit resnet18-w24: \d+ of \d+ entries differ, first 'bn1"):
        Checkpoint(checkpoint.folder).load_encoder()


@dataclass(frozen=True)
class Config:
    lr: float = 0.1


def test_a_recipe_is_named_by_everything_that_can_change_its_weights():
    base = ("adam", Config(), "data", 0, 1)
    changes = [("moco", *base[1:]), ("adam", Config(0.2), *base[2:]), (*base[:2], "x", 0, 1), (*base[:3], 1, 1)]
    ids = {recipe_id(*arguments) for arguments in [base, *changes, (*base[:4], 2)]}
    assert len({*ids, recipe_id(*base, precision="bfloat16")}) == 7
    assert recipe_id(*base) == recipe_id(*base)


def test_a_change_of_the_code_that_moves_numbers_renames_every_recipe(monkeypatch):
    before = recipe_id("adam", Config(), "data", 0, 1)
    monkeypatch.setattr("eden_bench.weights.checkpoints.NUMBERS_VERSION", 0)
    assert recipe_id("adam", Config(), "data", 0, 1) != before


@pytest.mark.trap("attacks", "pipes and devices in place of files, the cache's and checkpoints' too")
@pytest.mark.timeout(20)
@pytest.mark.parametrize("put", [os.mkfifo, lambda path: path.symlink_to("/dev/zero"), lambda path: path.mkdir()])
def test_weights_that_are_no_regular_file_are_refused_and_never_waited_for(checkpoint, put):
    path = checkpoint.folder / WEIGHTS
    path.unlink()
    put(path)
    with pytest.raises(WeightsRefused, match="is no regular file"):
        checkpoint.load_encoder()
