"""``eden-bench report`` as users call it."""

import json

import pytest

from eden_bench import cli
from tests.cli.command import eden_bench, one_error
from tests.eden_bench.stored import store_three


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


@pytest.mark.parametrize("form", ["md", "csv", "json"])
def test_a_format_is_printed_as_it_is_written(stored, capsys, form):
    code, streams = report(stored, capsys, "--format", form)
    assert code == 0
    assert streams.err == ""
    assert streams.out == (stored / "report" / f"report.{form}").read_text()


def test_json_is_a_format_too(stored, capsys):
    assert json.loads(report(stored, capsys, "--json")[1].out)["tables"][0]["phantom"] is True


def test_off_a_terminal_the_table_is_plain_and_marked(stored, tmp_path):
    done = eden_bench("report", "--out", stored, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
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


def test_a_damaged_record_is_left_out_with_a_warning(tmp_path, capsys):
    records = store_three(tmp_path, seeds=[0])
    (records[0].folder / "record.json").write_text("{")
    code, streams = report(tmp_path, capsys)
    assert code == 0
    assert streams.err.count("warning: ") == 1
    assert str(records[0].folder) in streams.err
