"""Names of networks that were taken apart or wrapped lead to the same network; what is not read is named truly."""

import copy
import functools

import pytest
import timm
import torch
import torchvision
from torch import nn

from eden_bench.encoders import build_encoder
from eden_bench.errors import WeightsRefused
from eden_bench.weights import find_encoder, tensor_names
from eden_bench.weights.importing import _built, _cover, import_weights
from eden_bench.weights.untrained import is_untrained
from tests.eden_bench.weights.dialects import DENSENET, SWIN, VIT, source, under, weights

pytestmark = pytest.mark.usefixtures("read_here")


@functools.cache
def whole(arch):
    """torchvision's network with an own encoder's weights."""
    network = getattr(torchvision.models, arch)(weights=None).eval()
    network.load_state_dict(weights(arch), strict=False)
    return network


def images():
    return torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def cases():
    resnet, densenet = whole("resnet18"), whole(DENSENET)
    return {
        "RadImageNet, lightly": ("backbone.", nn.Sequential(*list(resnet.children())[:-1])),
        "bare children": ("", nn.Sequential(*list(resnet.children())[:-2])),
        "children with the classifier": ("state.", nn.Sequential(*resnet.children())),
        "DenseNet's children": ("backbone.", nn.Sequential(*list(densenet.children())[:-1])),
        "DenseNet's features' children": ("model.features.", nn.Sequential(*densenet.features.children())),
        "DenseNet's features": ("backbone.", densenet.features),
    }


@pytest.mark.trap("inputs", "RadImageNet's and lightly's names", "read")
@pytest.mark.parametrize("kind", cases())
def test_children_of_a_sequential_are_read_and_embed_the_same(tmp_path, kind):
    prefix, network = cases()[kind]
    torch.save({"epoch": 1, "net": under(prefix, network.state_dict())}, tmp_path / "file.pth")
    imported = import_weights(tmp_path / "file.pth")
    assert (imported.coverage.share, imported.coverage.prefix) == (1, f"net/{prefix.removesuffix('features.')}")
    with torch.inference_mode():
        ours, encoder = imported.encoder().eval().embed(images()), source(imported.coverage.arch)
        assert ours.equal(encoder.embed(images()))
        if "classifier" not in kind:
            theirs = network(images())
            assert ours.allclose((theirs.relu() if "Dense" in kind else theirs).mean((2, 3)), atol=1e-5)


def test_a_sequential_that_is_no_torchvision_resnet_is_refused(tmp_path):
    """Without its max-pooling, as for CIFAR, every stage is one place earlier."""
    children = list(whole("resnet18").children())
    torch.save(nn.Sequential(*children[:3], *children[4:8]).state_dict(), tmp_path / "file.pth")
    with pytest.raises(WeightsRefused, match="a ResNet of"):
        import_weights(tmp_path / "file.pth")


@pytest.mark.trap("inputs", "wrapper names in the middle of keys", "taken out")
@pytest.mark.parametrize("arch", ["resnet18-w16", VIT, SWIN, DENSENET])
@pytest.mark.parametrize("wrapper", ["_orig_mod.", "_checkpoint_wrapped_module.", "_fsdp_wrapped_module.", "module."])
def test_wrappers_in_the_middle_of_names_are_taken_out(arch, wrapper):
    own, wrapped = weights(arch), {}
    for place, (name, value) in enumerate(own.items()):
        parts = name.split(".")
        at = min(1 + place % 3, len(parts) - 1) if len(parts) > 2 else 0
        wrapped[".".join([*parts[:at], wrapper + parts[at], *parts[at + 1 :]]) if at else name] = value
    assert sum(wrapper in name for name in wrapped) > len(own) // 2
    found, _ = find_encoder.find(wrapped)
    assert _cover(found, _built(found), "file", ())[1].share == 1
    assert all(found.weights[name].equal(value) for name, value in own.items())


def test_names_that_differ_by_a_wrapper_alone_stay_two():
    both = under("module.", weights()) | {name: value + 1 for name, value in weights().items()}
    assert tensor_names.translated(both)[0].keys() == both.keys()
    inside = {"a.0.module.x": torch.ones(1), "a.0.x": torch.zeros(1)}
    assert tensor_names.translated(inside)[0].keys() == inside.keys()


@pytest.mark.trap("inputs", "torchvision's own ViT, Swin, EfficientNet", "ViT is read, the others are named")
def test_torchvisions_vit_is_read_and_gives_the_same_tokens(tmp_path):
    torch.manual_seed(0)
    vit = torchvision.models.VisionTransformer(32, 16, 12, 3, 192, 768).eval()
    with torch.no_grad():
        for value in vit.parameters():
            value += 0.05 * torch.randn_like(value)
    torch.save({"state_dict": under("model.", vit.state_dict())}, tmp_path / "file.pth")
    imported = import_weights(tmp_path / "file.pth")
    assert (imported.coverage.arch, imported.coverage.share) == ("vit_tiny_patch16_32", 1)
    assert imported.coverage.reshaped == ("names: torchvision's of a ViT",)
    with torch.inference_mode():
        x = torch.randn(2, 3, 32, 32)
        tokens = vit.encoder(torch.cat([vit.class_token.expand(2, -1, -1), vit._process_input(x)], 1))
        assert imported.encoder().eval()(x).flatten(2).transpose(1, 2).allclose(tokens[:, 1:], atol=1e-5)


@pytest.mark.trap("inputs", "torchvision's own ViT, Swin, EfficientNet")
@pytest.mark.parametrize(
    ("make", "what"),
    [
        (torchvision.models.swin_t, "torchvision's own Swin"),
        (torchvision.models.efficientnet_b0, "torchvision's own EfficientNet"),
        (torchvision.models.convnext_tiny, "torchvision's own ConvNeXt"),
    ],
)
def test_a_network_that_is_not_read_is_named(make, what):
    with torch.device("meta"):
        state = make().state_dict()
    with pytest.raises(WeightsRefused, match=f"they are those of {what}.*expected a ResNet or DenseNet under"):
        find_encoder.find(state)


@pytest.mark.parametrize("side", [4, 5, 7, 14])
def test_a_swins_windows_are_read_from_its_tables_stage_by_stage(side):
    from eden_bench.weights.architectures import _swin

    windows = (7, 7, side, 7)
    state = weights("swin_tiny_patch4_window7_224")
    for name in state:
        if name.startswith("layers.2.") and name.endswith("bias_table"):
            state[name] = torch.ones((2 * side - 1) ** 2, state[name].shape[1])
    arch = _swin(state)
    assert arch == f"swin_tiny_patch4_window{'7' if side == 7 else '-'.join(map(str, windows))}_224"
    assert build_encoder(arch, 0).windows == windows


def test_a_swin_whose_index_and_table_disagree_is_refused():
    state = {**weights(SWIN), "layers.1.blocks.0.attn.relative_position_index": torch.zeros(49, 49)}
    found, _ = find_encoder.find(state)
    with pytest.raises(WeightsRefused, match=r"window by its table is 4, and another by layers\.1\.blocks\.0\.attn"):
        _built(found)


FRESH = {
    "torchvision resnet18": lambda: torchvision.models.resnet18(num_classes=3),
    "zero last gamma": lambda: torchvision.models.resnet18(num_classes=3, zero_init_residual=True),
    "timm resnet50": lambda: timm.create_model("resnet50", num_classes=3),
    "timm vit-s": lambda: timm.create_model("vit_small_patch16_224", num_classes=3, img_size=32),
    "torchvision vit": lambda: torchvision.models.VisionTransformer(32, 16, 12, 3, 192, 768),
    "timm swin": lambda: timm.create_model("swin_tiny_patch4_window7_224", num_classes=3),
    "densenet121": lambda: torchvision.models.densenet121(num_classes=3),
}


def untrained(state):
    found, _ = find_encoder.find(state)
    encoder = _built(found)
    return is_untrained(encoder, _cover(found, encoder, "file", ())[0])


@pytest.mark.trap("inputs", "a network that was never trained")
@pytest.mark.parametrize("kind", FRESH)
def test_a_fresh_network_is_untrained_and_a_step_makes_it_a_trained_one(kind):
    torch.manual_seed(1)
    network = FRESH[kind]()
    state = copy.deepcopy(network.state_dict())
    assert untrained(state)
    assert untrained({name: value for name, value in state.items() if "num_batches" not in name})
    assert untrained({name: value.half() if value.is_floating_point() else value for name, value in state.items()})
    assert not untrained(stepped(network, 224 if "swin" in kind else 32))


@pytest.mark.trap("inputs", "a network that was never trained", "refused at any seed, unless `--untrained`")
@pytest.mark.parametrize("arch", ["resnet18-w16", VIT, SWIN])
@pytest.mark.parametrize("seed", [0, 3, 77])
def test_a_fresh_network_is_untrained_whatever_its_seed(arch, seed):
    assert untrained(build_encoder(arch, seed).state_dict())


def stepped(network, size_px):
    """Return the state after a step, at a learning rate that is small even for fine-tuning."""
    nn.init.normal_(list(network.parameters())[-2], std=0.02)  # a head that begins at zero passes no gradient on
    optimizer = torch.optim.SGD(network.train().parameters(), 1e-6)
    network(torch.randn(2, 3, size_px, size_px)).sub(1).square().sum().backward()
    optimizer.step()
    return network.state_dict()


def test_norms_that_were_frozen_or_folded_away_are_no_sign_of_an_untrained_network():
    folded = build_encoder(VIT, 1).state_dict()
    folded |= {name: value + 0.3 for name, value in folded.items() if name.endswith("qkv.bias")}
    assert not untrained(folded)
    frozen = build_encoder("resnet18-w16", 1).state_dict()
    frozen["layer3.0.bn2.running_mean"] = frozen["layer3.0.bn2.running_mean"] + 0.1
    assert not untrained(frozen)


def test_an_untrained_network_is_taken_where_it_is_asked_for_and_its_card_says_so(tmp_path):
    from eden_bench.weights.file_method import FileConfig, FileWeights
    from eden_bench.weights.importing import write

    torch.save(build_encoder("resnet18-w16", 4).state_dict(), tmp_path / "new.pth")
    with pytest.raises(WeightsRefused, match=r"new\.pth: this resnet18-w16 was never trained"):
        import_weights(tmp_path / "new.pth")
    taken = import_weights(tmp_path / "new.pth", untrained=True)
    checkpoint = write(taken, tmp_path / "new.pth", "new", tmp_path / "folder")
    assert checkpoint.card["imported"]["coverage"]["untrained"] is True
    brought = type("New", (FileWeights,), {"file": str(tmp_path / "folder")})(FileConfig())
    assert brought.told()["from"].endswith("a checkpoint folder, untrained)")


@pytest.mark.parametrize(
    ("arch", "what"),
    [("resnet18-w16", "stride"), (VIT, "GELU"), (SWIN, "epsilon"), (DENSENET, "scale"), ("resnet20_cifar", "ResNet")],
)
def test_networks_of_equal_names_that_compute_something_else_are_named(arch, what):
    found, _ = find_encoder.find(weights(arch))
    assert what in _cover(found, _built(found), "file", ())[1].look_alikes
