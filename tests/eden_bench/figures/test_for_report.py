"""All figures of a report: which there are, that they are deterministic vector pictures, marked, and safe to embed."""

import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest

from eden_bench.errors import DataMissing
from eden_bench.figures import for_report, scores
from eden_bench.report.tables import Report
from tests.eden_bench.figures.reports import large, row, table, without_marks

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def report():
    return large(methods=4, tasks=2, seeds=3, shots=(3, 12, None))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("figures")


@pytest.fixture(scope="module")
def found(report, folder):
    return {figure.name: figure for figure in for_report(report, folder)}


def texts(svg):
    return [" ".join("".join(each.itertext()).split()) for each in ET.fromstring(svg).iter(f"{SVG}text")]


def test_a_report_has_the_figures_that_its_tables_give(found):
    assert list(found) == [
        *("scores", "few-shot", "estimation", "critical-difference", "performance-profile", "aggregates"),
    ]


def test_an_empty_report_has_none(tmp_path):
    assert for_report(Report(tables=()), tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_said_where_the_fonts_are_listed_for_the_first_time(tmp_path):
    """Matplotlib says so after 5 s of it, here at once; a command's stderr is its own lines."""
    code = (
        "import threading; late = threading.Timer; threading.Timer = lambda seconds, say: late(0, say);"
        "import eden_bench.figures.style; from matplotlib import font_manager"
    )
    environment = {**os.environ, "MPLCONFIGDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
    assert list(tmp_path.glob("fontlist*"))


def test_each_caption_says_of_how_many(found):
    assert [name for name, figure in found.items() if not re.search(r"n = \d", figure.caption)] == []


def test_each_figure_of_the_phantom_bears_its_mark_and_none_of_real_data(report, found):
    assert all("PHANTOM · QUICK" in texts(figure.svg) for figure in found.values())
    real = for_report(without_marks(replace(report, across=())))
    assert len(real) == 3
    assert not any("PHANTOM" in figure.svg or "QUICK" in figure.svg for figure in real)


def test_equal_reports_give_equal_bytes_in_both_formats(report, found, folder, tmp_path):
    short = replace(report, across=())
    for_report(short, tmp_path)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == sorted(f"{name}.{form}" for name in ("estimation", "few-shot", "scores") for form in ("svg", "pdf"))
    for name in names:
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


def test_letters_are_text_in_the_svg_and_embedded_in_the_pdf(found, folder):
    assert "adam" in texts(found["scores"].svg)
    assert "<image" not in found["scores"].svg
    for name in found:
        pdf = (folder / f"{name}.pdf").read_bytes()
        assert b"/FontFile2" in pdf  # TrueType, whole letters
        assert b"/Type3" not in pdf
        assert b"/CreationDate" not in pdf


def test_an_svg_is_one_element_with_a_title_and_its_own_ids(found):
    ids = []
    for name, figure in found.items():
        root = ET.fromstring(figure.svg)
        assert root.tag == f"{SVG}svg"
        assert root.get("role") == "img"
        assert root.find(f"{SVG}title").text == figure.title
        assert root.find(f"{SVG}desc").text == figure.caption
        ids += [each.get("id") for each in root.iter() if each.get("id")]
        refs = re.findall(r'(?:href="#|url\(#)([^")]+)', figure.svg)
        assert refs
        assert all(ref in ids and ref.startswith(f"{name}-") for ref in refs)
        assert not re.search(r'(?:src|href)="(?!#)', figure.svg)
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "a$b$\\frac", "=1+1\u202e\x1b[31m", "médecin 日本"])
def test_a_hostile_name_is_text_and_nothing_else(name):
    rows = [row("adam", [0.8, 0.81]), row(name, [0.7, 0.72])]
    figures = for_report(Report(tables=(table(rows, task=f"task {name}"),)))
    for figure in figures:
        assert {each.tag.removeprefix(SVG) for each in ET.fromstring(figure.svg).iter()} <= {
            *("svg", "title", "desc", "defs", "style", "g", "path", "use", "text", "clipPath", "rect"),
        }
        assert not set(figure.svg) & {"\x1b", "\u202e"}
    shown = texts(figures[0].svg)
    assert any(text.startswith(name[:4]) for text in shown)


def test_names_of_several_figures_of_a_kind_are_numbered(report):
    other = tuple(replace(each, protocol="paper") for each in report.tables)
    names = [figure.name for figure in for_report(replace(report, tables=report.tables + other, across=()))]
    assert names[:2] == ["scores-1", "scores-2"]
    assert len(names) == len(set(names))


def test_records_that_cannot_be_read_cost_their_figure_alone(report, monkeypatch):
    def damaged(report):
        raise DataMissing("record x is damaged")

    monkeypatch.setattr(scores, "figures", damaged)
    warnings = []
    names = [figure.name for figure in for_report(replace(report, across=()), warn=warnings.append)]
    assert warnings == ["record x is damaged; the figure is left out"]
    assert "scores" not in names
    assert "few-shot" in names


def test_matplotlib_comes_with_the_first_figure_and_no_sooner():
    code = "import sys, eden_bench.figures; print('matplotlib' in sys.modules, 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
