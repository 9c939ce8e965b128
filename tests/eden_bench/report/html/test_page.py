"""The page: complete, escaped, accessible, small; and nothing in it asks for anything."""

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from eden_bench.figures import Figure
from eden_bench.report.html import curves
from eden_bench.report.html.page import render
from eden_bench.report.html.tables import matrix
from eden_bench.report.tables import Report
from tests.eden_bench.report.made import full, pair, tables_of
from tests.eden_bench.stored import store, store_three
from tests.eden_bench.test_hostile_records import EVIL

VOID = {"meta", "link", "input", "br", "img", "path", "hr"}
HOSTILE = (
    "<script>document.title='ran'</script>",
    '"><img src=x onerror="document.title=\'ran\'">',
    "javascript:document.title='ran'",
    "</title><svg onload=document.title='ran'>",
    "'-alert(1)-' {{ 7*7 }} \u202egnp",
    EVIL,
)


class Outline(HTMLParser):
    """Elements with their attributes, and whether every one is closed in order."""

    def __init__(self, text):
        super().__init__()
        self.found, self.open = [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def all(self, tag):
        return [attributes for name, attributes in self.found if name == tag]


def hostile():
    """Return a report in which everything that a record may name is hostile."""
    records = [
        store(None, name, 0.5 + 0.1 * number + 0.01 * seed, seed, task=task, groups=[name])
        for number, name in enumerate(HOSTILE)
        for seed in range(2)
        for task in (HOSTILE[0], HOSTILE[1])
    ]
    for record in records:
        record.content["task"]["title"] = HOSTILE[3]
        record.content["method"] |= {"title": HOSTILE[0], "paper": HOSTILE[2], "licence": HOSTILE[1]}
        record.content["cell"]["method_config"][HOSTILE[1]] = HOSTILE[0]
        record.content["data"] |= {"licence": HOSTILE[0], "split_rule": HOSTILE[1]}
        record.content["provenance"] |= {"device_name": HOSTILE[0], "versions": {HOSTILE[1]: HOSTILE[0]}}
        record.content["training"] = {
            "validation_curve": [[0, 1.0], [HOSTILE[0], 2.0], [5, 0.5], 3, [6]],
            "best_step": 5,
        }
    tables = tables_of(stored=records)
    pairs = tuple(pair(tables[0], tables[0].rows[0].label, row.label) for row in tables[0].rows[1:])
    first = replace(tables[0], pairs=pairs, notes=(*tables[0].notes, *HOSTILE))
    return Report(tables=(first, *tables[1:]), family=HOSTILE[0], failures=HOSTILE)


def test_nothing_of_a_name_becomes_an_element():
    page = render(hostile())
    outline = Outline(page)
    assert len(outline.all("script")) == 1
    assert outline.all("img") == []
    assert not any(name.startswith("on") for _, attributes in outline.found for name in attributes)
    assert {attributes["href"][0] for attributes in outline.all("a")} == {"#"}
    assert not set(page) & set("\x1b\x07\x9b\r\u202e\u2066")
    assert "{{ 7*7 }}" in page


def test_no_address_is_in_it_that_a_browser_would_ask_for():
    outline = Outline(render(full()))
    asked = [attributes for _, attributes in outline.found if {"src", "srcset", "action", "data"} & set(attributes)]
    assert asked == []
    assert [attributes["href"] for attributes in outline.all("link")] == ["data:,"]
    assert "url(" not in render(full())
    assert "@import" not in render(full())


def test_the_policy_allows_this_script_alone():
    page = render(full())
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    rules = dict(rule.strip().split(" ", 1) for rule in policy.replace("&#39;", "'").split(";"))
    assert rules == {
        "default-src": "'none'",
        "style-src": "'unsafe-inline'",
        "script-src": f"'sha256-{digest}'",
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }


def test_tables_have_captions_and_headings_with_a_scope_and_levels_are_not_skipped():
    outline = Outline(render(full()))
    assert len(outline.all("table")) == len(outline.all("caption")) > 4
    assert {attributes.get("scope") for attributes in outline.all("th")} == {"col", "row"}
    levels = [int(tag[1]) for tag, _ in outline.found if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    names = [attributes["id"] for _, attributes in outline.found if "id" in attributes]
    assert len(names) == len(set(names))
    linked = {attributes["href"][1:] for attributes in outline.all("a")}
    assert linked <= set(names)


def test_the_page_says_what_may_be_claimed_first_and_everything_that_a_reader_needs():
    page = render(full())
    words = (
        "Summary",
        "What may be claimed",
        "What cannot be said",
        "Scores at a glance",
        "Across tasks",
        "scr-clavicle",
    )
    words += (
        "Methods and recipes",
        "Data and licences",
        "Leakage",
        "Environment",
        "What the numbers mean",
        "How to cite",
    )
    places = [page.index(f">{word}") for word in words]
    assert places[0] < min(places[1:])
    assert page.index("made from synthetic images") < page.index(">Summary")
    for text in ("chi-squared(2) = 4.00", "Hedges g", "0.81 (0.20 to 1.41)", "exact sign-flip", "t(4) = 12.25"):
        assert text in page
    assert "failed: adam · scr-heart · full · seed 3: boom" in page


def test_real_data_under_the_papers_protocol_have_no_banner():
    from tests.eden_bench.report.made import REAL

    assert 'class="banner"' not in render(Report(tables=tables_of(**REAL)))
    assert 'class="banner"' in render(full())


def test_a_task_points_to_its_figures_and_to_no_other():
    shown = [Figure(f"f{k}", f"Figure {k}", "", "<svg></svg>", task) for k, task in enumerate(("scr-heart", "", "scr"))]
    page = render(full(), shown)
    heart = page[page.index('class="task"') :]
    assert page.count('href="#figure-f0"') == 1
    assert '<a href="#figure-f0">Figure 0</a></p>' in heart
    assert "#figure-f1" not in page
    assert "#figure-f2" not in page


def test_a_report_of_nothing_is_a_page():
    Outline(render(Report(tables=())))


def test_the_matrix_turns_a_verdict_round_for_the_other_row():
    table = full().tables[0]
    found = {row[0].text: [cell.text for cell in row[1:]] for row in matrix(table)["rows"]}
    assert matrix(table)["labels"] == ["adam", "densecl", "random"]
    assert found["adam"] == ["", "▲ better", "? undecided"]
    assert found["densecl"] == ["▼ worse", "", "not compared"]


def test_a_curve_is_the_mean_of_the_cells_that_came_so_far():
    told = [[[10, 1.0], [20, 0.5]], [[10, 0.6], [20, 0.3], [30, 0.2]]]
    records = [store(None, "adam", 0.5, seed) for seed in range(2)]
    for record, curve in zip(records, told, strict=True):
        record.content["training"] = {"validation_curve": curve}
    (table,) = tables_of(stored=records)
    assert list(curves.mean_curve(table.rows[0])) == [(10, 0.8), (20, 0.4), (30, 0.2)]
    drawn = curves.curves(table)
    assert (drawn.steps, drawn.losses) == (("10", "30"), ("0.2", "0.8"))
    first, *_, last = drawn.curves[0].path.split()
    assert (first, last) == ("56.0,8.0", f"{curves.WIDTH - 8.0},{curves.HEIGHT - 28.0}")


def test_one_case_of_a_curve_is_not_drawn_and_long_ones_are_thinned_with_both_ends():
    record = store(None, "adam", 0.5, 0)
    record.content["training"] = {"validation_curve": [[1, 0.5]]}
    (table,) = tables_of(stored=[record])
    assert curves.curves(table) is None
    record.content["training"] = {"validation_curve": [[step, 1 / (1 + step)] for step in range(1000)]}
    points = curves.mean_curve(table.rows[0])
    assert len(points) <= 61
    assert (points[0][0], points[-1][0]) == (0, 999)


def test_twelve_methods_on_nine_tasks_stay_below_a_megabyte():
    methods = [f"method-{number}" for number in range(12)]
    stored = [
        store(None, method, 0.5 + 0.01 * number + 0.001 * seed, seed, task=f"task-{task}")
        for task in range(9)
        for number, method in enumerate(methods)
        for seed in range(10)
    ]
    tables = tables_of(stored=stored)
    labels = [(first, second) for place, first in enumerate(methods) for second in methods[place + 1 :]]
    pairs = {table.heading: tuple(pair(table, *two, in_family="method-0" in two) for two in labels) for table in tables}
    report = Report(tables=tuple(replace(table, pairs=pairs[table.heading]) for table in tables))
    page = render(report)
    assert page.count("▲") + page.count("? undecided") > 1000
    assert len(page.encode()) < 1_000_000


@pytest.mark.parametrize("phantom", [True, False])
def test_equal_records_give_equal_pages(phantom):
    make = lambda order: render(Report(tables=tables_of(stored=order(store_three(None, phantom=phantom)))))  # noqa: E731
    assert make(list) == make(lambda records: records[::-1])
