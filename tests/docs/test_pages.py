"""The pages that the site makes: every command and option, every public name, and nothing fetched from elsewhere."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import eden_bench
from docs.writing import pages
from eden_bench.cli import COMMANDS, main

ROOT = Path(__file__).parents[2]
DATA = ("list", "check", "audit", "splits", "phantom")


@pytest.fixture(scope="module")
def commands():
    return pages.commands_page()


@pytest.mark.parametrize("command", [*sorted(set(COMMANDS) - {"data"}), *(f"data {name}" for name in DATA)])
def test_every_option_that_help_names_stands_in_its_commands_section(commands, command, capsys):
    with pytest.raises(SystemExit, match="0"):
        main([*command.split(), "--help"])
    told = set(re.findall(r"--[a-z][a-z-]+", capsys.readouterr().out)) - {"--help"}
    section = commands.partition(f"\n## eden-bench {command}\n")[2].partition("\n## ")[0]
    assert told
    assert told <= set(re.findall(r"--[a-z][a-z-]+", section))


def test_a_cell_of_a_table_shows_what_acts_in_markdown_as_text():
    assert pages.escaped("a|b <c>\n  *d*") == r"a\|b &lt;c&gt; \*d\*"


def test_every_decision_is_listed_by_its_title():
    listed = pages.list_page("decisions")
    for path in (ROOT / "docs/decisions").glob("*.md"):
        assert f"- [{path.read_text().splitlines()[0].removeprefix('# ')}]({path.name})" in listed


def test_links_of_a_file_of_the_root_lead_into_the_site_or_become_words(tmp_path):
    (tmp_path / "A.md").write_text("[w](docs/weights.md#a) [p](tests/conftest.py) [u](https://example.org)")
    assert pages.copied_page(tmp_path / "A.md") == "[w](weights.md#a) `tests/conftest.py` [u](https://example.org)"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site as `make docs` builds it, where its packages are installed (pip install -e '.[docs]')."""
    for name in ("mkdocs", "material", "mkdocstrings"):
        pytest.importorskip(name)
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env={"NO_MKDOCS_2_WARNING": "1"})
    assert done.returncode == 0, done.stderr
    return folder


def test_the_python_reference_has_every_public_name(site):
    text = (site / "reference/python.html").read_text()
    assert {name for name in eden_bench.__all__ if f'id="eden_bench.{name}"' not in text} == set()


def test_the_how_to_shows_the_examples_file(site):
    assert "write_phantom" in (site / "how-to/dataset.html").read_text()


def test_no_page_fetches_anything_from_elsewhere(site):
    fetched = re.compile(r"<(?:script|img|iframe|link(?![^>]*canonical))[^>]*(?:src|href)=\"?(https?:)?//")
    assert [page.name for page in site.rglob("*.html") if fetched.search(page.read_text())] == []


def test_every_page_is_reached_from_the_navigation_or_a_list(site):
    linked = {
        (page.parent / target).resolve()
        for page in site.rglob("*.html")
        for target in re.findall(r'href="([^"#?:]+\.html)', page.read_text())
    }
    assert {page.name for page in site.rglob("*.html") if page.resolve() not in linked} <= {"404.html"}
