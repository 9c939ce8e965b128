"""The report: what stands together in a table, what the test says, and that the same records give the same bytes."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
import scipy.stats

from eden_bench import records
from eden_bench.errors import UsageError
from eden_bench.records import FailureContent
from eden_bench.report.build import build, select
from eden_bench.report.missing import failure_notes
from eden_bench.report.outputs import grid, markdown, table_csv, table_json, text
from eden_bench.report.tables import ranges
from tests.eden_bench.report.made import as_report, notes_below
from tests.eden_bench.stored import DICE, PRETRAIN, patients, store, store_three

GOLDEN = Path(__file__).with_name("golden.md").read_text(encoding="utf-8")


def test_the_markdown_is_the_golden_one():
    """Of two patients, resamples are both, or one of them twice: the interval reaches from the lower to the higher."""
    pairs = [
        store(None, method, value, seed, shots=3, cases=patients([value - 0.05, value + 0.05]))
        for method, mean in (("adam", 0.8), ("densecl", 0.7))
        for seed, value in enumerate((mean - 0.01, mean, mean + 0.01))
    ]
    single = [record for record in store_three(None, shots=3) if record.cell.method == "random"]
    assert markdown.render(build([*pairs, *single])) == GOLDEN


def test_the_test_is_scipys_on_the_same_scores():
    ((comparison,),) = (table.comparisons for table in build(store_three(None)).tables)
    expected = scipy.stats.ttest_ind([0.79, 0.80, 0.81], [0.69, 0.70, 0.71])
    assert comparison.test.p == pytest.approx(expected.pvalue, rel=1e-9)
    assert comparison.other.label == "densecl"


def test_the_order_of_the_records_does_not_matter():
    stored = store_three(None)
    for make in (markdown.render, text.render, table_csv.render, table_json.render):
        assert make(build(stored)) == make(build(reversed(stored)))


@pytest.mark.parametrize(
    "other",
    [
        {"data": "c" * 64},
        {"quick": False},
        {"phantom": False},
        {"shots": 3},
        {"task": "scr-clavicle"},
        {"shots": 3, "budget": "epochs"},
        {"code": 0},
        {"score": replace(DICE, version=2)},
        {"pretrain": {**PRETRAIN, "digest": "e" * 64}},
    ],
    ids=lambda other: list(other)[-1],
)
def test_what_differs_in_anything_comparable_never_meets_in_a_table(other):
    like = {"shots": 3} if "budget" in other else {}
    tables = build([store(None, "adam", 0.8, 0, **like), store(None, "densecl", 0.7, 0, **other)]).tables
    assert [[row.label for row in table.rows] for table in tables if len(table.rows) > 1] == []
    assert len(tables) == 2


def test_protocols_of_two_names_that_fine_tune_alike_share_a_table():
    named = {"adam": "quick", "densecl": "mine", "random": "quick"}
    stored = [store(None, method, 0.5, seed, protocol=name) for method, name in named.items() for seed in range(2)]
    (table,) = build(stored).tables
    assert table.heading == "scr-heart, full training set, protocol mine / quick [PHANTOM; QUICK]"
    assert len(table.rows) == 3


def test_the_full_training_set_has_no_few_shot_budget():
    full, few = (markdown.render(build([store(None, "adam", 0.8, 0, shots=shots)])) for shots in (None, 3))
    assert "few-shot" in few
    assert "few-shot" not in full
    (row,) = csv.DictReader(io.StringIO(table_csv.render(build([store(None, "adam", 0.8, 0)]))))
    assert row["few_shot_budget"] == ""


@pytest.mark.parametrize(
    ("task_part", "pretrain_part", "expected"),
    [
        ("", "511 of 112,120 images", "PART: pretraining on 511 of 112,120 images"),
        ("9 of 247 images", "", "PART: 9 of 247 images"),
        (
            "9 of 247 images",
            "511 of 112,120 images",
            "PART: 9 of 247 images; pretraining on 511 of 112,120 images",
        ),
    ],
)
def test_a_part_of_the_data_is_marked_whichever_they_are(task_part, pretrain_part, expected):
    pretrain = {**PRETRAIN, "part": pretrain_part}
    (table,) = build(
        [store(None, name, 0.8, 0, part=task_part, pretrain=pretrain) for name in ("adam", "random")]
    ).tables
    assert f"; {expected}]" in table.heading


@pytest.mark.parametrize(
    ("selected", "expected"),
    [
        (
            {"rule": "best", "stage": "n4", "epoch": 12},
            "30 epochs, best validation loss, epoch 12 of n4, one checkpoint",
        ),
        ({"rule": "last", "stage": "n4", "epoch": 30}, "30 epochs, last epoch, one checkpoint"),
        (None, "30 epochs, one checkpoint"),
    ],
)
def test_the_origin_says_which_epoch_was_handed_on(selected, expected):
    (table,) = build([store(None, "adam", 0.8, 0, card={"selected": selected})]).tables
    assert any(expected in note for note in table.notes)


def test_a_stage_without_negatives_is_warned_of():
    stages = [
        {"name": "n0", "kept": 0.9, "without_negatives": 0.0},
        {"name": "n2", "kept": 0.0001, "without_negatives": 0.995},
        {"name": "n4"},
    ]
    (table,) = build([store(None, "adam", 0.8, 0, card={"stages": stages}), store(None, "densecl", 0.7, 0)]).tables
    warnings = [note for note in table.notes if "negatives" in note]
    assert warnings == ["adam: stage n2: the pruner left no negatives, nothing was learnt"]


def test_labels_that_the_mean_leaves_out_are_named():
    told = {"labels": [f"L{number}" for number in range(13)] + ["Hernia"], "labels_without_auc": ["Hernia"]}
    (table,) = build([store(None, "adam", 0.8, 0, told=told)]).tables
    expected = "AUC is the mean over 13 of 14 labels; without both values in the test set: Hernia"
    assert expected in table.notes
    (table,) = build([store(None, "adam", 0.8, 0, told={**told, "labels_without_auc": []})]).tables
    assert not any("AUC" in note for note in table.notes)


def trained(record, names):
    """Return a record whose training images had one value only of some labels."""
    return records.Record(record.folder, {**record.content, "training": {"one_value_in_training": names}})


@pytest.mark.trap("inputs", "few-shot classification with one class")
def test_labels_that_had_one_value_in_training_are_counted_over_the_seeds():
    labels = {"labels": ["Hernia", "Mass", "Nodule"]}
    stored = [store(None, "adam", 0.8, seed, told=labels) for seed in range(2)]
    (table,) = build([trained(*pair) for pair in zip(stored, (["Hernia"], ["Hernia", "Mass"]), strict=True)]).tables
    expected = "1 to 2 of 3 labels had one value in the training images of a seed, so nothing teaches them there: "
    assert expected + "Hernia, Mass" in table.notes
    stored = [store(None, "adam", 0.8, 0, told={"structures": ["heart", "lung"]})]
    (table,) = build([trained(stored[0], ["lung"])]).tables
    assert any(note.startswith("1 of 2 structures were not drawn in the training images") for note in table.notes)
    (table,) = build([trained(stored[0], [])]).tables
    assert not any("training images of a seed" in note for note in table.notes)


@pytest.mark.parametrize(("count", "said"), [(1, "1 test image: too few"), (9, "9 test images: too few"), (10, "")])
def test_few_test_images_are_warned_of_below_the_table(count, said):
    (table,) = build([store(None, "adam", 0.8, 0, told={"test": count})]).tables
    assert [note[: len(said)] for note in table.notes if "too few" in note] == ([said] if said else [])


def test_a_random_encoder_stands_in_the_table_of_every_pretraining_set():
    stored = [
        store(None, "adam", 0.8, 0),
        store(None, "densecl", 0.7, 0, pretrain={**PRETRAIN, "digest": "e" * 64}),
        store(None, "random", 0.5, 0),
    ]
    assert [[row.label for row in table.rows] for table in build(stored).tables] == [
        ["adam", "random"],
        ["densecl", "random"],
    ]


def test_pretraining_on_the_phantom_marks_a_table_of_real_data():
    (table,) = build([store(None, "adam", 0.8, 0, phantom=False)]).tables
    assert "PHANTOM" in table.heading


def test_real_whole_data_under_the_papers_protocol_carry_no_marks():
    real = {"phantom": False, "quick": False, "protocol": "paper", "pretrain": {**PRETRAIN, "phantom": False}}
    (table,) = build([store(None, "adam", 0.8, 0, **real)]).tables
    assert table.marks.words == ()


def test_every_row_of_the_machine_formats_carries_the_marks():
    tables = build(store_three(None, part="511 of 112,120 images")).tables
    rows = list(csv.DictReader(io.StringIO(table_csv.render(as_report(*tables)))))
    assert {(row["phantom"], row["quick"], row["part"]) for row in rows} == {("true", "true", "511 of 112,120 images")}
    (table,) = json.loads(table_json.render(as_report(*tables)))["tables"]
    assert {(row["phantom"], row["quick"], row["part"]) for row in [*table["rows"], *table["tests"]]} == {
        (True, True, "511 of 112,120 images")
    }
    assert "511 of 112,120 images" in table["heading"]


def test_machine_formats_keep_every_digit():
    tables = build([store(None, "adam", 1 / 3, 0), store(None, "adam", 2 / 3, 1)]).tables
    (row,) = csv.DictReader(io.StringIO(table_csv.render(as_report(*tables))))
    assert float(row["mean"]) == tables[0].rows[0].summary.mean
    assert json.loads(table_json.render(as_report(*tables)))["tables"][0]["rows"][0]["scores"] == {
        "0": 1 / 3,
        "1": 2 / 3,
    }


def test_unequal_seeds_are_refused_and_said():
    stored = [*store_three(None), store(None, "adam", 0.9, 3)]
    (table,) = build(stored).tables
    assert table.comparisons[0].verdict == "refused"
    assert "adam has seeds 0-3, densecl has 0-2" in table.comparisons[0].note
    assert "missing: densecl has no record of seeds 3" in table.notes


def test_unequal_seeds_are_tested_where_it_is_asked_for_and_said():
    (table,) = build([*store_three(None), store(None, "adam", 0.9, 3)], allow_unequal=True).tables
    assert table.comparisons[0].test.df == 5
    assert any("on unequal seeds" in line for line in notes_below(table))


def test_one_seed_is_no_test():
    (table,) = build(store_three(None, seeds=[0])).tables
    assert table.comparisons[0].verdict == "undefined"
    assert "one fine-tuning seed tells nothing of others" in text.below(table)[0]
    assert any("each group needs at least 2 scores" in line for line in notes_below(table))
    assert grid.cells(table)[0][2:5] == ["–", "1", "–"]


def test_a_large_p_is_undecided_never_no_difference():
    stored = [store(None, name, 0.5 + 0.1 * seed, seed) for name in ("adam", "densecl") for seed in range(3)]
    (table,) = build(stored).tables
    assert table.comparisons[0].verdict == "undecided"
    text = markdown.render(as_report(table))
    assert "undecided" in text
    assert "no difference" not in text


def test_the_named_method_is_tested_against_the_best_of_the_others():
    (table,) = build(store_three(None), method="random").tables
    (comparison,) = table.comparisons
    assert (comparison.row.label, comparison.other.label, comparison.verdict) == ("random", "adam", "lower")


def test_without_adam_the_best_is_tested():
    (table,) = build([record for record in store_three(None) if record.cell.method != "adam"]).tables
    assert table.comparisons[0].row.label == "densecl"


def test_a_method_that_no_record_has_gets_the_nearest():
    with pytest.raises(UsageError, match=r"unknown method 'adm'\. Did you mean 'adam'"):
        build(store_three(None), method="adm")


def test_two_checkpoints_of_one_method_are_two_rows():
    stored = [store(None, "adam", 0.8, 0, checkpoint=each * 64) for each in "12"]
    (table,) = build(stored).tables
    assert sorted(row.label for row in table.rows) == ["adam (checkpoint 11111111)", "adam (checkpoint 22222222)"]


def test_other_thread_counts_are_other_rows():
    (table,) = build([store(None, "adam", 0.8, 0, threads=threads) for threads in (0, 4)]).tables
    assert sorted(row.label for row in table.rows) == ["adam (4 threads)", "adam (GPU)"]


def test_few_shots_come_before_the_full_set():
    tables = build([store(None, "adam", 0.8, 0, shots=shots) for shots in (None, 24, 3)]).tables
    assert [table.shots for table in tables] == [3, 24, None]


@pytest.mark.parametrize("pattern", ["scr-heart", "scr-h*", "scr-heart,scr-heart"])
def test_tasks_are_selected_by_name_and_glob(pattern):
    stored = [*store_three(None), *store_three(None, task="scr-clavicle")]
    assert {record.cell.task for record in select(stored, [pattern])} == {"scr-heart"}


def test_tasks_are_selected_by_group():
    stored = [*store_three(None), *store_three(None, task="scr-clavicle")]
    assert len(select(stored, ["@segmentation"])) == len(select(stored, ["@all"])) == len(select(stored, [])) == 18


def test_a_task_that_no_record_has_gets_the_nearest():
    with pytest.raises(UsageError, match=r"unknown task 'scr-hart'\. Did you mean 'scr-heart'"):
        select(store_three(None), ["scr-hart"])


def test_names_cannot_break_a_table_or_become_html():
    text = markdown.render(build([store(None, "a|b<script>", 0.8, 0)]))
    assert "| a\\|b&lt;script> |" in text
    (row,) = csv.DictReader(io.StringIO(table_csv.render(build([store(None, "=1+1", 0.8, 0)]))))
    assert row["method"] == "'=1+1"


def test_failures_are_stated_with_the_command_that_redoes_them():
    failure = FailureContent(what="adam · scr-heart · full · seed 3", error="boom\nmore", command="eden-bench run")
    (note,) = failure_notes({"0" * 64: failure})
    assert note == "failed: adam · scr-heart · full · seed 3: boom. Redo: eden-bench run"


@pytest.mark.parametrize(("seeds", "text"), [([], ""), ([3], "3"), ([0, 1, 2], "0-2"), ([5, 0, 1, 7], "0-1,5,7")])
def test_seeds_are_written_as_ranges(seeds, text):
    assert ranges(seeds) == text


def test_a_dataset_made_of_the_pretraining_data_is_said_unaudited():
    (table,) = build([store(None, "adam", 0.8, 0, task="chestx-det", dataset="chestx-det")]).tables
    (note,) = [note for note in table.notes if note.startswith("leakage")]
    assert "taken from ChestX-ray14" in note


@pytest.mark.parametrize(
    ("task_list", "pretrain_list", "expected"),
    [("t", "t", "without its test images"), ("t", "u", "not checked"), ("t", None, "not checked"), (None, None, "not")],
)
def test_only_equal_test_lists_say_that_pretraining_left_the_test_images_out(task_list, pretrain_list, expected):
    told, seen = ({} if each is None else {"test_list": each} for each in (task_list, pretrain_list))
    stored = [
        store(None, name, 0.8, 0, dataset="chestxray14", told=told, pretrain=PRETRAIN | seen)
        for name in ("adam", "random")
    ]
    (table,) = build(stored).tables
    (note,) = [note for note in table.notes if note.startswith("pretraining used")]
    assert expected in note
