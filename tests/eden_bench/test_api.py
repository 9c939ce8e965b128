"""The bench from Python: one import for authors, one call to run, one data frame of results."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import eden_bench
from eden_bench import api
from eden_bench.records import frame as frames
from tests.eden_bench.execution.test_runner import run
from tests.eden_bench.stored import store, store_three

HEAVY = "torch pandas numpy scipy cv2 typer rich"


def test_importing_the_package_imports_nothing_heavy():
    code = f"import sys, eden_bench; print(*sorted(set(sys.modules) & set({HEAVY.split()})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_the_contracts_come_without_torch():
    code = (
        "import sys; from eden_bench import MethodCard, ViewRecipe, Stage, PretrainConfig, register_method, UsageError;"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("name", eden_bench.__all__)
def test_every_name_that_is_promised_is_there(name):
    assert getattr(eden_bench, name) is not None
    assert name in dir(eden_bench)


def test_the_names_that_are_loaded_are_those_that_type_checkers_see():
    stub = ast.parse((Path(eden_bench.__file__).parent / "__init__.pyi").read_text())
    listed = [name for node in stub.body if isinstance(node, ast.ImportFrom) for name in node.names]
    assert sorted(name.asname for name in listed) == eden_bench.__all__  # without "as", a checker hides the name
    with pytest.raises(AttributeError, match="no attribute 'Metod'"):
        _ = eden_bench.Metod


def test_a_star_import_brings_all_names():
    space = {}
    exec("from eden_bench import *", space)
    assert space.keys() - {"__builtins__"} == set(eden_bench.__all__)


def test_results_are_a_data_frame_of_one_row_a_cell(tmp_path):
    store_three(tmp_path, shots=3)
    store(tmp_path, "random", 0.4, 0)
    frame = eden_bench.results(tmp_path)
    assert list(frame.columns) == list(frames.COLUMNS)
    assert len(frame) == 10
    assert frame["shots"].isna().sum() == 1
    assert frame["method"].tolist() == ["adam"] * 3 + ["densecl"] * 3 + ["random"] * 4
    assert frame.groupby("method")["value"].mean()["adam"] == pytest.approx(0.8)
    assert frame["phantom"].all()


def test_results_of_nothing_have_the_columns_all_the_same(tmp_path):
    frame = eden_bench.results(tmp_path)
    assert list(frame.columns) == list(frames.COLUMNS)
    assert frame.empty


def test_alternative_scores_come_as_rows_when_asked(here):
    run(here, "fake-random")
    frame = eden_bench.results(here["out"], alternatives=True)
    assert sorted(set(frame["score"])) == ["dice", "worst"]
    assert len(frame) == 6


def test_a_run_tells_its_watcher_how_it_goes(here):
    class Heard(api.Silent):
        lines, cells = (), ()

        def say(self, line):
            self.lines += (line,)

        def cell(self, done, total, line):
            self.cells += ((done, total),)

    watch = Heard()
    run(here, "fake-trained", watch=watch)
    assert watch.cells == ((1, 3), (2, 3), (3, 3))
    assert watch.lines[0] == "pretraining fake-trained on fake-set"


def test_a_run_gives_the_threads_back(here):
    import torch

    before = torch.get_num_threads()
    run({**here, "threads": before + 1}, "fake-random", seeds="0")
    assert torch.get_num_threads() == before
