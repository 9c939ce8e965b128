"""``eden-bench explain`` as users call it."""

import json

import pytest

from tests.cli.command import eden_bench, one_error
from tests.eden_bench.stored import store_three


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """Return an output folder with nine records."""
    folder = tmp_path_factory.mktemp("out")
    store_three(folder)
    return folder


def explain(out, *arguments):
    return eden_bench("explain", *arguments, "--out", out, cwd=out)


def test_a_row_names_formulas_cells_and_commands(out):
    done = explain(out, "scr-heart", "adam")
    assert (done.returncode, done.stderr) == (0, "")
    assert "t-interval" in done.stdout
    assert done.stdout.count(f"--out {out}") == 3


def test_the_start_of_an_id_is_enough_and_json_is_whole(out):
    record = next((out / "records").iterdir()).name
    done = explain(out, record[:8], "--json")
    assert json.loads(done.stdout)[0]["id"] == record


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nothex"], "expected 4 to 64 hex digits"),
        (["a", "b", "c", "d"], "expected an id, a task and a method, or a task and two methods"),
        (["scr-heart", "adam", "--shots", "few"], "--shots few: expected a number of training images, or full"),
        (["scr-heart", "adam", "random", "--score", "iou"], "pairs are compared by the primary score alone"),
        (["scr-heart", "adam", "--shots", "3"], "no table of scr-heart has 3 shots, expected one of full"),
    ],
)
def test_what_cannot_be_explained_is_one_sentence(out, arguments, words):
    done = explain(out, *arguments)
    assert done.returncode == 2
    assert words in one_error(done)
