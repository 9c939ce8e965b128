"""t-SNE of landmarks, one scale and three: every stored patch is a point, in its landmark's look."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from eden_bench.figures import cross_scale, locality, neighbours, style
from eden_bench.report.marks import Marks
from eden_bench.report.tables import Report
from tests.eden_bench.figures.reports import row, table
from tests.eden_bench.stored import DICE

NAMES = np.array(["azygos arch", "left clavicle", "rib 6", "spinous process", "sternum"])
FILMS = 6


def arrays(kind="clusters", prefix=("features",)):
    """Features of five landmarks of six films: apart, or not varying."""
    random = np.random.default_rng(0)
    landmark = np.tile(np.arange(len(NAMES)), FILMS)
    centres = 5 * np.eye(len(NAMES), 16)[landmark]
    features = centres + 0.1 * random.standard_normal(centres.shape) if kind == "clusters" else np.zeros_like(centres)
    return {
        **{name: features.astype(np.float16) for name in prefix},
        "landmark": landmark.astype(np.int16),
        "film": np.repeat(np.arange(FILMS), len(NAMES)).astype(np.int32),
        "names": NAMES,
    }


def stored_row(label, found):
    record = SimpleNamespace(
        arrays=lambda: found, facts=SimpleNamespace(arrays=1), value=0.875, score=DICE, method=None
    )
    return replace(row(label, [0.875]), cells={("d", 0): record})


def report(prefix=("features",)):
    rows = [stored_row("adam", arrays(prefix=prefix)), stored_row("constant", arrays("flat", prefix))]
    return Report(tables=(table(rows, task="locality", kind="probe", marks=Marks(True, True, "")),))


@pytest.fixture(scope="module")
def drawn():
    (found,) = locality.figures(report())
    return found


def test_each_method_has_two_panels_from_two_seeds_with_its_score_above(drawn):
    first, second = drawn.figure.axes
    assert first.get_title() == "adam\n87.50 %"
    assert first.get_xlabel().startswith("seed 0, KL ")
    assert second.get_xlabel().startswith("seed 1, KL ")


def test_each_patch_is_a_point_in_its_landmarks_look(drawn):
    for seed, axes in zip(neighbours.SEEDS, drawn.figure.axes, strict=True):
        made = neighbours.layout(arrays()["features"], seed)
        for landmark, line in enumerate(axes.lines):
            assert line.get_label() == NAMES[landmark]
            assert (line.get_color(), line.get_marker()) == style.look(landmark)[:2]
            assert line.get_xydata() == pytest.approx(made.places[arrays()["landmark"] == landmark])
    assert [text.get_text() for text in drawn.figure.legends[0].get_texts()] == NAMES.tolist()


def test_the_caption_says_how_many_how_it_was_made_and_what_is_not_drawn(drawn):
    assert "n = 30 patches of 6 films" in drawn.caption
    assert "perplexity 9.67," in drawn.caption  # (30 - 1) / 3
    assert "Not drawn, since their features do not vary: constant." in drawn.caption


def test_two_layouts_of_one_seed_are_equal_and_of_two_seeds_are_not():
    features = arrays()["features"]
    one, same, other = (neighbours.layout(features, seed) for seed in (0, 0, 1))
    assert np.array_equal(one.places, same.places)
    assert one.kl == same.kl
    assert not np.allclose(one.places, other.places)


def test_separate_clusters_stay_apart_in_the_plane():
    found = arrays()
    places = neighbours.layout(found["features"], 0).places
    distance = np.linalg.norm(places[:, None] - places[None], axis=2) + 1e9 * np.eye(len(places))
    assert (found["landmark"][distance.argmin(axis=1)] == found["landmark"]).all()


@pytest.mark.parametrize("features", [np.zeros((30, 4)), np.ones((30, 4)), np.eye(3)])
def test_features_that_do_not_vary_or_are_few_have_no_layout(features):
    assert neighbours.layout(features, 0) is None


def test_three_scales_share_a_picture_with_a_marker_each():
    (found,) = cross_scale.figures(report(tuple(f"features_{scale}" for scale in cross_scale.SCALES)))
    (axes,) = found.figure.axes
    chosen = cross_scale.picked(len(NAMES))
    assert chosen == [0, 1, 3, 4]
    assert [line.get_marker() for line in axes.lines] == [m for m in cross_scale.SCALES.values() for _ in chosen]
    assert {line.get_color() for line in axes.lines} == set(style.COLOURS[:4])
    assert all(len(line.get_xdata()) == FILMS for line in axes.lines)
    assert "n = 30 patches of 6 films at each scale" in found.caption
    texts = [text.get_text() for text in found.figure.legends[0].get_texts()]
    assert texts == [*NAMES[chosen], *cross_scale.SCALES]


def test_a_table_whose_records_store_no_features_has_no_figure():
    other = Report(tables=(table([stored_row("adam", {"iou": np.ones(3)})], kind="probe"),))
    assert locality.figures(other) == cross_scale.figures(other) == []
