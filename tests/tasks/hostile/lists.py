"""What hostile lists hold: tables, JSON files, run lengths, lists of names and a TOML file, each wrong in one way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.tasks.hostile.content import Change, instead, replaced, to_bytes, to_json, to_text

_BLANK = b" \n" * (20 << 20)
_DEEP = "[" * 200_000


def _row(number: int, change: Callable[[str], str]) -> Callable[[str], str]:
    def do(text: str) -> str:
        lines = text.splitlines()
        lines[number] = change(lines[number])
        return "\n".join(lines) + "\n"

    return do


def _twice(text: str) -> str:
    return text.rstrip() + "\n" + text.splitlines()[-1] + "\n"


TEXTS = (
    instead("40 MiB of blanks", lambda: _BLANK),
    to_bytes("UTF-16", lambda content: content.decode().encode("utf-16")),
    to_bytes("a zero byte within", lambda content: content[:30] + b"\0" + content[30:]),
)
"""What any text may turn out to hold."""

TABLES = (
    *TEXTS,
    to_text("header alone", lambda text: text.splitlines()[0] + "\n"),
    to_text("no header", lambda text: text.partition("\n")[2]),
    to_text("semicolons", lambda text: text.replace(",", ";")),
    to_text("a column less", _row(0, lambda line: line.partition(",")[2])),
    to_text("a row of one field", _row(1, lambda line: line.partition(",")[0])),
    to_text("quote that nothing closes", _row(1, lambda line: '"' + line)),
    to_text("field of 30 MB", _row(1, lambda line: "x" * 30_000_000 + line)),
    to_text("10^6 empty columns", _row(0, lambda line: line + "," * 1_000_000), "columns to the right are not read"),
    to_text("CR alone ends lines", lambda text: text.replace("\n", "\r"), "lines may end so"),
    to_bytes("byte order mark", lambda content: b"\xef\xbb\xbf" + content, "Excel writes one"),
)


def field(name: str, column: int, value: str, *, row: int = 1, harmless: str = "") -> Change:
    """Return a change of one field of a csv file; row 0 is the header."""

    def change(line: str) -> str:
        fields = line.split(",")
        fields[column] = value
        return ",".join(fields)

    return to_text(name, _row(row, change), harmless)


def numbers(column: int) -> tuple[Change, ...]:
    """Return what no number should be, in one column."""
    values = {"text": "many", "NaN": "nan", "infinity": "inf", "1e308": "1e308", "nothing": ""}
    return tuple(field(f"{name} for a number in column {column}", column, value) for name, value in values.items())


def names(column: int = 0) -> tuple[Change, ...]:
    """Return what no image's name should be, in one column."""
    return (
        field("name with a line's end", column, '"a\nb"'),
        field("name that leaves the folder", column, "../../../etc/passwd"),
        field("name of 100,000 letters", column, "x" * 100_000),
    )


BOX_14 = "00000001_000.png,Mass,{},5,20,20,,,\n"


def _with(row: str) -> Callable[[str], str]:
    return lambda text: text + row


BOXES_14 = tuple(
    to_text(f"box: {name}", _with(row), harmless)
    for name, row, harmless in (
        ("text", BOX_14.format("left"), ""),
        ("NaN", BOX_14.format("nan"), "check says that it leaves the image"),
        ("infinity", BOX_14.format("inf"), "check says that it leaves the image"),
        ("1e308", BOX_14.format("1e308"), "check says that it leaves the image"),
        ("negative", BOX_14.format("-700"), "check says that it leaves the image"),
        ("far outside", BOX_14.format("5000"), "check says that it leaves the image"),
        ("unknown label", "00000001_000.png,Mas,5,5,20,20,,,\n", ""),
        ("three numbers", "00000001_000.png,Mass,5,5,20\n", ""),
    )
)

TWICE = (to_text("a row twice", _twice),)

# ── JSON ─────────────────────────────────────────────────────────────────────────────────────────

JSONS = (
    *TEXTS,
    instead("null", lambda: b"null"),
    instead("a number", lambda: b"1e999"),
    instead("empty list", lambda: b"[]"),
    instead("empty object", lambda: b"{}"),
    instead("200,000 lists in each other", lambda: _DEEP.encode()),
    instead("4 million empty lists", lambda: b"[" + b"[]," * 4_000_000 + b"[]]"),
    instead("5,000 digits", lambda: b"[" + b"9" * 5000 + b"]"),
    instead("list of texts", lambda: b'["a", "b"]'),
    instead("half an escape", lambda: b'["\\ud8"]'),
)

POLYGONS: dict[str, Any] = {
    "text": "M 0 0 L 9 9",
    "number": 7,
    "null": None,
    "no points": [],
    "two points": [[1, 2], [3, 4]],
    "10^6 points": [[1, 2]] * 1_000_000,
    "points of three": [[1, 2, 3]] * 4,
    "points of texts": [["1", "2"]] * 4,
    "points of lists": [[[1], [2]]] * 4,
    "points of true": [[True, False]] * 4,
    "NaN": [[float("nan"), 1]] * 4,
    "infinity": [[float("inf"), 1]] * 4,
    "1e308": [[1e308, -1e308]] * 4,
    "10^400": [[10**400, 1]] * 4,
}
OUTSIDE = [[-900, -900], [-100, 5000], [90_000, 90_000]]
"""A polygon that leaves the image on all sides."""


def _entry(key: str, value: Any) -> Callable[[Any], Any]:
    def change(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
        entry = next(entry for entry in entries if entry["syms"])
        if key == "file_name":
            entry[key] = value
        else:
            entry[key][0] = value
        return entries

    return change


def _without(key: str) -> Callable[[Any], Any]:
    return lambda entries: [{k: v for k, v in entry.items() if k != key} for entry in entries]


CHESTX_DET = (
    *(to_json(f"polygon: {name}", _entry("polygons", value)) for name, value in POLYGONS.items()),
    to_json("polygon outside the image", _entry("polygons", OUTSIDE), "what leaves the image is cut off"),
    to_json("box of texts", _entry("boxes", ["a", "b", "c", "d"])),
    to_json("box of three", _entry("boxes", [1, 2, 3])),
    to_json("box turned over", _entry("boxes", [9, 9, 3, 3])),
    to_json("box of NaN", _entry("boxes", [float("nan")] * 4)),
    to_json("box that is negative", _entry("boxes", [-50, -50, 3, 3]), "boxes are compared with polygons, not used"),
    to_json("unknown finding", _entry("syms", "Efusion")),
    to_json("finding that is a list", _entry("syms", ["Effusion"])),
    to_json("name with a line's end", _entry("file_name", "a\nb.png")),
    to_json("name that leaves the folder", _entry("file_name", "../../etc/passwd")),
    to_json("no polygons", _without("polygons")),
    to_json("an entry twice", lambda entries: [*entries, entries[0]]),
    to_json("lists of unequal length", lambda entries: [{**entries[0], "syms": ["Mass"] * 9}, *entries[1:]]),
)


def _rib(value: Any) -> Callable[[Any], Any]:
    return lambda table: {**table, "R1": dict.fromkeys(table["R1"], value)}


VINDR_RIB = (
    *(to_json(f"polygon: {name}", _rib(value)) for name, value in POLYGONS.items()),
    to_json("polygon outside the image", _rib(OUTSIDE), "what leaves the image is cut off, and check says so"),
    to_json("no column L7", lambda table: {k: v for k, v in table.items() if k != "L7"}),
    to_json("column that is a list", lambda table: {**table, "L7": [1, 2]}),
    to_json("row that is absent", lambda table: {**table, "R5": {}}),
    to_json("name with a line's end", lambda table: {**table, "img": {"0": "a\nb.png"}}),
    to_json("name that is a number", lambda table: {**table, "img": {"0": 7}}),
    to_json("an image twice", lambda table: {**table, "img": {**table["img"], "9": table["img"]["0"]}}),
)

_RUNS = {
    "odd count": "1 2 3",
    "past the end": "0 1048577",
    "ten digits": "9999999999 1",
    "negative": "-5 10",
    "decimal": "1.5 2",
    "text": "all of it",
    "nothing": "",
    "foreign digits": "٣ ٤",
}
RUNS = (
    *(field(f"run lengths: {name}", 1, value) for name, value in _RUNS.items()),
    field("run lengths: 60,000 pairs", 1, "1 2 " * 30_000, harmless="they fit the image"),
    to_text("contradiction", lambda text: text.rstrip() + "\n" + text.splitlines()[1].split(",")[0] + ",1 2\n"),
    to_text("101 rows of an image", lambda text: text + "".join(f"x,{k} 1\n" for k in range(101))),
)

LISTS = (
    *TEXTS,
    to_text("names with more behind them", lambda text: text.replace("\n", " 1 0 0\n")),
    to_text("a stranger's name", lambda text: text + "passwd\n"),
)

# ── TOML ─────────────────────────────────────────────────────────────────────────────────────────

TOML = 'name = "hostile"\nimages = "images"\nmasks = "masks"\nmodality = "fundus"\nlicence = "CC0"\nlists = "lists"\n'

TOMLS = (
    *TEXTS,
    to_text("200,000 lists in each other", lambda text: text + "paper = " + _DEEP),
    to_text("a key twice", lambda text: text + 'name = "again"\n'),
    replaced("list for a text", '"CC0"', '["CC0"]'),
    replaced("date for a text", '"CC0"', "1979-05-27"),
    replaced("number for a table", 'masks = "masks"', "masks = 7"),
    replaced("text with a line's end", '"fundus"', '"fun\\ndus"'),
    to_text("NaN for a learning rate", lambda text: text + "[paper]\nlr = nan\n"),
    to_text("pattern that is none", lambda text: text + 'patient = "("\n'),
    to_text("unknown key", lambda text: text + 'maskz = "masks"\n'),
)


def write_kaggle(physionet: Path, root: Path) -> None:
    """Write Kaggle's layout of VinDr-CXR beside PhysioNet's phantom: the training images, and boxes with numbers."""
    import shutil

    from tasks.reading.vindr import KAGGLE_CLASSES

    shutil.copytree(physionet / "train", root / "train")
    rows = [line.split(",") for line in (physionet / "annotations/annotations_train.csv").read_text().splitlines()[1:]]
    known = [row for row in rows if row[2] in KAGGLE_CLASSES]
    table = [_kaggle_row(row, KAGGLE_CLASSES.index(row[2])) for row in known]
    (root / "train.csv").write_text("image_id,class_name,class_id,rad_id,x_min,y_min,x_max,y_max\n" + "".join(table))


def _kaggle_row(row: Sequence[str], number: int) -> str:
    return ",".join([row[0], row[2], str(number), row[1], *row[3:]]) + "\n"


def write_folder_task(root: Path) -> None:
    """Write a folder of images, masks and lists, and the TOML file that describes them."""
    from PIL import Image

    for folder in ("images", "masks", "lists"):
        (root / folder).mkdir(parents=True)
    image, mask = Image.linear_gradient("L").resize((64, 64)).convert("RGB"), Image.new("L", (64, 64), 0)
    mask.paste(255, (10, 10, 50, 40))
    for name in "abcd":
        image.save(root / f"images/{name}.{'jpg' if name == 'b' else 'png'}")
        mask.save(root / f"masks/{name}.{'tif' if name == 'b' else 'gif'}")
    (root / "lists/train.txt").write_text("a\nb\n")
    (root / "lists/test.txt").write_text("c\nd\n")
    (root / "task.toml").write_text(TOML)
