"""What the bodies and queries of several routes are made of."""

from __future__ import annotations

from pathlib import PurePath
from typing import Annotated

from fastapi import Query, UploadFile
from pydantic import BaseModel, ConfigDict

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
