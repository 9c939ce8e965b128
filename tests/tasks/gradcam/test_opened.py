"""The open task on toy films with a bright and a dark square: an encoder that sees them is at its ceiling."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from eden_bench import records
from eden_bench.case_statistics import statistic_of
from eden_bench.contracts import Box, Context, DatasetIndex, Item
from eden_bench.encoders import Encoder, build_encoder
from eden_bench.errors import DataDamaged, DataMissing, EdenError
from tasks.finetuning.networks import Classifier
from tasks.finetuning.protocol import QUICK_CLASSIFICATION
from tasks.grad_cam import POINTING, GradCamProtocol, grad_cam_task
from tasks.gradcam.opened import OpenGradCam
from tasks.gradcam.truth import evax_spans, spans
from tests.tasks.finetuning.toy_anatomy import ToyAnatomy

SIZE_PX, CELL_PX, FILMS = 64, 8, 24
LABELS = ("bright", "dark", "never")
PROTOCOL = GradCamProtocol(size_px=SIZE_PX, batch_size=7, kept_maps=5)


class Toy:
    name, reading = "toy", ""
    card = replace(ToyAnatomy.card, shareable=True)

    def read_image(self, item):
        return np.array(Image.open(item.image))


def toy_index(folder, films=FILMS) -> DatasetIndex:
    """Films with a bright and a dark square of 16 px on cells of 8; the last has no boxes, the first two train."""
    generator, items = np.random.default_rng(0), []
    for number in range(films):
        film = np.full((SIZE_PX, SIZE_PX), 128, np.uint8)
        (x, u), (y, v) = ((CELL_PX * generator.choice([0, 2, 4, 6], 2, replace=False)).tolist() for _ in "xy")
        film[y : y + 16, x : x + 16], film[v : v + 16, u : u + 16] = 255, 0
        path = folder / f"{number:02d}.png"
        Image.fromarray(film).save(path)
        boxes = (Box("bright", x, y, x + 16, y + 16), Box("dark", u, v, u + 16, v + 16))
        items.append(
            Item(
                id=path.name,
                patient=f"p{number // 2}",
                split="train" if number < 2 else "test",
                image=path,
                labels=(1.0, 1.0, 0.0),
                boxes=() if number == films - 1 else boxes,
            )
        )
    return DatasetIndex(dataset="toy", root=folder, items=tuple(items), expected_images=films, label_names=LABELS)


def opened(folder, index=None, protocol=PROTOCOL) -> OpenGradCam:
    index = index or toy_index(folder)
    return grad_cam_task.open(index, protocol, Context(cache=folder / "cache", dataset=Toy()))


class Seeing(Encoder):
    """One channel is the brightness above grey, one the darkness below it; the third sees all alike."""

    arch, channels, strides = "seeing", (3,), (CELL_PX,)

    def __init__(self):
        super().__init__()
        self.share = nn.Parameter(torch.tensor([1.0, -1.0]))

    def maps(self, images):
        grey = images.mean(dim=1, keepdim=True) - (128 / 255 - 0.449) / 0.226
        seen = (grey * self.share[None, :, None, None]).relu()
        return (nn.functional.avg_pool2d(torch.cat([seen, torch.ones_like(grey)], dim=1), CELL_PX),)


def network_of(encoder, weights=None) -> Classifier:
    network = Classifier(encoder, len(LABELS), seed=0)
    network.protocol = replace(QUICK_CLASSIFICATION, size_px=SIZE_PX, source_px=72)
    if weights is not None:
        with torch.no_grad():
            network.head.weight.copy_(weights)
    return network


@pytest.fixture(scope="module")
def task(tmp_path_factory) -> OpenGradCam:
    return opened(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="module")
def seen(task):
    return task.run(network_of(Seeing(), torch.eye(3)), 0)


def test_an_encoder_that_sees_the_findings_is_at_the_ceiling(seen):
    assert seen.scores["pointing"] == 1
    assert seen.scores["iou"] == pytest.approx(seen.scores["iou_of_grid_oracle"], abs=0.01)
    assert seen.scores["iou_skill"] == pytest.approx(1, abs=0.02)
    assert seen.scores["localised_50"] == 1
    assert seen.scores["energy"] > 0.5
    assert seen.scores["empty"] == 0


@pytest.mark.parametrize("side_px", [32, 128])
def test_films_are_seen_at_the_size_that_the_network_was_fine_tuned_at(task, side_px):
    network = network_of(Seeing(), torch.eye(3))
    network.protocol, sides = replace(network.protocol, size_px=side_px, source_px=side_px), []
    network.register_forward_pre_hook(lambda _module, inputs: sides.append(tuple(inputs[0].shape[1:])))
    assert task.run(network, 0).scores["pointing"] == 1  # no square moved
    assert set(sides) == {(3, side_px, side_px)}


def test_the_wrong_class_and_the_whole_film_are_at_their_floors(seen):
    assert seen.controls["wrong class"] < 0.1  # the other square never touches this one
    assert seen.controls["whole film"] == pytest.approx(256 / SIZE_PX**2)
    assert seen.controls["grid oracle"] == 1
    assert set(seen.controls) == {
        "centre blob", "whole film", "class prior", "grid oracle", "random weights", "wrong class",
    }  # fmt: skip


def test_weights_against_a_finding_give_an_empty_map_and_the_box_share(task):
    outcome = task.run(network_of(Seeing(), -torch.eye(3)), 0)
    assert outcome.scores["empty"] == 1
    assert outcome.scores["iou"] == outcome.scores["energy"] == 0
    assert outcome.scores["pointing"] == pytest.approx(256 / SIZE_PX**2)


def test_every_score_of_cases_is_the_statistic_that_it_names(seen):
    columns = {name: np.asarray(column) for name, column in seen.cases.items()}
    for name, value in seen.scores.items():
        definition = POINTING.of(name)
        assert definition.text, f"{name} is defined nowhere"
        if function := statistic_of(definition):
            assert function(columns, name) == pytest.approx(value), name
    assert len([n for n in seen.scores if statistic_of(POINTING.of(n))]) > 30


def test_a_record_takes_it_and_every_row_is_a_boxed_finding(seen, task):
    records.check_outcome(seen, POINTING)
    assert len(seen.cases["case"]) == 2 * (FILMS - 3) == len(set(seen.cases["case"]))
    assert set(seen.cases["label"]) == {"bright", "dark"}
    assert task.data["test"] == FILMS - 3


def test_what_is_kept_for_figures_is_bounded_and_of_every_finding(seen):
    arrays = seen.arrays
    assert arrays["films"].shape == arrays["maps"].shape == (5, SIZE_PX, SIZE_PX)
    assert sorted(arrays["labels"].tolist()) == ["bright", "bright", "bright", "dark", "dark"]
    row, left, top, right, bottom = arrays["boxes"][0]
    inside = arrays["films"][int(row)][
        int(top * SIZE_PX) : int(bottom * SIZE_PX), int(left * SIZE_PX) : int(right * SIZE_PX)
    ]
    assert inside.shape == (16, 16)
    assert (inside == 255).all()


def test_films_that_must_not_be_passed_on_are_not_kept(seen, tmp_path, monkeypatch):
    monkeypatch.setattr(Toy, "card", ToyAnatomy.card)
    closed = opened(tmp_path).run(network_of(Seeing(), torch.eye(3)), 0)
    assert set(seen.arrays) - set(closed.arrays) == {"films"}
    assert closed.scores == seen.scores


def test_the_same_seed_gives_the_same_and_the_order_of_batches_no_other(task, tmp_path):
    first, again = (task.run(network_of(build_encoder("resnet18-w16", 1)), 3) for _ in "ab")
    assert first.scores == again.scores
    assert first.cases == again.cases
    other = opened(tmp_path, protocol=replace(PROTOCOL, batch_size=64))
    assert other.run(network_of(build_encoder("resnet18-w16", 1)), 3).scores == pytest.approx(first.scores, abs=1e-4)


def test_a_run_leaves_the_network_s_weights_as_they_were(task):
    network = network_of(build_encoder("resnet18-w16", 1))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    task.run(network, 0)
    assert all(value.equal(before[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize("arch", ["vit_mini_patch8_64", "swin_mini_patch4_window4_64", "resnet50-w16"])
def test_evax_s_form_stands_beside_ours_where_its_layer_is_known(task, arch):
    scores = task.run(network_of(build_encoder(arch, 0)), 0).scores
    named = {name for name in scores if name.startswith("evax_")}
    assert bool(named) == (not arch.startswith("swin"))
    if named:
        assert 0.01 <= scores["evax_theta"] <= 0.6
        assert scores["evax_map"] == pytest.approx((scores["evax_ap25"] + scores["evax_ap50"]) / 2)


def test_a_bare_encoder_or_another_s_network_is_refused(task):
    for network in (build_encoder("resnet18-w16", 0), Classifier(build_encoder("resnet18-w16", 0), 14, 0)):
        with pytest.raises(EdenError, match=r"expected the classifier of 3 labels that the task it looks at"):
            task.run(network, 0)


def test_films_without_boxes_are_refused_in_a_sentence(tmp_path):
    index = toy_index(tmp_path)
    bare = replace(index, items=tuple(replace(item, boxes=None) for item in index.items))
    with pytest.raises(DataMissing, match=r"0 test images of toy in .* have boxes, expected those of two patients"):
        opened(tmp_path, bare)


def test_a_box_beyond_its_film_is_named(tmp_path):
    index = toy_index(tmp_path)
    item = replace(index.items[5], boxes=(Box("dark", 0, 0, 10, 900),))
    far = replace(index, items=(*index.items[:5], item, *index.items[6:]))
    with pytest.raises(DataDamaged, match=r"dark box of 05\.png reaches from 0, 0 to 10, 900, expected .* 64×64 px"):
        opened(tmp_path, far)


def test_a_moved_box_is_other_data(tmp_path):
    index = toy_index(tmp_path)
    (box, *rest), item = index.items[5].boxes, index.items[5]
    moved = replace(item, boxes=(box._replace(right=box.right + 1), *rest))
    other = replace(index, items=(*index.items[:5], moved, *index.items[6:]))
    assert opened(tmp_path, index).data["digest"] != opened(tmp_path, other).data["digest"]


def test_folds_part_no_patient_and_are_drawn_without_a_seed(task):
    folds = task.truth.folds(5)
    of = {}
    for patient, fold in zip(task.truth.patients, folds, strict=True):
        assert of.setdefault(patient, fold) == fold
    assert set(folds) == set(range(5))


def test_a_box_holds_the_pixels_whose_centres_it_holds():
    native = np.array([1024, 1024])
    assert spans(Box("a", 0, 0, 1024, 1024), native, 224) == (slice(0, 224), slice(0, 224))
    assert spans(Box("a", 2.0, 7.0, 12.0, 12.0), native, 224) == (slice(2, 3), slice(0, 3))  # edges .44, 1.53 … 2.62 px
    assert spans(Box("a", 10.0, 10.0, 10.1, 10.1), native, 224) == (slice(2, 3), slice(2, 3))


def test_evax_truncates_corners_at_1024_and_again_at_224():
    native = np.array([1024, 1024])
    box = Box("a", 225.9, 547.9, 225.9 + 86.9, 547.9 + 79.9)
    assert evax_spans(box, native, 224) == (slice(119, 119 + 17), slice(49, 49 + 18))
    half = Box("a", *(edge / 2 for edge in box[1:]))
    assert evax_spans(half, native / 2, 224) == evax_spans(box, native, 224)
