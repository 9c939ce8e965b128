"""The command line's frame: exit codes, streams, one sentence for every error, and a fast start."""

import json
import subprocess
import sys
import tempfile

import pytest

from eden_bench import cli, records
from eden_bench.errors import CellsFailed, DataMissing, EdenError, UsageError, WeightsMissing
from tests.cli.command import eden_bench, one_error

HEAVY = {"torch", "pandas", "numpy", "scipy", "cv2", "pydantic", "rich.table", "matplotlib"}
SPY = """
import sys
from eden_bench.cli import main
try:
    main(sys.argv[1:])
finally:
    print(*sorted(set(sys.modules) & {heavy}), file=sys.stderr)
"""


@pytest.fixture
def failing(monkeypatch):
    """Return a function that makes ``eden-bench paths`` raise, runs it in this process and returns its exit code."""

    def run(error, *arguments):
        def fail():
            """Fail."""
            raise error

        monkeypatch.setattr(cli, "COMMANDS", {"paths": cli.Entry(__name__, "fail", "")})
        monkeypatch.setattr(sys.modules[__name__], "fail", fail, raising=False)
        with pytest.raises(SystemExit) as end:
            cli.main(["paths", *arguments])
        return end.value.code

    return run


@pytest.mark.parametrize("arguments", [["--help"], ["list"], ["report", "--help"], ["run", "--help"], ["paths"]])
def test_what_must_start_fast_imports_nothing_heavy(tmp_path, arguments):
    done = eden_bench(*arguments, cwd=tmp_path, code=SPY.format(heavy=HEAVY))
    assert done.returncode == 0
    assert done.stderr.splitlines()[-1:] == [""]


def test_help_names_every_command_and_exit_code(tmp_path):
    done = eden_bench("--help", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    for word in (*cli.COMMANDS, "3 some cells failed", "130 interrupted"):
        assert word in " ".join(done.stdout.split())


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_has_help_without_sections_for_programmers(name, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main([name, "--help"])
    shown = capsys.readouterr().out
    assert end.value.code == 0
    assert "Args:" not in shown
    assert "Raises:" not in shown


def test_nothing_is_help(capsys):
    with pytest.raises(SystemExit) as end:
        cli.main([])
    assert end.value.code == 0
    assert "Usage: eden-bench" in capsys.readouterr().out


def test_the_version_is_the_distributions(capsys):
    from importlib.metadata import version

    with pytest.raises(SystemExit):
        cli.main(["--version"])
    assert capsys.readouterr().out == f"eden-bench {version('eden-bench')}\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["rport"], "'rport'. Did you mean 'report'"),
        (["paths", "--cahe", "x"], "--cahe. Did you mean '--cache'"),
        (["list", "task"], "'task'. Did you mean 'tasks'"),
        (["data", "lst"], "lst"),
        (["paths", "too-much"], "too-much"),
        (["report", "--format", "mdd"], "'mdd'. Did you mean 'md'"),
        (["paths", "--threads", "many"], "many"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_wrong_usage_is_one_sentence_with_the_nearest_and_exit_code_2(tmp_path, arguments, words):
    done = eden_bench(*arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in one_error(done)


@pytest.mark.parametrize(
    ("error", "code"),
    [(UsageError("a"), 2), (CellsFailed("a"), 3), (DataMissing("a"), 4), (WeightsMissing("a"), 4)],
    ids=lambda value: type(value).__name__,
)
def test_an_error_of_ours_is_its_sentence_and_its_exit_code(failing, capsys, error, code):
    assert failing(error) == code
    assert capsys.readouterr() == ("", "error: a\n")


@pytest.mark.trap("attacks", "errors raised on purpose with exit code 1", "1 is for internal errors alone")
def test_no_error_of_ours_is_called_internal():
    def below(kind):
        return {kind, *(each for child in kind.__subclasses__() for each in below(child))}

    assert records.RecordDamaged in below(EdenError)
    codes = {kind.__name__: kind.exit_code for kind in below(EdenError)}
    assert {name: code for name, code in codes.items() if code not in (2, 3, 4)} == {}
    assert (codes["StoreFailed"], codes["RecordDamaged"], codes["TrainingDiverged"]) == (2, 4, 3)


def test_an_error_of_several_lines_is_said_in_one(failing, capsys):
    failing(UsageError("a\n  b"))
    assert capsys.readouterr().err == "error: a b\n"


def test_an_unexpected_error_is_one_line_that_names_the_traceback(failing, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert failing(ZeroDivisionError("by nought")) == 1
    said = capsys.readouterr().err
    (kept,) = tmp_path.iterdir()
    assert said == (f"error: internal error: ZeroDivisionError: by nought (traceback in {kept}; --debug shows it)\n")
    assert "in fail" in kept.read_text()


def test_debug_shows_the_traceback_wherever_it_stands(failing, capsys):
    assert failing(ZeroDivisionError("by nought"), "--debug") == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.trap("attacks", "Ctrl-C while libraries load", "quiet, 130; Python's own start cannot be caught")
@pytest.mark.parametrize("library", ["typer", "eden_bench.cli"])
def test_an_interrupt_while_libraries_load_is_quiet(tmp_path, library):
    """A finder of modules stands in for the person who presses Ctrl-C at that very moment."""
    code = f"""
import sys
class Interrupt:
    def find_spec(name, path=None, target=None):
        if name == {library!r}:
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupt)
from eden_bench.__main__ import main
main()
"""
    done = eden_bench("paths", cwd=tmp_path, code=code)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_an_interrupt_is_130(failing, capsys):
    assert failing(KeyboardInterrupt()) == 130
    assert capsys.readouterr().err.startswith("interrupted: ")


def test_a_reader_that_goes_away_is_no_error(tmp_path):
    line = f"{sys.executable} -m eden_bench --help | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", line], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_plugin_that_exits_is_an_error(failing, capsys):
    assert failing(SystemExit(0)) == 1
    assert capsys.readouterr().err == (
        "error: a plugin ended the program (SystemExit: 0): make it raise an error, or leave it out\n"
    )


def test_a_file_that_shadows_our_package_is_named_before_it_is_run(tmp_path):
    (tmp_path / "tasks.py").write_text("raise SystemExit('a stranger ran')\n")
    done = eden_bench("list", cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert done.returncode == 2
    assert f"{tmp_path / 'tasks.py'} shadows our package 'tasks': rename it" in one_error(done)


def test_paths_shows_each_value_and_where_it_came_from(tmp_path):
    done = eden_bench("paths", "--json", "--out", "here", cwd=tmp_path, EDEN_BENCH_THREADS="3")
    rows = {row["name"]: (row["value"], row["from"]) for row in json.loads(done.stdout)}
    assert rows["out"] == (str(tmp_path / "here"), "flag --out")
    assert rows["threads"] == ("3", "EDEN_BENCH_THREADS")
    assert rows["data"] == ("none: the phantom serves", "default")
    assert done.stderr == ""
