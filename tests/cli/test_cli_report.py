"""``eden-bench report`` as users call it."""

import json

import pytest

from eden_bench import cli
from tests.cli.command import eden_bench, one_error
from tests.eden_bench.report.made import REAL
from tests.eden_bench.stored import store, store_three


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """Return an output folder with nine records."""
    out = tmp_path_factory.mktemp("out")
    store_three(out)
    return out


def report(out, capsys, *arguments):
    with pytest.raises(SystemExit) as end:
        cli.main(["report", "--out", str(out), *arguments])
    return end.value.code, capsys.readouterr()


def where(out):
    """The line that says where the page lies."""
    return f"the whole report: {out}/report/report.html (beside it .md, .tex, .csv and .json)\n"


@pytest.mark.parametrize("form", ["md", "tex", "csv", "json", "html"])
def test_a_format_is_printed_as_it_is_written(stored, capsys, form):
    code, streams = report(stored, capsys, "--format", form)
    assert code == 0
    assert streams.err == where(stored)
    assert streams.out == (stored / "report" / f"report.{form}").read_text()


def test_json_is_a_format_too(stored, capsys):
    assert json.loads(report(stored, capsys, "--json")[1].out)["tables"][0]["phantom"] is True


def test_off_a_terminal_the_table_is_plain_and_marked(stored, tmp_path):
    done = eden_bench("report", "--out", stored, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, where(stored))
    assert done.stdout.startswith("scr-heart, full training set, protocol quick [PHANTOM; QUICK]\n")
    assert "\x1b" not in done.stdout


def test_a_report_of_nothing_says_what_to_do(tmp_path):
    done = eden_bench("report", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "holds no records: make some with 'eden-bench run'" in one_error(done)


def test_a_misspelt_method_gets_the_nearest(stored, capsys):
    code, streams = report(stored, capsys, "--method", "denscl")
    assert code == 2
    assert "Did you mean 'densecl'?" in streams.err


def test_a_folder_that_cannot_be_written_is_a_warning(tmp_path, capsys):
    store_three(tmp_path, seeds=[0])
    (tmp_path / "report").write_text("in the way")
    code, streams = report(tmp_path, capsys)
    assert code == 0
    assert streams.err.startswith("warning: the report's files are not written: ")
    assert "adam" in streams.out


def test_a_damaged_record_is_left_out_with_a_warning_and_named_in_the_report(tmp_path, capsys):
    records = store_three(tmp_path, seeds=[0, 1])
    (records[0].folder / "record.json").write_text("{")
    code, streams = report(tmp_path, capsys)
    assert code == 0
    assert streams.err.count("warning: ") == 1
    assert str(records[0].folder) in streams.err
    assert "1 cell or record failed or cannot be used: see the end." in streams.out
    assert f"left out: record records/{records[0].folder.name} cannot be read" in streams.out
    assert f"left out: record records/{records[0].folder.name}" in (tmp_path / "report/report.html").read_text()
    assert "missing: adam has no record of seeds 0" in streams.out


def test_a_folder_of_damaged_records_alone_is_data_damaged(tmp_path):
    for record in store_three(tmp_path / "runs", seeds=[0]):
        (record.folder / "record.json").write_text("{")
    done = eden_bench("report", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (4, "")
    assert "holds no record that can be used: all 3 are damaged" in done.stderr.splitlines()[-1]


def test_one_cell_says_that_it_has_no_spread_and_nothing_to_compare_with(tmp_path, capsys):
    store(tmp_path, "adam", 0.8, 0, **REAL)
    code, streams = report(tmp_path, capsys)
    assert code == 0
    assert "Nothing is compared: no table has two rows." in streams.out
    assert "adam on scr-heart, full training set: one score has no spread, no interval and no test." in streams.out
    assert "PHANTOM" not in streams.out


def test_phantom_and_real_say_how_much_of_it_is_which_and_share_no_table(tmp_path, capsys):
    store_three(tmp_path)
    store_three(tmp_path, data="c" * 64, **REAL)
    code, streams = report(tmp_path, capsys)
    assert code == 0
    assert "1 of 2 tables is made from synthetic images (PHANTOM) and may not be claimed of patients." in streams.out
    heads = [line for line in streams.out.splitlines() if line.startswith("scr-heart, full")]
    assert ["PHANTOM" in line for line in heads].count(True) == 1


def test_figures_are_written_on_request_and_named(tmp_path, capsys):
    store_three(tmp_path)
    code, streams = report(tmp_path, capsys)
    assert code == 0
    assert not (tmp_path / "report" / "figures").exists()
    code, streams = report(tmp_path, capsys, "--figures")
    folder = tmp_path / "report" / "figures"
    assert code == 0
    assert f"figures in {folder}: scores" in streams.err
    assert {"scores.svg", "scores.pdf"} <= {path.name for path in folder.iterdir()}


def test_figures_that_cannot_be_written_are_a_warning_and_lose_nothing(tmp_path, capsys):
    store_three(tmp_path, seeds=[0, 1])
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "figures").write_text("in the way")
    code, streams = report(tmp_path, capsys, "--figures")
    assert code == 0
    assert "warning: the report's figures are not written" in streams.err
    assert "<svg" in (tmp_path / "report" / "report.html").read_text()
