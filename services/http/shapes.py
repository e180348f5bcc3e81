"""What several routes are made of: bodies, queries, uploads, and where they are mounted."""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import Annotated

from fastapi import Query, UploadFile
from pydantic import BaseModel, ConfigDict
from starlette.routing import Mount
from starlette.types import ASGIApp

LARGEST_UPLOAD = 300_000_000  # of all files of a request, which are in memory until they are kept
NO_NUL = r"^[^\x00]*$"  # Postgres stores none

Offset = Annotated[int, Query(ge=0, le=10_000_000)]


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Done(BaseModel):
    message: str


def named(file: UploadFile) -> tuple[str, bytes]:
    """The name of an uploaded file without its folders, and its content."""
    return PurePath(file.filename or "").name, file.file.read()


def mount_at(prefix: str, app: ASGIApp) -> Mount:
    """`app` under `prefix`, whatever the rest of the path."""
    mount = Mount(prefix, app=app)
    # Starlette's pattern ends at a line break, and Streamlit would answer such a path with a page.
    mount.path_regex = re.compile(mount.path_regex.pattern, re.DOTALL)
    return mount
