"""The rules of ARCHITECTURE.md that can be read off the code: no cycle, no needless local import, no long file."""

import ast
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("eden_bench", "pretrain", "baselines", "tasks")
LINES = 300
HEAVY = {
    *("PIL", "cv2", "jinja2", "matplotlib", "numpy", "openTSNE", "pandas", "pydicom", "rich", "safetensors", "scipy"),
    *("segmentation_models_pytorch", "sklearn", "statsmodels", "timm", "torch", "torchvision", "typer"),
}
"""Libraries that take a tenth of a second or more to import."""


def module_name(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_name(file): file for package in PACKAGES for file in sorted((ROOT / package).rglob("*.py"))}


def targets(node: ast.AST, modules=MODULES) -> set[str]:
    """What an import statement imports: our modules by their full names, others by their first part."""
    if isinstance(node, ast.Import):
        names = {alias.name for alias in node.names}
    elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
        longer = {f"{node.module}.{alias.name}" for alias in node.names}
        names = {name if name in modules else node.module for name in longer}
    else:
        return set()
    return {name if name in modules else name.partition(".")[0] for name in names}


def statements(tree: ast.Module, *, local: bool) -> list[ast.AST]:
    """The import statements of a module that run: those in functions, or those that run when it is imported."""
    found, stack = [], [(tree, False)]
    while stack:
        node, inside = stack.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        inside = inside or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        found += [node] if isinstance(node, (ast.Import, ast.ImportFrom)) and inside == local else []
        stack += [(child, inside) for child in ast.iter_child_nodes(node)]
    return found


@cache
def imports(module: str, *, local: bool) -> frozenset[str]:
    nodes = statements(ast.parse(MODULES[module].read_bytes()), local=local)
    return frozenset(set().union(*(targets(node) for node in nodes)) - {module})


def packages_above(module: str) -> set[str]:
    parts = module.split(".")
    return {name for end in range(1, len(parts)) if (name := ".".join(parts[:end])) in MODULES}


@cache
def loads(module: str) -> frozenset[str]:
    """Everything that importing a module imports, itself included."""
    seen, stack = set(), [module]
    while stack:
        name = stack.pop()
        if name not in seen:
            seen.add(name)
            stack += [*imports(name, local=False), *packages_above(name)] if name in MODULES else []
    return frozenset(seen)


def cycle(arrows: dict[str, set[str]]) -> list[str]:
    """Return the nodes of one cycle, or nothing."""
    done: set[str] = set()

    def follow(node: str, path: list[str]) -> list[str]:
        if node in path:
            return path[path.index(node) :]
        if node in done:
            return []
        for after in sorted(arrows.get(node, ())):
            if found := follow(after, [*path, node]):
                return found
        done.add(node)
        return []

    return next((found for node in sorted(arrows) if (found := follow(node, []))), [])


def room(module: str) -> str:
    """A room is a package inside one of the four, or a module that stands there alone."""
    return ".".join(module.split(".")[:2])


def all_arrows() -> dict[str, set[str]]:
    both = {name: imports(name, local=False) | imports(name, local=True) for name in MODULES}
    return {name: {target for target in found if target in MODULES} for name, found in both.items()}


def test_no_module_leads_back_to_itself_function_level_imports_counted():
    assert cycle(all_arrows()) == []


def test_no_room_leads_back_to_itself():
    rooms: dict[str, set[str]] = {}
    for name, found in all_arrows().items():
        rooms.setdefault(room(name), set()).update(room(target) for target in found if room(target) != room(name))
    assert cycle({name: found for name, found in rooms.items() if "." in name}) == []


def test_a_cycle_is_found():
    assert cycle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c"]
    assert cycle({name: {after} for name, after in pairwise("abcd")}) == []


@pytest.mark.parametrize("module", [name for name in MODULES if imports(name, local=True)])
def test_an_import_in_a_function_saves_a_heavy_library_or_breaks_a_cycle(module):
    own = loads(module)
    for node in statements(ast.parse(MODULES[module].read_bytes()), local=True):
        found = targets(node)
        new = set().union(*(loads(target) if target in MODULES else {target} for target in found)) - own
        assert not found & MODULES.keys() or new & HEAVY, f"{ast.unparse(node)} can stand at the top"


@pytest.mark.parametrize("module", MODULES)
def test_a_file_fits_in_the_head(module):
    assert len(MODULES[module].read_text(encoding="utf-8").splitlines()) <= LINES


@pytest.mark.parametrize("module", MODULES)
def test_a_module_says_in_words_what_it_is(module):
    said = ast.get_docstring(ast.parse(MODULES[module].read_text(encoding="utf-8"))) or ""
    assert len(said.split()) > 2, f"{module} begins with {said!r}"
