"""``eden-bench merge`` as users call it."""

import json

from tests.cli.command import eden_bench, one_error
from tests.eden_bench.stored import store, store_three


def test_merge_says_how_many_came_from_where(tmp_path):
    store_three(tmp_path / "a", seeds=[0, 1])
    store_three(tmp_path / "b", seeds=[1, 2])
    done = eden_bench("merge", "a", "b", "--into", "c", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("c: 9 records, 6 from a, 3 from b copied, 3 repeats, all equal\n")
    again = eden_bench("merge", "a", "b", "--into", "c", "--json", cwd=tmp_path)
    assert json.loads(again.stdout) == {"into": "c", "records": 9, "copied": {"a": 0, "b": 0}, "shared": 12}


def test_a_contradiction_is_one_sentence_and_exit_code_4(tmp_path):
    store(tmp_path / "a", "adam", 0.8, 0)
    store(tmp_path / "b", "adam", 0.7, 0)
    done = eden_bench("merge", "a", "b", "--into", "c", cwd=tmp_path)
    assert done.returncode == 4
    assert "other scores, cases, expected the same (nothing was merged)" in one_error(done)
