import math
from dataclasses import replace

import pytest
import torch

from baselines.supervised_chestxray14 import SupervisedChestXray14, SupervisedConfig
from eden_bench.contracts import Context, ViewRecipe
from eden_bench.encoders import parameter_count
from eden_bench.errors import UsageError
from eden_bench.weights.checkpoints import Checkpoint
from pretrain.engine.pretraining import pretrain
from tests.pretrain.tiny import config, data, method, views

NAME = "supervised-chestxray14"


@pytest.mark.trap("supervised-chestxray14", "binary cross-entropy of each label; head N(0, 0.01), bias 0", "held")
def test_the_loss_is_binary_cross_entropy_on_each_label():
    made, batch = method(NAME).eval(), views()
    with torch.no_grad():
        chances = torch.sigmoid(made.head(made.encoder.embed(batch.images[0])))
        found = float(made.losses(batch)["labels"])
    terms = []
    for row, labels in zip(chances.tolist(), batch.labels.tolist(), strict=True):
        for chance, label in zip(row, labels, strict=True):
            terms.append(-math.log(chance) if label else -math.log(1 - chance))
    assert len(terms) == 8 * 14
    assert found == pytest.approx(sum(terms) / len(terms), rel=1e-5)


@pytest.mark.trap("supervised-chestxray14", "Adam 2e-4, batch 32, crop 0.08 to 1, flip, rotation 7°", "held")
def test_the_recipe_is_the_benchmarks():
    c = SupervisedConfig()
    assert (c.lr, c.batch_size, c.epochs, c.weight_decay, c.classes, c.select) == (2e-4, 32, 1000, 0, 14, "best")
    made = method(NAME, size_px=224, lr=2e-4)
    (recipe,) = made.recipes(c.stages[0])
    assert recipe == ViewRecipe(size_px=224, crop_scale=(0.08, 1.0), flip_p=0.5, rotation_deg=7.0)
    optimiser = made.optimisers()["main"]
    assert type(optimiser) is torch.optim.Adam
    assert (optimiser.defaults["lr"], optimiser.defaults["weight_decay"]) == (2e-4, 0)


@pytest.mark.trap("supervised-chestxray14", "binary cross-entropy of each label; head N(0, 0.01), bias 0")
def test_the_head_begins_small_and_without_bias():
    made = SupervisedChestXray14(SupervisedConfig(arch="resnet50"))
    assert float(made.head.weight.detach().std()) == pytest.approx(0.01, rel=0.02)
    assert not made.head.bias.any()
    assert parameter_count(made.encoder) == 23_508_032


@pytest.mark.trap(
    "supervised-chestxray14",
    "rate halved after 5 epochs without progress, end after 10",
    "held, the first against torch",
)
def test_the_rate_halves_after_more_than_five_epochs_without_progress_and_ends_after_more_than_ten():
    schedule = method(NAME).schedule("main")
    for bad, factor, over in ((5, 1.0, False), (6, 0.5, False), (10, 0.5, False), (11, 0.5, True), (12, 0.25, True)):
        losses = [1.0, *[1.0] * bad]
        assert schedule.factor(len(losses), 1000, losses) == factor
        assert schedule.is_over(losses) == over


@pytest.mark.parametrize("labels", [None, torch.zeros(8, 6)])
def test_data_without_its_labels_are_refused(labels):
    found = 0 if labels is None else 6
    with pytest.raises(UsageError, match=f"found {found} labels an image .* expected 14: pretrain on chestxray14"):
        method(NAME).losses(replace(views(), labels=labels))


def test_the_engine_trains_it_on_the_labels_of_each_image(tmp_path):
    noise = data(16, 4)
    held = replace(noise, labels=(torch.rand(20, 14) < 0.3).float().numpy())
    made = pretrain(NAME, config(NAME), held, seed=0, folder=tmp_path / "a", context=Context(cache=tmp_path))
    assert Checkpoint(made.folder).card["stages"][0]["epochs"] == 2
    with pytest.raises(UsageError, match="found 0 labels"):
        pretrain(NAME, config(NAME), noise, seed=0, folder=tmp_path / "b", context=Context(cache=tmp_path))


@pytest.mark.trap("supervised-chestxray14", "no row on its own task", "warned of on the card")
def test_the_card_warns_of_its_own_task():
    card = SupervisedChestXray14.card
    assert any(text.startswith("WARNING: the task chestxray14 has the same") for text in card.differences)
    assert "chestxray14" not in card.reference
