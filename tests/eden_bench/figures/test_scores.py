"""Fig. 3: what is drawn is what the report holds, and stars are the report's corrected verdicts."""

from dataclasses import replace

import pytest

from eden_bench.contracts import ScoreDefinition
from eden_bench.figures import scores
from eden_bench.report.findings import Finding
from tests.eden_bench.figures.reports import finding, pair, row, table

ADAM = row("adam", [0.80, 0.82, 0.84])
DENSE = row("densecl", [0.70, 0.75, 0.71])
RANDOM = row("random", [0.5, 0.5, 0.5])
IMAGENET = row("supervised-imagenet", [0.6, 0.62, 0.61], groups=("supervised",))


def lines_of(axes):
    """Return each line's x and the y that it lies on."""
    return [(line.get_xdata(), line.get_ydata()[0], line.get_marker()) for line in axes.lines]


def test_methods_stand_by_kind_with_ours_first():
    (axes,) = scores.draw([table([ADAM, DENSE, RANDOM, IMAGENET])]).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        *("ours", "adam", "self-supervised", "densecl", "supervised", "supervised-imagenet"),
        *("untrained, controls", "random"),
    ]


def test_dots_bars_and_pale_dots_are_means_intervals_and_seeds():
    (axes,) = scores.draw([table([ADAM, DENSE])]).axes
    seeds, interval, mean = lines_of(axes)[:3]
    assert seeds[0] == pytest.approx([80, 82, 84])
    assert mean[0] == pytest.approx([82])
    # t(2) = 4.303, s.d. 2, n = 3
    assert interval[0] == pytest.approx([82 - 4.302653 * 2 / 3**0.5, 82 + 4.302653 * 2 / 3**0.5])
    assert {round(y) for _, y, _ in lines_of(axes)} == {1, 3}


def test_one_seed_has_a_dot_and_no_bar():
    (axes,) = scores.draw([table([row("adam", [0.8])])]).axes
    assert [(list(x), marker) for x, _, marker in lines_of(axes)] == [([pytest.approx(80)], "o")]


@pytest.mark.parametrize(
    ("checkpoints", "methods", "expected"),
    [
        (finding("checkpoints", "better", 0.1, 0.02, 0.01), Finding(scope="methods", verdict="not asked"), "*†"),
        (finding("checkpoints", "better", 0.1, 0.02, 0.01), finding("methods", "better", 0.1, 0.05, 0.04), "**†"),
        (finding("checkpoints", "undecided", 0.1, 0.02, 0.06), Finding(scope="methods", verdict="not asked"), "†"),
        (finding("checkpoints", "better", 0.1, 0.02, 0.06), Finding(scope="methods", verdict="not asked"), "†"),
        (finding("checkpoints", "better", 0.1, 0.02, None), Finding(scope="methods", verdict="not asked"), "†"),
        (finding("checkpoints", "equivalent", 0.0, 0.001, 0.01), Finding(scope="methods", verdict="not asked"), "†"),
    ],
    ids=["checkpoints", "methods too", "undecided", "not after correction", "outside the family", "equivalent"],
)
def test_a_star_is_a_corrected_verdict_and_a_dagger_the_papers_test(checkpoints, methods, expected):
    both = replace(pair(ADAM, DENSE), checkpoints=checkpoints, methods=methods)
    assert scores.stars(table([ADAM, DENSE], pairs=[both])) == {"densecl": expected}


def test_a_pair_outside_the_family_or_of_another_row_bears_no_star():
    outside = replace(pair(ADAM, RANDOM), in_family=False)
    others = pair(DENSE, RANDOM)
    assert scores.stars(table([ADAM, DENSE, RANDOM], pairs=[outside, others])) == {"densecl": "†"}


def test_marks_are_drawn_at_the_row_and_explained_below():
    figure = scores.draw([table([ADAM, DENSE, RANDOM], pairs=[pair(ADAM, DENSE), pair(ADAM, RANDOM)])])
    placed = {text.get_text(): text.get_position()[1] for text in figure.axes[0].texts}
    assert placed == {"*†": 3, "*": 5}
    said = figure.get_supxlabel()
    assert said.startswith("* Holm-adjusted p < 0.05 for these checkpoints")
    assert "† p < 0.05 by the paper's own t-test, uncorrected" in said
    assert "**" not in said


def test_a_score_in_pixels_is_not_multiplied_and_says_its_direction():
    score = ScoreDefinition(name="radial_error", text="", unit="px", bounds=(0, None), higher_is_better=False)
    (axes,) = scores.draw([table([row("adam", [3.0, 5.0])], score=score)]).axes
    assert axes.get_xlabel() == "radial error [px], lower is better"
    assert axes.lines[0].get_xdata() == pytest.approx([3, 5])
