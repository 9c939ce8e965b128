import pytest
import torch

from eden_bench import registry
from eden_bench.encoders import build_encoder
from eden_bench.errors import UsageError, WeightsRefused
from eden_bench.execution.request import choose_methods
from eden_bench.weights.file_method import register_file
from eden_bench.weights.importing import fingerprint, import_weights, write
from tests.eden_bench.weights.dialects import source, weights

pytestmark = pytest.mark.usefixtures("read_here")


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A file, and a registry whose methods are as before afterwards."""
    monkeypatch.setattr(registry.methods, "_made", dict(registry.methods._made))
    monkeypatch.setattr(registry.methods, "_origins", dict(registry.methods._origins))
    torch.save({"model": weights()}, tmp_path / "mine.pth")
    return tmp_path / "mine.pth"


def brought(text):
    method = registry.methods.get(register_file(registry.methods, text))
    return method(method.Config())


def test_fine_tuning_starts_from_exactly_these_weights(mine):
    from tasks.finetuning.networks import Classifier, UNet

    encoder = brought(f"mine={mine}").load_encoder(seed=3)
    for network in (UNet(encoder, 1, (16,) * 5, 0), Classifier(brought(f"mine={mine}").load_encoder(seed=4), 14, 0)):
        inside = network.encoder
        assert all(value.equal(inside.state_dict()[name]) for name, value in weights().items())
        assert fingerprint(inside) == fingerprint(source()) == import_weights(mine).fingerprint
        assert fingerprint(inside) != fingerprint(build_encoder("resnet18-w16", seed=3))


def test_a_network_that_is_trained_leaves_the_next_ones_weights_alone(mine):
    method = brought(f"mine={mine}")
    with torch.no_grad():
        method.load_encoder(0).conv1.weight.zero_()
    assert method.load_encoder(0).conv1.weight.equal(weights()["conv1.weight"])


def test_a_file_and_the_folder_written_from_it_have_one_digest(mine, tmp_path):
    folder = write(import_weights(mine), mine, "mine", tmp_path / "folder").folder
    assert brought(f"a={mine}").weights_digest() == brought(f"b={folder}").weights_digest()


def test_a_file_that_was_replaced_is_read_again(mine):
    method = brought(f"mine={mine}")
    first = method.weights_digest()
    torch.save({"model": weights(seed=6), "more": 1}, mine)
    assert method.weights_digest() != first


def test_an_incomplete_encoder_is_warned_of_and_recorded(tmp_path, mine, capsys):
    torch.save({name: value for name, value in weights().items() if name != "layer1.0.bn1.bias"}, mine)
    told = brought(f"mine={mine}").told()
    assert "warning: mine.pth: 1 of 100 entries are not in it" in capsys.readouterr().err
    assert "99 of 100 entries" in told["from"]


def test_home_is_found(mine, monkeypatch):
    monkeypatch.setenv("HOME", str(mine.parent))
    assert brought("mine=~/mine.pth").load_encoder(0).arch == "resnet18-w16"


@pytest.mark.parametrize("text", ["=x.pth", "mine=", "my file=x.pth", "a/b=x.pth"])
def test_a_name_and_a_path_are_needed(text):
    with pytest.raises(UsageError, match="expected NAME=PATH"):
        register_file(registry.methods, text)


def test_a_name_means_one_thing(mine):
    with pytest.raises(UsageError, match="'mine' is already a method here"):
        choose_methods([f"mine={mine},mine={mine}.other"], ())
    with pytest.raises(UsageError, match="'small' is already a method here"):
        choose_methods([f"small={mine}"], {"small": {}})
    assert choose_methods([f"mine={mine},mine={mine}"], ()) == ("mine",)


def test_activations_that_come_back_otherwise_are_refused(mine, tmp_path, monkeypatch):
    from eden_bench.weights import importing

    imported = import_weights(mine)
    monkeypatch.setattr(importing, "fingerprint", lambda _: "another")
    with pytest.raises(WeightsRefused, match="gives other activations than"):
        write(imported, mine, "mine", tmp_path / "folder")
