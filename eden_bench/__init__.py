"""eden-bench: what does this pretraining help with, and what may I claim?

All that an author of a method, a dataset or a task needs is importable from here. ``__init__.pyi`` lists the names,
once, for people, type checkers and this module: a name is loaded when it is first used (PEP 562), so
``import eden_bench`` is fast and torch comes in only with an encoder.
"""

from __future__ import annotations

import ast
import importlib

__version__ = "0.1.0"

_LISTED = ast.parse(__spec__.loader.get_data(f"{__path__[0]}/__init__.pyi")).body
_MODULE = {one.name: node.module for node in _LISTED if isinstance(node, ast.ImportFrom) for one in node.names}
"""Name to the module that it is loaded from."""

__all__ = sorted(_MODULE)


def __getattr__(name: str) -> object:
    if name not in _MODULE:
        raise AttributeError(f"module 'eden_bench' has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULE[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
