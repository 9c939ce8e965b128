"""Explaining numbers: each of report.json has a known formula, the cells it is from, and their commands."""

import json
import math
import shlex

import pytest

from eden_bench import records
from eden_bench.errors import UsageError
from eden_bench.report.build import build
from eden_bench.report.explain import Explainer, _numbers, replay_command
from eden_bench.report.formulas import FORMULAS
from eden_bench.report.outputs.table_json import cells_behind, render
from eden_bench.report.sheets import FORMATS, rendered
from tests.eden_bench.stored import store, store_three


@pytest.fixture
def explainer(tmp_path):
    store_three(tmp_path, seeds=range(4))
    store_three(tmp_path, seeds=range(3), shots=6)
    stored = records.load(tmp_path, warn=pytest.fail)
    return Explainer(build(stored), stored, tmp_path)


def numbers(sheet):
    return {each["name"]: each for each in sheet.content["numbers"]}


def test_a_row_is_explained_by_its_cells_whose_mean_it_is(explainer):
    found, cells = explainer.row("scr-heart", "adam", shots=None)
    values = [cell["value"] for cell in cells.content["cells"]]
    assert len(values) == 4
    assert numbers(found)["mean"] == {"name": "mean", "value": math.fsum(values) / 4, "formula": "mean"}
    variance = math.fsum((value - numbers(found)["mean"]["value"]) ** 2 for value in values) / 3
    assert numbers(found)["sd"]["value"] == pytest.approx(math.sqrt(variance), rel=1e-12)
    assert any("weights: " in note and "61" in note for note in found.notes)
    assert any(note.startswith("score dice, definition 1: Dice per image") for note in found.notes)


def test_without_shots_every_table_of_the_task_is_explained(explainer):
    titles = [sheet.title for sheet in explainer.row("scr-heart", "adam")]
    assert [title for title in titles if title.startswith("adam: ")] == [
        "adam: scr-heart, 6 shots, protocol quick [PHANTOM; QUICK]",
        "adam: scr-heart, full training set, protocol quick [PHANTOM; QUICK]",
    ]
    assert len(explainer.row("scr-heart", "adam", shots=6)) == 2


def test_every_number_of_the_report_has_a_known_formula_and_cells_that_are_stored(explainer):
    ids = {record.id for record in explainer.records}
    found = 0
    for table in json.loads(render(explainer.report))["tables"]:
        for block in (*table["rows"], *table["pairs"], *table["tests"]):
            behind = cells_behind(table, block)
            assert behind <= ids
            assert behind
            assert {each.formula for each in _numbers(block)} <= FORMULAS.keys()
            found += len(list(_numbers(block)))
    assert found > 40


def test_a_pair_is_explained_by_the_cells_of_both_in_either_order(explainer):
    one = explainer.row("scr-heart", "adam", other="densecl", shots=None)
    two = explainer.row("scr-heart", "densecl", other="adam", shots=None)
    assert [sheet.title for sheet in one] == [sheet.title for sheet in two]
    assert one[0].title.startswith("adam against densecl: ")
    assert {cell["method"] for cell in one[1].content["cells"]} == {"adam", "densecl"}
    means = [
        math.fsum(c["value"] for c in one[1].content["cells"] if c["method"] == m) / 4 for m in ("adam", "densecl")
    ]
    assert numbers(one[0])["checkpoints.difference"]["value"] == pytest.approx(means[0] - means[1], rel=1e-12)
    assert {each["formula"] for each in one[0].content["numbers"]} >= {"welch-t", "pooled-t", "hedges-g"}


def test_a_record_is_explained_by_its_scores_and_says_where_it_counts(explainer):
    record = explainer.records[0]
    found, cells = explainer.cell(record)
    assert numbers(found)["dice"]["value"] == record.value
    assert numbers(found)["dice"]["text"] == "Dice per image, mean over images."
    assert sum(note.startswith("it is one of ") for note in found.notes) == 1
    (cell,) = cells.content["cells"]
    assert cell["file"] == str(record.folder / "record.json")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("scr-hart", "adam"), "unknown task 'scr-hart'. Did you mean 'scr-heart'?"),
        (("scr-heart", "adan"), "unknown method 'adan'. Did you mean 'adam'?"),
        (("scr-heart", "adam", "randm"), "unknown method 'randm'. Did you mean 'random'?"),
    ],
)
def test_a_misspelt_name_gets_the_nearest(explainer, arguments, words):
    task, method, *other = arguments
    with pytest.raises(UsageError) as error:
        explainer.row(task, method, other="".join(other))
    assert words in str(error.value)


def test_a_score_that_no_cell_has_is_named(explainer):
    with pytest.raises(UsageError, match="unknown score 'iou'"):
        explainer.row("scr-heart", "adam", score="iou")
    with pytest.raises(UsageError, match="unknown score 'iou'"):
        explainer.cell(explainer.records[0], "iou")


def test_the_command_repeats_the_folders_and_plugins_of_the_stored_one(tmp_path):
    record = store(tmp_path, "adam", 0.8, 0)
    told = (
        "eden-bench run --methods adam --tasks mine --seeds 0 --data '/my data' --out old --plugin mine.py --splits s"
    )
    path = record.folder / "record.json"
    content = json.loads(path.read_text()) | {"command": told}
    path.write_text(records.store.to_json(records.seal(content)))
    words = shlex.split(replay_command(records.read(record.folder), tmp_path))
    start = ["eden-bench", "run", "--replay", record.id[:12], "--out", str(tmp_path)]
    assert words == [*start, "--data", "/my data", "--plugin", "mine.py", "--splits", "s"]


def test_a_stored_command_that_is_not_ours_is_not_repeated(tmp_path):
    record = store(tmp_path, "adam", 0.8, 0)
    path = record.folder / "record.json"
    content = json.loads(path.read_text()) | {"command": "eden-bench run --plugin x; rm -r ."}
    path.write_text(records.store.to_json(records.seal(content)))
    assert "plugin" not in replay_command(records.read(record.folder), tmp_path)


@pytest.mark.parametrize("form", FORMATS)
def test_an_explanation_is_rendered_in_every_format(explainer, form):
    text = rendered(explainer.row("scr-heart", "adam"), form)
    assert "t-interval" in text
    assert "eden-bench run --replay" in text
