import threading

import numpy as np
import pytest
import torch

from eden_bench.contracts import Anchor, Stage, ViewRecipe
from pretrain.views.stream import Buffers, ViewStream

RECIPE = ViewRecipe(
    size_px=24, crop_scale=(0.2, 1.0), jitter_p=0.8, brightness=0.4, contrast=0.4, blur_p=0.5, rotation_deg=30.0,
    flip_p=0.5,
)  # fmt: skip
WHOLE = Stage("whole", 1)


class Memory:
    """A pyramid in memory, of one level."""

    def __init__(self, images):
        self.images = images
        self.asked = []

    def __len__(self):
        return len(self.images)

    def anchor(self, sample, row, column, rows, columns):
        self.asked.append((sample, row, column))
        height, width = (side // parts for side, parts in zip(self.images.shape[1:3], (rows, columns), strict=True))
        return Anchor((self.images[sample],), (row * height, column * width, height, width), (height, width))


@pytest.fixture
def pyramid():
    return Memory(np.random.default_rng(0).integers(0, 256, (40, 32, 32), dtype=np.uint8))


def stream(pyramid, *, recipes=(RECIPE, RECIPE), stage=WHOLE, seed=3, batch_size=8, device="cpu", **options):
    return ViewStream(pyramid, recipes, stage, seed=seed, batch_size=batch_size, device=device, **options)


def by_sample(batches):
    """Sample index to the bytes of everything that belongs to it."""
    return {
        int(sample): tuple(
            part[i].numpy().tobytes() for view in batch.views for part in (view.image, view.to_anchor, view.flipped)
        )
        for batch in batches
        for i, sample in enumerate(batch.samples)
    }


def test_a_batch_has_the_shapes_that_methods_expect(pyramid):
    batch = next(stream(pyramid, recipes=(RECIPE, ViewRecipe(size_px=16))).epoch(0, np.arange(40)))
    assert [tuple(image.shape) for image in batch.images] == [(8, 3, 24, 24), (8, 3, 16, 16)]
    for view in batch.views:
        assert view.image.dtype == torch.float32
        assert view.image.is_contiguous(memory_format=torch.channels_last)
        assert (view.to_anchor.shape, view.to_anchor.dtype) == ((8, 2, 3), torch.float32)
        assert (view.flipped.shape, view.flipped.dtype) == ((8,), torch.bool)
    assert batch.samples.tolist() == list(range(8))
    assert batch.samples.dtype == torch.int64
    assert batch.labels is None


@pytest.mark.trap("adam", "workers that draw alike (global NumPy generator)", "draws follow the sample's address")
@pytest.mark.parametrize(
    "options", [{"workers": 1}, {"workers": 3}, {"batch_size": 5}, {"batch_size": 40, "workers": 4}]
)
def test_a_samples_views_do_not_depend_on_workers_or_batches(pyramid, options):
    order = np.random.default_rng(1).permutation(40)
    expected = by_sample(stream(pyramid).epoch(2, order))
    assert len(expected) == 40
    assert by_sample(stream(pyramid, **options).epoch(2, order[::-1])) == expected


def test_resuming_inside_an_epoch_gives_the_batches_that_were_left(pyramid):
    order = np.random.default_rng(1).permutation(40)
    whole = list(stream(pyramid).epoch(1, order))
    rest = list(stream(pyramid).epoch(1, order, first_batch=3))
    assert [batch.samples.tolist() for batch in rest] == [batch.samples.tolist() for batch in whole[3:]]
    assert by_sample(rest) == by_sample(whole[3:])
    assert [torch.rand(2, generator=a.generator).tolist() for a in rest] == [
        torch.rand(2, generator=b.generator).tolist() for b in whole[3:]
    ]


def test_every_part_of_the_address_changes_the_draws(pyramid):
    def first(epoch=0, purpose="train", **options):
        batch = next(stream(pyramid, **options).epoch(epoch, np.arange(40), purpose=purpose))
        return batch.views[0].to_anchor.numpy().tobytes()

    addresses = {}, {"epoch": 1}, {"purpose": "validation"}, {"seed": 4}, {"stage": Stage("n0", 1)}
    assert len({first(**address) for address in addresses}) == len(addresses)
    views = next(stream(pyramid).epoch(0, np.arange(40))).views
    assert not torch.equal(views[0].to_anchor, views[1].to_anchor)


@pytest.mark.trap("adam", "both views from one cell; cells drawn evenly", "held")
def test_all_views_of_a_sample_come_from_one_drawn_cell():
    images = np.zeros((400, 32, 32), np.uint8)
    for cell in range(8):
        images[:, cell // 4 * 16 : cell // 4 * 16 + 16, cell % 4 * 8 : cell % 4 * 8 + 8] = 20 + 25 * cell
    plain = ViewRecipe(size_px=8, crop_scale=(0.2, 1.0), mean=(0, 0, 0), std=(1, 1, 1))
    pyramid = Memory(images)
    batches = stream(pyramid, recipes=(plain, plain), stage=Stage("n3", 1, 3, 2, 4), batch_size=100)
    levels = []
    for batch in batches.epoch(0, np.arange(400)):
        one, two = ((view.image * 255).round().flatten(1) for view in batch.views)
        assert (one == one[:, :1]).all()
        assert torch.equal(one, two)
        levels += one[:, 0].tolist()
    drawn, counts = np.unique(levels, return_counts=True)
    assert drawn.tolist() == [20 + 25 * cell for cell in range(8)]
    assert counts.min() > 25
    assert len({asked for asked in pyramid.asked if asked[0] == 7}) <= 2  # the constructor asks for one of sample 0


def test_the_device_path_draws_the_same_views(pyramid, monkeypatch):
    order = np.arange(40)
    expected = list(stream(pyramid).epoch(0, order))
    monkeypatch.setattr(ViewStream, "_prepare_images", ViewStream._prepare_windows)
    for ours, theirs in zip(stream(pyramid).epoch(0, order), expected, strict=True):
        assert torch.equal(ours.samples, theirs.samples)
        for a, b in zip(ours.views, theirs.views, strict=True):
            assert torch.equal(a.to_anchor, b.to_anchor)
            assert torch.equal(a.flipped, b.flipped)
            assert ((a.image - b.image).abs() > 1.6 / 255 / 0.224).float().mean() < 0.05
            assert a.image.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("prepare", ["_prepare_images", "_prepare_windows"])
def test_a_clean_view_has_the_crop_of_another_and_nothing_else_of_it(pyramid, monkeypatch, prepare):
    monkeypatch.setattr(ViewStream, "_prepare_images", getattr(ViewStream, prepare))
    only_cropped = ViewRecipe(size_px=24, crop_scale=(0.2, 1.0))
    made = stream(pyramid, recipes=(RECIPE, RECIPE, ViewRecipe(size_px=24, crop_of=1))).epoch(0, np.arange(40))
    expected = stream(pyramid, recipes=(only_cropped, only_cropped)).epoch(0, np.arange(40))
    for ours, theirs in zip(made, expected, strict=True):
        assert torch.equal(ours.views[2].image, theirs.views[1].image)
        assert torch.equal(ours.views[2].to_anchor, theirs.views[1].to_anchor)
        assert not ours.views[2].flipped.any()


def test_colour_anchors_render_in_colour():
    images = np.zeros((8, 32, 32, 3), np.uint8)
    images[..., 0], images[..., 2] = 200, 50
    plain = ViewRecipe(size_px=16, mean=(0, 0, 0), std=(1, 1, 1))
    batch = next(stream(Memory(images), recipes=(plain,)).epoch(0, np.arange(8)))
    assert (batch.views[0].image * 255).round().mean(dim=(0, 2, 3)).tolist() == pytest.approx([200, 0, 50])


def test_labels_follow_their_samples(pyramid):
    labels = np.eye(40)[:, :5]
    for batch in stream(pyramid, labels=labels).epoch(0, np.random.default_rng(0).permutation(40)):
        assert batch.labels.dtype == torch.float32
        assert torch.equal(batch.labels, torch.eye(40)[batch.samples, :5])


def test_a_ragged_last_batch_is_what_the_order_leaves(pyramid):
    assert [len(batch.samples) for batch in stream(pyramid).epoch(0, np.arange(19))] == [8, 8, 3]
    assert list(stream(pyramid).epoch(0, np.arange(16), first_batch=2)) == []


def test_an_error_in_a_worker_reaches_the_training_thread(pyramid):
    class Broken(Memory):
        def anchor(self, sample, *place):
            if sample == 12:
                raise OSError("sample 12 cannot be read")
            return super().anchor(sample, *place)

    with pytest.raises(OSError, match="sample 12 cannot be read"):
        list(stream(Broken(pyramid.images)).epoch(0, np.arange(40)))


def test_leaving_the_loop_early_leaves_no_thread_behind(pyramid):
    before = set(threading.enumerate())
    batches = stream(pyramid, batch_size=2).epoch(0, np.arange(40))
    next(batches)
    assert set(threading.enumerate()) - before
    batches.close()
    assert not set(threading.enumerate()) - before
    assert list(batches) == []


def test_an_epoch_that_was_begun_and_dropped_leaves_no_thread_behind(pyramid):
    before = set(threading.enumerate())
    batches = stream(pyramid).epoch(0, np.arange(40))
    del batches
    for thread in set(threading.enumerate()) - before:
        thread.join(10)
        assert not thread.is_alive()


def test_an_epoch_is_in_the_making_before_it_is_asked_for(pyramid):
    """Its plan and three batches, so that the next epoch can begin while the last steps of this one run."""
    batches = stream(pyramid, batch_size=4).epoch(0, np.arange(40))
    batches._begun.result(10)
    for made in batches._making:
        assert all(work.result(10) is None for work in made.work)
    assert len({sample for sample, _, _ in pyramid.asked}) == 12
    assert not batches.ending
    waiting = []
    for _ in batches:
        waiting.append(batches.ending)
    assert waiting == [False] * 7 + [True] * 3
    assert batches.waited_s >= 0


def test_a_view_that_is_held_is_never_overwritten(pyramid):
    batches = stream(pyramid, batch_size=4)
    held = list(batches.epoch(0, np.arange(40)))
    copies = [[image.clone() for image in batch.images] for batch in held]
    for _ in batches.epoch(1, np.arange(40)):
        pass
    for batch, images in zip(held, copies, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(batch.images, images, strict=True))


def test_lent_memory_comes_back_only_when_no_tensor_holds_it():
    buffers = Buffers()
    tensor = torch.from_numpy(buffers.lend((2, 3)))[0]
    address = tensor.data_ptr()
    other = buffers.lend((2, 3))
    assert other.ctypes.data != address
    del tensor
    assert buffers.lend((2, 3)).ctypes.data == address


def test_nonsense_is_refused(pyramid):
    with pytest.raises(ValueError, match="batch_size must be at least 1, not 0"):
        stream(pyramid, batch_size=0)
    with pytest.raises(ValueError, match="workers must be at least 1, not 0"):
        stream(pyramid, workers=0)
    with pytest.raises(ValueError, match="crop_of of view 1 must name an earlier view, not 1"):
        stream(pyramid, recipes=(RECIPE, ViewRecipe(crop_of=1)))
    with pytest.raises(ValueError, match="the number of recipes must be at least 1, not 0"):
        stream(pyramid, recipes=())
