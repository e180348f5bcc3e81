"""Which versions of the app and of its libraries made a figure."""

from __future__ import annotations

import platform
import tomllib
from functools import cache
from importlib.metadata import version

from services.config import PROJECT_ROOT

_LIBRARIES = ("numpy", "wordllama", "deeplake", "openai")


@cache
def versions() -> dict[str, str]:
    """Name -> version of this app, of Python, and of the libraries that figures depend on."""
    project = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    own = {"deep-memory-studio": project["project"]["version"]}
    return (
        own | {"python": platform.python_version()} | {name: version(name) for name in _LIBRARIES}
    )
