"""What holds for every pretrained method: the contract's checks, at tiny sizes, and what is asked of ours alone."""

import pytest

from eden_bench import registry
from eden_bench.contracts.members import is_source
from eden_bench.plugins.conformance.methods import checks_on_noise
from tests.pretrain.tiny import SHARED, config, data, method, own_values, views

METHODS = [name for name in registry.methods.names() if not is_source(registry.methods.get(name))]

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


WITH_TEACHER = {"adam", "densecl", "dira", "moco-v2", "pcrl"}
"""The others of ours have none; a method whose check of its teacher finds none passes it."""


def test_the_registry_holds_what_this_file_tests():
    found = {name for name in METHODS if any(key.endswith("teacher") for key, _ in method(name).named_modules())}
    assert found >= WITH_TEACHER


@pytest.mark.trap(
    "methods",
    "common setup: 224 px, batch 256, queue 65,536, τ 0.2, m 0.999",
    "as methods with a queue have them (PCRL's own below)",
)
@pytest.mark.trap("densecl", "(1 − λ) global + λ dense, λ = 0.5", "value, and formula at 0, 0.3 and 1")
@pytest.mark.trap(
    "simmim",
    (
        "Swin-B 192 px window 6, AdamW 1e-4 at batch 256, decay 0.05, clip 5, 100 epochs, warm-up 10, ratio 0.6, "
        "crop 0.67"
    ),
    "held",
)
@pytest.mark.trap(
    "medical-mae",
    ("ViT-B/16, decoder 512-8-16, AdamW 1.5e-4 at batch 256, β₂ 0.95, decay 0.05, 800 epochs, warm-up 40, ratio 0.9"),
    "held",
)
@pytest.mark.parametrize("name", PAPER)
def test_defaults_are_the_papers(name):
    defaults = registry.methods.get(name).Config()
    assert {field: getattr(defaults, field) for field in PAPER[name]} == PAPER[name]


@pytest.mark.trap("methods", "one batch lowers the loss; losses are finite")
@pytest.mark.trap("methods", "gradients reach the student and never the teacher", "all of the one, none of the other")
@pytest.mark.trap("methods", "same seed, same bytes; all begin from one encoder", "held; DenseCL scales its draws")
@pytest.mark.trap(
    "methods", "validation moves teacher or queue (official code of Adam and DiRA)", "it changes nothing here"
)
@pytest.mark.trap("mistakes", "the teacher's path calls the student")
@pytest.mark.trap("mistakes", "the queue is not in the checkpoint")
@pytest.mark.parametrize(
    ("name", "check"), [(name, check) for name in METHODS for check in checks_on_noise(name, config(name), data)],
    ids=lambda given: given if isinstance(given, str) else given[0],
)  # fmt: skip
def test_it_keeps_the_contract(name, check):
    _, run = check
    run()


@pytest.mark.trap("methods", "same seed, same bytes; all begin from one encoder")
@pytest.mark.parametrize("name", [name for name in METHODS if config(name).arch == SHARED["arch"]])
def test_all_methods_begin_from_the_same_encoder(name):
    mine, adam = method(name).encoder.state_dict(), method("adam").encoder.state_dict()
    filters = [key for key, value in mine.items() if value.ndim > 1]  # VICRegL zeroes some of batch norm's scales
    if name == "densecl":  # which scales the same draws from fan-out to fan-in
        adam |= {key: adam[key] * (len(adam[key]) / adam[key].shape[1]) ** 0.5 for key in filters}
    assert all(mine[key].equal(adam[key]) for key in filters)


@pytest.mark.trap("adam", "logits first, enqueue second", "held")
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


@pytest.mark.trap("methods", "one batch lowers the loss; losses are finite", "every method, first and last stage")
@pytest.mark.parametrize("name", METHODS)
def test_steps_lower_the_loss_on_one_batch(name):
    made = method(name, **{"lr": 0.05} | own_values(name))
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
