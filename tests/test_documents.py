"""What the documents name is there: tests, sections of everything registered, files that are linked to.

Tables of traps and cards are what the tests' marks and the registry give: `make docs` writes them.
"""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from docs.writing import documents, traps
from docs.writing.pages import PAGES
from eden_bench import registry

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted((ROOT / "docs").rglob("*.md"))
LINKING = [*sorted(ROOT.glob("*.md")), *DOCUMENTS]
WRITTEN = documents.written()


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


@pytest.mark.parametrize(
    ("document", "names"), [("datasets.md", registry.datasets.names()), ("methods.md", registry.methods.names())]
)
def test_everything_registered_has_a_section(document, names):
    assert headings(document) >= set(names)


def test_every_task_has_a_line():
    text = (ROOT / "docs/datasets.md").read_text()
    assert set(re.findall(r"^- Task `([\w-]+)`:", text, re.MULTILINE)) == set(registry.tasks.names())


@pytest.mark.parametrize("document", LINKING, ids=lambda path: path.name)
def test_every_file_that_is_linked_to_exists(document):
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", re.sub(r"```.*?```", "", document.read_text(), flags=re.DOTALL))
    files = {target: (document.parent / target).resolve() for target in targets if "://" not in target}
    made = {(ROOT / "docs" / page).resolve() for page in PAGES}
    assert [target for target, file in files.items() if not file.exists() and file not in made] == []


# ── what code writes ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("document", WRITTEN, ids=lambda path: path.name)
def test_tables_and_cards_are_what_marks_and_the_registry_give(document):
    assert document.read_text() == WRITTEN[document], "run make docs"


def test_every_marked_table_stands_in_a_document():
    shown = re.findall(r"<!-- traps: ([\w -]+?) \|", "".join(WRITTEN.values()))
    assert set(traps.tables(ROOT)) <= set(shown)
    assert len(set(shown)) == len(shown)


def test_every_row_says_what_is_done_now():
    """A mark whose words are not quite those of its row's other tests would be a row of its own."""
    two_columns = ("mistakes", "overlaps")
    found = traps.tables(ROOT).items()
    assert [row.what for table, rows in found if table not in two_columns for row in rows if not row.now] == []


def marked(tmp_path, **files):
    (tmp_path / "tests").mkdir()
    for name, text in files.items():
        (tmp_path / f"tests/test_{name}.py").write_text(text)
    return tmp_path


MARK = "@pytest.mark.trap({})\ndef test_{}(): ...\n"


def test_marks_become_rows_in_the_order_of_files_with_the_tables_own_file_first(tmp_path):
    root = marked(
        tmp_path,
        mine=MARK.format('"mine", "c", "now c"', "c"),
        a=MARK.format('"mine", "b", "now b"', "b") + MARK.format('"mine", "c"', "other") + "def test_free(): ...\n",
    )
    rows = traps.tables(root)["mine"]
    assert [(row.what, row.now) for row in rows] == [("c", "now c"), ("b", "now b")]
    assert rows[0].tests == ["tests/test_mine.py::test_c", "tests/test_a.py::test_other"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (MARK.format('"t", "a", "x"', "one") + MARK.format('"t", "a", "y"', "two"), "is 'y', but 'x' at .*say it once"),
        (MARK.format('"t"', "one"), r"test_one: expected @pytest\.mark\.trap\(table, what\)"),
        (MARK.format('"t", ""', "one"), "test_one: expected"),
        ("@pytest.mark.trap\ndef test_one(): ...\n", "test_one: expected"),
    ],
)
def test_a_mark_that_makes_no_row_is_named(tmp_path, text, words):
    with pytest.raises(traps.BadMark, match=words):
        traps.tables(marked(tmp_path, one=text))


def test_a_method_without_a_section_gets_one(monkeypatch):
    monkeypatch.setattr(documents, "ours", lambda kind: ["random"])
    text = documents.filled("# Methods\n\n<!-- sections: methods -->\n", {"random": [traps.Row("a", "b", ["t"])]})
    assert "\n## Random" in text
    assert f"- Paper: {registry.methods.get('random').card.paper}." in text
    assert "| a | b | `t` |" in text
    assert documents.filled(text, {"random": [traps.Row("a", "b", ["t"])]}) == text


def test_what_others_have_installed_is_in_no_document(monkeypatch):
    monkeypatch.setattr(registry.methods, "_made", {**registry.methods._made, "strange": object})
    assert "random" in documents.ours("methods")
    assert "strange" not in documents.ours("methods")
