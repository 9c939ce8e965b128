"""What holds for every pretrained method, ours or another's: parametrised over the registry."""

import copy

import pytest
import torch

from eden_bench import registry
from eden_bench.contracts import MethodCard, PretrainConfig
from tests.pretrain.tiny import TINY, TINY_OF, config, method, train_step, views

METHODS = [name for name in registry.methods.names() if hasattr(registry.methods.get(name), "losses")]
WITH_TEACHER = [name for name in METHODS if any("teacher" in key for key in method(name).state_dict())]

PAPER = {
    "adam": {
        "arch": "resnet50",
        "size_px": 224,
        "epochs": 200,
        "batch_size": 256,
        "lr": 0.03,
        "momentum": 0.9,
        "weight_decay": 1e-4,
        "warmup_epochs": 0,
        "select": "best",
        "queue_size": 65_536,
        "teacher_momentum": 0.999,
        "temperature": 0.2,
        "embedding_dim": 128,
        "bn_groups": 4,
        "levels": (0, 2, 4),
        "decomposition": "recursive",
        "pruning_threshold": 0.8,
    },
}
_SHARED = {k: v for k, v in PAPER["adam"].items() if k not in ("levels", "decomposition", "pruning_threshold")}
PAPER["moco-v2"] = _SHARED | {"augmentation": "moco"}
PAPER["densecl"] = _SHARED | {"dense_weight": 0.5}
PAPER["simmim"] = {
    "arch": "swin_base_patch4_window6_192",
    "size_px": 192,
    "epochs": 100,
    "batch_size": 256,
    "lr": 2e-4 * 256 / 512,
    "momentum": 0.9,
    "beta2": 0.999,
    "weight_decay": 0.05,
    "warmup_epochs": 10,
    "final_lr_share": 1e-5 / 2e-4,
    "clip_norm": 5,
    "mask_unit_px": 32,
    "mask_ratio": 0.6,
    "crop_scale": (0.67, 1.0),
}
PAPER["medical-mae"] = {
    "arch": "vit_base_patch16_224",
    "size_px": 224,
    "epochs": 800,
    "batch_size": 256,
    "lr": 1.5e-4 * 256 / 256,
    "momentum": 0.9,
    "beta2": 0.95,
    "weight_decay": 0.05,
    "warmup_epochs": 40,
    "mask_ratio": 0.9,
    "norm_pix_loss": False,
    "decoder_dim": 512,
    "decoder_blocks": 8,
    "decoder_heads": 16,
    "crop_scale": (0.5, 1.0),
}


def last_stage(name):
    return len(config(name).stages) - 1


def every_stage(names):
    return [(name, stage) for name in names for stage in sorted({0, last_stage(name)})]


def teachers(made):
    return [module for name, module in made.named_modules() if name.split(".")[-1] == "teacher"]


def test_the_registry_holds_what_this_file_tests():
    assert {"adam", "densecl", "moco-v2"} <= set(METHODS)
    assert {"adam", "densecl", "moco-v2"} <= set(WITH_TEACHER)


@pytest.mark.parametrize("name", METHODS)
def test_defaults_are_the_papers(name):
    defaults = registry.methods.get(name).Config()
    assert isinstance(defaults, PretrainConfig)
    for field, value in PAPER.get(name, {}).items():
        assert getattr(defaults, field) == value, field


@pytest.mark.parametrize("name", METHODS)
def test_the_card_says_where_it_comes_from(name):
    card = registry.methods.get(name).card
    assert isinstance(card, MethodCard)
    assert card.paper
    assert card.licence


@pytest.mark.parametrize(("name", "stage"), every_stage(METHODS))
def test_losses_are_finite_scalars(name, stage):
    made = method(name, stage=stage)
    for turn in made.optimisers():
        for loss in made.losses(views(of=made), turn).values():
            assert loss.shape == ()
            assert torch.isfinite(loss)


@pytest.mark.parametrize(("name", "stage"), every_stage(METHODS))
def test_gradients_reach_all_of_the_student_and_nothing_of_the_teacher(name, stage):
    made = method(name, stage=stage)
    train_step(made)  # a residual branch that begins as zero passes no gradient on before its first step
    made.zero_grad()
    for turn in made.optimisers():
        sum(made.losses(views(of=made), turn).values()).backward()
    trained = {id(p) for optimiser in made.optimisers().values() for g in optimiser.param_groups for p in g["params"]}
    for key, parameter in made.named_parameters():
        if id(parameter) in trained:
            assert parameter.grad is not None, key
            assert parameter.grad.abs().max() > 0, key
        else:
            assert parameter.grad is None, key
    for teacher in teachers(made):
        assert not trained & {id(parameter) for parameter in teacher.parameters()}


@pytest.mark.parametrize("name", WITH_TEACHER)
def test_the_keys_come_from_the_teacher(name):
    made = method(name)
    before = sum(made.losses(views(of=made)).values())
    with torch.no_grad():
        for teacher in teachers(made):
            for seed, parameter in enumerate(teacher.parameters()):
                parameter += torch.randn(parameter.shape, generator=torch.Generator().manual_seed(seed))
    assert not sum(made.losses(views(of=made)).values()).isclose(before)


@pytest.mark.parametrize("name", METHODS)
def test_the_same_seed_gives_the_same_bytes(name):
    first, second = method(name, seed=3), method(name, seed=3)
    assert [train_step(first, seed=s) for s in range(3)] == [train_step(second, seed=s) for s in range(3)]
    assert all(value.equal(second.state_dict()[key]) for key, value in first.state_dict().items())


@pytest.mark.parametrize("name", METHODS)
def test_another_seed_gives_other_weights(name):
    first, second = method(name, seed=3), method(name, seed=4)
    weights = [key for key, value in first.encoder.named_parameters() if value.ndim > 1 and value.requires_grad]
    assert not any(first.encoder.state_dict()[key].equal(second.encoder.state_dict()[key]) for key in weights)


@pytest.mark.parametrize("name", [name for name in METHODS if config(name).arch == TINY["arch"]])
def test_all_methods_begin_from_the_same_encoder(name):
    mine, adam = method(name).encoder.state_dict(), method("adam").encoder.state_dict()
    filters = [key for key, value in mine.items() if value.ndim > 1]  # VICRegL zeroes some of batch norm's scales
    if name == "densecl":  # which scales the same draws from fan-out to fan-in
        adam |= {key: adam[key] * (len(adam[key]) / adam[key].shape[1]) ** 0.5 for key in filters}
    assert all(mine[key].equal(adam[key]) for key in filters)


@pytest.mark.parametrize(("name", "stage"), every_stage(METHODS))
def test_a_reloaded_state_gives_the_same_next_loss(name, stage):
    made = method(name, stage=stage)
    for seed in range(3):
        train_step(made, seed)
    other = method(name, seed=9, stage=stage)
    other.load_state_dict(made.state_dict())
    assert train_step(other, seed=5) == train_step(made, seed=5)


@pytest.mark.parametrize("name", METHODS)
def test_validation_changes_nothing(name):
    made = method(name)
    train_step(made)
    kept = copy.deepcopy(made.state_dict())
    made.eval()
    with torch.no_grad():
        first = sum(made.losses(views(of=made)).values())
        again = sum(made.losses(views(of=made)).values())
    assert first.equal(again)
    assert all(value.equal(kept[key]) for key, value in made.state_dict().items())
    made.train()
    made.after_step()
    queues = [key for key in kept if key.endswith(("queue.keys", "queue.pointer"))]
    assert all(made.state_dict()[key].equal(kept[key]) for key in queues)


@pytest.mark.parametrize("name", METHODS)
def test_the_loss_stands_on_the_queue_before_its_own_keys_enter(name):
    made = method(name)
    first = {key: float(loss.detach()) for key, loss in made.losses(views(of=made)).items()}
    assert {key: float(loss.detach()) for key, loss in made.losses(views(of=made)).items()} == pytest.approx(first)


@pytest.mark.parametrize("name", METHODS)
def test_two_recipes_of_the_configured_size_make_the_views(name):
    for stage in config(name).stages:
        recipes = method(name).recipes(stage)
        assert {recipe.size_px for recipe in recipes} == {64}


@pytest.mark.parametrize("name", METHODS)
def test_steps_lower_the_loss_on_one_batch(name):
    made = method(name, **{"lr": 0.05} | TINY_OF.get(name, {}))
    optimisers = made.optimisers()
    losses = []
    for _ in range(12):
        for turn, optimiser in optimisers.items():
            loss = sum(made.losses(views(of=made), turn).values())
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
