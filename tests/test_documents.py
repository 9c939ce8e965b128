"""What the documents name is there: tests, sections of everything registered, files that are linked to."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from eden_bench import registry

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted((ROOT / "docs").glob("*.md"))
LINKING = [*sorted(ROOT.glob("*.md")), *DOCUMENTS, *sorted((ROOT / "docs/decisions").glob("*.md"))]


@cache
def functions_of(path):
    """The names of a file's functions."""
    return {node.name for node in ast.parse((ROOT / path).read_bytes()).body if isinstance(node, ast.FunctionDef)}


def named_tests(text):
    return re.findall(r"(tests/[\w/]+\.py)::(test_\w+)", text)


def headings(name):
    text = (ROOT / "docs" / name).read_text()
    return set(re.findall(r"`([\w-]+)`", "\n".join(re.findall(r"^## .*$", text, re.MULTILINE))))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_test_that_a_document_names_exists(document):
    named = set(named_tests(document.read_text()))
    absent = [(path, test) for path, test in named if not (ROOT / path).is_file() or test not in functions_of(path)]
    assert sorted(absent) == []


def test_datasets_and_methods_name_many_tests():
    for name in ("datasets.md", "methods.md"):
        assert len(named_tests((ROOT / "docs" / name).read_text())) > 50


def test_every_dataset_has_a_section():
    assert headings("datasets.md") >= set(registry.datasets.names())


def test_every_method_without_a_section_has_tests_of_its_traps():
    for name in {*registry.methods.names()} - headings("methods.md"):
        path = f"tests/{registry.methods.get(name).__module__.replace('.', '/test_', 1)}.py"
        assert len(functions_of(path)) > 3, path


def test_every_task_has_a_line():
    text = (ROOT / "docs/datasets.md").read_text()
    assert set(re.findall(r"^- Task `([\w-]+)`:", text, re.MULTILINE)) == set(registry.tasks.names())


@pytest.mark.parametrize("document", LINKING, ids=lambda path: path.name)
def test_every_file_that_is_linked_to_exists(document):
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", re.sub(r"```.*?```", "", document.read_text(), flags=re.DOTALL))
    files = [target for target in targets if "://" not in target]
    assert [target for target in files if not (document.parent / target).exists()] == []
