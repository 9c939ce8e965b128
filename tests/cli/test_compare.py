"""``eden-bench compare`` as users call it."""

import json

from tests.cli.command import eden_bench, one_error
from tests.eden_bench.stored import store_three


def test_compare_needs_exactly_one_thing_to_compare_with(tmp_path):
    for options in ((), ("--published", "--published-stars"), ("--published", "--with", "b")):
        done = eden_bench("compare", *options, cwd=tmp_path)
        assert done.returncode == 2
        assert "name one of --published, --with OUT and --published-stars" in one_error(done)


def test_a_phantom_run_beside_published_numbers_makes_no_claim(tmp_path):
    store_three(tmp_path / "a")
    done = eden_bench("compare", "--published", "--out", "a", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("not comparable: PHANTOM; QUICK") == 3


def test_two_folders_in_json(tmp_path):
    store_three(tmp_path / "a", seeds=range(5))
    store_three(tmp_path / "b", seeds=range(5), checkpoint="9" * 64)
    done = eden_bench("compare", "--with", "b", "--out", "a", "--json", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    rows = {row["method"]: row for row in json.loads(done.stdout)[0]["rows"]}
    assert rows["adam"]["differs"] == ["other weights"]
    assert rows["random"]["verdict"] == "not comparable: the same cells in both"


def test_the_published_stars_need_no_records(tmp_path):
    done = eden_bench("compare", "--published-stars", "--format", "md", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "of 8 marks 4 reproduced, 1 within the error of reading" in done.stdout
    assert not (tmp_path / "runs").exists()


def test_a_folder_without_records_and_a_task_without_published_numbers_are_one_sentence(tmp_path):
    store_three(tmp_path / "a", task="my-task")
    assert "b holds no records" in one_error(eden_bench("compare", "--with", "b", "--out", "a", cwd=tmp_path))
    done = eden_bench("compare", "--published", "--out", "a", cwd=tmp_path)
    assert done.returncode == 2
    assert "nothing is published of its tasks and shots" in one_error(done)


def test_a_misspelt_format_gets_the_nearest(tmp_path):
    done = eden_bench("compare", "--published-stars", "--format", "markdown", cwd=tmp_path)
    assert "unknown format 'markdown'" in one_error(done)
