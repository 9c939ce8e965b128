import hashlib

import pytest
import torch

from baselines import supervised_imagenet
from baselines.supervised_imagenet import SupervisedImageNet, SupervisedImageNetConfig
from eden_bench import protocols
from eden_bench.encoders import build_encoder
from eden_bench.errors import WeightsMissing, WeightsRefused

ARCH = "resnet18"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder of weights, the only place that is looked in."""
    monkeypatch.setenv("EDEN_BENCH_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights").mkdir()
    return tmp_path / "weights"


def publish(folder, monkeypatch, weights, name=ARCH):
    """Write a file as torchvision's are: named after the digest of its content."""
    path = folder / "made.pth"
    torch.save(weights, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    path = path.rename(folder / f"{name}-{digest[:8]}.pth")
    monkeypatch.setattr(supervised_imagenet, "FILES", {name: (path.name,)})
    return path, digest


def weights_of(encoder):
    return {**encoder.state_dict(), "fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)}


def method(arch=ARCH):
    return SupervisedImageNet(SupervisedImageNetConfig(arch=arch))


def test_the_files_weights_are_in_and_the_classifier_is_dropped(folder, monkeypatch):
    published = build_encoder(ARCH, 5)
    _, digest = publish(folder, monkeypatch, weights_of(published))
    made = method()
    assert made.weights_digest() == digest
    found = made.load_encoder(seed=3).state_dict()
    assert all(value.equal(found[key]) for key, value in published.state_dict().items())
    assert set(found) == set(published.state_dict())


def test_the_seed_changes_nothing(folder, monkeypatch):
    publish(folder, monkeypatch, weights_of(build_encoder(ARCH, 5)))
    first, second = (method().load_encoder(seed).state_dict() for seed in (0, 1))
    assert all(value.equal(second[key]) for key, value in first.items())


def test_a_file_of_2017_has_no_batch_counters(folder, monkeypatch):
    weights = weights_of(build_encoder(ARCH, 5))
    publish(folder, monkeypatch, {k: v for k, v in weights.items() if not k.endswith("num_batches_tracked")})
    assert method().load_encoder(0).bn1.num_batches_tracked == 0


@pytest.mark.trap("supervised-imagenet", "weights that silently stay random", "missing weights are an error")
def test_without_a_file_the_weights_are_missing_and_never_random(folder):
    for ask in (method().weights_digest, lambda: method().load_encoder(0)):
        with pytest.raises(WeightsMissing, match=r"resnet18-5c106cde.pth or resnet18-f37072fd.pth is not in .*weights"):
            ask()
    with pytest.raises(WeightsMissing, match=r"torchvision\.models\.resnet18"):
        method().weights_digest()


def test_torchs_own_cache_is_looked_in_too(folder, monkeypatch, tmp_path):
    cache = tmp_path / "torch" / "hub" / "checkpoints"
    cache.mkdir(parents=True)
    path, digest = publish(cache, monkeypatch, weights_of(build_encoder(ARCH, 5)))
    assert method().weights_digest() == digest
    assert supervised_imagenet.find_weights(ARCH) == path


def test_an_arch_without_published_weights_has_none(folder):
    quick = protocols.load("quick").method_config("supervised-imagenet", SupervisedImageNetConfig())
    with pytest.raises(WeightsMissing, match=r"none are published for resnet18-w16 \(there are for resnet18, "):
        SupervisedImageNet(quick).weights_digest()


@pytest.mark.trap("supervised-imagenet", "torchvision's V1 file, `resnet50-19c8e357.pth` or its successor")
def test_a_damaged_file_is_refused(folder, monkeypatch):
    path, _ = publish(folder, monkeypatch, weights_of(build_encoder(ARCH, 5)))
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(WeightsRefused, match="expected the one in its name: it is damaged"):
        method().load_encoder(0)


@pytest.mark.trap("supervised-imagenet", "weights that silently stay random")
@pytest.mark.parametrize("spoil", [lambda w: w.pop("conv1.weight"), lambda w: w.update(bn1=torch.zeros(3))])
def test_a_key_too_few_or_too_many_is_refused(folder, monkeypatch, spoil):
    weights = weights_of(build_encoder(ARCH, 5))
    spoil(weights)
    publish(folder, monkeypatch, weights)
    with pytest.raises(WeightsRefused, match="does not fit resnet18: 1 of"):
        method().load_encoder(0)


class Executed:
    def __reduce__(self):
        return eval, ("__import__('pathlib').Path('executed').touch()",)


def test_a_file_that_would_run_code_is_refused_and_does_not(folder, monkeypatch, tmp_path):
    publish(folder, monkeypatch, {"conv1.weight": Executed()})
    with pytest.raises(WeightsRefused, match="cannot be read as weights"):
        method().load_encoder(0)
    assert not (tmp_path / "executed").exists()


@pytest.mark.trap(
    "supervised-imagenet",
    "torchvision's V1 file, `resnet50-19c8e357.pth` or its successor",
    "by name, checked by its digest",
)
def test_the_published_names_are_torchvisions():
    from torchvision import models

    for arch, files in supervised_imagenet.FILES.items():
        weights = getattr(models, f"ResNet{arch.removeprefix('resnet')}_Weights").IMAGENET1K_V1
        assert weights.url.endswith(f"/{files[1]}")
    assert supervised_imagenet.FILES["resnet50"][0] == "resnet50-19c8e357.pth"
