"""The import rule of ARCHITECTURE.md: baselines → pretrain → eden_bench ← tasks; and what listing may import."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("eden_bench", "pretrain", "baselines", "tasks")
ALLOWED = {
    "eden_bench": {"eden_bench"},
    "pretrain": {"eden_bench", "pretrain"},
    "baselines": {"eden_bench", "pretrain", "baselines"},
    "tasks": {"eden_bench", "tasks"},
}
FILES = sorted(file for package in PACKAGES for file in (ROOT / package).rglob("*.py"))
HEAVY = ("torch", "torchvision", "numpy", "pandas", "pydicom", "scipy", "cv2", "sklearn", "matplotlib", "timm")


def imported_by(file: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module)
    return {name.partition(".")[0] for name in names}


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_a_package_imports_only_what_stands_below_it(file):
    package = file.relative_to(ROOT).parts[0]
    assert imported_by(file) & set(PACKAGES) <= ALLOWED[package]


def test_the_rule_can_fail(tmp_path):
    (tmp_path / "bad.py").write_text("def f():\n    from pretrain.adam import Adam\n")
    assert not imported_by(tmp_path / "bad.py") & set(PACKAGES) <= ALLOWED["tasks"]


def modules_after(code: str) -> set[str]:
    code += "; import sys; print(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "code",
    [
        "import eden_bench",
        "import eden_bench.cli",
        "from eden_bench import registry; registry.tasks.names(); registry.datasets.names()",
        "from eden_bench import registry; [registry.methods.summary(n) for n in registry.methods.names()]",
    ],
)
def test_listing_imports_nothing_heavy(code):
    assert not modules_after(code) & set(HEAVY)
