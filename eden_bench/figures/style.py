"""One style for all figures: sizes of a two-column paper, fonts that embed, colours that colour-blind readers know.

Colour is never alone: what differs in colour also differs in marker, line or hatch. What is drawn of phantom, quick or
partial data says so in the picture itself.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from eden_bench.files import atomic
from eden_bench.printable import printable_line
from eden_bench.report.tables import Row, Table

COLUMN_IN, PAGE_IN = 3.5, 7.16
"""Widths of one column and of both."""
TEXT_PT, SMALL_PT = 8, 7
COLOURS = (
    *("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000", "#7F7F7F"),
    *("#882255", "#999933"),
)
"""Okabe and Ito's, with grey for yellow, which is not seen on white, and two of Paul Tol's."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "p", "<")
LINES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (5, 1, 1, 1)))
HATCHES = ("", "////", "....", "xxxx", "----", "\\\\\\\\", "++++", "oooo")
MARK_COLOUR = "#A00000"
GREY, PALE = "#595959", "#D0D0D0"
NO_FILMS = "The films are not drawn: the licence of the data does not let records hold them."
_LONGEST = 30
_DOTS_PER_INCH = 200
"""Of films and maps; all else is vectors."""
_SETTINGS: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Arial", "Helvetica", "sans-serif"],
    "font.size": TEXT_PT,
    **dict.fromkeys(("axes.titlesize", "axes.labelsize", "figure.titlesize", "legend.fontsize"), TEXT_PT),
    **dict.fromkeys(("xtick.labelsize", "ytick.labelsize", "legend.title_fontsize"), SMALL_PT),
    "text.parse_math": False,  # a name with two dollars is no formula
    "svg.fonttype": "none",
    "svg.hashsalt": "eden-bench",
    "pdf.fonttype": 42,
    "image.composite_image": False,  # a film that several panels show stays one image
    "axes.linewidth": 0.6,
    **dict.fromkeys(("axes.spines.top", "axes.spines.right"), False),
    **dict.fromkeys(("xtick.major.width", "ytick.major.width", "grid.linewidth"), 0.5),
    **dict.fromkeys(("xtick.major.size", "ytick.major.size"), 2.5),
    "grid.color": "#E4E4E4",
    "lines.linewidth": 1.1,
    "lines.markersize": 4,
    "hatch.linewidth": 0.5,
    "legend.frameon": False,
    "legend.handlelength": 2.2,
    "figure.constrained_layout.h_pad": 0.03,
    "figure.constrained_layout.w_pad": 0.03,
}
_IMAGE = re.compile(
    r'<image xlink:href="(?P<data>data:[^"]*)" id="[^"]*" (?P<size>width="\d+" height="\d+") '
    r'transform="(?P<place>matrix[^"]*)"[^>]*/>'
)
"""As matplotlib writes one that it does not resample."""


class Look(NamedTuple):
    """How one method is drawn in every figure of a report."""

    colour: str
    marker: str
    line: Any
    hatch: str


class Drawn(NamedTuple):
    """A figure before it is written."""

    name: str
    title: str
    caption: str
    figure: Figure | None
    """None where there is nothing to draw, and the caption says why."""
    task: str = ""
    """Of whose records it is, where it is of one task's."""


@contextmanager
def applied() -> Iterator[None]:
    """Apply the style to what is drawn and written within; a glyph that the font lacks is no warning."""
    with rc_context(_SETTINGS), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        yield


def sheet(width_in: float, height_in: float, marks: Iterable[str] = ()) -> Figure:
    """Return an empty figure with its marks (PHANTOM, QUICK, PART) at the top right, where there are any."""
    figure = Figure(figsize=(width_in, height_in), layout="constrained")
    if words := " · ".join(dict.fromkeys(marks)):
        place = {"x": 0.995, "horizontalalignment": "right"}
        figure.suptitle(printable_line(words), color=MARK_COLOUR, fontweight="bold", fontsize=SMALL_PT, **place)
    return figure


def marks_of(tables: Iterable[Table]) -> tuple[str, ...]:
    """Return the marks of some tables, each once."""
    return tuple(dict.fromkeys(word for table in tables for word in table.marks.words))


def ordered(rows: Iterable[Row]) -> list[Row]:
    """Return rows in the order of their looks: the headline's first, then the others by name, controls last."""
    return sorted(rows, key=lambda row: (not row.headline, row.control, row.label))


def looks(rows: Iterable[Row]) -> dict[str, Look]:
    """Return the look of every label."""
    return {label: look(place) for place, label in enumerate(dict.fromkeys(row.label for row in ordered(rows)))}


def look(place: int) -> Look:
    """Return a look by its place; the first ten differ in colour and marker, the first hundred in one of them."""
    around = place // len(COLOURS)
    marker = MARKERS[(place + around) % len(MARKERS)]
    line = LINES[(place + around) % len(LINES)]
    return Look(COLOURS[place % len(COLOURS)], marker, line, HATCHES[place % len(HATCHES)])


def word(text: str) -> str:
    """Return a name as it is drawn: in one line, without characters that act, its middle left out if it is long.

    >>> word("adam (checkpoint 0123456789abcdef)")
    'adam (checkpoin…3456789abcdef)'
    """
    plain = printable_line(text)
    half = _LONGEST // 2
    return plain if len(plain) <= _LONGEST else f"{plain[:half]}…{plain[-half + 1 :]}"


def count_text(counts: Iterable[int]) -> str:
    """Return counts as one number, or their range.

    >>> count_text([10, 10]), count_text([3, 10])
    ('10', '3 to 10')
    """
    found = sorted(set(counts))
    return f"{found[0]:,}" if len(found) == 1 else f"{found[0]:,} to {found[-1]:,}"


def slug(text: str) -> str:
    """Return a text as part of a file's name.

    >>> slug("scr-heart, 3 shots")
    'scr-heart-3-shots'
    """
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:60] or "figure"


def dot(label: str, place: int) -> Line2D:
    """Return a legend's entry of a look's colour and marker alone."""
    return Line2D([], [], linestyle="", marker=look(place).marker, color=look(place).colour, label=word(label))


def legend_below(figure: Figure, panels: Iterable[Axes], columns: int, also: Sequence[Line2D] = ()) -> None:
    """Put one legend below all panels: what theirs would say, each once, and more entries."""
    known: dict[Any, Any] = {}
    for axes in panels:
        handles, labels = axes.get_legend_handles_labels()
        known |= {label: handle for label, handle in zip(labels, handles, strict=True) if label not in known}
    known |= {artist.get_label(): artist for artist in also}
    figure.legend(list(known.values()), list(known), loc="outside lower center", ncols=columns)


def finished(drawn: Drawn, name: str, folder: Path | None = None) -> str:
    """Return a figure as one <svg> element, and write it to a folder as NAME.svg and NAME.pdf; "" for a mere caption.

    Raises:
        StoreFailed: the folder cannot be written.
    """
    if drawn.figure is None:
        return ""
    with applied():
        untold = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        svg = _element(_saved(drawn.figure, "svg", untold).decode(), drawn, name)
        if folder is not None:
            told = {"Title": drawn.title, "CreationDate": None, "Creator": "eden-bench", "Producer": None}
            atomic.write_text(folder / f"{name}.svg", f'<?xml version="1.0" encoding="utf-8"?>\n{svg}')
            atomic.write_bytes(folder / f"{name}.pdf", _saved(drawn.figure, "pdf", told))
    return svg


def _saved(figure: Figure, form: str, metadata: dict[str, Any]) -> bytes:
    """Render a figure; its layout is made once, where saving would make it for each of two drawings."""
    if (layout := figure.get_layout_engine()) is not None:
        layout.execute(figure)
        figure.set_layout_engine("none")
    target = io.BytesIO()
    figure.savefig(target, format=form, metadata=metadata, dpi=_DOTS_PER_INCH)
    return target.getvalue()


def _images_once(svg: str) -> str:
    """Keep each image once, and let every place that shows it refer to it."""
    kept: dict[str, str] = {}

    def shown(found: re.Match[str]) -> str:
        image, place = kept.setdefault(found["data"], f"film-{len(kept)}"), found["place"]
        return f'<use xlink:href="#{image}" transform="{place}"/>'

    sizes = {found["data"]: found["size"] for found in _IMAGE.finditer(svg)}
    body = _IMAGE.sub(shown, svg)
    images = "".join(f'<image id="{kept[data]}" {size} xlink:href="{data}"/>' for data, size in sizes.items())
    return body.replace("<defs>", f"<defs>{images}", 1) if images else body


def _element(svg: str, drawn: Drawn, name: str) -> str:
    """Cut off what precedes the element; make its ids its own, and let its title and caption be read aloud."""
    whole = _images_once(svg[svg.index("<svg") :])
    own = re.sub(r'( id="|href="#|url\(#)', rf"\g<1>{name}-", whole)
    start, rest = own.split(">", 1)
    start = re.sub(r' id="[^"]*"', "", start)
    told = (
        f"<title>{escape(printable_line(drawn.title))}</title>\n <desc>{escape(printable_line(drawn.caption))}</desc>"
    )
    return f'{start} role="img" aria-label="{escape(printable_line(drawn.title))}">\n {told}{rest}'
