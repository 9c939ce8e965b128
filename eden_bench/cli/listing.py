"""``eden-bench list``, ``show``, ``plugins`` and ``paths``: list what is available, and where it comes from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from eden_bench import protocols, registry, settings
from eden_bench.cli.options import Cache, Data, Device, Json, Out, Plugins, Splits, Threads
from eden_bench.cli.output import print_json, print_pairs, print_table
from eden_bench.cli.progress import bars
from eden_bench.cli.streams import print_text
from eden_bench.errors import EdenError, PluginError, unknown
from eden_bench.plugins.template import write_package
from eden_bench.protocols import frozen

_REGISTRIES = {"methods": registry.methods, "tasks": registry.tasks, "datasets": registry.datasets}
_KINDS = (*_REGISTRIES, "protocols")
_NONE = {
    "data": "none: the phantom serves",
    "weights": "none: torch's own cache serves",
    "splits": "none: each dataset's own split",
    "track": "none: nothing is sent anywhere",
}


def list_names(
    kind: Annotated[str | None, typer.Argument(help="methods, tasks, datasets or protocols [all four].")] = None,
    plugin: Plugins = None,
    as_json: Json = False,
) -> None:
    """List the available methods, tasks, datasets and protocols."""
    if kind and kind not in _KINDS:
        raise unknown("kind", kind, _KINDS)
    registry.load_plugin_files(plugin)
    found = {each: [dict(row) for row in _rows(each)] for each in ((kind,) if kind else _KINDS)}
    if as_json:
        print_json(found)
        return
    for number, (each, rows) in enumerate(found.items()):
        print_text("\n" * bool(number), end="")
        columns = list(rows[0]) if rows else ["name"]
        print_table(columns, [[row[column] for column in columns] for row in rows], each)


def show(
    name: Annotated[str, typer.Argument(help="Name of a method, task, dataset or protocol.")],
    plugin: Plugins = None,
    as_json: Json = False,
) -> None:
    """Show a card: description, source, licence, score definition, and settings under each protocol."""
    registry.load_plugin_files(plugin)
    cards = {each: _card(each, name) for each in _KINDS if name in _names(each)}
    if not cards:
        raise unknown("name", name, (known for each in _KINDS for known in _names(each)))
    if as_json:
        print_json(cards)
        return
    for kind, card in cards.items():
        print_pairs(_flat(card), f"{kind.removesuffix('s')} {name}")


def plugins(
    plugin: Plugins = None,
    check: Annotated[str | None, typer.Option("--check", help="Validate this plugin against its contract.")] = None,
    new: Annotated[str | None, typer.Option("--new", help="Write a working package to start from.")] = None,
    as_json: Json = False,
) -> None:
    """List every plugin and whether it loads; --check validates one, --new writes a package to start from."""
    registry.load_plugin_files(plugin)
    if new is not None:
        _write_new(new)
        return
    if check is not None:
        _check_contract(check, as_json)
        return
    rows = [row for kind, each in _REGISTRIES.items() for row in _plugin_rows(kind.removesuffix("s"), each)]
    if as_json:
        print_json(rows)
    else:
        columns = ("kind", "name", "distribution", "origin", "state")
        print_table(columns, [[row[column] for column in columns] for row in rows])


def _write_new(name: str) -> None:
    for file in write_package(name, Path()):
        print_text(str(file))
    typer.echo(f"next: pip install -e {name} && eden-bench plugins --check {name}", err=True)


def _check_contract(name: str, as_json: bool) -> None:
    from eden_bench.plugins.conformance import check  # imports torch

    kinds = [kind for kind, each in _REGISTRIES.items() if name in each.names()]
    if not kinds:
        raise unknown("plugin", name, (known for each in _REGISTRIES.values() for known in each.names()))
    with bars() as progress:
        rows = [(kind, *found) for kind in kinds for found in check(kind.removesuffix("s"), name, progress)]
    told = [{"kind": kind.removesuffix("s"), "check": title, "problem": text} for kind, title, text in rows]
    if as_json:
        print_json(told)
    else:
        print_table(("check", "result"), list(_results(told)))
    broken = sum(bool(row["problem"]) for row in told)
    if broken:
        raise PluginError(f"{name} breaks {broken} of {len(told)} checks: the table says what was found and expected")


def _results(told: Iterable[Mapping[str, str]]) -> Iterator[tuple[str, str]]:
    """Yield the rows of the checks' table; a problem that several checks meet is written out once."""
    seen: set[str] = set()
    for row in told:
        yield row["check"], "as above" if row["problem"] in seen else row["problem"] or "ok"
        seen |= {row["problem"]} - {""}


def paths(
    data: Data = None,
    out: Out = None,
    cache: Cache = None,
    device: Device = None,
    threads: Threads = None,
    splits: Splits = None,
    as_json: Json = False,
) -> None:
    """Show each setting, its value and where it came from (flag, environment, eden-bench.toml or default)."""
    found = settings.gather(data=data, out=out, cache=cache, device=device, threads=threads, splits=splits)
    rows = [{"name": name, "value": _setting(found, name), "from": found.sources[name]} for name in settings.NAMES]
    if as_json:
        print_json(rows)
    else:
        print_table(("setting", "value", "from"), [list(row.values()) for row in rows])


def _setting(found: settings.Settings, name: str) -> str:
    value = getattr(found, name)
    if value is None:
        return _NONE[name]
    missing = isinstance(value, Path) and name == "data" and not value.is_dir()
    return f"{value} (no such folder)" if missing else str(value)


def _names(kind: str) -> list[str]:
    return (
        _REGISTRIES[kind].names()
        if kind in _REGISTRIES
        else [*protocols.names(), *frozen.names(), *protocols.ablations()]
    )


def _rows(kind: str) -> list[Mapping[str, str]]:
    row: Mapping[str, Callable[[str], Mapping[str, str]]] = {
        "methods": lambda name: {"name": name, "summary": registry.methods.summary(name)},
        "tasks": _task_row,
        "datasets": _dataset_row,
        "protocols": lambda name: {"name": name, "summary": protocols.load(name).title},
    }
    return [row[kind](name) for name in _names(kind)]


def _task_row(name: str) -> Mapping[str, str]:
    task = registry.tasks.get(name)
    return {
        "name": name,
        "kind": task.kind,
        "dataset": task.dataset,
        "score": task.score.name,
        "summary": task.title,
    }


def _dataset_row(name: str) -> Mapping[str, str]:
    card = registry.datasets.get(name).card
    return {
        "name": name,
        "modality": card.modality,
        "images": f"{card.expected_images:,}",
        "folders": " or ".join(card.folders),
        "summary": card.title,
    }


def _card(kind: str, name: str) -> dict[str, Any]:
    if kind == "protocols":
        return asdict(protocols.load(name))
    card = {"methods": _method_card, "tasks": _task_card, "datasets": _dataset_card}[kind](name)
    return {**card, "plugin": _REGISTRIES[kind].origin(name)}


def _method_card(name: str) -> dict[str, Any]:
    method = registry.methods.get(name)
    config = method.Config()
    values = {each: asdict(protocols.load(each).method_config(name, config)) for each in protocols.names()}
    return {**asdict(method.card), "config": values}


def _task_card(name: str) -> dict[str, Any]:
    task = registry.tasks.get(name)
    score = asdict(task.score)
    beside = score.pop("alternatives")
    return {
        "title": task.title,
        "dataset": task.dataset,
        "kind": task.kind,
        "score": score,
        "beside": beside,
        "protocol": {each: asdict(protocols.load(each).task_protocol(task)) for each in protocols.names()},
        "frozen": {name: _frozen_protocol(task, name) for name in task.frozen},
    }


def _frozen_protocol(task: Any, name: str) -> dict[str, Any]:  # noqa: ANN401 - each kind has its own
    own, fine_tuned = asdict(task.protocol(name)), asdict(task.protocol("paper"))
    told = {key: value for key, value in own.items() if fine_tuned.get(key, ...) != value}
    return {"what": frozen.TITLES[name], **told}


def _dataset_card(name: str) -> dict[str, Any]:
    return asdict(registry.datasets.get(name).card)


def _flat(card: Mapping[str, Any]) -> dict[str, str]:
    """Flatten a card to lines, protocols side by side, so that differences are visible."""
    lines: dict[str, str] = {}
    for name, value in card.items():
        if name in ("config", "protocol"):
            lines |= _side_by_side(name, value)
        elif name == "frozen":
            lines |= {f"{name}.{key}": _pairs(part) for key, part in value.items()}
        elif isinstance(value, Mapping):
            lines |= {f"{name}.{key}": _text(part) for key, part in value.items()}
        else:
            lines[name] = _text(value)
    return lines


def _side_by_side(name: str, protocol_values: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    lines = {}
    for key in dict.fromkeys(key for values in protocol_values.values() for key in values):
        texts = {each: _text(values.get(key)) for each, values in protocol_values.items()}
        same = len(set(texts.values())) == 1
        lines[f"{name}.{key}"] = next(iter(texts.values())) if same else _differing(texts)
    return lines


def _differing(texts: Mapping[str, str]) -> str:
    return ", ".join(f"{each}: {text}" for each, text in texts.items())


def _pairs(values: Mapping[str, Any]) -> str:
    """Format a frozen protocol: what it does, then what differs from the task's fine-tuning."""
    flat = {
        f"{key}.{part}" if part else key: each
        for key, value in values.items()
        for part, each in (value.items() if isinstance(value, Mapping) else [("", value)])
    }
    return f"{flat.pop('what')} {', '.join(f'{key} {_text(value)}' for key, value in flat.items())}"


def _text(value: object) -> str:
    if isinstance(value, list | tuple):
        return "; ".join(_text(part) for part in value) or "none"
    if is_dataclass(value):
        return ", ".join(f"{field.name}={_text(getattr(value, field.name))}" for field in fields(value))
    return str(value)


def _plugin_rows(kind: str, each: registry.Registry) -> list[dict[str, str]]:
    states = {name: _state(each, name) for name in each.names()}
    each.load_all()
    rows = [_plugin_row(kind, name, each.origin(name), state) for name, state in states.items()]
    shown = {row["origin"] for row in rows}
    return rows + [
        row
        for origin, error in each.failures().items()
        if (row := _plugin_row(kind, "", origin, error))["origin"] not in shown
    ]


def _state(each: registry.Registry, name: str) -> str:
    try:
        each.get(name)
    except EdenError as error:
        return str(error)
    return "loads"


def _plugin_row(kind: str, name: str, origin: str, state: str) -> dict[str, str]:
    distribution, found, place = origin.partition(": ")
    return {
        "kind": kind,
        "name": name,
        "distribution": distribution if found else "",
        "origin": place if found else origin,
        "state": state,
    }
