"""Fill the parts of documents that code writes: cards of what is registered, and tables of what tests hold.

A part stands between ``<!-- KIND: ARGUMENTS -->`` and ``<!-- end -->``; what lies between them is replaced:

- ``traps: NAME | heading | heading | heading``: the rows that tests are marked with (``docs.writing.traps``);
- ``card: methods NAME`` or ``card: datasets NAME``: the card of one of them;
- ``overview: datasets``, ``scores: tasks`` and ``names: all``: lists of what is registered.

``<!-- sections: methods -->`` gets a section for each method that has none, ``<!-- sections: datasets -->`` likewise.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from docs.writing import traps
from eden_bench import registry

ROOT = Path(__file__).parents[2]
_PART = re.compile(r"(<!-- (traps|card|overview|scores|names): (.+?) -->\n).*?(<!-- end -->)", re.DOTALL)
_SECTIONS = re.compile(r"^<!-- sections: (methods|datasets) -->$", re.MULTILINE)
_HEADINGS = {"methods": "constant or trap | value here | test", "datasets": "trap | what the reader does | test"}
_OURS = "eden-bench:"
"""How the origin of what this repository registers begins."""


def written(root: Path = ROOT) -> dict[Path, str]:
    """Return the text of every document with parts that code writes, as it should be."""
    rows = traps.tables(root)
    files = [root / "README.md", *sorted((root / "docs").rglob("*.md"))]
    texts = {path: path.read_text(encoding="utf-8") for path in files}
    return {path: filled(text, rows) for path, text in texts.items() if "<!-- end -->" in text}


def filled(text: str, rows: Mapping[str, Sequence[traps.Row]]) -> str:
    """Return a document with its parts written."""
    text = _SECTIONS.sub(lambda mark: "".join(_new_sections(mark[1], text)) + mark[0], text)
    return _PART.sub(lambda part: f"{part[1]}{_content(part[2], part[3], rows)}\n{part[4]}", text)


def ours(kind: str) -> list[str]:
    """Return the names of "methods", "datasets" or "tasks" that this repository registers."""
    known = getattr(registry, kind)
    return [name for name in known.names() if known.origin(name).startswith(_OURS)]


def _new_sections(kind: str, text: str) -> Iterator[str]:
    """Yield a section, still to be filled, for each name that has none."""
    for name in ours(kind):
        if f"<!-- card: {kind} {name} -->" not in text:
            title = _card(kind, name).title
            marks = (f"card: {kind} {name}", f"traps: {name} | {_HEADINGS[kind]}")
            parts = [f"<!-- {mark} -->\n<!-- end -->\n" for mark in marks]
            yield "\n".join([f"## {title}: `{name}`\n", *parts, ""])


def _content(kind: str, argument: str, rows: Mapping[str, Sequence[traps.Row]]) -> str:
    if kind == "traps":
        table, *headings = (word.strip() for word in argument.split("|"))
        return traps.as_table(rows[table], headings) if table in rows else "No test is marked with a trap yet."
    lines = {"card": _card_lines, "overview": _overview, "scores": _scores, "names": _names}[kind]
    return "\n".join(lines(*argument.split()))


# ── cards ────────────────────────────────────────────────────────────────────────────────────────


def _card(kind: str, name: str) -> Any:  # noqa: ANN401 - a MethodCard or a DatasetCard
    return getattr(registry, kind).get(name).card


def _card_lines(kind: str, name: str) -> Iterator[str]:
    """Yield the lines of a card; blank before and after, so that they are a list."""
    yield ""
    yield from (_of_method if kind == "methods" else _of_dataset)(name)
    yield ""


def _of_method(name: str) -> Iterator[str]:
    card = _card("methods", name)
    yield f"- Paper: {card.paper}. Backbone: {card.backbone}; pretrained on {card.data}."
    yield f"- Licence: {card.licence}."
    yield from ([f"- Not as there: {'; '.join(card.differences)}."] if card.differences else [])


def _of_dataset(name: str) -> Iterator[str]:
    card = _card("datasets", name)
    yield f"- Paper: {card.citation}. From: {card.source}. Folder: {' or '.join(f'`{each}`' for each in card.folders)}."
    yield f"- Licence: {card.licence}."
    yield from (f"- Note: {note}." for note in (*card.notes, *card.derived_from.values()))
    for task in _tasks_on(name):
        yield f"- Task `{task.name}`: {task.title}; score `{task.score.name}`."


def _tasks_on(dataset: str) -> list[Any]:
    return [task for task in map(registry.tasks.get, ours("tasks")) if task.dataset == dataset]


# ── lists ────────────────────────────────────────────────────────────────────────────────────────


def _overview(kind: str) -> Iterator[str]:
    yield "| dataset | modality | images | tasks |\n|---|---|---|---|"
    for name in ours(kind):
        card, tasks = _card(kind, name), [f"`{task.name}`" for task in _tasks_on(name)]
        yield f"| {card.title}: `{name}` | {card.modality} | {card.expected_images:,} | {', '.join(tasks) or 'none'} |"


def _scores(kind: str) -> Iterator[str]:
    """Yield each primary score's definition once, with the tasks that it is of."""
    of: dict[tuple[str, str], list[str]] = {}
    for task in map(registry.tasks.get, ours(kind)):
        of.setdefault((task.score.name, task.score.text), []).append(f"`{task.name}`")
    yield ""
    yield from (f"- `{name}` ({', '.join(tasks)}): {text}" for (name, text), tasks in of.items())
    yield ""


def _names(_: str) -> Iterator[str]:
    for kind in ("methods", "tasks", "datasets"):
        yield f"- {kind}: {', '.join(f'`{name}`' for name in ours(kind))}"
