"""Text from files, shown: nothing acts on a terminal, and no encoding is an error."""

import errno
import io
import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eden_bench.errors import OutputFailed
from eden_bench.printable import Legible, bare, csv_cell, legible, markdown_text, printable, printable_line

ANY = st.text(st.characters(exclude_categories=[]), max_size=30)


@given(ANY)
def test_what_is_shown_is_plain_text_in_any_json(text):
    shown = printable_line(text)
    assert shown.isprintable() or not set(shown) & {chr(code) for code in (*range(32), *range(127, 160))}
    shown.encode()
    assert json.loads(printable(json.dumps(text, ensure_ascii=False))) == text


@given(ANY)
def test_no_cell_begins_a_formula(text):
    shown = str(csv_cell(text))
    assert not shown.lstrip().startswith(("=", "+", "-", "@"))
    assert not shown.startswith(("\t", "\r", "\n"))


def test_good_text_stays_as_it_is():
    for text in ("mean 86.09 [PHANTOM; QUICK]", "±0.5 – 81.21 × 2 · Röntgen 胸片 \U0001fac1", "a\tb\nc"):
        assert printable(text) == text
    assert markdown_text("scr [PHANTOM] (3 shots)") == "scr [PHANTOM] (3 shots)"
    assert (csv_cell("a-b"), csv_cell(-0.5), csv_cell(True), csv_cell("-0.5")) == ("a-b", -0.5, "true", "'-0.5")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]52;c;AAAA\x07", r"\u001b]52;c;AAAA\u0007"),
        ("\x9b2J", r"\u009b2J"),
        ("\u202etxt", r"\u202etxt"),
        ("\udcff.png", r"\udcff.png"),
        ("a\rb", r"a\u000db"),
    ],
)
def test_what_acts_is_shown_by_its_number(text, shown):
    assert printable(text) == shown


@pytest.mark.parametrize(("encoding", "written"), [("latin-1", b"- \xb1 \\u80f8"), ("cp1252", b"- \xb1 \\u80f8")])
def test_a_stream_takes_every_text_whatever_its_encoding(encoding, written):
    raw = io.BytesIO()
    stream = legible(io.TextIOWrapper(raw, encoding))
    stream.write("– ± 胸")
    stream.flush()
    assert raw.getvalue() == written


def test_nothing_that_is_printed_acts_on_a_terminal():
    raw = io.BytesIO()
    stream = legible(io.TextIOWrapper(raw, "utf-8"))
    print("a\x1b]0;title\x07\x9b2J\u202e", file=stream, flush=True)
    assert raw.getvalue() == rb"a\u001b]0;title\u0007\u009b2J\u202e" + b"\n"


def test_an_ascii_stream_becomes_utf_8():
    raw = io.BytesIO()
    stream = legible(io.TextIOWrapper(raw, "ascii"))
    stream.write("–")
    stream.flush()
    assert (raw.getvalue(), stream.encoding) == ("–".encode(), "utf-8")


def test_a_stream_is_its_own_in_all_else():
    raw = io.TextIOWrapper(io.BytesIO(), "utf-8")
    assert bare(legible(raw)) is raw
    assert bare(sys.__stdout__) is sys.__stdout__
    assert legible(raw).isatty() is False


def test_a_full_disk_behind_the_output_is_one_sentence():
    class Full(io.StringIO):
        encoding = "utf-8"

        def flush(self):
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OutputFailed, match="No space left on device"):
        Legible(Full()).flush()
