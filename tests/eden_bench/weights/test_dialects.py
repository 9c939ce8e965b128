import re

import pytest
import torch
from safetensors.torch import save_file

from eden_bench.encoders import build_encoder
from eden_bench.errors import WeightsRefused
from eden_bench.weights.importing import import_weights
from tests.eden_bench.weights.dialects import DIALECTS, SWIN, VIT, bare, moco, nested, source, under, weights

pytestmark = pytest.mark.usefixtures("read_here")


@pytest.fixture
def save(tmp_path):
    def to(content, name="file.pth", **how):
        path = tmp_path / name
        save_file(content, path) if path.suffix == ".safetensors" else torch.save(content, path, **how)
        return path

    return to


def write(save, kind, change=lambda state, prefix: dict(state)):
    """Write a dialect's file, its encoder's dictionary changed; return what was written and the path."""
    made = DIALECTS[kind]()
    *folders, prefix = made.prefix.split("/")
    inner = made.content
    for folder in folders:
        inner = inner[folder]
    changed = change(inner, prefix)
    inner.clear()
    inner.update(changed)
    return made, save(made.content, "file.safetensors" if kind == "safetensors" else "file.pth", **made.how)


def renaming(*places):
    """Rename entries of the encoder, by their place among those that count."""

    def change(state, prefix):
        inside = re.compile(re.escape(prefix) + r"(layer|_?blocks|features\.dense)")
        own = [n for n in state if inside.match(n)]
        own = [n for n in own if not n.endswith(("num_batches_tracked", "index", "attn_mask"))]
        chosen = {own[place * len(own) // 100] for place in places}
        renamed = {f"{n}_x" if n in chosen else n: value for n, value in state.items()}
        if "encoder_q.0.layer1.0.conv1.weight" in state:  # DenseCL's alias holds the same
            renamed = {n: value for n, value in renamed.items() if not n.startswith("encoder_q.0.")}
        return renamed

    return change


def images(encoder):
    return torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


@pytest.mark.trap("adam", "loading trap: `module.encoder_q.` left half stripped", "prefixes are found whole")
@pytest.mark.trap(
    "moco-v2", "published files: keep `module.encoder_q.`, drop `fc`, key encoder and queue", "found by content"
)
@pytest.mark.parametrize("kind", DIALECTS)
def test_a_dialects_encoder_is_found_whole_and_acts_like_its_source(save, kind):
    made, path = write(save, kind)
    imported = import_weights(path)
    coverage = imported.coverage
    assert (coverage.arch, coverage.share, coverage.missing) == (made.arch, 1.0, ())
    assert (coverage.prefix, coverage.others) == (made.prefix, made.others)
    assert made.dialect in coverage.dialect
    assert coverage.lack == ""
    expected = source(made.arch)
    with torch.inference_mode():
        assert imported.encoder().eval().embed(images(expected)).equal(expected.embed(images(expected)))


@pytest.mark.parametrize("kind", DIALECTS)
def test_one_renamed_entry_is_found_and_named(save, kind):
    _, path = write(save, kind, renaming(50))
    coverage = import_weights(path).coverage
    (missing,) = coverage.missing
    assert 0.95 < coverage.share < 1
    assert any(name.endswith("_x") for name in coverage.unexpected)
    assert missing in coverage.lack
    assert "stay untrained" in coverage.lack


@pytest.mark.parametrize("kind", DIALECTS)
def test_several_renamed_entries_are_refused(save, kind):
    _, path = write(save, kind, renaming(*range(5, 95, 2)))
    with pytest.raises(WeightsRefused, match=r"file\.\w+: .*(expected at least 95%; missing: \w|is not in it)"):
        import_weights(path)


@pytest.mark.parametrize("arch", ["resnet18-w16", VIT, SWIN])
def test_whichever_entry_is_renamed_is_named(save, arch, monkeypatch):
    from eden_bench.weights import find_encoder, importing

    whole = weights(arch)
    built = source(arch)
    monkeypatch.setattr(importing, "build_encoder", lambda *_, **__: built)
    for name in [name for name in whole if not name.endswith("num_batches_tracked")]:
        renamed = {f"{key}_x" if key == name else key: value for key, value in whole.items()}
        found, _ = find_encoder.find(renamed)
        if name in ("patch_embed.proj.weight", "pos_embed"):  # without them the arch is not known
            with pytest.raises(WeightsRefused, match=f"{name} is not in it"):
                importing._built(found)
            continue
        _, coverage = importing._cover(found, importing._built(found), "file", ())
        assert coverage.missing == (name,)
        assert f"{name}_x" in coverage.unexpected


@pytest.mark.trap(
    "adam",
    "loading trap: stripping `encoder.` loads nothing into a U-Net, which then keeps ImageNet's weights",
    "coverage is counted, nothing is loaded in part",
)
def test_smps_names_are_never_half_loaded_as_in_the_readme(save):
    """Stripping "encoder." and loading into smp's encoder, whose names begin with it, matches nothing."""
    _, path = write(save, "smp unet")
    assert import_weights(path).coverage.matched == import_weights(path).coverage.expected
    strangers = {f"encoder.{name}_": value for name, value in weights().items()}
    with pytest.raises(WeightsRefused, match="no encoder that is known here is in its"):
        import_weights(save(strangers))


def test_a_query_that_still_equals_its_key_is_one_network_and_one_that_differs_late_is_two(save):
    made = moco()
    state = made.content["state_dict"]
    state |= {name.replace("encoder_q", "encoder_k"): value for name, value in state.items() if "encoder_q" in name}
    assert import_weights(save(made.content)).coverage.others == ()
    state["module.encoder_k.layer4.1.bn2.bias"] = torch.ones(128)
    coverage = import_weights(save(made.content)).coverage
    assert (coverage.prefix, coverage.others) == ("state_dict/module.encoder_q.", ("state_dict/module.encoder_k.",))


def test_two_networks_without_a_rule_are_refused_until_one_is_named(save):
    path = save({**under("left.", weights()), **under("right.", weights(seed=6))})
    with pytest.raises(WeightsRefused, match=r"2 networks in it, expected one: name its --prefix: 'left\.', 'right\.'"):
        import_weights(path)
    assert import_weights(path, prefix="right").coverage.others == ("left.",)
    with pytest.raises(WeightsRefused, match=r"prefix 'middle' is of 0 networks, expected one of: 'left\.'"):
        import_weights(path, prefix="middle")


def test_another_arch_than_asked_for_is_refused(save):
    with pytest.raises(WeightsRefused, match="are those of resnet18-w16, expected resnet50"):
        import_weights(save(weights()), arch="resnet50")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        pytest.param({"reg_token": torch.zeros(1, 4, 128)}, "1 entries inside its encoder .*reg_token", id="registers"),
        pytest.param(
            {f"blocks.{n}.ls{m}.gamma": torch.ones(128) for n in range(4) for m in (1, 2)},
            r"of no size that is known under DINOv2's own names, or timm's \(.*has shape \(128,\), expected",
            id="LayerScale",
        ),
        pytest.param({"pos_embed": torch.zeros(1, 66, 128)}, "a ViT of 66 positions", id="distillation token"),
        pytest.param({"pos_embed": torch.zeros(1, 65, 64)}, "a ViT of 65 positions", id="another width"),
        pytest.param(
            {"rel_pos_bias.relative_position_bias_table": torch.zeros(9, 4)}, "relative position bias", id="SimMIM"
        ),
        pytest.param({"norm_pre.weight": torch.ones(128)}, "norm_pre", id="norm before the blocks"),
    ],
)
def test_a_vit_that_ours_is_not_is_refused(save, change, match):
    with pytest.raises(WeightsRefused, match=match):
        import_weights(save({**weights(VIT), **change}))


@pytest.mark.trap(
    "simmim",
    "ViT variant: shared relative-position bias, LayerScale, drop path",
    "not built: absolute positions; such weights are refused",
)
def test_simmims_vit_is_refused_for_its_position_bias(save):
    own = {name: value for name, value in weights(VIT).items() if name != "pos_embed" and "qkv.bias" not in name}
    own |= {"rel_pos_bias.relative_position_bias_table": torch.zeros(732, 4)}
    own |= {f"blocks.{n}.{name}": torch.ones(128) for n in range(4) for name in ("gamma_1", "attn.q_bias")}
    with pytest.raises(WeightsRefused, match=r"a ViT with relative position bias .*SimMIM's"):
        import_weights(save({"model": under("encoder.", own)}))


def test_swin_of_version_2_of_no_known_size_is_refused(save):
    own = {name: value for name, value in weights(SWIN).items() if "bias_table" not in name}
    own |= {"layers.0.blocks.0.attn.cpb_mlp.0.weight": torch.zeros(512, 2)}
    with pytest.raises(WeightsRefused, match=r"of no size that is known under (Swin's own names|timm's names of Swin)"):
        import_weights(save(own))


@pytest.mark.parametrize(
    ("extra", "match"),
    [
        ({f"layer{n}.0.se.fc1.weight": torch.ones(4) for n in (1, 2)}, r"2 entries inside .*layer1\.0\.se\.fc1"),
        ({"layer1.0.conv1.weight": torch.zeros(16, 8, 3, 3)}, r"conv1\.weight has shape \(16, 8, 3, 3\), expected"),
        ({"layer4.9.conv1.weight": torch.zeros(1)}, r"a ResNet of \(2, 2, 2, 10\) blocks"),
        ({"bn1.bias": torch.zeros(5000)}, "a ResNet of .* width 5000"),
        ({"conv1.weight": torch.zeros(16, 2, 7, 7)}, r"conv1\.weight has shape \(16, 2, 7, 7\), expected \(16, 3,"),
        ({"conv1.weight": torch.zeros(16, 1, 7, 7, 7)}, "a network for volumes .*3 spatial axes"),
    ],
)
def test_a_resnet_that_ours_is_not_is_refused(save, extra, match):
    with pytest.raises(WeightsRefused, match=match):
        import_weights(save({**weights(), **extra}))


def test_transvws_published_network_for_volumes_is_refused(save):
    names = [f"module.down_tr{n}.ops.{m}.conv1.weight" for n in (64, 128, 256, 512) for m in (0, 1)]
    state = {name: torch.zeros(4, 4, 3, 3, 3) for name in names} | {"module.classficationNet.weight": torch.zeros(4)}
    with pytest.raises(WeightsRefused, match=r"for volumes \(state_dict/module\.down_tr.* has 3 spatial axes\)"):
        import_weights(save({"state_dict": state, "epoch": 9}))


def test_a_grey_first_layer_is_spread_and_said(save):
    grey = weights()
    grey["conv1.weight"] = grey["conv1.weight"].sum(1, keepdim=True)
    imported = import_weights(save(grey))
    assert imported.coverage.reshaped == (
        "conv1.weight: one grey input channel, spread evenly over three (each a third)",
    )
    assert torch.allclose(imported.weights["conv1.weight"].sum(1, keepdim=True), grey["conv1.weight"], atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_are_cast(save, dtype):
    stored = {k: v.to(dtype) if v.is_floating_point() else v for k, v in weights().items()}
    imported = import_weights(save(stored))
    for name, value in imported.weights.items():
        assert value.dtype is weights()[name].dtype
        assert value.equal(stored[name].to(value.dtype))


@pytest.mark.trap("inputs", "half precision that overflowed", "called overflow")
@pytest.mark.parametrize(
    ("value", "match"),
    [
        (torch.full((16, 3, 7, 7), torch.nan), r"conv1\.weight holds values that are not finite"),
        (torch.full((16, 3, 7, 7), 1e300, dtype=torch.float64), "not finite"),
        (torch.zeros(16, 3, 7, 7, dtype=torch.complex64), "holds complex64, expected real numbers"),
        (torch.zeros(16, 3, 7, 7, dtype=torch.int8), "holds int8, expected real numbers"),
        (
            torch.full((16, 3, 7, 7), 1e6).half(),
            r"conv1\.weight overflowed in half precision, which ends at 65,504: export",
        ),
        (torch.full((16, 3, 7, 7), torch.nan).half(), "not finite"),
        (torch.full((16, 3, 7, 7), 3e38), "its activations are not finite"),
    ],
)
def test_weights_that_are_no_finite_numbers_are_refused(save, value, match):
    with pytest.raises(WeightsRefused, match=match):
        import_weights(save({**weights(), "conv1.weight": value}))


def test_a_network_that_is_dead_or_untrained_is_refused(save):
    dead = {name: torch.zeros_like(value) for name, value in weights().items()}
    with pytest.raises(WeightsRefused, match="the same for any image"):
        import_weights(save(dead))
    with pytest.raises(WeightsRefused, match=r"this resnet18-w16 was never trained: all its norms .*--untrained"):
        import_weights(save(build_encoder("resnet18-w16", seed=0).state_dict()))


def test_a_shuffled_checkpoint_has_another_fingerprint(save):
    whole = weights()
    first = import_weights(save(whole)).fingerprint
    assert first == import_weights(save({"state_dict": under("module.", whole)})).fingerprint
    name = "layer3.0.conv2.weight"
    whole[name] = whole[name].flatten()[torch.randperm(whole[name].numel())].reshape(whole[name].shape)
    assert import_weights(save(whole)).fingerprint != first


def test_full_size_archs_are_told_apart_by_their_shapes_alone():
    from eden_bench.weights.find_encoder import find

    for arch in ("resnet34", "resnet50", "resnet50-w32", "vit_small_patch16_224", "swin_tiny_patch4_window7_224"):
        found, _ = find(build_encoder(arch, seed=1).state_dict())
        assert found.family.arch(found.weights) == arch


def test_an_unknown_network_is_named_with_what_it_holds(save):
    with pytest.raises(WeightsRefused, match=r"its 2 tensors \(stages\.0\.weight, stages\.1\.weight, …\), expected a"):
        import_weights(save({f"stages.{n}.weight": torch.zeros(3) for n in (0, 1)}))


def test_a_prefix_nobody_has_listed_is_read_too(save):
    made = nested("deep.net_of_mine.", "a", "b")
    assert import_weights(save(made.content)).coverage.prefix == "a/b/deep.net_of_mine."
    assert bare().prefix == ""
