"""SimSiam's formulas by hand and by loop, its heads and its traps."""

import math

import pytest
import torch

from baselines.simsiam import Predicted, SimSiamConfig, make_predictor, make_projector, negative_cosine, symmetric_loss
from eden_bench.encoders import parameter_count
from tests.pretrain.tiny import config, method, train_step, views

TINY = {"projection_dim": 16, "predictor_dim": 4}


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def plain_loss(p1, z1, p2, z2):
    """Eq. 1 and 4 in Python's own numbers, image by image."""

    def negative(p, z):
        dot = sum(a * b for a, b in zip(p, z, strict=True))
        return -dot / math.sqrt(sum(a * a for a in p)) / math.sqrt(sum(b * b for b in z))

    rows = zip(p1.tolist(), z1.tolist(), p2.tolist(), z2.tolist(), strict=True)
    losses = [negative(a, d) / 2 + negative(c, b) / 2 for a, b, c, d in rows]
    return sum(losses) / len(losses)


@pytest.mark.trap("simsiam", "negative cosine, symmetrised, mean over the batch", "held")
def test_two_vectors_at_sixty_degrees_by_hand():
    p, z = torch.tensor([[3.0, 0.0]]), torch.tensor([[1.0, math.sqrt(3)]])
    assert float(negative_cosine(p, z)) == pytest.approx(-0.5)
    assert float(negative_cosine(p, -p)) == pytest.approx(1)
    assert float(symmetric_loss(Predicted(p, z), Predicted(z, p))) == pytest.approx((-1 - 1) / 2)


@pytest.mark.parametrize("seed", range(4))
def test_the_loss_is_the_plain_loop(seed):
    p1, z1, p2, z2 = noise(4, 5, 7, seed=seed)
    found = symmetric_loss(Predicted(z1, p1), Predicted(z2, p2))
    assert float(found) == pytest.approx(plain_loss(p1, z1, p2, z2), rel=1e-5)


def test_the_methods_loss_is_the_loop_over_its_own_network():
    made, batch = method("simsiam").eval(), views()
    with torch.no_grad():
        found = made.losses(batch)["similarity"]
        zs = [made.student.projector(made.encoder(image).mean(dim=(2, 3))) for image in batch.images]
        ps = [made.student.predictor(z) for z in zs]
    assert float(found) == pytest.approx(plain_loss(ps[0], zs[0], ps[1], zs[1]), rel=1e-4)


def test_the_length_of_neither_vector_matters_and_the_views_may_change_places():
    p1, z1, p2, z2 = noise(4, 5, 7)
    loss = symmetric_loss(Predicted(z1, p1), Predicted(z2, p2))
    assert symmetric_loss(Predicted(3 * z1, 5 * p1), Predicted(7 * z2, 2 * p2)).allclose(loss)
    assert symmetric_loss(Predicted(z2, p2), Predicted(z1, p1)).allclose(loss)


def test_a_collapsed_network_has_the_lowest_loss_so_no_epoch_is_chosen_by_it():
    same = torch.ones(5, 7)
    assert float(symmetric_loss(Predicted(same, same), Predicted(same, same))) == pytest.approx(-1)
    assert config("simsiam").select == "last"


@pytest.mark.trap("simsiam", "stop-gradient on the predicted projection", "held")
def test_no_gradient_flows_through_the_projection_that_is_predicted():
    p1, z1, p2, z2 = (each.requires_grad_() for each in noise(4, 5, 7).unbind())
    symmetric_loss(Predicted(z1, p1), Predicted(z2, p2)).backward()
    assert z1.grad is None
    assert z2.grad is None
    assert p1.grad.any()
    assert p2.grad.any()


@pytest.mark.trap("simsiam", "the encoder learns through the predictor alone", "held")
def test_the_encoder_learns_through_the_predictor_alone():
    made = method("simsiam")
    with torch.no_grad():
        made.student.predictor[3].weight.zero_()  # a prediction that is the same for all images
    made.losses(views())["similarity"].backward()
    assert not any(p.grad.any() for p in made.encoder.parameters())
    assert made.student.predictor[3].bias.grad.any()


@pytest.mark.trap("simsiam", "projector: three layers, batch norm on all, no last ReLU", "held")
def test_the_projector_has_batch_norm_on_all_three_layers_and_no_last_relu():
    names = [type(layer).__name__ for layer in make_projector(6, 5)]
    assert names == ["Linear", "BatchNorm1d", "ReLU"] * 2 + ["Linear", "BatchNorm1d"]
    assert [layer.out_features for layer in make_projector(6, 5) if hasattr(layer, "out_features")] == [6, 6, 5]
    assert [layer.affine for layer in make_projector(6, 5) if hasattr(layer, "affine")] == [True, True, False]


@pytest.mark.trap("simsiam", "predictor: a bottleneck, output without batch norm and ReLU", "held")
def test_the_predictor_is_a_bottleneck_whose_output_has_neither_batch_norm_nor_relu():
    layers = make_predictor(8, 2)
    assert [type(layer).__name__ for layer in layers] == ["Linear", "BatchNorm1d", "ReLU", "Linear"]
    assert (layers[0].out_features, layers[3].out_features) == (2, 8)
    assert layers[3].bias is not None


def test_defaults_are_the_papers():
    made = SimSiamConfig()
    assert (made.lr, made.batch_size, made.momentum, made.weight_decay) == (0.05, 512, 0.9, 1e-4)
    assert (made.arch, made.size_px, made.projection_dim, made.predictor_dim) == ("resnet50", 224, 2048, 512)
    assert made.projection_dim == 4 * made.predictor_dim
    assert made.select == "last"
    assert parameter_count(make_projector(2048, 2048)) == 3 * 2048**2 + 2 * 2 * 2048
    assert parameter_count(make_predictor(2048, 512)) == 2 * 2048 * 512 + 2 * 512 + 2048


@pytest.mark.trap("simsiam", "lr 0.05 at a batch of 256, half a cosine", "held, linear in the batch")
@pytest.mark.parametrize(("batch_size", "lr"), [(256, 0.05), (512, 0.1), (8, 0.05 / 32)])
def test_the_rate_follows_the_batch_and_half_a_cosine(batch_size, lr):
    made = method("simsiam", batch_size=batch_size)
    (group,) = made.optimisers()["main"].param_groups
    assert group["lr"] == pytest.approx(lr)
    assert len(group["params"]) == len(list(made.parameters()))
    assert [made.schedule("main").factor(epoch, 100) for epoch in (0, 50, 100)] == pytest.approx([1, 0.5, 0])


@pytest.mark.trap("simsiam", "weight decay on biases and batch norm too", "held")
def test_weight_decay_is_on_biases_and_batch_norm_too():
    (group,) = method("simsiam").optimisers()["main"].param_groups
    assert group["weight_decay"] == 1e-4


@pytest.mark.trap("simsiam", "residual blocks begin as the identity", "held")
def test_every_residual_block_begins_as_the_identity():
    scales = [value for key, value in method("simsiam").encoder.state_dict().items() if key.endswith("bn2.weight")]
    assert scales
    assert not any(scale.any() for scale in scales)


def test_views_are_moco_v2s_or_adams():
    (stage,) = config("simsiam").stages
    assert method("simsiam").recipes(stage) == method("moco-v2").recipes(stage)
    adams = method("adam").recipes(stage)
    assert method("simsiam", augmentation="adam").recipes(stage) == adams


def test_only_encoder_and_heads_are_kept_between_steps():
    made = method("simsiam")
    train_step(made)
    assert {key.split(".")[1] for key in made.state_dict()} == {"encoder", "projector", "predictor"}
    assert -1 <= train_step(made, seed=1) <= 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"predictor_dim": 0}, "predictor_dim must be at least 1, not 0"),
        ({"projection_dim": 0}, "projection_dim must be at least 1, not 0"),
        ({"bn_groups": 5, "batch_size": 8}, r"batch_size must be at least 2 \* bn_groups = 10, not 8"),
        ({"augmentation": "none"}, "augmentation must be 'moco' or 'adam', not 'none'"),
    ],
)
def test_nonsense_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        SimSiamConfig(**changes)
