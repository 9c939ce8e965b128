import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F  # noqa: N812

from baselines.densecl import DenseCLConfig, DenseEmbedder, dense_loss, from_fan_in, match_cells
from eden_bench.encoders import build_encoder, parameter_count
from tests.pretrain.tiny import method, train_step, views


def unit(*shape, seed=0):
    return F.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


@pytest.mark.trap("densecl", "identical views match each position with itself", "held")
def test_identical_views_match_each_position_with_itself():
    features, cells = unit(3, 49, 16), unit(3, 49, 8, seed=1)
    assert match_cells(features, features, cells).equal(cells)


@pytest.mark.trap("mistakes", "matching from key to query")
def test_a_permuted_key_is_matched_back():
    features, cells = unit(2, 9, 16), unit(2, 9, 8, seed=1)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(2))
    assert match_cells(features, features[:, order], cells[:, order]).equal(cells)


@pytest.mark.trap("mistakes", "matching from key to query")
@pytest.mark.trap("densecl", "(b) from query to key, not mutual, duplicates allowed", "held")
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), positions=st.integers(1, 9), others=st.integers(1, 9))
def test_matching_equals_a_loop_from_query_to_key(seed, positions, others):
    query, key = unit(2, positions, 5, seed=seed), unit(2, others, 5, seed=seed + 1)
    cells = unit(2, others, 4, seed=seed + 2)
    found = match_cells(query, key, cells)
    for b in range(2):
        for s in range(positions):
            similar = [float(query[b, s] @ key[b, t]) for t in range(others)]
            assert found[b, s].equal(cells[b, similar.index(max(similar))])


@pytest.mark.trap("densecl", "(b) from query to key, not mutual, duplicates allowed")
def test_a_key_cell_may_serve_every_position():
    query = torch.tensor([[[1.0, 0.0], [0.8, 0.6]]])
    key = torch.tensor([[[1.0, 0.0], [-1.0, 0.0]]])
    cells = torch.tensor([[[1.0], [2.0]]])
    assert match_cells(query, key, cells).flatten().tolist() == [1, 1]


@pytest.mark.trap("densecl", "all outputs of unit length over channels; a cell a position", "held")
@pytest.mark.trap(
    "densecl", "(f) `num_grid` without pooled backbone maps", "there is no such option: the 7 × 7 map is kept"
)
def test_embeddings_have_their_shapes_and_unit_length():
    made = method("densecl").student
    found = made(views().images[0])
    shapes = [tuple(part.shape) for part in found]
    assert shapes == [(8, 4, 128), (8, 8), (8, 4, 8), (8, 8)]
    for part in found:
        torch.testing.assert_close(part.norm(dim=-1), torch.ones(part.shape[:-1]))


def parts_of(network, images):
    """The steps of the forward pass, written out."""
    maps = network.encoder(images)
    dense = network.dense_head(maps)
    return maps, dense


@pytest.mark.trap("mistakes", "pooling after normalising")
@pytest.mark.trap("densecl", "(d) pooled before normalising", "held")
def test_the_pooled_key_is_the_mean_before_normalising():
    made = method("densecl").teacher.eval()
    images = views().images[0]
    _, dense = parts_of(made, images)
    expected = F.normalize(dense.mean(dim=(2, 3)), dim=1)
    wrong = F.normalize(F.normalize(dense, dim=1).mean(dim=(2, 3)), dim=1)
    found = made(images).pooled
    torch.testing.assert_close(found, expected)
    assert not torch.allclose(found, wrong, atol=1e-4)


@pytest.mark.trap("mistakes", "matching on projections")
@pytest.mark.trap("densecl", "(a) matching on backbone features, without gradient", "held")
def test_matching_uses_backbone_features():
    made = method("densecl").teacher.eval()
    images = views().images[0]
    maps, _ = parts_of(made, images)
    torch.testing.assert_close(made(images).features, F.normalize(maps.flatten(2).transpose(1, 2), dim=2))
    assert not made(images).features.requires_grad


def plain_losses(made, weight):
    """Both losses written from the formulas, image by image and position by position, in eval mode."""
    query_images, key_images = views().images
    q_maps, q_dense = parts_of(made.student, query_images)
    k_maps, k_dense = parts_of(made.teacher, key_images)
    whole, dense = [], []
    for b in range(len(q_maps)):
        q = F.normalize(made.student.global_head(q_maps[b].mean(dim=(1, 2))), dim=0)
        k = F.normalize(made.teacher.global_head(k_maps[b].mean(dim=(1, 2))), dim=0)
        whole.append(info_nce_by_hand(q, k, made.queue.keys))
        q_cells, k_cells = q_dense[b].flatten(1).T, k_dense[b].flatten(1).T
        q_features, k_features = q_maps[b].flatten(1).T, k_maps[b].flatten(1).T
        for s in range(len(q_cells)):
            match = max(
                range(len(k_cells)), key=lambda t: float(F.cosine_similarity(q_features[s], k_features[t], dim=0))
            )
            positive = F.normalize(k_cells[match], dim=0)
            dense.append(info_nce_by_hand(F.normalize(q_cells[s], dim=0), positive, made.dense_queue.keys))
    return (1 - weight) * torch.stack(whole).mean(), weight * torch.stack(dense).mean()


def info_nce_by_hand(q, k, queue, temperature=0.2):
    own = torch.exp(q @ k / temperature)
    return -torch.log(own / (own + torch.exp(q @ queue / temperature).sum()))


@pytest.mark.trap("mistakes", "the weight on the wrong term")
@pytest.mark.trap("densecl", "(1 − λ) global + λ dense, λ = 0.5")
@pytest.mark.trap("densecl", "(e) λ on its own term", "held")
@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_the_losses_are_the_formulas(weight):
    made = method("densecl", dense_weight=weight)
    train_step(made)
    made.eval()
    with torch.no_grad():
        whole, dense = plain_losses(made, weight)
        found = made.losses(views())
    torch.testing.assert_close(found["global"], whole, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found["dense"], dense, rtol=1e-4, atol=1e-5)


@pytest.mark.trap("densecl", "dense loss: mean over all positions", "held")
def test_dense_loss_is_the_mean_over_all_cells():
    made = method("densecl").eval()
    with torch.no_grad():
        queries, keys = made.student(views().images[0]), made.teacher(views().images[1])
        both = dense_loss(queries, keys, made.dense_queue.keys, 0.2)
        half = [type(queries)(*(p[i : i + 4] for p in queries)) for i in (0, 4)]
        other = [type(keys)(*(p[i : i + 4] for p in keys)) for i in (0, 4)]
        parts = [dense_loss(q, k, made.dense_queue.keys, 0.2) for q, k in zip(half, other, strict=True)]
    torch.testing.assert_close(both, sum(parts) / 2)


@pytest.mark.trap("densecl", "(c) the second queue holds pooled keys", "one an image")
def test_queues_store_one_global_and_one_pooled_key_an_image():
    made = method("densecl")
    made.losses(views())
    keys = made._keys
    made.after_step()
    torch.testing.assert_close(made.queue.keys[:, :8], keys.whole.T)
    torch.testing.assert_close(made.dense_queue.keys[:, :8], keys.pooled.T)
    assert int(made.queue.pointer) == int(made.dense_queue.pointer) == 8


@pytest.mark.trap("densecl", "(g) key maps come home from the shuffle", "held")
def test_shuffled_keys_come_home_with_their_maps():
    """Every part of the keys belongs to its own image, so one image alone gives the same part (in eval statistics)."""
    made = method("densecl")
    made.teacher.apply(lambda layer: setattr(layer, "momentum", 0.0) if hasattr(layer, "running_mean") else None)
    made.teacher.apply(lambda layer: layer.eval() if hasattr(layer, "running_mean") else None)
    made.losses(views())
    alone = made.teacher(views().images[1])
    for found, expected in zip(made._keys, alone, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.trap("densecl", "necks Linear and 1×1 convolution 2048-2048-128, no batch norm, Kaiming", "held")
def test_the_neck_has_no_batch_norm_and_kaiming_linears():
    neck = DenseEmbedder(build_encoder("resnet18", 0), 128)
    assert not any("bn" in name or "norm" in name for name, _ in neck.global_head.named_modules())
    first = neck.global_head[0]
    assert float(first.weight.detach().std()) == pytest.approx((2 / 512) ** 0.5, rel=0.02)
    assert not first.bias.any()
    assert parameter_count(neck.dense_head) == parameter_count(neck.global_head) == 512 * 512 + 512 + 512 * 128 + 128


@pytest.mark.parametrize("value", [-0.1, 1.5])
def test_a_weight_outside_the_unit_interval_is_refused(value):
    with pytest.raises(ValueError, match=rf"dense_weight must be in \[0, 1\], not {value}"):
        DenseCLConfig(dense_weight=value)


@pytest.mark.trap(
    "densecl",
    "backbone begins from Kaiming's fan-in (torchvision's: fan-out)",
    "held: the draws of the other methods, scaled",
)
@pytest.mark.trap("released code", "DenseCL's first backbone", "Kaiming's fan-in")
def test_the_backbone_begins_from_fan_in():
    made = method("densecl", arch="resnet50")
    for network in (made.student, made.teacher):
        convolutions = [layer.weight for layer in network.encoder.modules() if isinstance(layer, torch.nn.Conv2d)]
        assert len(convolutions) == 53
        for weight in convolutions:
            _, inputs, height, width = weight.shape
            expected = (2 / (inputs * height * width)) ** 0.5
            within = 5 / (2 * weight.numel()) ** 0.5  # five standard errors of a standard deviation
            assert weight.std().item() == pytest.approx(expected, rel=within)
            assert weight.mean().item() == pytest.approx(0, abs=5 * expected / weight.numel() ** 0.5)


def test_transformers_keep_their_own_initialisation():
    mine, other = build_encoder("vit_mini_patch8_64", 0), from_fan_in(build_encoder("vit_mini_patch8_64", 0))
    assert all(value.equal(other.state_dict()[key]) for key, value in mine.state_dict().items())
