"""The terminal: the table with its marks, one line a pair, then short notes; colours repeat what words say."""

import io
import re
from dataclasses import replace

import pytest

from eden_bench.report.outputs import coloured, text
from eden_bench.report.tables import Report
from tests.eden_bench.report.made import full, pair, tables_of, with_pairs

GOLDEN = """\
scr-clavicle, full training set, protocol quick [PHANTOM; QUICK]
Heart; score dice, definition 1; data scr aaaaaaaaaaaa (112 train, 12 validation, 123 test); pretraining data \
dddddddddddd
method   mean   s.d.  n  95 % interval   seeds  best?
adam     80.00  1.00  3  77.52 to 82.48  0-2    may be
densecl  70.00  1.00  3  67.52 to 72.48  0-2    –
random   50.00  1.00  3  47.52 to 52.48  0-2    no
adam against densecl +10.00 (-0.20 to +1.60, by Holm 0.26): better for these checkpoints, not asked for the methods \
[PHANTOM; QUICK]
adam against random +30.00 (-0.20 to +1.60, by Holm 0.26): undecided for these checkpoints, not asked for the methods \
[PHANTOM; QUICK]
no interval over patients: resampling needs at least 2 patients, not 1
"""
CLOSING = """\
Over 2 tasks, full training set, protocol quick [PHANTOM; QUICK], the best first, = where they cannot be told apart: \
adam = densecl; then random.
All of it is made from synthetic images (PHANTOM): nothing here may be claimed of patients.
Nothing is said of the methods, only of these checkpoints: that one method is better than another takes at least three \
pretrainings of each (--pretrain-seeds 0-2).
1 cell or record failed or cannot be used: see the end.
Scores in %; s.d. and interval over seeds, not over patients. For research only.
failed: adam · scr-heart · full · seed 3: boom"""


def test_the_text_is_the_golden_one():
    rendered = text.render(full())
    assert rendered.startswith(GOLDEN)
    assert rendered.endswith(f"\n\n{CLOSING}")


def test_the_papers_test_stands_for_verdicts_where_no_pair_was_compared():
    table = replace(tables_of()[0], pairs=())
    assert "t(4) = 12.25, p = 0.00026" in text.below(table)[0]
    assert not any("t(4)" in line for line in text.below(with_pairs(table)))


def test_only_pairs_of_the_family_have_a_line():
    (table, *_) = tables_of()
    pairs = (pair(table, "adam", "densecl"), pair(table, "densecl", "random", in_family=False))
    assert [line.split(" +")[0] for line in text.below(replace(table, pairs=pairs)) if " against " in line] == [
        "adam against densecl"
    ]


@pytest.mark.parametrize("told", [{"NO_COLOR": "1"}, {}])
def test_colours_are_left_out_where_no_color_is_set_and_change_no_word(monkeypatch, told):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    target = io.StringIO()
    coloured.show(full(), target)
    shown = target.getvalue()
    assert ("\x1b[1;32m" in shown) == (not told)  # better, in bold green
    assert ("35m" in shown) == (not told)  # PHANTOM, in magenta
    plain = re.sub(r"\x1b\[[0-9;]*m", "", shown)
    assert all(line in plain for line in text.render(full()).splitlines() if " against " in line)


def test_a_report_of_nothing_is_no_error():
    assert text.render(Report(tables=())).startswith("Scores in")
