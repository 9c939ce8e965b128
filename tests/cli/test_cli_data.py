"""``eden-bench data`` as users call it."""

import json

from eden_bench.data.split_lists import PARTS
from tests.cli.command import eden_bench as eden_bench_alone
from tests.cli.command import one_error


def test_a_phantom_is_written_found_and_checked_and_damage_is_exit_code_4(tmp_path):
    written = eden_bench_alone(
        "data", "phantom", "--datasets", "scr", "--out", "ph", "--patients", 4, "--json", cwd=tmp_path
    )
    assert (written.returncode, written.stderr) == (0, "")
    (row,) = json.loads(written.stdout)
    assert row == {"dataset": "scr", "folder": str(tmp_path / "ph" / "scr")}

    listed = json.loads(eden_bench_alone("data", "list", "--json", "--data", "ph", cwd=tmp_path).stdout)
    assert {(row["name"], row["phantom"], bool(row["found"])) for row in listed} >= {("scr", True, True)}

    checked = eden_bench_alone("data", "check", "all", "--data", "ph", cwd=tmp_path)
    assert (checked.returncode, checked.stderr) == (0, "")

    image = next((tmp_path / "ph").rglob("*.IMG"))
    image.write_bytes(image.read_bytes()[:100])
    damaged = eden_bench_alone("data", "check", "scr", "--data", "ph", cwd=tmp_path)
    assert damaged.returncode == 4
    assert image.name in damaged.stdout
    assert "findings are errors" in one_error(damaged)


def test_a_data_folder_that_is_not_there_is_exit_code_4(tmp_path):
    done = eden_bench_alone("data", "list", cwd=tmp_path, EDEN_BENCH_DATA="nowhere")
    assert done.returncode == 4
    assert "EDEN_BENCH_DATA" in one_error(done)


def test_an_empty_data_folder_holds_nothing_to_check(tmp_path):
    done = eden_bench_alone("data", "check", "all", cwd=tmp_path, EDEN_BENCH_DATA=str(tmp_path))
    assert done.returncode == 4
    assert "holds none of the datasets" in one_error(done)


def test_a_misspelt_dataset_gets_the_nearest(tmp_path):
    done = eden_bench_alone("data", "check", "scrr", cwd=tmp_path)
    assert done.returncode == 2
    assert "Did you mean 'scr'?" in one_error(done)


def test_lists_are_written_and_read_back_with_the_same_digest(eden_bench, tmp_path):
    written = eden_bench("data", "splits", "scr-heart", "--out", "mine", "--json")
    assert written.returncode == 0, written.stderr
    told = json.loads(written.stdout)
    assert "the dataset's own train and test lists; validation is 10%" in told["split_rule"]
    lines = {part: (tmp_path / "mine" / "scr" / f"{part}.txt").read_text().splitlines() for part in PARTS}
    assert {part: len(names) for part, names in lines.items()} == {part: told[part] for part in PARTS}

    again = json.loads(eden_bench("data", "splits", "scr", "--json", EDEN_BENCH_SPLITS="mine").stdout)
    assert again["splits"] == told["splits"]
    assert "the user's own lists in mine/scr" in again["split_rule"]
