"""``eden-bench data audit`` as users call it."""

import json

from tests.cli.command import eden_bench, one_error
from tests.eden_bench.stored import store


def run(tmp_path, *arguments):
    return eden_bench("data", "audit", *arguments, "--data", "ph", "--cache", "kept", cwd=tmp_path)


def test_a_planted_leak_is_shown_stored_and_said_by_the_report(tmp_path):
    eden_bench("data", "phantom", "--datasets", "scr", "--out", "ph", "--patients", 4, cwd=tmp_path)
    clean = run(tmp_path, "scr", "--strict")
    assert clean.returncode == 0, clean.stderr
    assert "no patient or image was found where it must not be" in clean.stdout

    one, other = sorted((tmp_path / "ph").rglob("*.IMG"))[:2]
    other.write_bytes(one.read_bytes())
    leaky = run(tmp_path, "scr")
    assert leaky.returncode == 0
    assert "leak   scr" in leaky.stdout
    assert "1 of 2 test images are copies of training images" in leaky.stdout
    assert "copies across splits: the same film is trained on and tested on" in leaky.stdout

    strict = run(tmp_path, "scr", "--strict", "--json")
    assert strict.returncode == 3
    (told,) = [each for each in json.loads(strict.stdout) if each["dataset"] == "scr"]
    assert (told["phantom"], told["findings"][0]["kind"]) == (True, "copies across splits")

    audited = json.loads((tmp_path / "runs" / "audit" / "scr.json").read_text())
    store(tmp_path / "runs", "random", 0.5, 0, told={"test": 2, "test_list": audited["test_list"]})
    report = eden_bench("report", cwd=tmp_path)
    assert "leakage: 1 of 2 test images are copies of training images" in report.stdout


def test_a_method_without_a_checkpoint_and_a_misspelt_dataset_are_exit_code_2(tmp_path):
    (tmp_path / "ph").mkdir()
    absent = run(tmp_path, "scr", "--methods", "adam")
    assert absent.returncode == 2
    assert "adam has no finished checkpoint" in one_error(absent)
    misspelt = run(tmp_path, "scrr")
    assert misspelt.returncode == 2
    assert "Did you mean 'scr'?" in one_error(misspelt)


def test_a_dataset_that_is_not_there_is_exit_code_4(tmp_path):
    (tmp_path / "ph").mkdir()
    done = run(tmp_path, "scr")
    assert done.returncode == 4
    assert "has no folder" in one_error(done)
