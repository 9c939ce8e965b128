"""Examples are run: those in docstrings, the Python of the documents, and the commands that the documents show."""

import doctest
import inspect
import os
import re
import shlex
from importlib import import_module
from pathlib import Path

import pytest
import typer

import eden_bench
from eden_bench import registry
from eden_bench.cli import app

ROOT = Path(__file__).parents[1]
PACKAGES = ("eden_bench", "pretrain", "baselines", "tasks")
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
RUN = eden_bench.run
LOOSE = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
FILES = [file for package in PACKAGES for file in sorted((ROOT / package).rglob("*.py")) if ">>>" in file.read_text()]
MODULES = [".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for file in FILES]


def blocks(language):
    """Document and text of each fenced block of a language."""
    fence = re.compile(rf"^```{language}\n(.*?)^```", re.DOTALL | re.MULTILINE)
    return [(path.relative_to(ROOT), text) for path in DOCUMENTS for text in fence.findall(path.read_text())]


COMMANDS = sorted(
    {
        line[line.index("eden-bench ") :].partition(" && ")[0]
        for _, text in blocks("bash")
        for line in text.splitlines()
        if re.match(r"(\S+/)?eden-bench ", line) and "…" not in line.partition("#")[0]
    }
)
PYTHON = blocks("python")


@pytest.mark.parametrize("module", MODULES)
def test_examples_in_docstrings_are_true(module):
    done = doctest.testmod(import_module(module), optionflags=LOOSE)
    assert done.attempted > 0
    assert done.failed == 0


def test_fifteen_functions_have_an_example():
    found = [test for name in MODULES for test in doctest.DocTestFinder().find(import_module(name)) if test.examples]
    assert len(found) >= 15


@pytest.mark.parametrize("line", COMMANDS)
def test_commands_in_documents_are_understood(line):
    words = shlex.split(line, comments=True)[1:]
    root = typer.main.get_command(app)
    context = root.make_context("eden-bench", [], resilient_parsing=True)
    while words:
        name, command, words = root.resolve_command(context, words)
        if not hasattr(command, "commands"):
            command.make_context(name, words, parent=context)
            return
        root = command


def test_many_commands_are_looked_at():
    assert len(COMMANDS) > 25


def quickly(methods, tasks, **more):
    """Understand a call of ``run`` whole, and run one cell of it that needs no pretraining."""
    inspect.signature(RUN).bind(methods, tasks, **more)
    return RUN(["random"], tasks, seeds=[0], protocol=os.environ["TINY"])


@pytest.mark.parametrize(("document", "text"), PYTHON, ids=[f"{path.stem}-{i}" for i, (path, _) in enumerate(PYTHON)])
def test_python_in_documents_runs(document, text, tiny_protocol, tiny_data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EDEN_BENCH_CACHE", str(tiny_data.parent / "cache"))
    monkeypatch.setenv("EDEN_BENCH_DATA", str(tiny_data))
    monkeypatch.setenv("TINY", str(tiny_protocol))
    monkeypatch.setattr(eden_bench, "run", quickly, raising=False)
    monkeypatch.setattr(registry.tasks, "_made", dict(registry.tasks._made))
    exec(compile(text, str(document), "exec"), {"__name__": "__example__"})
