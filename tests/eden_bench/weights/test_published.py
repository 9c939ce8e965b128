"""Each published layout: forward equal to timm's after a round trip, and one renamed key named."""

import functools
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from eden_bench.encoders import build_encoder
from eden_bench.errors import UsageError, WeightsRefused
from eden_bench.weights import families, find_encoder, fitting
from eden_bench.weights.importing import import_weights
from tests.eden_bench.weights import published

CASES = published.cases()
pytestmark = pytest.mark.usefixtures("read_here")


@functools.cache
def made(kind):
    """timm's small network and the file that holds it."""
    case = CASES[kind]
    network = published.build(case)
    return network, published.content(case, network.state_dict())


@pytest.fixture
def small(request, monkeypatch):
    """Let the family of a case know its small network in place of its own, and the others theirs."""
    kind = request.node.callspec.params["kind"]
    known = tuple(replace(one, networks=networks(one, CASES[kind])) for one in families.load())
    monkeypatch.setattr(families, "load", lambda: known)


def networks(family, case):
    names = {arch.partition("@")[0] for arch in family.networks}
    others = [other.small_arch for other in CASES.values() if other.network in names]
    return (case.small_arch,) if case.network in names else tuple(others[:1])


def images(size_px):
    return torch.randn(2, 3, size_px, size_px, generator=torch.Generator().manual_seed(1))


def saved(content, tmp_path, name="file.pth"):
    torch.save(content, tmp_path / name)
    return tmp_path / name


def theirs(network, x):
    """timm's maps, the last after the norm, and embedding."""
    last, maps = network.forward_intermediates(x)
    if last.ndim == 3:
        last = last[:, network.num_prefix_tokens :].transpose(1, 2).reshape(maps[-1].shape)
    elif last.shape != maps[-1].shape or getattr(network, "output_fmt", "") == "NHWC":
        last = last.permute(0, 3, 1, 2)
    features = network.forward_features(x)
    return [*maps[:-1], last], network.forward_head(features, pre_logits=True), features


@pytest.mark.trap(
    "inputs",
    "RAD-DINO, MAIRA-2, CheXFound, RETFound's DINOv2, DINOv3, EVA-X, ConvNeXt, Swin of version 2",
    "read wholly, equal to timm's; else refused with the entry found and the one expected",
)
@pytest.mark.parametrize("kind", CASES)
@torch.inference_mode()
def test_a_published_layout_computes_what_timm_does_after_a_round_trip(kind, tmp_path, small):
    case, (network, content) = CASES[kind], made(kind)
    imported = import_weights(saved(content, tmp_path))
    assert imported.coverage.arch == case.small_arch
    assert (imported.coverage.prefix, imported.coverage.share) == (case.prefix, 1)
    encoder, x = imported.encoder().eval(), images(case.size_px)
    maps, embedding, features = theirs(network, x)
    assert encoder.embed(x).allclose(embedding, atol=1e-5)
    for one, other in zip(encoder.maps(x), maps, strict=True):
        assert one.allclose(other, atol=1e-5)
    if getattr(network, "num_prefix_tokens", 0) and not isinstance(network.norm, torch.nn.Identity):
        assert encoder.class_token(x).allclose(features[:, 0], atol=1e-5)


@pytest.mark.parametrize("kind", CASES)
def test_a_file_of_full_size_has_exactly_the_keys_of_its_network(kind):
    """Shapes alone: tensors that share one zero."""
    case = CASES[kind]
    with torch.device("meta"):
        state = published.timm.create_model(case.network, num_classes=0, **case.whole).state_dict()
    empty = {name: torch.zeros(()).expand(value.shape) for name, value in state.items()}
    own = written_at_full_size(case, empty)
    found = find_encoder._published({case.prefix + name: value for name, value in own.items()}, families.load())
    (one,) = [one for one in found if one.prefix == case.prefix]
    tried = [attempt for family in one.known for attempt in fitting._attempts(family, one.weights, None)]
    whole = {attempt.arch for attempt in tried if attempt.fit.is_whole}
    assert whole == {case.whole_arch}


def written_at_full_size(case, state):
    if case.network.startswith("swinv2"):
        windows = (16,) * 4
        tables = {n: v for n, v in published.swin_v2(state, windows).items() if n.endswith("relative_coords_table")}
        return {**state, **tables} if case.write is published.with_tables else published.swin_v2(state, windows)
    return case.write(state)


def inner(case, content):
    """The dictionary in which the encoder is."""
    for folder in case.prefix.split("/")[:-1]:
        content = content[folder]
    return content


@pytest.mark.parametrize("kind", CASES)
def test_one_renamed_key_is_refused_and_both_names_are_said(kind, small):
    case, (network, content) = CASES[kind], made(kind)
    whole = flat(content)
    names = [case.prefix + name for name in case.write(network.state_dict()) if not passed_over(name)]
    for name in (names[0], names[len(names) * 2 // 5], names[-2], names[-1]):
        changed = {f"{one}_x" if one == name else one: value for one, value in whole.items()}
        found, _ = find_encoder.find(changed)
        own = name.removeprefix(found.prefix)
        with pytest.raises(WeightsRefused) as refused:
            fitting.fitted(found.known, found.weights)
        expected = re.sub(r"^blocks\.\d\.(\d)", r"blocks.\1", own)  # in which chunk a block was is not known
        assert f"unknown: {own}_x; expected: {expected}" in str(refused.value)


def flat(content):
    """The file's tensors by path and name, as they are read."""
    return {
        path: value
        for name, part in content.items()
        for path, value in (
            {f"{name}/{n}": v for n, v in part.items()} if isinstance(part, dict) else {name: part}
        ).items()
    }


def passed_over(name):
    """What a file may as well not have."""
    return any(part in name for part in ("mask", "lm_head", "rope", "norms.3", "relative_"))


def altered(kind, change):
    """The file of a case, its encoder's dictionary changed."""
    case, (_, content) = CASES[kind], made(kind)
    changed = {name: dict(part) if isinstance(part, dict) else part for name, part in content.items()}
    change(inner(case, changed), case.prefix.rpartition("/")[2])
    return changed


def put(name, value):
    def change(held, prefix):
        held[prefix + name] = value(held.get(prefix + name))

    return change


def each_table(value):
    def change(held, prefix):
        held |= {name: value(held[name]) for name in held if name.endswith("relative_coords_table")}

    return change


def keys_with_a_bias(held, prefix):
    held["blocks.0.attn.qkv.bias"] = torch.ones(192)
    del held["blocks.0.attn.qkv.bias_mask"]


@pytest.mark.parametrize(
    ("kind", "change", "match"),
    [
        (
            "rad-dino",
            put("encoder.layer.0.attention.extra.weight", lambda _: torch.ones(64)),
            "unknown: encoder.layer.0.at",
        ),
        (
            "chexfound",
            put("blocks.0.0.attn.q_norm.weight", lambda _: torch.ones(64)),
            "unknown: blocks.0.0.attn.q_norm",
        ),
        ("dinov3-vit", put("norm_pre.weight", lambda _: torch.ones(64)), "unknown: norm_pre.weight"),
        ("adam-v2", put("stages.0.0.grn.gamma", lambda _: torch.ones(64)), "unknown: stages.0.0.grn.gamma"),
        (
            "dinov3-vit",
            put("rope_embed.periods", lambda old: old * 2),
            "periods has other values than rope.periods has",
        ),
        ("dinov3-vit", keys_with_a_bias, "attn.qkv.bias is not zero for the keys, expected zeros"),
        ("dinov3-convnext", put("norms.3.weight", lambda old: old + 1), "unknown: norms.3.weight"),
        ("popar", each_table(lambda old: old * 0.9), "relative_coords_table has other values than"),
        ("popar", each_table(lambda _: published.coordinates(7)), "unknown: layers.0.blocks.0.attn.relative_coords_t"),
        (
            "rad-dino",
            put("encoder.layer.0.attention.attention.query.weight", lambda _: torch.ones(())),
            "unknown: .*query",
        ),
        ("dinov3-vit", put("blocks.0.attn.qkv.bias", lambda _: torch.ones(())), r"unknown: blocks.0.attn.qkv.bias"),
        ("dinov3-vit", put("blocks.0.attn.qkv.bias_mask", lambda _: torch.ones(7)), r"unknown: blocks.0.attn.qkv.bias"),
        ("chexfound", put("cls_token", lambda _: torch.ones(1, 1, 65)), r"cls_token has shape \(1, 1, 65\), expected"),
        ("chexfound", put("cls_token", lambda _: torch.ones(1, 1, 1)), r"cls_token has shape \(1, 1, 1\), expected"),
        ("chexfound", put("pos_embed", lambda _: torch.ones(7)), r"pos_embed has shape \(7,\), expected"),
        (
            "rad-dino",
            put("layernorm.weight", lambda _: torch.ones(65)),
            r"norm.weight has shape \(65,\), expected \(64,",
        ),
    ],
)
def test_what_a_layout_does_not_explain_is_refused(kind, change, match, tmp_path, small):
    with pytest.raises(WeightsRefused, match=match):
        import_weights(saved(altered(kind, change), tmp_path))


@pytest.mark.parametrize("kind", ["eva-x, tiny"])
def test_what_is_left_out_is_said_with_its_reason(kind, tmp_path, small):
    told = import_weights(saved(made(kind)[1], tmp_path)).coverage.left_out
    assert "mask_token: stands for masked patches in pretraining alone" in told
    assert "lm_head.weight: predicts what was masked" in told
    assert len(told) == 5


@pytest.mark.parametrize("kind", ["popar"])
def test_a_swin_of_version_2_whose_window_nothing_tells_is_refused_until_it_is_named(kind, tmp_path, small):
    path, arch = saved(made(kind)[0].state_dict(), tmp_path), CASES[kind].small_arch
    with pytest.raises(
        WeightsRefused, match=r"has no relative_coords_table \(the window is in no other tensor\): name"
    ):
        import_weights(path)
    assert import_weights(path, arch=arch).coverage.arch == arch


@torch.inference_mode()
def test_any_other_of_timms_networks_is_read_when_it_is_named(tmp_path):
    import timm

    torch.manual_seed(0)
    network = timm.create_model("mobilenetv3_small_050", num_classes=0).eval()
    for value in network.parameters():
        value += 0.1 * torch.randn_like(value)
    held = {f"net.{name}": value for name, value in network.state_dict().items()}
    path = saved({"state_dict": held | {"net.head.weight": torch.zeros(4, 4)}}, tmp_path)
    imported = import_weights(path, arch="mobilenetv3_small_050@any")
    assert imported.coverage.prefix == "state_dict/net."
    assert imported.encoder().eval().embed(images(64)).allclose(network(images(64)), atol=1e-5)
    held["net.blocks.0.0.bn1.scale"] = held.pop("net.blocks.0.0.bn1.weight")
    with pytest.raises(WeightsRefused, match=r"unknown: blocks\.0\.0\.bn1\.scale; expected: blocks\.0\.0\.bn1\.weight"):
        import_weights(saved({"state_dict": held}, tmp_path), arch="mobilenetv3_small_050@any")


def test_every_familys_contract_is_what_its_encoders_do():
    for family in families.load():
        for model in family.models:
            with torch.device("meta"):
                encoder = build_encoder(model.network)
            assert encoder.reads == family.reads, model.name
            assert getattr(encoder, "size_px", model.size_px) == model.size_px
            assert not family.networks or model.network.split("@")[0] in {one.split("@")[0] for one in family.networks}
            assert len(model.mean) == len(model.std) == 3


def test_every_published_model_has_a_case_or_a_class_of_our_own():
    kinds = {kind.partition(",")[0] for kind in CASES}
    named = {model.name for family in families.load() for model in family.models if family.layouts}
    assert named == kinds
    with pytest.raises(UsageError, match=r"unknown model 'rad-dno'. Did you mean 'rad-dino'\?"):
        families.model("rad-dno")


def test_the_document_names_every_model():
    text = (Path(__file__).parents[3] / "docs" / "weights.md").read_text()
    assert [one.name for family in families.load() for one in family.models if f"`{one.name}`" not in text] == []
