"""Parse and resolve a request: methods, tasks, seeds, shots and protocol as given on the command line."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from eden_bench import protocols, registry
from eden_bench.errors import PluginError, UsageError
from eden_bench.weights.file_method import path_of, refuse_missing, register_file
from eden_bench.weights.paths import is_there

DEFAULT_SEEDS = tuple(range(10))
_SEED_LIMIT = 1 << 31
_MOST_SEEDS = 10_000
_MOST_DIGITS = 10


Names = str | Iterable[str]


@dataclass(frozen=True, kw_only=True)
class Ask:
    """A request with resolved names, seeds and shots."""

    methods: tuple[str, ...]
    """Registered methods, and variants that the protocol names."""
    tasks: tuple[str, ...]
    shots: tuple[int | None, ...] = (None,)
    seeds: tuple[int, ...] = DEFAULT_SEEDS
    protocol: str | None = None
    """None: "quick" on the phantom, "paper" on real data."""
    pretrain_data: str | None = None
    """None: by the modality of each task."""
    pretrain_seeds: tuple[int, ...] = (0,)
    plugins: tuple[str, ...] = ()
    """Plugin files, for the command line that redoes a cell."""
    keep_masks: bool = False
    """Store predicted masks beside the records of segmentations."""


def make_ask(
    methods: Names,
    tasks: Names,
    *,
    seeds: str | Sequence[int] | None = None,
    n_seeds: int | None = None,
    shots: int | str | Iterable[int | str | None] | None = None,
    protocol: str | None = None,
    pretrain_data: str | None = None,
    pretrain_seeds: int | str | Sequence[int] = 0,
    plugins: tuple[str, ...] = (),
    keep_masks: bool = False,
) -> Ask:
    """Resolve and validate a request; arguments are those of ``run``.

    Raises:
        UsageError: a name, seed or number of shots means nothing.
    """
    listed = shots if isinstance(shots, Iterable) and not isinstance(shots, str) else [shots]
    if pretrain_data is not None:
        registry.datasets.get(pretrain_data)
    made = Ask(
        methods=choose_methods(names_of(methods), _variants(protocol)),
        tasks=choose(registry.tasks, names_of(tasks)),
        shots=parse_shots(listed),
        seeds=parse_seeds(seeds, n_seeds),
        protocol=protocol,
        pretrain_data=pretrain_data,
        pretrain_seeds=pretrain_seeds_of(pretrain_seeds),
        plugins=plugins,
        keep_masks=keep_masks,
    )
    if protocol is not None:
        check_protocol(protocol, made.methods, made.tasks)
    if keep_masks and all(registry.tasks.get(name).kind != "segmentation" for name in made.tasks):
        raise UsageError(f"--keep-masks: none of {', '.join(made.tasks)} is a segmentation: name one, or leave it out")
    return made


def pretrain_seeds_of(seeds: int | str | Sequence[int]) -> tuple[int, ...]:
    """Parse the seeds of pretrainings. Raises UsageError as ``parse_seeds``."""
    return parse_seeds([seeds] if isinstance(seeds, int) else seeds, flag="--pretrain-seeds")


def check_protocol(name: str, methods: Iterable[str], tasks: Iterable[str] = ()) -> None:
    """Validate that every setting of a protocol applies to a requested method or task. Raises UsageError."""
    protocol = protocols.load(name)
    made = {method: registry.methods.get(protocol.method_of(method)) for method in methods}
    chosen = [registry.tasks.get(task) for task in tasks]
    protocols.check_used(protocol, {method: made[method].Config() for method in made}, chosen)


def _variants(protocol: str | None) -> Collection[str]:
    """Return the variants that a protocol defines."""
    return protocols.load(protocol).variants if protocol else ()


def names_of(names: Names) -> list[str]:
    """Return names as a list, one string as a list of one."""
    return [names] if isinstance(names, str) else list(names)


def choose_methods(patterns: Iterable[str], variants: Collection[str]) -> tuple[str, ...]:
    """Resolve methods as ``choose`` does, also variants by full name or '@variants', and NAME=PATH.

    Raises:
        UsageError: as ``choose``.
    """
    chosen: list[str] = []
    for part in dict.fromkeys(part for text in patterns for part in _parts(text)):
        own = list(variants) if part == "@variants" else [part] if part in variants else []
        if "=" in part:
            own = [register_file(registry.methods, part, taken={*variants, *chosen})]
            refuse_missing(part)
        chosen += own or choose(registry.methods, [part])
    return tuple(dict.fromkeys(chosen)) or choose(registry.methods, ())


def _parts(text: str) -> list[str]:
    """Split at commas, but for those in the path of NAME=PATH: as many parts are joined as make a path that exists."""
    parts, found = text.split(","), list[str]()
    while parts:
        joined = (",".join(parts[:count]).strip() for count in range(1, len(parts) + 1))
        whole = next((one for one in joined if is_there(path_of(one))), parts[0]) if "=" in parts[0] else parts[0]
        del parts[: whole.count(",") + 1]
        found += [whole.strip()] if whole.strip() else []
    return found


def choose(kind: registry.Registry, patterns: Iterable[str]) -> tuple[str, ...]:
    """Resolve names, globs and groups; members of a group that cannot be loaded are skipped with a warning.

    Raises:
        UsageError: nothing fits, or a name given in full cannot be loaded.
    """
    patterns = list(patterns)
    named = {part.strip() for text in patterns for part in text.split(",")}
    chosen = tuple(name for name in kind.select(patterns) if _loads(kind, name, must=name in named))
    if not chosen:
        raise UsageError(f"no {kind.kind} is chosen: name at least one with --{kind.kind}s")
    return chosen


def parse_seeds(text: str | Sequence[int] | None, count: int | None = None, flag: str = "--seeds") -> tuple[int, ...]:
    """Parse '0-9', '0,3,5' or a mixture; by default ten seeds from 0.

    Args:
        text: what was given for the flag.
        count: what was given for --n-seeds.
        flag: that errors name.

    Raises:
        UsageError: not seeds, or both a list and a count.

    >>> parse_seeds("0-2,5", None), parse_seeds(None, 3)
    ((0, 1, 2, 5), (0, 1, 2))
    """
    if text is not None and count is not None:
        raise UsageError("--seeds and --n-seeds say the same thing: give one")
    if count is not None:
        if count < 1:
            raise UsageError(f"--n-seeds {count}: expected at least 1")
        _need_few(count)
        return tuple(range(count))
    if text is None:
        return DEFAULT_SEEDS
    parts = text.split(",") if isinstance(text, str) else text
    ranges = [_seed_range(str(part).strip(), flag) for part in parts]
    _need_few(sum(map(len, ranges)))
    found = tuple(dict.fromkeys(seed for each in ranges for seed in each))
    if not found:
        raise UsageError(f"{flag}: no seed is given, expected for example 0-9 or 0,3,5")
    return found


def parse_shots(texts: Iterable[str | int | None]) -> tuple[int | None, ...]:
    """Parse few-shot sizes, '3,6,12,24,full' and the like; None and "full" are all training images.

    Raises:
        UsageError: neither a number of at least 2 nor "full".

    >>> parse_shots(["3,24", "full"])
    (3, 24, None)
    """
    parts = [part.strip() for text in texts for part in ("full" if text is None else str(text)).split(",")]
    return tuple(dict.fromkeys(_shots(part) for part in parts if part)) or (None,)


def shots_text(shots: int | None) -> str:
    """Format shots: "full", or for example "3 shots"."""
    return "full" if shots is None else f"{shots} shots"


def _loads(kind: registry.Registry, name: str, *, must: bool) -> bool:
    try:
        kind.get(name)
    except PluginError:
        if must:
            raise
        return False  # the registry has warned
    return True


def _seed_range(text: str, flag: str) -> range:
    first, dash, last = text.partition("-")
    if not _is_number(first) or (dash and not _is_number(last)) or int(last or first) >= _SEED_LIMIT:
        raise UsageError(f"{flag}: {text[:40]!r} is not a seed or a range, expected for example 0-9 or 0,3,5")
    return range(int(first), int(last or first) + 1)


def _need_few(seeds: int) -> None:
    if seeds > _MOST_SEEDS:
        raise UsageError(f"{seeds:,} seeds are asked for, expected at most {_MOST_SEEDS:,}")


def _is_number(text: str) -> bool:
    return text.isdecimal() and len(text) <= _MOST_DIGITS


def _shots(text: str) -> int | None:
    if text == "full":
        return None
    if not _is_number(text) or int(text) < 2:
        raise UsageError(
            f"--shots: {text[:40]!r} is not 'full' or a number of at least 2, expected for example 3,6,12,24,full"
        )
    return int(text)
