"""Matching: plain loops, maps against SciPy, an oracle at the grid's ceiling, a constant at chance exactly."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
from scipy import ndimage
from torch import nn

from eden_bench import case_statistics, records, registry
from eden_bench.contracts import Context, DatasetIndex, Features, Item
from eden_bench.data.image_store import resized
from eden_bench.errors import DataDamaged
from tasks.phantom import render
from tasks.phantom.layouts import scr as layout
from tasks.phantom.layouts.scr import described
from tasks.probes import augmented, drawn_pairs, matches, refilmed
from tasks.scr import SCR
from tests.tasks.finetuning.toy_anatomy import ToyAnatomy, toy_index

DRAW = np.random.default_rng(5)
TASK = registry.tasks.get("matching")
SMALL = {"features": Features(size_px=16), "film_px": 96, "grid": 32, "searched_films": 5}
SIDE = 96


def test_the_best_place_leads_back_as_in_the_plain_loop():
    query, here, there = (DRAW.normal(size=(n, 3)) for n in (4, 9, 9))
    near = DRAW.random((4, 9)) < 0.4
    found, back = matches.best_places(query @ there.T), matches.best_places(there @ here.T)
    for q in range(4):
        g = int(np.argmax([query[q] @ place for place in there]))
        home = int(np.argmax([there[g] @ place for place in here]))
        assert found[q].argmax() == g
        assert matches.led_back(found, back, near)[q] == near[q, home]


def test_places_that_tie_count_alike():
    weights = matches.best_places(np.array([[1.0, 1.0, 0.0]]))
    found = matches.off(weights, np.array([[1.0, 4.0, 0.0]]), {"within": 2.0})
    assert (found["within"].tolist(), found["radial_error"].tolist()) == ([0.5], [2.5])
    near = np.array([[True, False, False]])
    assert matches.led_back(weights, np.full((3, 3), 1 / 3), near) == pytest.approx([1 / 3])


def test_a_map_turns_about_the_middle_and_scales():
    mapping = augmented.view_map(90, 2.0, 10)
    assert augmented.moved(np.array([[5.0, 5.0], [6.0, 5.0]]), mapping) == pytest.approx(np.array([[5, 5], [5, 7]]))


def test_a_view_shows_what_scipy_shows_and_a_dot_lands_where_the_map_says():
    film = ndimage.gaussian_filter(DRAW.random((64, 64)) * 255, 3).astype(np.uint8)
    mapping = augmented.view_map(10, 1.1, 64)
    back = np.linalg.inv(mapping[:, :2])[::-1, ::-1]  # rows before columns
    middle = np.full(2, 31.5)
    expected = ndimage.affine_transform(film.astype(float), back, middle - back @ middle, order=1, mode="nearest")
    assert np.abs(augmented.view(film, mapping, 1.0) - expected).max() < 2
    dot = np.zeros((64, 64), np.uint8)
    dot[19:22, 39:42] = 200
    shown = augmented.view(dot, mapping, 1.0).astype(float)
    y, x = np.mgrid[:64, :64] + 0.5
    centre = np.array([(shown * x).sum(), (shown * y).sum()]) / shown.sum()
    assert centre == pytest.approx(augmented.moved(np.array([40.5, 20.5]), mapping), abs=0.05)


def test_gamma_is_of_grey_levels_in_0_to_1():
    film = np.arange(256, dtype=np.uint8).reshape(16, 16)
    found = augmented.view(film, augmented.view_map(0, 1, 16), 1.25)
    assert found.ravel().tolist() == [round(255 * (grey / 255) ** 1.25) for grey in range(256)]


class Marked(ToyAnatomy):
    """Films with three landmarks, whose places vary from film to film."""


def marked(root, **sizes):
    index = toy_index(root, **sizes)
    draw = np.random.default_rng(2)
    middle = np.array([[30.0, 30], [60, 40], [48, 70]])
    items = [
        replace(item, points=dict(zip("abc", map(tuple, middle + draw.uniform(-8, 8, (3, 2))), strict=True)))
        for item in index.items
    ]
    return replace(index, items=tuple(items))


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    root = tmp_path_factory.mktemp("matching")
    context = Context(cache=root / "cache", dataset=Marked())
    return TASK.open(marked(root, train=8, test=7), replace(TASK.protocol("quick"), **SMALL), context)


def control(name):
    method = registry.methods.get(name)
    return method(method.Config()).load_encoder(0)


class Oracle(nn.Module):
    """Knows of each place how it lies to the landmarks of its own film: features alike where it lies alike."""

    def __init__(self, task):
        super().__init__()
        first, count = len(task.train), len(task.test)
        views = [augmented.moved(task.places[first + k], task.maps[k]) for k in range(count)]
        further = [other.truth for name, other in task.others.items() if name != "augmented"]
        self.places = np.concatenate([task.places, views, *further])

    def features_of(self, film, centres):
        near = np.exp(-(np.linalg.norm(centres[:, None] - self.places[film], axis=2) ** 2) / 200)
        return np.c_[near, np.full(len(near), 1e-9)]


def asked(task, monkeypatch, order=None):
    """Run the task with an oracle, whose landmarks on test films may be exchanged."""
    oracle, truth = Oracle(task), task.places

    def embed(_, rows, boxes, mirrored=False):
        centres = (boxes[:, :2] + boxes[:, 2:]) / 2
        found = [oracle.features_of(row, centre[None])[0] for row, centre in zip(rows, centres, strict=True)]
        whole = np.array(found)
        # only the landmarks' own patches, asked for all together, are exchanged
        if order is not None and len(rows) == truth.shape[0] * 3:
            whole = whole.reshape(-1, 3, 4)[:, order].reshape(-1, 4)
        return whole

    monkeypatch.setattr(task, "embed", embed)
    return task.run(oracle, 0)


def test_an_oracle_is_at_the_grids_ceiling(opened, monkeypatch):
    outcome = asked(opened, monkeypatch)
    for name in ("pck_5", "augmented_pck_5", "cycle", "augmented_cycle"):
        assert outcome.scores[name] == 1, name
    assert outcome.controls["oracle"] == 1
    assert outcome.scores["radial_error"] < 2 * outcome.scores["radial_error_of_oracle"]


def test_exchanged_landmarks_are_found_nowhere(opened, monkeypatch):
    assert asked(opened, monkeypatch, order=[1, 2, 0]).scores["pck_5"] < 0.1


def test_a_constant_encoder_is_at_chance_exactly(opened):
    scores = opened.run(control("constant"), 0).scores
    for name in ("pck_5", "pck_2", "radial_error", "augmented_pck_5", "augmented_radial_error"):
        assert scores[name] == pytest.approx(scores[f"{name}_of_chance"], abs=1e-12), name
    assert scores["pck_5_raw"] == pytest.approx(scores["pck_5"], abs=1e-12)


def test_controls_are_the_plain_loops(opened):
    outcome = opened.run(control("pixels"), 0)
    first, count = len(opened.train), len(opened.test)
    copied, nearest, chance = [], [], []
    steps = [(k + 0.5) * SIDE / 32 for k in range(32)]
    for k in range(count):
        for mark in range(3):
            here, there = opened.places[first + k][mark], opened.places[first + (k + 1) % count][mark]
            copied.append(np.hypot(*(here - there)) / SIDE * 100)
            every = [np.hypot(x - there[0], y - there[1]) / SIDE * 100 for x in steps for y in steps]
            nearest.append(min(every))
            chance.append(np.mean([each <= 5 for each in every]))
    cases, scores = outcome.cases, outcome.scores
    assert cases["pck_5_of_copy_the_coordinates"] == [float(each <= 5) for each in copied]
    assert cases["radial_error_of_copy_the_coordinates"] == pytest.approx(copied)
    assert cases["radial_error_of_oracle"] == pytest.approx(nearest)
    assert outcome.controls["chance"] == pytest.approx(np.mean(chance))
    assert scores["radial_error_of_oracle"] <= 100 / 32 / np.sqrt(2)


def test_a_landmark_that_a_view_does_not_show_has_no_score(tmp_path):
    index = marked(tmp_path, train=4, test=4)
    far = tuple(replace(item, points={**item.points, "a": (0.5, 0.5)}) for item in index.items)
    protocol = replace(TASK.protocol("quick"), **SMALL, scale_change=0.0)
    context = Context(cache=tmp_path / "c", dataset=Marked())
    outcome = TASK.open(replace(index, items=far), protocol, context).run(control("pixels"), 0)
    shown = [np.isnan(value) for value in outcome.cases["augmented_pck_5"]]
    assert shown == [True, False, False] * 4
    assert not np.isnan(outcome.cases["pck_5"]).any()


def test_scores_are_the_statistics_of_the_cases_and_every_one_is_defined(opened):
    outcome = opened.run(control("pixels"), 0)
    records.check_outcome(outcome, TASK.score)
    columns = {name: np.asarray(values) for name, values in outcome.cases.items()}
    for name, value in outcome.scores.items():
        definition = TASK.score.of(name)
        assert definition.text, name
        assert case_statistics.statistic_of(definition)(columns, name) == pytest.approx(value, abs=1e-12)
    for name, value in outcome.controls.items():
        assert np.mean(columns[f"pck_5_of_{name.replace(' ', '_')}"]) == pytest.approx(value)


def test_films_are_one_a_patient(tmp_path):
    index = marked(tmp_path, train=4, test=6)
    twice = tuple(replace(item, patient="t4" if item.patient == "t5" else item.patient) for item in index.items)
    protocol = replace(TASK.protocol("quick"), **{**SMALL, "searched_films": 9})
    task = TASK.open(replace(index, items=twice), protocol, Context(cache=tmp_path / "c", dataset=Marked()))
    assert len(task.test) == len({item.patient for item in task.test}) == 5


KINDS = ("augmented", "refilmed", "diseased")


PATIENTS, FILM_PX = 4, 256


class Filmed(ToyAnatomy):
    """Films of the size that a small phantom of the same people is rendered at."""

    def read_image(self, item):
        return np.resize(super().read_image(item), (FILM_PX, FILM_PX))


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """An index of a phantom of four people, two of them in the test list, whose landmarks the writer's rule gives."""
    root = tmp_path_factory.mktemp("people")
    (root / "PHANTOM.json").write_text(json.dumps({"phantom": "scr", "patients": PATIENTS, "seed": 0}))
    (root / "film").touch()
    items = []
    for name, patient in described(PATIENTS, 0).items():
        points = {mark: (x + 0.5, y + 0.5) for mark, (x, y) in render(patient, FILM_PX).landmarks.items()}
        split = "train" if patient.number % 2 else "test"
        items.append(Item(id=name, patient=name, split=split, image=root / "film", points=points))
    return DatasetIndex(dataset="scr", root=root, items=tuple(items), expected_images=PATIENTS, phantom=True)


@pytest.fixture(scope="module")
def filmed_again(people, tmp_path_factory):
    protocol = replace(TASK.protocol("quick"), **SMALL | {"searched_films": 2})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(refilmed, "IMAGE_PX", FILM_PX)
        context = Context(cache=tmp_path_factory.mktemp("refilmed"), dataset=Filmed())
        return TASK.open(people, protocol, context)


def patients(opened):
    return [refilmed.filmed_again(described(PATIENTS, 0)[item.id]) for item in opened.test]


def test_a_film_made_from_the_description_is_the_phantoms_own(tmp_path):
    name, patient = next(iter(described(PATIENTS, 0).items()))
    shown = render(patient, 64)
    (tmp_path / "film.IMG").write_bytes(layout.raw(cv2.resize(shown.brightness, (2048, 2048))).tobytes())
    read = resized(SCR().read_image(Item(id=name, patient=name, split="test", image=tmp_path / "film.IMG")), 96)
    shown = replace(shown, brightness=cv2.resize(shown.brightness, (2048, 2048)))
    assert np.array_equal(refilmed.film(shown, 96), read)


def test_landmarks_of_a_further_film_are_the_renderers(filmed_again):
    for k, films in enumerate(patients(filmed_again)):
        for kind, patient in zip(("refilmed", "diseased"), films, strict=True):
            shown = render(patient, 128).landmarks
            expected = [(np.array(shown[name]) + 0.5) / 128 * SIDE for name in filmed_again.names]
            assert filmed_again.others[kind].truth[k] == pytest.approx(np.array(expected)), kind


def test_another_film_is_of_the_same_person_in_another_pose_and_the_finding_alone_is_added(filmed_again):
    for item, (again, ill) in zip(filmed_again.test, patients(filmed_again), strict=True):
        own = described(PATIENTS, 0)[item.id]
        assert again.anatomy == ill.anatomy == own.anatomy
        assert again.film == ill.film != own.film
        assert again.lesions == own.lesions == ill.lesions[: len(own.lesions)]
        assert len(ill.lesions) > len(own.lesions)
    films = filmed_again.others["refilmed"].films.astype(int), filmed_again.others["diseased"].films.astype(int)
    assert (np.abs(films[0] - films[1]).max(axis=(1, 2)) > 5).all()


def test_a_landmark_is_inside_where_the_findings_mask_is(filmed_again):
    for k, (again, ill) in enumerate(patients(filmed_again)):
        shown = render(ill, 512)
        extent = np.any([mask for _, mask in shown.lesion_masks[len(again.lesions) :]], axis=0)
        for name, inside in zip(filmed_again.names, filmed_again.others["diseased"].inside[k], strict=True):
            x, y = (round(at) for at in shown.landmarks[name])
            around = extent[max(y - 8, 0) : y + 9, max(x - 8, 0) : x + 9]
            if around.all() or not around.any():  # farther from its edge than a pixel of the small film is wide
                assert inside == around.any(), name


def test_on_the_phantom_an_oracle_is_at_the_grids_ceiling_in_every_film(filmed_again, monkeypatch):
    outcome = asked(filmed_again, monkeypatch)
    for kind in KINDS:
        assert outcome.scores[f"{kind}_pck_5"] == outcome.scores[f"{kind}_pck_5_of_oracle"] == 1, kind
        assert outcome.scores[f"{kind}_radial_error"] < 2 * outcome.scores[f"{kind}_radial_error_of_oracle"]
    records.check_outcome(outcome, TASK.score)


def test_on_the_phantom_a_constant_is_at_chance_and_copies_are_what_the_landmarks_moved_by(filmed_again):
    outcome = filmed_again.run(control("constant"), 0)
    for kind in (*KINDS, "diseased_outside"):
        for name in ("pck_5", "radial_error"):
            assert outcome.scores[f"{kind}_{name}"] == pytest.approx(outcome.scores[f"{kind}_{name}_of_chance"])
    first, truth = len(filmed_again.train), filmed_again.others["refilmed"].truth
    moved = [
        np.hypot(*(a - b)) / SIDE * 100
        for a, b in zip(truth.reshape(-1, 2), filmed_again.places[first:].reshape(-1, 2), strict=True)
    ]
    assert outcome.scores["refilmed_radial_error_of_copy_the_coordinates"] == pytest.approx(np.mean(moved))


def test_inside_and_outside_part_the_landmarks(filmed_again):
    cases = filmed_again.run(control("pixels"), 0).cases
    inside, outside, whole = (np.array(cases[f"diseased_{part}pck_5"], float) for part in ("inside_", "outside_", ""))
    assert (np.isnan(inside) | np.isnan(outside)).all()
    assert np.array_equal(np.where(np.isnan(inside), outside, inside), whole, equal_nan=True)


def test_real_films_have_no_further_films(opened):
    assert list(opened.others) == ["augmented"]
    assert not [name for name in opened.run(control("constant"), 0).scores if name.startswith(("refilmed", "diseased"))]


def test_landmarks_that_the_description_does_not_lead_to_are_an_error(people, tmp_path, monkeypatch):
    item = people.split("test")[0]
    monkeypatch.setattr(refilmed, "IMAGE_PX", FILM_PX)
    moved = replace(item, points={**item.points, min(item.points): (1.0, 1.0)})
    with pytest.raises(DataDamaged, match=f"scr: the landmarks of {item.id} in .* are not those that its PHANTOM.json"):
        refilmed.open_refilmed(people, [moved], list(item.points), 96, Context(cache=tmp_path))


def test_lines_go_to_the_places_that_the_plain_loop_finds(opened):
    pixels = control("pixels")
    arrays = opened.run(pixels, 0).arrays
    records.encode(arrays)
    first, side = len(opened.train), opened.protocol.film_px
    assert arrays["kinds"].tolist() == ["augmented", "other patient"]
    assert arrays["template"] * side == pytest.approx(opened.places[first], abs=1e-3)
    assert arrays["truth"][0] * side == pytest.approx(opened.others["augmented"].truth[0], abs=1e-3)
    assert arrays["truth"][1] * side == pytest.approx(opened.places[first + 1], abs=1e-3)
    marks = opened.patches(pixels, opened.protocol.patch_share).reshape(len(opened.items), 3, -1)
    mean = marks[opened.is_train].mean(axis=(0, 1))
    grid = opened._grid(pixels, first + 1)

    def cosine(a, b):
        a, b = a - mean, b - mean
        return a @ b / np.linalg.norm(a) / np.linalg.norm(b)

    for mark in range(3):
        best = max(range(len(grid)), key=lambda g: cosine(marks[first, mark], grid[g]))
        assert arrays["found"][1, mark] * side == pytest.approx(opened.centres[best], abs=1e-3)
    far = np.hypot(*((arrays["found"][1] - arrays["truth"][1]) * 100).T)
    assert far == pytest.approx(opened.run(pixels, 0).cases["radial_error"][:3], abs=1e-3)


def test_places_that_tie_have_no_line(opened):
    assert np.isnan(opened.run(control("constant"), 0).arrays["found"]).all()


def test_on_the_phantom_lines_go_to_every_kind_of_film(filmed_again):
    arrays = filmed_again.run(control("pixels"), 0).arrays
    assert arrays["kinds"].tolist() == [*KINDS, "other patient"]
    first = len(filmed_again.train)
    shown = [filmed_again.films[first], *(filmed_again.others[kind].films[0] for kind in KINDS)]
    assert np.array_equal(arrays["films"], [*shown, filmed_again.films[first + 1]])


def test_a_record_holds_films_of_no_licence_that_forbids_it(tmp_path):
    index = replace(marked(tmp_path, train=4, test=4), phantom=False)
    reader = Marked()
    for shareable in (False, True):
        reader.card = replace(Marked.card, shareable=shareable)
        protocol = replace(TASK.protocol("quick"), **SMALL)
        task = TASK.open(index, protocol, Context(cache=tmp_path / "c", dataset=reader))
        arrays = task.run(control("pixels"), 0).arrays
        assert ("films" in arrays) == shareable
        assert not {name for name, array in arrays.items() if array.dtype == np.uint8} - {"films"}


def test_stored_films_are_small():
    large = DRAW.integers(0, 255, (1024, 1024)).astype(np.uint8)
    places = np.full((3, 2), 512.0)
    arrays = drawn_pairs.arrays("abc", {"augmented": (places, places)}, places, 1024, [large, large])
    assert arrays["films"].shape == (2, 192, 192)
    assert (arrays["found"] == 0.5).all()
