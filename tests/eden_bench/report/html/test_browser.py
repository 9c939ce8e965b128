"""The page in a browser: no script of a name runs, nothing is asked for, nothing complained of, at every width."""

import pytest

from eden_bench.report.html.page import render
from eden_bench.report.tables import Report
from tests.eden_bench.report.html.browser import CHROMIUM, opened
from tests.eden_bench.report.html.test_page import hostile
from tests.eden_bench.report.made import full, tables_of
from tests.eden_bench.stored import store

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt-get install chromium")


@pytest.fixture(scope="module", params=["full", "hostile"])
def page(request, tmp_path_factory):
    """A report, opened once for all tests."""
    folder = tmp_path_factory.mktemp("page")
    file = folder / "report.html"
    file.write_text(render(full() if request.param == "full" else hostile()), encoding="utf-8")
    with opened(file, folder / "profile") as found:
        yield found


@pytest.mark.trap(
    "attacks", "scripts in the names of a report's page", "shown as text; a policy allows one script, ours"
)
def test_no_script_of_a_name_ran_and_nothing_was_asked_for(page):
    assert page.value("document.title") == "eden-bench report"
    assert len(page.requests) == 1
    assert page.requests[0].startswith("file://")
    assert page.complaints == []


@pytest.mark.parametrize("width", [360, 390, 768, 1400])
@pytest.mark.parametrize("dark", [False, True])
def test_nothing_overflows_the_page(page, width, dark):
    page.size(width, 844, dark=dark)
    page.value("for (const each of document.querySelectorAll('details')) each.open = true")
    assert page.value("document.documentElement.scrollWidth") <= width


def test_a_long_config_is_printed_over_nothing_that_follows(tmp_path):
    record = store(None, "adam", 0.5, 0)
    record.content["cell"]["method_config"] |= {f"setting {number}": number for number in range(100)}
    file = tmp_path / "report.html"
    file.write_text(render(Report(tables=tables_of(stored=[record]))), encoding="utf-8")
    with opened(file, tmp_path / "profile") as page:
        page.size(800, 1000)
        page.printed()
        assert page.value("document.querySelector('#methods pre').clientHeight") > 1000
        assert page.value("[...document.querySelectorAll('pre')].every((e) => e.scrollHeight <= e.clientHeight + 1)")


def test_a_click_sorts_and_says_so(page):
    page.value("window.table = document.querySelector('section.task table')")
    column = "[...table.tBodies[0].rows].map((row) => Number(row.cells[1].textContent))"
    page.value("table.tHead.rows[0].cells[1].querySelector('button').click()")
    down = page.value(column)
    assert down == sorted(down, reverse=True)
    assert page.value("table.tHead.rows[0].cells[1].getAttribute('aria-sort')") == "descending"
    page.value("table.tHead.rows[0].cells[1].querySelector('button').click()")
    assert page.value(column) == sorted(down)
    assert page.value("table.tHead.rows[0].cells[1].getAttribute('aria-sort')") == "ascending"
    page.value("table.tHead.rows[0].cells[0].querySelector('button').focus()")
    assert page.value("document.activeElement.tagName") == "BUTTON"


def test_text_stands_out_from_its_ground(page):
    """By the WCAG's contrast ratio, at least 4.5."""
    ratio = """(() => {
      const parts = (text) => text.match(/[\\d.]+/g).slice(0, 3).map(Number);
      const light = (text) => { const [r, g, b] = parts(text).map((v) => v / 255).map(
        (v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
      const ground = (node) => { for (let at = node; at; at = at.parentElement) { const found = getComputedStyle(at)
        .backgroundColor; if (!/, 0\\)$|transparent/.test(found)) return found; } return "rgb(255, 255, 255)"; };
      return Math.min(...[...document.querySelectorAll("p, li, td, th, a, caption, dt, dd, summary, .mark, th button")]
        .filter((node) => node.textContent.trim()).map((node) => {
          const [a, b] = [light(getComputedStyle(node).color), light(ground(node))];
          return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05); }));
    })()"""
    for dark in (False, True):
        page.size(1400, 844, dark=dark)
        assert page.value(ratio) >= 4.5


def test_the_page_is_complete_without_its_script(page):
    assert page.value("document.querySelectorAll('noscript').length") == 0
    assert page.value("[...document.querySelectorAll('table')].every((table) => table.rows.length > 1)")
