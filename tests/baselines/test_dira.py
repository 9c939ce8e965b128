import math

import numpy as np
import pytest
import torch

from baselines import dira
from baselines.dira import DiRAConfig, distorted
from eden_bench.contracts import NORMALISATIONS, Context, View, Views
from pretrain.engine import pretraining
from pretrain.engine.training import Training
from tests.pretrain.tiny import config, data, method, train_step

TINY = {"decoder_channels": (16, 8, 8, 8, 8), "discriminator_width": 8}
"""Values of the tests' tiny config; see ``tests.pretrain.tiny``."""

DI, DIR, DIRA = range(3)


def views(count=8, size_px=64, seed=0, flipped=()):
    """Query, key and clean crop, in [0, 1]."""
    draw = torch.Generator().manual_seed(seed)
    images = [torch.rand(count, 3, size_px, size_px, generator=draw) for _ in range(3)]
    mirrored = torch.zeros(count, dtype=torch.bool)
    mirrored[list(flipped)] = True
    maps = torch.eye(2, 3).repeat(count, 1, 1)
    views_ = tuple(View(image, maps, mirrored) for image in images)
    return Views(views_, torch.arange(count), generator=torch.Generator().manual_seed(seed + 1))


def undistorted(monkeypatch):
    monkeypatch.setattr(dira, "distorted", lambda images, generator: images)


@pytest.mark.trap("dira", "weights 1, 10, 0.001; SGD 0.03; discriminator 2e-4; queue, τ, m as MoCo's", "held")
def test_the_settings_are_the_released_ones():
    made = DiRAConfig()
    assert (made.contrast_weight, made.restoration_weight, made.adversary_weight) == (1.0, 10.0, 0.001)
    assert (made.lr, made.momentum, made.weight_decay, made.discriminator_lr) == (0.03, 0.9, 1e-4, 2e-4)
    assert (made.queue_size, made.temperature, made.teacher_momentum) == (65_536, 0.2, 0.999)
    assert not made.target_follows_flip
    assert made.normalisation == "own"


@pytest.mark.trap("dira", "warm-up without adversary", "stages of 200, 1200 and 400 epochs")
def test_it_warms_up_in_three_stages():
    assert [tuple(stage)[:2] for stage in DiRAConfig().stages] == [("di", 200), ("dir", 1200), ("dira", 400)]
    assert [stage.name for stage in DiRAConfig(di_share=0).stages] == ["dir", "dira"]
    assert [stage.name for stage in DiRAConfig(di_share=0, dira_share=0).stages] == ["dir"]


@pytest.mark.trap("dira", "warm-up without adversary")
def test_each_stage_adds_a_loss_and_the_last_a_turn():
    names = [list(method("dira", stage=stage).losses(views())) for stage in (DI, DIR, DIRA)]
    assert names == [["contrast"], ["contrast", "restoration"], ["contrast", "restoration", "adversary"]]
    assert [list(method("dira", stage=s).optimisers()) for s in (DI, DIR, DIRA)] == [
        ["main"],
        ["main"],
        ["main", "discriminator"],
    ]


@pytest.mark.trap("dira", "discriminator: Adam, β (0.5, 0.999), constant rate, fresh in its stage", "held")
def test_the_discriminator_has_adam_and_a_constant_rate():
    made = method("dira", stage=DIRA)
    optimiser = made.optimisers()["discriminator"]
    assert isinstance(optimiser, torch.optim.Adam)
    assert (optimiser.defaults["lr"], optimiser.defaults["betas"]) == (2e-4, (0.5, 0.999))
    assert made.schedule("discriminator").factor(9, 10) == 1
    assert made.schedule("main").factor(0, 10) == 1
    assert made.schedule("main").factor(9, 10) < 0.1


@pytest.mark.trap("dira", "inputs in [0, 1], no ImageNet statistics")
def test_views_are_cropped_jittered_blurred_and_mirrored_but_not_normalised():
    query, key, clean = method("dira", stage=DIR).recipes(config("dira").stages[DIR])
    assert query == key
    assert (query.crop_scale, query.jitter_p, query.blur_p, query.flip_p) == ((0.2, 1.0), 0.8, 0.5, 0.5)
    assert (query.brightness, query.contrast, query.saturation, query.hue) == (0.4, 0.4, 0.4, 0.1)
    assert (query.grey_p, query.rotation_deg) == (0, 0)
    for recipe in (query, clean):
        assert (recipe.mean, recipe.std) == ((0, 0, 0), (1, 1, 1))
    assert (clean.crop_of, clean.jitter_p, clean.blur_p, clean.flip_p) == (0, 0, 0, 0)
    assert len(method("dira", stage=DI).recipes(config("dira").stages[DI])) == 2


@pytest.mark.trap("dira", "losses; the target is the clean crop, grey", "plain loop")
@pytest.mark.trap("dira", "the target is not mirrored with its view (quirk)", "as there; `target_follows_flip`")
@pytest.mark.parametrize("follows", [False, True])
def test_losses_are_those_of_a_plain_loop(monkeypatch, follows):
    undistorted(monkeypatch)
    made = method("dira", stage=DIRA, target_follows_flip=follows).eval()
    batch = views(4, flipped=[1, 2])
    with torch.no_grad():
        for parameter in made.teacher.parameters():
            parameter *= 0.9
        losses = made.losses(batch)
        restored = made.student(batch.images[0])
        keys = made.teacher.embedder(batch.images[1])
        judged = made.discriminator(restored.image).numpy()
    contrast, queue = 0.0, made.queue.keys.T
    for query, key in zip(restored.embedding, keys, strict=True):
        own = math.exp(float(query @ key) / 0.2)
        contrast += -math.log(own / (own + sum(math.exp(float(query @ other) / 0.2) for other in queue))) / 4
    restoration, size = 0.0, 64 * 64
    for sample in range(4):
        red, green, blue = batch.images[2][sample].numpy()
        clean = 0.299 * red + 0.587 * green + 0.114 * blue
        clean = clean[:, ::-1] if follows and sample in (1, 2) else clean
        restoration += sum(float(d) ** 2 for d in (restored.image[sample, 0].numpy() - clean).ravel()) / (4 * size)
    adversary = sum((float(value) - 1) ** 2 for value in judged.ravel()) / judged.size
    assert losses["contrast"].item() == pytest.approx(contrast, rel=1e-5)
    assert losses["restoration"].item() == pytest.approx(10 * restoration, rel=1e-5)
    assert losses["adversary"].item() == pytest.approx(0.001 * adversary, rel=1e-5)


@pytest.mark.trap("dira", "least-squares game; generator first, then discriminator")
def test_the_discriminator_learns_from_the_images_of_this_step(monkeypatch):
    undistorted(monkeypatch)
    made = method("dira", stage=DIRA)
    batch = views()
    made.losses(batch)
    with torch.no_grad():
        real, fake = made.discriminator(made._target(batch)), made.discriminator(made._judged[1])
        for parameter in made.student.parameters():
            parameter.zero_()
    loss = made.losses(batch, "discriminator")["discriminator"]
    expected = 0.5 * (((real - 1) ** 2).mean() + (fake**2).mean())
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    loss.backward()
    assert all(parameter.grad is None for parameter in made.student.parameters())


def test_the_discriminators_turn_alone_is_refused():
    with pytest.raises(RuntimeError, match="comes after the student's"):
        method("dira", stage=DIRA).losses(views(), "discriminator")


@pytest.mark.trap("dira", "discriminator: Adam, β (0.5, 0.999), constant rate, fresh in its stage")
def test_the_discriminator_is_fresh_when_its_stage_begins():
    made = method("dira", stage=DIR)
    before = [parameter.clone() for parameter in made.discriminator.parameters()]
    train_step(made)
    assert all(map(torch.equal, made.discriminator.parameters(), before))


@pytest.mark.trap("dira", "the teacher follows, decoder and all", "held")
def test_the_teacher_follows_with_its_decoder_too():
    made = method("dira", stage=DIR)
    before = [parameter.clone() for parameter in made.teacher.parameters()]
    train_step(made)
    for then, now, student in zip(before, made.teacher.parameters(), made.student.parameters(), strict=True):
        assert torch.allclose(now, 0.9 * then + 0.1 * student, atol=1e-6)
    assert not torch.equal(before[-1], list(made.teacher.parameters())[-1])


@pytest.mark.trap("dira", 'no distortion in the stage "di"')
def test_queries_and_keys_come_from_the_two_views_distorted(monkeypatch):
    seen = []
    monkeypatch.setattr(dira, "distorted", lambda images, generator: seen.append(images) or images * 0)
    made, batch = method("dira", stage=DIR), views()
    made.losses(batch)
    assert [image.equal(view) for image, view in zip(seen, batch.images[:2], strict=True)] == [True, True]
    assert torch.allclose(made._keys, made._keys[:1].expand(8, -1), atol=1e-5)


@pytest.mark.trap("dira", 'no distortion in the stage "di"', "held")
@pytest.mark.trap(
    "released code", "DiRA's first stage distorted; blocks at the border", "undistorted; 3 of 224 px kept"
)
def test_without_restoration_nothing_is_distorted(monkeypatch):
    made, seen = method("dira", stage=DI), []
    monkeypatch.setattr(dira, "in_groups", lambda network, images, groups: seen.append(images) or network(images))
    monkeypatch.setattr(
        dira, "shuffled_in_groups", lambda network, images, groups, _: seen.append(images) or network(images)
    )
    batch = views()
    made.losses(batch)
    assert [image.equal(view) for image, view in zip(seen, batch.images, strict=False)] == [True, True]


@pytest.mark.trap("dira", "inputs in [0, 1], no ImageNet statistics", 'as there; `normalisation = "imagenet"`')
def test_normalisation_is_off_unless_asked_for(monkeypatch):
    undistorted(monkeypatch)
    image = torch.full((1, 3, 64, 64), 0.5)
    assert method("dira")._seen(image, None).equal(image)
    normalised = method("dira", normalisation="imagenet")._seen(image, None)
    assert normalised[0, :, 0, 0].tolist() == pytest.approx([(0.5 - m) / s for m, s in zip(
        (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), strict=True)])  # fmt: skip


def test_statistics_asked_for_are_told_and_leave_the_distortions_and_targets_in_0_to_1(tmp_path):
    made = Training(
        name="dira", config=config("dira", normalisation="imagenet"), data=data(), seed=0, folder=tmp_path,
        context=Context(cache=tmp_path), device=torch.device("cpu"), recipe="dira", save_every_s=600.0,
    )  # fmt: skip
    assert all(recipe.mean == (0, 0, 0) for stage in made.config.stages for recipe in made.recipes(stage))
    assert pretraining._seen(made)["normalisation"] == [NORMALISATIONS["imagenet"]]


def kinds(images, changed):
    """What became of each image of distinct positive pixels."""
    found = []
    for before, after in zip(images[:, 0].numpy(), changed[:, 0].numpy(), strict=True):
        black = after == 0
        if np.array_equal(before, after):
            found.append("none")
        elif not black.any():
            assert np.array_equal(np.sort(before, axis=None), np.sort(after, axis=None)) or len(np.unique(after)) > 1
            found.append("shuffle")
        else:
            assert np.array_equal(after[~black], before[~black])
            found.append("black")
    return found


@pytest.mark.trap("dira", "distortions: cut-out 30 %, outer 5 %, shuffle 30 %, none 35 %", "held")
def test_distortions_come_as_often_as_published():
    images = 1 + torch.rand(4000, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    found = kinds(images, distorted(images, torch.Generator().manual_seed(1)))
    shares = {kind: found.count(kind) / 4000 for kind in set(found)}
    assert shares["black"] == pytest.approx(0.35, abs=0.03)
    assert shares["shuffle"] == pytest.approx(0.30, abs=0.03)
    assert shares["none"] == pytest.approx(0.35, abs=0.03)


def only(monkeypatch, which):
    """Let the number that picks a distortion be this one."""
    draw = dira.table
    monkeypatch.setattr(
        dira, "table", lambda count, width, g: np.full((count, 1), which) if width == 1 else draw(count, width, g)
    )


@pytest.mark.trap("dira", "distortions: cut-out 30 %, outer 5 %, shuffle 30 %, none 35 %")
@pytest.mark.parametrize(("which", "low", "high"), [(0.1, 0.0, 0.95), (0.33, 0.0, 0.6)])
def test_cut_out_blackens_blocks_and_outer_cut_out_all_but_blocks(monkeypatch, which, low, high):
    only(monkeypatch, which)
    images = torch.ones(64, 3, 224, 224)
    changed = distorted(images, torch.Generator().manual_seed(1))
    black = (changed == 0).float().mean(dim=(1, 2, 3))
    assert low < black.min() <= black.max() < high
    assert changed[:, 0].equal(changed[:, 2])


@pytest.mark.trap("dira", "blocks keep 3 of 224 px from the border", "held, scaled with the view")
@pytest.mark.trap("released code", "DiRA's first stage distorted; blocks at the border")
@pytest.mark.parametrize(("which", "at_the_border"), [(0.1, "clean"), (0.33, "black"), (0.6, "clean")])
def test_no_block_covers_the_outermost_three_pixels_and_some_the_fourth(monkeypatch, which, at_the_border):
    only(monkeypatch, which)
    images = torch.rand(64, 3, 224, 224, generator=torch.Generator().manual_seed(0)) + 1
    changed = distorted(images, torch.Generator().manual_seed(1))
    same = (changed == images)[:, 0]
    for edge in (same, same.flip(1), same.transpose(1, 2), same.transpose(1, 2).flip(1)):
        assert (edge[:, :3] == (at_the_border == "clean")).all()
        assert (edge[:, 3] != (at_the_border == "clean")).any()


def test_the_same_generator_distorts_alike():
    images = torch.rand(16, 3, 32, 32)
    first, second = (distorted(images, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first, second)


@pytest.mark.trap("dira", "U-Net of one sigmoid channel, decoder 256 to 16", "held")
def test_the_restored_image_has_one_channel_between_0_and_1_and_the_decoder_its_published_widths():
    restored = method("dira", stage=DIR).student(views(2).images[0]).image
    assert restored.shape == (2, 1, 64, 64)
    assert 0 < restored.min() < restored.max() < 1
    assert DiRAConfig().decoder_channels == (256, 128, 64, 32, 16)
