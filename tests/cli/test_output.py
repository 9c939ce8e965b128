"""Where output goes and what may stand in it: encodings, full disks, closed streams, names that are no text."""

import os
import subprocess
import sys
import tempfile

import pytest

from eden_bench import cli
from tests.cli.command import eden_bench, one_error
from tests.eden_bench.stored import store, store_three
from tests.eden_bench.test_hostile_records import EVIL, forge


def command(line, cwd, **environment):
    """Run a line of shell in which EB is the command."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "EB": f"{sys.executable} -m eden_bench", **environment}
    return subprocess.run(["bash", "-c", line], cwd=cwd, env=environment, capture_output=True, check=False)


def in_process(capsys, *arguments):
    with pytest.raises(SystemExit) as end:
        cli.main([str(argument) for argument in arguments])
    return end.value.code, capsys.readouterr()


@pytest.mark.trap("inputs", "Latin-1 and other narrow outputs", "what the encoding lacks is written in other signs")
@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "cp1252"])
@pytest.mark.parametrize("arguments", [["report"], ["show", "scr-heart"], ["list"], ["data", "check", "scr"]])
def test_no_encoding_costs_the_output(tmp_path, encoding, arguments):
    store(tmp_path / "runs", "random", 0.5, 0)  # one seed: a dash for the interval
    (tmp_path / "data/scr").mkdir(parents=True)
    done = command("$EB " + " ".join(arguments), tmp_path, PYTHONIOENCODING=encoding, EDEN_BENCH_DATA="data")
    said = done.stderr.decode("latin-1")
    assert done.returncode == (4 if arguments[0] == "data" else 0), said
    assert "internal error" not in said
    assert done.stdout or done.returncode == 4


def test_a_dash_that_the_encoding_lacks_keeps_the_columns(tmp_path):
    store(tmp_path / "runs", "random", 0.5, 0)
    lines = [
        command("$EB report", tmp_path, PYTHONIOENCODING=encoding).stdout.decode(encoding).splitlines()[3]
        for encoding in ("utf-8", "latin-1")
    ]
    assert lines[0].replace("–", "-") == lines[1] == "random  50.00  -     1  -              0"


@pytest.mark.trap("attacks", "names that are no UTF-8", "refused before anything is computed")
@pytest.mark.parametrize("put", ["--out", "--cache", "--data"])
def test_a_name_that_is_no_utf_8_is_refused_before_anything_is_computed(tmp_path, put):
    odd = tmp_path / os.fsdecode(b"a\xffb")
    done = eden_bench("paths", put, odd, cwd=tmp_path)
    assert done.returncode == 2
    assert r"a\xffb' is no UTF-8: rename the file or folder" in one_error(done)
    done = eden_bench("paths", cwd=tmp_path, EDEN_BENCH_OUT=str(odd))
    assert done.returncode == 2
    assert r"a\xffb' is no UTF-8: choose a folder whose name is" in one_error(done)


@pytest.mark.trap("attacks", "overlong names, full or closed outputs", "one sentence")
def test_a_name_longer_than_a_name_may_be_is_one_sentence(tmp_path, capsys):
    code, streams = in_process(capsys, "report", "--out", tmp_path / ("x" * 300))
    assert code == 2
    assert "File name too long: choose another path" in streams.err
    assert "internal error" not in streams.err


@pytest.mark.trap("attacks", "overlong names, full or closed outputs")
@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("$EB list > /dev/full", "the output cannot be written (No space left on device)"),
        ("$EB --version > /dev/full", "the output cannot be written (No space left on device)"),
        ("$EB list >&-", "the output is closed: send it to a file"),
    ],
)
def test_an_output_that_takes_nothing_is_one_sentence(tmp_path, line, sentence):
    done = command(line, tmp_path)
    assert done.returncode == 2
    assert done.stderr.decode().startswith(f"error: {sentence}")
    assert done.stderr.count(b"\n") == 1


def test_closed_messages_are_no_error(tmp_path):
    done = command("$EB list methods 2>&-", tmp_path)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"adam" in done.stdout


@pytest.mark.trap("attacks", "an internal error without a temporary folder", "one line")
def test_an_internal_error_needs_no_folder_for_its_traceback(monkeypatch, capsys, tmp_path):
    def fail():
        """Fail."""
        raise ZeroDivisionError("by nought")

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    monkeypatch.setattr(cli, "COMMANDS", {"paths": cli.Entry(__name__, "fail", "")})
    monkeypatch.setattr(sys.modules[__name__], "fail", fail, raising=False)
    code, streams = in_process(capsys, "paths")
    assert (code, streams.err) == (
        1,
        "error: internal error: ZeroDivisionError: by nought (--debug shows the traceback)\n",
    )


@pytest.mark.trap("attacks", "terminal escapes, links and formulas in names", "shown as text")
def test_nothing_from_a_file_acts_on_the_terminal(tmp_path, capsys):
    made = store_three(tmp_path)
    forge(made[0].folder, "task.title", EVIL)
    bad = made[1].folder.with_name("\x1b]0;title\x07")
    made[1].folder.rename(bad)
    for form in ("terminal", "md", "csv", "json"):
        code, streams = in_process(capsys, "report", "--out", tmp_path, "--format", form)
        assert code == 0
        assert not set(streams.out + streams.err) & set("\x1b\x07\x9b\r\u202e\u2066")
        assert r"\u001b]0;title\u0007" in streams.err
        if form != "terminal":
            assert streams.out == (tmp_path / f"report/report.{form}").read_text()


def test_an_error_shows_what_it_names(capsys):
    code, streams = in_process(capsys, "list", "\x1b[2J")
    assert code == 2
    assert "\x1b" not in streams.err


def test_a_record_that_was_edited_is_not_replayed(tmp_path, capsys):
    record = store(tmp_path, "random", 0.5, 0)
    forge(record.folder, "scores.dice", 0.9, sealed=False)
    code, streams = in_process(capsys, "run", "--replay", record.id[:12], "--out", tmp_path)
    assert code == 4
    assert "was edited after it was written: issue its 'eden-bench run' again" in streams.err
