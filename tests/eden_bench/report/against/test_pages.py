"""A run beside published numbers, and beside another folder: what is refused, what is named, what is decided."""

import json
from dataclasses import replace

import pytest
from scipy import stats

from eden_bench.report.against.pages import page_json, with_folder, with_published
from eden_bench.report.against.text import sheets
from eden_bench.report.build import build
from eden_bench.report.sheets import FORMATS, rendered
from tests.eden_bench.stored import DICE, PRETRAIN, patients, store

REAL = {"phantom": False, "quick": False, "protocol": "paper", "pretrain": PRETRAIN | {"phantom": False}}
NAMES = ("A", "B")


def tables(method="adam", mean=0.9499, seeds=range(10), spread=0.001, **more):
    """Return tables of one method whose scores lie evenly around a mean, in another order for other weights."""
    n, step = len(seeds), 3 if "checkpoint" in more else 1
    values = [mean + spread * (step * place % n - (n - 1) / 2) for place in range(n)]
    found = [
        (seed, value, patients([value + 0.001 * i for i in (-2, -1, 0, 1, 2)]))
        for seed, value in zip(seeds, values, strict=True)
    ]
    return build([store(None, method, value, seed, cases=cases, **more) for seed, value, cases in found]).tables


def the_row(pages):
    (page,) = pages
    (row,) = page.rows
    return row


def test_ours_against_published_is_welchs_test_from_the_moments():
    row = the_row(with_published(tables(mean=0.9350, **REAL)))
    expected = stats.ttest_ind_from_stats(*row.ours[1:], 10, 0.9499, 0.0007, 10, equal_var=False)
    assert row.contrast.test.p == pytest.approx(expected.pvalue, rel=1e-9)
    assert row.contrast.test.difference == pytest.approx(0.9350 - 0.9499)
    assert (row.verdict, row.theirs_from, row.refused) == ("worse", "Fig. 3", ())


def test_a_number_like_the_published_one_is_equivalent_and_a_noisy_one_undecided():
    assert the_row(with_published(tables(**REAL))).verdict == "equivalent"
    assert the_row(with_published(tables(mean=0.945, spread=0.01, **REAL))).verdict == "undecided"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"phantom": True}, "PHANTOM"),
        ({"quick": True}, "QUICK"),
        ({"part": "first 100 images"}, "PART: first 100 images"),
        ({"pretrain": PRETRAIN | {"phantom": True}}, "PHANTOM"),
        ({"pretrain": PRETRAIN | {"phantom": False, "dataset": "eyepacs"}}, "pretrained on eyepacs, not chestxray14"),
    ],
)
def test_what_is_no_answer_to_the_papers_question_is_shown_without_a_claim(change, why):
    row = the_row(with_published(tables(**{**REAL, **change})))
    assert row.verdict == f"not comparable: {why}"
    assert row.adjusted_p is None
    assert row.contrast.low is not None


def test_another_protocol_is_named_and_a_bare_mean_is_no_test():
    assert the_row(with_published(tables(**REAL | {"protocol": "mine"}))).named == ("protocol mine",)
    row = the_row(with_published(tables(shots=3, **REAL)))
    assert row.theirs == (10, 0.8435, None)
    assert row.verdict.startswith("no claim")
    assert row.named == ("no deviation is published",)


def test_what_is_published_and_not_run_is_listed_and_an_unpublished_task_has_no_page():
    (page,) = with_published(tables(**REAL))
    assert any(
        note.startswith("published too, and not in this run: random, supervised-imagenet") for note in page.notes
    )
    assert with_published(tables(task="my-task", **REAL)) == []
    assert with_published(tables(shots=5, **REAL)) == []


def test_p_is_corrected_over_all_comparisons_that_are_not_refused():
    made = [*tables(mean=0.9495, spread=0.002, **REAL), *tables("dira", 0.9395, spread=0.002, **REAL)]
    made += tables("dira", 0.5, **REAL | {"quick": True})
    rows = [row for page in with_published(made) for row in page.rows]
    p = sorted(row.contrast.test.p for row in rows if not row.refused)
    assert len(p) == 2
    assert min(row.adjusted_p for row in rows if not row.refused) == pytest.approx(min(1, 2 * p[0]))


# ── another folder ───────────────────────────────────────────────────────────────────────────────


def test_the_same_method_with_other_weights_is_decided_and_the_weights_are_named():
    row = the_row(with_folder(tables(mean=0.95), tables(mean=0.90, checkpoint="9" * 64), NAMES))
    assert (row.verdict, row.named) == (
        "better [PHANTOM; QUICK]; the methods: not asked [PHANTOM; QUICK]",
        ("other weights",),
    )


def test_the_direction_of_the_score_decides_what_is_better():
    lower = {"score": replace(DICE, higher_is_better=False)}
    row = the_row(with_folder(tables(mean=0.95, **lower), tables(mean=0.9, checkpoint="9" * 64, **lower), NAMES))
    assert row.verdict.startswith("worse [PHANTOM; QUICK]")


def test_a_probe_is_compared_by_welch_and_by_the_direction_of_its_score():
    lower = {"score": replace(DICE, higher_is_better=False), "kind": "probe"}
    row = the_row(with_folder(tables(mean=0.95, **lower), tables(mean=0.9, checkpoint="9" * 64, **lower), NAMES))
    assert (row.pair, row.verdict) == (None, "worse [PHANTOM; QUICK]")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"data": "c" * 64}, "data aaaaaaaaaaaa against cccccccccccc"),
        ({"phantom": False, "pretrain": REAL["pretrain"]}, "phantom against real data"),
        ({"part": "half"}, "another part of the data"),
        ({"score": replace(DICE, version=2)}, "score dice 1 against dice 2"),
    ],
)
def test_other_data_or_another_score_is_refused(change, why):
    row = the_row(with_folder(tables(), tables(mean=0.5, checkpoint="9" * 64, **change), NAMES))
    assert why in row.refused
    assert row.verdict.startswith("not comparable: ")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"budget": "epochs", "protocol": "mine"}, "protocol quick against mine"),
        ({"quick": False}, "quick against not quick"),
        ({"code": 3}, "numbers version"),
        ({"threads": 4}, "2 against 4 threads"),
        ({"pretrain": PRETRAIN | {"digest": "e" * 64}}, "pretraining data dddddddddddd against eeeeeeeeeeee"),
    ],
)
def test_other_settings_are_named_and_decided(change, words):
    row = the_row(with_folder(tables(), tables(mean=0.5, checkpoint="9" * 64, **change), NAMES))
    assert any(words in said for said in row.named)
    assert row.verdict.startswith("better [PHANTOM; QUICK]")


def test_the_same_cells_say_nothing_and_other_scores_of_one_cell_are_named():
    same = the_row(with_folder(tables(), tables(), NAMES))
    assert same.verdict == "not comparable: the same cells in both"
    (page,) = with_folder(tables(), tables(mean=0.9), NAMES)
    said = [note for note in page.notes if note.startswith("cell ")]
    assert len(said) == 10
    assert "expected the same: 'eden-bench run --replay" in said[0]


def test_some_cells_in_common_are_counted():
    row = the_row(with_folder(tables(seeds=range(10)), tables(seeds=range(5, 15), mean=0.9494), NAMES))
    assert "5 cells in both" in row.named


def test_methods_and_tasks_of_one_folder_alone_are_named():
    (heart,) = with_folder(build_both(), tables(checkpoint="9" * 64), NAMES)
    (clavicle,) = with_folder(tables(task="scr-clavicle"), tables(), NAMES)
    assert heart.notes == ("not in B: densecl",)
    assert clavicle.rows == ()
    assert clavicle.notes == ("B has no record of this task and number of shots",)


def build_both():
    made = [store(None, method, 0.9 + seed / 1000, seed) for method in ("adam", "densecl") for seed in range(3)]
    return build(made).tables


@pytest.mark.parametrize("form", FORMATS)
def test_pages_are_rendered_in_every_format(form):
    text = rendered(sheets(with_published(tables(**REAL)), "published numbers"), form)
    assert "equivalent" in text
    if form == "json":
        first = json.loads(text)[0]["rows"][0]
        assert first["comparable"] is True
        assert first["formula"]["welch"] == "welch-t"


def test_a_refused_number_keeps_its_marks_in_json():
    (page,) = with_published(tables(**REAL | {"phantom": True}))
    (row,) = page_json(page)["rows"]
    assert (row["comparable"], row["marks"], row["verdict"]) == (False, ["PHANTOM"], "not comparable: PHANTOM")
