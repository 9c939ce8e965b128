"""LaTeX: escaped, booktabs, the best bold, and it compiles, whatever the names are."""

import re
import shutil
import subprocess

import pytest

from eden_bench.report.outputs import latex
from eden_bench.report.tables import Report
from tests.eden_bench.report.made import full, tables_of
from tests.eden_bench.stored import store
from tests.eden_bench.test_hostile_records import EVIL

HOSTILE = (
    "\\input{/etc/passwd} \\write18{id} $x^2$ a_b & 5% #1 ~ {x} <b> |c| \"q\" 'a' `b` [z] \u202e ü ß ñ Ω 心 "
    "é–—…×±≥ ?` --"
)


def escaped_chars(text):
    """Return the characters that LaTeX would act on: not written with a backslash, nor as a command of ours."""
    without = re.sub(r"\\[&%$#_{}]|\\text[a-z]+\{\}|\\(ldots)\{\}|\$\\[a-z]+\$|\$-\$|\{[-\[\]`]\}", "", text)
    return set(without) & set("\\$&%#_{}^~")


def test_no_character_of_a_name_acts():
    assert escaped_chars(latex.escaped(HOSTILE)) == set()
    assert latex.escaped("心") == "{[}U+5FC3{]}"
    assert latex.escaped("-0.20 to +1.60, 0-9") == "$-$0.20 to +1.60, 0{-}9"


def test_the_check_finds_what_acts():
    assert escaped_chars(r"\input{x}") == set("\\{}")


def test_every_table_is_booktabs_and_the_best_mean_is_bold():
    document = latex.render(full())
    assert document.count(r"\begin{table}") == document.count(r"\end{table}") == 6
    assert document.count(r"\toprule") == document.count(r"\midrule") == document.count(r"\bottomrule") == 6
    assert r"adam & \textbf{80.00} & 1.00 & 3 & 77.52 to 82.48 & 0{-}2 & may be \\" in document
    assert r"densecl & 70.00 & 1.00 & 3" in document
    assert r"adam & \textbf{80.00} $\pm$ 1.00 & \textbf{80.00} $\pm$ 1.00 \\" in document
    for table in re.findall(r"\\begin\{tabular\}.*?\\end\{tabular\}", document, re.DOTALL):
        lines = [line for line in table.splitlines() if line.endswith(r"\\")]
        assert len({len(re.findall(r"(?<!\\)&", line)) for line in lines}) == 1


def test_the_lower_is_bold_where_lower_is_better():
    from tests.eden_bench.report.test_claims import ERROR

    stored = [store(None, name, value, 0, score=ERROR) for name, value in (("adam", 3.0), ("densecl", 2.0))]
    document = latex.render(Report(tables=tables_of(stored=stored)))
    assert r"densecl & \textbf{2.00}" in document
    assert r"adam & 3.00" in document


def test_phantom_and_real_never_stand_side_by_side():
    real = [
        store(None, name, 0.5, 0, phantom=False, pretrain={"digest": "d" * 64}, task=task)
        for name in ("adam",)
        for task in ("a", "b")
    ]
    toys = [store(None, "adam", 0.5, 0, task=task) for task in ("c", "d")]
    document = latex.render(Report(tables=tables_of(stored=[*real, *toys])))
    heads = re.findall(r"\\toprule\n(method & [^\n]*) \\\\", document)
    assert [head for head in heads if "mean" not in head] == ["method & a & b", "method & c & d"]


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex: apt-get install texlive-latex-recommended")
@pytest.mark.parametrize("name", ["adam", HOSTILE, EVIL])
def test_it_compiles(tmp_path, name):
    report = full()
    tables = tables_of(
        stored=[store(None, name, 0.5 + 0.1 * seed, seed, task=task) for seed in range(2) for task in ("a", "b")]
    )
    (tmp_path / "report.tex").write_text(
        latex.render(Report(tables=(*report.tables, *tables), across=report.across, failures=(name,)))
    )
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "report.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "report.pdf").stat().st_size > 10_000
