import math

import numpy as np
import pytest
import torch

from baselines import transvw
from baselines._transvw.words import CropLaw
from baselines.transvw import TransVWConfig
from eden_bench.contracts import View, Views
from eden_bench.errors import UsageError
from tests.pretrain.tiny import config, data, method, train_step, views

TINY = {
    "decoder_channels": (16, 8, 8, 8, 8),
    "autoencoder_px": 64,
    "autoencoder_width": 8,
    "words": 4,
    "nearest": 3,
    "validation_nearest": 2,
}
"""Values of the tests' tiny config; see ``tests.pretrain.tiny``."""

AUTOENCODER, WORDS = range(2)


def patches(count=8, seed=0):
    image = torch.rand(count, 3, 64, 64, generator=torch.Generator().manual_seed(seed))
    view = View(image, torch.eye(2, 3).repeat(count, 1, 1), torch.zeros(count, dtype=torch.bool))
    return Views((view,), torch.arange(0, 4 * count, 4), generator=torch.Generator().manual_seed(seed))


@pytest.mark.trap("transvw", "Adam 1e-3, batch 64, 44 words, 200 and 30 images, λ 0.01 and 1", "held")
def test_the_settings_are_the_released_ones_where_they_are_known():
    made = TransVWConfig()
    assert (made.lr, made.batch_size, made.words, made.nearest, made.validation_nearest) == (1e-3, 64, 44, 200, 30)
    assert (made.classification_weight, made.restoration_weight) == (0.01, 1.0)
    assert [tuple(stage)[:2] for stage in made.stages] == [("autoencoder", 50), ("words", 200)]
    assert 16 * made.autoencoder_width == 512


@pytest.mark.trap(
    "transvw",
    (
        "crops of 64 px of a 512-px slice, the other two 50 to 79 px, up to 10 px from the same corner; 5 px "
        "between words, 100 px to the border"
    ),
    "held as shares of the image: 128, 100 to 158, 20, 10 and 200 of 1024 px",
)
@pytest.mark.trap("released code", "TransVW's crops", "an eighth of the side, one corner")
def test_crops_offsets_spacing_and_border_are_the_released_shares_of_a_512_px_slice():
    made = TransVWConfig()
    sizes = (made.patch_px, *made.other_sides_px, made.offset_px, made.spacing_px, made.border_px)
    assert [size / 1024 * 512 for size in sizes] == [64, 50, 79, 10, 5, 100]
    assert made.crops == CropLaw()


@pytest.mark.parametrize("changes", [{"border_px": 500}, {"other_sides_px": (158, 100)}, {"patch_px": 1000}])
def test_crops_that_do_not_fit_an_image_are_refused(changes):
    with pytest.raises(ValueError, match="must fit a 1024-px image with a margin of at most 512 px, and sides rise"):
        TransVWConfig(**changes)


@pytest.mark.trap("transvw", "rate halves every 40 epochs", "held")
def test_the_rate_halves_every_forty_epochs_while_words_are_learnt():
    made = method("transvw", stage=WORDS, fall_every_epochs=40)
    assert isinstance(made.optimisers()["main"], torch.optim.Adam)
    assert [made.schedule("main").factor(epoch, 200) for epoch in (0, 39, 40, 80)] == [1, 1, 0.5, 0.25]
    assert method("transvw").schedule("main").factor(150, 200) == 1


@pytest.mark.parametrize("stage", [AUTOENCODER, WORDS])
def test_the_rate_warms_up_where_it_is_asked_to(stage):
    assert method("transvw", stage=stage, warmup_epochs=3).schedule("main").factor(0, 9) == 0.25


def test_views_that_are_not_in_0_to_1_are_refused():
    assert config("transvw", normalisation="none")
    with pytest.raises(ValueError, match=r"normalisation must be 'own' or 'none', .* not 'imagenet'"):
        config("transvw", normalisation="imagenet")


def test_an_epoch_has_three_crops_of_each_image_of_a_word():
    made = config("transvw")
    words = method("transvw", stage=WORDS).stage_data(made.stages[WORDS], data(), 0)
    assert [made.images_of(stage, 16) for stage in made.stages] == [16, len(words.train)]


@pytest.mark.trap("transvw", "intensities in [0, 1]", "held")
@pytest.mark.parametrize("stage", [AUTOENCODER, WORDS])
def test_the_view_is_the_plain_image_in_0_to_1(stage):
    (recipe,) = method("transvw").recipes(config("transvw").stages[stage])
    assert (recipe.mean, recipe.std, recipe.crop_scale) == ((0, 0, 0), (1, 1, 1), (1, 1))
    assert (recipe.jitter_p, recipe.blur_p, recipe.flip_p, recipe.rotation_deg, recipe.grey_p) == (0,) * 5


@pytest.mark.trap(
    "transvw",
    ("the target is the patch before deforming; the label its coordinate's word; the small weight on classification"),
    "plain loop",
)
def test_losses_are_those_of_a_plain_loop(monkeypatch):
    spoilt = torch.rand(8, 3, 64, 64, generator=torch.Generator().manual_seed(9))
    monkeypatch.setattr(transvw, "perturbed", lambda images, generator: spoilt)
    made, batch = method("transvw", stage=WORDS).eval(), patches()
    losses = made.losses(batch)
    with torch.no_grad():
        logits, restored = made.network(spoilt)
    classification = restoration = 0.0
    for sample, number in enumerate(batch.samples.tolist()):
        word = number // (3 * 3)  # three images a word, three crops each
        total = sum(math.exp(value) for value in logits[sample].tolist())
        classification -= math.log(math.exp(logits[sample, word]) / total) / 8
        clean = batch.images[0][sample].numpy()
        restoration += float(np.mean([(a - b) ** 2 for a, b in zip(restored[sample].numpy(), clean, strict=True)])) / 8
    assert losses["classification"].item() == pytest.approx(0.01 * classification, rel=1e-5)
    assert losses["restoration"].item() == pytest.approx(restoration, rel=1e-5)


@pytest.mark.trap("transvw", "auto-encoder on whole images, then pooled latents", "held")
def test_the_autoencoder_learns_whole_images_alone():
    made, batch = method("transvw"), patches()
    loss = made.losses(batch)["autoencoder"]
    assert loss.item() == pytest.approx(
        ((made.autoencoder(batch.images[0]) - batch.images[0]) ** 2).mean().item(), rel=1e-4
    )
    before = [parameter.clone() for parameter in made.network.parameters()]
    train_step(made)
    assert all(map(torch.equal, made.network.parameters(), before))


def test_the_autoencoder_rests_while_words_are_learnt():
    made = method("transvw", stage=WORDS)
    before = [value.clone() for value in made.autoencoder.state_dict().values()]
    train_step(made)
    assert all(map(torch.equal, made.autoencoder.state_dict().values(), before))


@pytest.mark.trap("transvw", "auto-encoder on whole images, then pooled latents")
def test_words_are_found_among_the_latents_of_whole_images():
    made = method("transvw", stage=WORDS).eval()
    images = torch.from_numpy(data().pyramid.images[:16]).float()[:, None].expand(-1, 3, -1, -1) / 255
    with torch.no_grad():
        latents = made.autoencoder.encoder(images).mean(dim=(2, 3)).numpy()
    for row in made.shown_in_train.numpy():
        distances = [float(np.sum((latent - latents[row[0]]) ** 2)) for latent in latents]
        assert sorted(row.tolist(), key=distances.__getitem__) == row.tolist()
        assert max(distances[i] for i in row) <= sorted(distances)[2] + 1e-5


def test_crops_and_words_go_together():
    made = method("transvw", stage=WORDS)
    stage_data = made.stage_data(made.stage_under_test, data(), 0)
    instances = stage_data.pyramid.instances
    assert (len(stage_data.train), len(stage_data.validation)) == (4 * 3 * 3, 4 * 2)
    assert np.array_equal(made._word_of.numpy(), instances.word)
    own = np.arange(36) % 3 == 0
    assert np.allclose(instances.centre[:36][own], made.centres.numpy()[instances.word[:36][own]])
    assert set(instances.image[:36]) <= set(range(16))
    assert set(instances.image[36:]) <= {16, 17, 18, 19}
    assert stage_data.pyramid.anchor(0, 0, 0, 1, 1).px == (64, 64)


def test_words_once_found_are_kept_in_the_state(monkeypatch):
    made = method("transvw", stage=WORDS, seed=3)
    other = method("transvw", seed=4)
    other.load_state_dict(made.state_dict())
    monkeypatch.setattr(transvw, "discover", None)
    stage = config("transvw").stages[WORDS]
    first, second = (one.stage_data(stage, data(), 3).pyramid.instances for one in (made, other))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_words_are_found_after_the_autoencoder_and_not_before():
    assert int(method("transvw").found) == -1
    assert int(method("transvw", stage=WORDS).found) == 4


def test_discovery_leaves_the_autoencoder_in_its_mode():
    assert method("transvw", stage=WORDS).autoencoder.training


def test_too_few_words_are_refused_with_a_remedy():
    with pytest.raises(UsageError, match="found 0 words, expected at least 2: add images, or lower spacing_px"):
        method("transvw", stage=WORDS, least_level=1.0)


def test_losses_without_words_are_refused():
    made = method("transvw")
    made.start_stage(config("transvw").stages[WORDS])
    with pytest.raises(RuntimeError, match="needs stage_data first"):
        made.losses(views(of=made))


@pytest.mark.trap("transvw", "classifier on the bottleneck: 3×3 convolution to half, pooled, linear", "2048-1024-44")
def test_the_classifier_halves_the_bottleneck_before_pooling():
    c = TransVWConfig()
    with torch.device("meta"):
        made = transvw.WordNetwork(c.arch, c.words, c.decoder_channels)
    kinds = [type(layer).__name__ for layer in made.before_pooling]
    assert kinds == ["Conv2d", "BatchNorm2d", "ReLU"]
    assert tuple(made.before_pooling[0].weight.shape) == (1024, 2048, 3, 3)
    assert tuple(made.classifier.weight.shape) == (44, 1024)
