"""``eden-bench run`` and ``pretrain``: exit codes, streams, what is printed and what is written."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from eden_bench import cli
from eden_bench.cli.report_files import of_folder
from tests.eden_bench.conftest import FAKES, fakes, here  # noqa: F401 - fixtures
from tests.eden_bench.execution.test_runner import stored as stored_in

BASE = ("run", "--tasks", "fake-heart", "--threads", "1", "--device", "cpu", "--plugin", str(FAKES))


@pytest.fixture
def command(here, fakes, capsys, monkeypatch):  # noqa: F811 - fixtures
    """Run a command line in this process; return (exit code, stdout, stderr)."""
    for name in ("EDEN_BENCH_DATA", "EDEN_BENCH_DEVICE", "EDEN_BENCH_THREADS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("EDEN_BENCH_OUT", str(here["out"]))
    monkeypatch.setenv("EDEN_BENCH_CACHE", str(here["cache"]))

    def call(*arguments):
        with pytest.raises(SystemExit) as ending:
            cli.main([*map(str, arguments)])
        shown = capsys.readouterr()
        return ending.value.code or 0, shown.out, shown.err

    call.out = here["out"]
    return call


def one_error(result, code):
    """Return the one sentence of a command that failed with an exit code."""
    assert result[0] == code, result
    (line,) = result[2].splitlines()
    assert line.startswith("error: ")
    return line


def test_a_run_ends_with_its_table_and_reuses_everything_when_issued_again(command):
    first = command(*BASE, "--methods", "fake-random,fake-trained", "--seeds", "0-2")
    assert first[0] == 0, first
    assert "fake-trained" in first[1]
    assert "PHANTOM" in first[1]
    assert "protocol quick, PHANTOM data" in first[2]
    again = command(*BASE, "--methods", "fake-random,fake-trained", "--seeds", "0-2")
    assert again[1] == first[1]
    assert "6 reused" in again[2].splitlines()


def test_json_lists_every_cell_and_nothing_else_on_stdout(command):
    code, out, _ = command(*BASE, "--methods", "fake-random,fake-broken", "--n-seeds", 2, "--json", "--quiet")
    told = json.loads(out)
    assert (code, told["exit_code"]) == (3, 3)
    assert told["counts"] == {"ran": 2, "failed": 2}
    assert {cell["state"] for cell in told["cells"] if cell["method"] == "fake-broken"} == {"failed"}
    assert all(re.fullmatch("[0-9a-f]{64}", cell["id"]) for cell in told["cells"] if cell["state"] == "ran")


def test_a_failure_is_said_with_its_cause_and_what_to_do(command):
    code, out, err = command(*BASE, "--methods", "fake-random,fake-broken", "--seeds", "0,1")
    assert code == 3
    assert "fake-random" in out
    assert "failed: fake-broken, 2 cells: ValueError: these weights are" in err
    assert "--only-failed" in err


def test_absent_weights_are_excused(command):
    code, _, err = command(*BASE, "--methods", "fake-random,fake-absent", "--seeds", "0")
    assert code == 0
    assert "weights missing: fake-absent, 1 cell: fake-absent: get the weights from nowhere" in err


def test_a_run_whose_output_is_cut_off_is_no_success(tmp_path):
    words = [sys.executable, "-m", "eden_bench", *BASE, "--methods", "fake-random", "--seeds", "0", "--quiet"]
    line = f"{shlex.join(words)} | true; exit ${{PIPESTATUS[0]}}"
    environment = {**os.environ, "EDEN_BENCH_CACHE": str(tmp_path / "cache")}
    done = subprocess.run(
        ["bash", "-c", line], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 141, done.stderr
    assert "Traceback" not in done.stderr


def test_nothing_failed_before_is_said(command):
    code, _, err = command(*BASE, "--methods", "fake-random", "--seeds", "0", "--only-failed")
    assert (code, err.splitlines()[-1]) == (0, "nothing failed before: nothing to do")
    _, _, err = command(*BASE, "--methods", "fake-broken", "--seeds", "0")
    assert "nothing failed" not in command(*BASE, "--methods", "fake-broken", "--seeds", "0", "--only-failed")[2]


@pytest.mark.parametrize(
    ("text", "message"),
    [("[pretrain]\nepoch = 2", "[pretrain] 'epoch' is an option of none"), ("[methods.adm]\nlr = 1", "'adam'")],
)
@pytest.mark.parametrize(
    "words", [BASE, ("pretrain", "--pretrain-data", "fake-set", *BASE[3:])], ids=["run", "pretrain"]
)
def test_a_protocol_that_changes_what_nobody_has_is_refused(command, tmp_path, words, text, message):
    (tmp_path / "mine.toml").write_text(text)
    told = command(*words, "--methods", "fake-trained", "--protocol", tmp_path / "mine.toml")
    assert message in one_error(told, 2)


def test_a_dry_run_prints_the_plan_and_writes_nothing(command, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    code, out, _ = command(*BASE, "--methods", "fake-random,fake-trained", "--shots", "3,full", "--dry-run")
    assert code == 0
    assert "40 cells, 0 of them stored" in out
    assert "to pretrain: fake-trained (time unknown" in out
    assert sorted(tmp_path.rglob("*")) == before


def test_a_dry_run_after_a_run_knows_what_is_stored_and_what_the_rest_takes(command, tmp_path):
    command(*BASE, "--methods", "fake-random", "--seeds", "0-2")
    before = sorted(tmp_path.rglob("*"))
    code, out, _ = command(*BASE, "--methods", "fake-random", "--dry-run", "--json")
    told = json.loads(out)
    assert code == 0
    assert (told["plan"][0]["stored"], told["plan"][0]["new"]) == (3, 7)
    assert told["estimate"]["cell_seconds"] >= 0
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--methods", "fake-radnom"), "Did you mean 'fake-random'"),
        (("--methods", "fake-random", "--tasks", "fake-hart"), "Did you mean 'fake-heart'"),
        (("--methods", "fake-random", "--seeds", "x"), "--seeds: 'x'"),
        (("--methods", "fake-random", "--shots", "1"), "--shots: '1'"),
        (("--methods", "fake-random", "--shots", "500"), "--shots 500: expected 2 to 12"),
        (("--methods", "fake-random", "--protocol", "quik"), "Did you mean 'quick'"),
        (("--methods", "fake-random", "--on-error", "ignore"), "--on-error ignore"),
        (("--methods", "fake-random", "--pretrain-data", "fake-st"), "Did you mean 'fake-set'"),
        (("--methods", "fake-random", "--sedes", "3"), "Did you mean '--seeds'"),
        ((), "--methods is missing"),
        (("--replay", "zz"), "4 to 64 hex digits"),
    ],
)
def test_wrong_usage_is_one_sentence(command, arguments, message):
    assert message in one_error(command(*BASE, *arguments), 2)
    assert not (command.out / "records").exists()


def test_missing_data_are_one_sentence(command, tmp_path):
    (tmp_path / "data").mkdir()
    result = command(*BASE, "--methods", "fake-random", "--data", tmp_path / "data")
    assert "has no folder fake" in one_error(result, 4)


def test_an_output_folder_that_cannot_be_written_is_one_sentence(command, tmp_path):
    (tmp_path / "file").write_text("")
    code, out, err = command(*BASE, "--methods", "fake-random", "--out", tmp_path / "file" / "runs", "--quiet")
    assert "cannot be written" in one_error((code, out, err), 2)


def test_a_record_is_replayed_alone(command):
    command(*BASE, "--methods", "fake-trained", "--seeds", "4", "--shots", "6")
    (folder,) = (command.out / "records").iterdir()
    code, out, _ = command("run", "--replay", folder.name[:10], "--plugin", FAKES)
    assert (code, out) == (0, f"{folder.name[:12]} identical: 2 scores and 5 cases\n")


def test_a_replay_names_the_arrays_that_it_compared(command, tmp_path, monkeypatch):
    monkeypatch.setenv("FAKE_LOG", str(tmp_path / "log"))
    plugin = FAKES.with_name("fake_probes.py")
    arguments = ("--methods", "fake-random", "--seeds", "0", "--plugin", plugin)
    command("run", "--tasks", "fake-probe", *BASE[3:], *arguments)
    (folder,) = (command.out / "records").iterdir()
    code, out, _ = command("run", "--replay", folder.name[:10], "--plugin", FAKES, "--plugin", plugin)
    assert (code, out) == (0, f"{folder.name[:12]} identical: 2 scores and 4 cases, and the arrays\n")


def test_a_replay_that_differs_shows_both_and_exits_with_3(command, fakes, monkeypatch):  # noqa: F811
    import numpy as np

    command(*BASE, "--methods", "fake-random", "--seeds", "0")
    (folder,) = (command.out / "records").iterdir()
    monkeypatch.setattr(fakes.seeds, "generator", lambda *address: np.random.default_rng(1))
    code, out, _ = command("run", "--replay", folder.name, "--plugin", FAKES)
    assert code == 3
    assert "differs (the cases differ)" in out


def test_the_command_in_a_record_redoes_it(command, tmp_path):
    command(*BASE, "--methods", "fake-trained", "--seeds", "2", "--shots", "3", "--pretrain-seed", "5")
    (folder,) = (command.out / "records").iterdir()
    record = json.loads((folder / "record.json").read_text())
    words = record["command"].split()
    assert words[0] == "eden-bench"
    code, *_ = command(*words[1:], "--out", tmp_path / "again")
    assert code == 0
    assert [path.name for path in (tmp_path / "again" / "records").iterdir()] == [folder.name]


def test_pretraining_alone_lists_its_checkpoints(command):
    arguments = ("--plugin", FAKES, "--pretrain-data", "fake-set", "--threads", 1)
    code, out, err = command("pretrain", "--methods", "fake-trained,fake-random", *arguments, "--json")
    (row,) = json.loads(out)
    assert code == 0
    assert row["method"] == "fake-trained"
    assert (Path(row["folder"]) / "encoder.safetensors").is_file()
    assert "fake-random brings its weights along" in err


def test_a_run_under_torchrun_is_refused(command, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert "use torchrun with 'eden-bench pretrain'" in one_error(command(*BASE, "--methods", "fake-random"), 2)


@pytest.fixture
def begun(tmp_path):
    """Start slow cells and send a signal after the third; return exit code, stderr, and names of the records."""
    log = tmp_path / "log.txt"
    log.touch()
    environment = {**os.environ, "FAKE_LOG": str(log), "OMP_NUM_THREADS": "1"}
    environment |= {"EDEN_BENCH_OUT": str(tmp_path / "runs"), "EDEN_BENCH_CACHE": str(tmp_path / "cache")}

    def start(number, seeds, slow="0.2"):
        process = subprocess.Popen(
            [sys.executable, "-m", "eden_bench", *BASE, "--methods", "fake-random", "--seeds", seeds],
            cwd=tmp_path, env={**environment, "FAKE_SLEEP_S": slow}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background job ignores it
        )  # fmt: skip
        while number and len(log.read_text().splitlines()) < 3 and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
        assert "Traceback" not in err
        return process.returncode, err, sorted(path.name for path in (tmp_path / "runs" / "records").iterdir())

    return start


def test_ctrl_c_exits_with_130_and_says_what_is_stored(tmp_path, begun):
    code, err, stored = begun(signal.SIGINT, "0-99")
    assert code == 130, err
    assert len(stored) >= 2
    assert f"{len(stored)} of 100 cells are stored in {tmp_path / 'runs'}" in err
    assert "the same command goes on from there" in err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
@pytest.mark.trap(
    "crashes",
    "SIGTERM and SIGUSR1 of a scheduler",
    "stopped at a safe point with exit code 75; the same command goes on, to the same records",
)
def test_a_preempted_run_exits_with_75_between_cells_and_the_same_command_goes_on(tmp_path, begun, command, number):
    code, err, stored = begun(number, "0-11")
    assert code == 75, err
    assert f"{number.name}: stopping at the next safe point" in err
    assert f"{len(stored)} of 12 cells are stored in {tmp_path / 'runs'}" in err
    assert "requeue: the same command goes on" in err.splitlines()[-1]
    assert not (tmp_path / "runs" / "failures").exists()
    code, err, all_of_them = begun(0, "0-11", slow="0")
    assert (code, len(all_of_them)) == (0, 12), err
    assert f"{len(stored)} reused, {12 - len(stored)} ran" in err
    assert command(*BASE, "--methods", "fake-random", "--seeds", "0-11")[0] == 0
    assert stored_in(tmp_path / "runs") == stored_in(command.out)


def test_what_has_not_changed_is_printed_again_without_building_the_report(command, monkeypatch):
    words = (*BASE, "--methods", "fake-random,fake-trained", "--seeds", "0-2")
    first = command(*words)
    files = {path.name: path.read_bytes() for path in (command.out / "report").iterdir()}
    built = "eden_bench.cli.run_result.of_folder"
    monkeypatch.setattr(built, lambda *given, **more: pytest.fail("the report was built"))
    again = command(*words)
    assert again[:2] == first[:2]
    assert "6 reused" in again[2].splitlines()
    assert {path.name: path.read_bytes() for path in (command.out / "report").iterdir()} == files


@pytest.mark.parametrize("change", ["other cells", "a failure", "an edit", "no page"])
def test_what_has_changed_is_built_anew(command, monkeypatch, change):
    words = (*BASE, "--methods", "fake-random,fake-trained", "--seeds", "0-2")
    first = command(*words)
    built = []
    monkeypatch.setattr(
        "eden_bench.cli.run_result.of_folder", lambda *given, **more: built.append(1) or of_folder(*given, **more)
    )
    if change == "other cells":
        words = (*words[:-1], "0-1")
    elif change == "a failure":
        (command.out / "failures").mkdir(exist_ok=True)
        (command.out / "failures" / "x.json").write_text("{}")
    elif change == "no page":
        (command.out / "report" / "report.html").unlink()
    else:
        file = next((command.out / "records").iterdir()) / "cases.csv"
        file.write_text(file.read_text() + " ")
    again = command(*words)
    assert built == [1]
    assert again[1] != first[1] if change == "other cells" else again[1] == first[1] or change == "a failure"
