"""The project's own modules and what they import, read from their text."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from services.config import PROJECT_ROOT


def modules(folder: str) -> list[Path]:
    found = sorted((PROJECT_ROOT / folder).rglob("*.py"))
    assert found, folder
    return found


def imports(path: Path) -> Iterator[str]:
    """The full names that a module imports, wherever in it; `a.b` for `from a import b`."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: name modules in full"
            yield from (f"{node.module}.{name.name}" for name in node.names)
