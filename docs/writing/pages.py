"""Pages that the site makes when it is built: commands, public names, lists of decisions, files of the root.

``mkdocs.yml`` names this file as a hook. Nothing here is kept, so nothing can be out of date.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def on_files(files: Any, config: Any) -> Any:  # noqa: ANN401 - MkDocs' own types, which only the site needs
    """Add the pages to the site."""
    from mkdocs.structure.files import File

    for path, made in PAGES.items():
        files.append(File.generated(config, path, content=made()))
    return files


# ── commands ─────────────────────────────────────────────────────────────────────────────────────


def commands_page() -> str:
    """Return the command reference, from the commands themselves."""
    import typer

    from eden_bench.cli import app

    root = typer.main.get_command(app)
    context = root.make_context("eden-bench", ["--version"], resilient_parsing=True)
    parts = [f"# Commands\n\n{root.epilog}"]
    for name in root.list_commands(context):
        _, command, _ = root.resolve_command(context, [name])
        parts += _command_parts(f"eden-bench {name}", command, context)
    return "\n\n".join(parts) + "\n"


def _command_parts(name: str, command: Any, parent: Any) -> Iterator[str]:  # noqa: ANN401 - click's, or typer's copy
    """Yield the section of a command, or of each command in a group."""
    context = type(parent)(command, info_name=name, parent=None)
    for child in getattr(command, "commands", {}).values():
        yield from _command_parts(f"{name} {child.name}", child, context)
    if getattr(command, "commands", None):
        return
    yield f"## {name}"
    yield " ".join(command.help.split("\n\n")[0].split())
    yield from (" ".join(paragraph.split()) for paragraph in command.help.split("\n\n")[1:])
    yield f"```text\n{' '.join([name, *command.collect_usage_pieces(context)])}\n```"
    yield "\n".join(["| | |", "|---|---|", *(_row(record) for record in _records(command, context))])


def _records(command: Any, context: Any) -> Iterator[tuple[str, str]]:  # noqa: ANN401
    """Yield what --help says of each argument and option."""
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None and "--help" not in parameter.opts:
            yield record


def _row(record: tuple[str, str]) -> str:
    """Return a table's row of a name and its help."""
    name, text = record
    return f"| `{name.replace('|', chr(92) + '|')}` | {escaped(text)} |"


def escaped(text: str) -> str:
    """Return text that stands in a table's cell as it is."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;").replace(">", "&gt;").replace("*", "\\*")


# ── Python ───────────────────────────────────────────────────────────────────────────────────────


def python_page() -> str:
    """Return the reference of every public name, by the module that it stands in."""
    parts = ["# From Python", "Everything below is importable from `eden_bench`."]
    for title, names in names_by_module().items():
        parts.append(f"## {title}")
        parts += [f"::: eden_bench.{name}" for name in names]
    return "\n\n".join(parts) + "\n"


def names_by_module() -> Mapping[str, list[str]]:
    """Return the public names of ``eden_bench`` by the first sentence of their module."""
    import griffe

    import eden_bench

    package = griffe.load("eden_bench", search_paths=[ROOT], resolve_aliases=True)
    homes = {name: package[name].final_target.module for name in eden_bench.__all__}
    made: dict[str, list[str]] = {}
    for name, module in sorted(homes.items(), key=lambda home: home[1].path):
        first = module.docstring.value.partition("\n")[0] if module.docstring else module.path
        title = re.split(r"[.:;] |[.:]$", first)[0]
        made.setdefault(title, []).append(name)
    return made


# ── lists, and files of the root ─────────────────────────────────────────────────────────────────


def list_page(folder: str) -> str:
    """Return a page that lists a folder's documents by their titles."""
    titles = {
        path.name: path.read_text(encoding="utf-8").partition("\n")[0].lstrip("# ") for path in _documents(folder)
    }
    return "\n".join([f"# {folder.capitalize()}", "", *(f"- [{title}]({name})" for name, title in titles.items()), ""])


def _documents(folder: str) -> list[Path]:
    return sorted(path for path in (ROOT / "docs" / folder).glob("*.md"))


def copied_page(path: Path) -> str:
    """Return a file of the root; links into docs/ become the site's, others become words."""
    text = re.sub(r"\]\(docs/", "](", path.read_text(encoding="utf-8"))
    return re.sub(r"\[([^\]]+)\]\(([^)]+)\)", lambda link: link[0] if _is_page(link[2]) else f"`{link[2]}`", text)


def _is_page(target: str) -> bool:
    return "://" in target or (ROOT / "docs" / target.partition("#")[0]).exists()


PAGES: Mapping[str, Callable[[], str]] = {
    "reference/commands.md": commands_page,
    "reference/python.md": python_page,
    "decisions/index.md": partial(list_page, "decisions"),
    "results/index.md": partial(list_page, "results"),
    "architecture.md": partial(copied_page, ROOT / "ARCHITECTURE.md"),
    "contributing.md": partial(copied_page, ROOT / "CONTRIBUTING.md"),
    "changelog.md": partial(copied_page, ROOT / "CHANGELOG.md"),
}
"""Each page's path in the site, and what makes its text."""
