"""The HTTP contract, mounted beside the screens: the same services under the same rules.

FastAPI, because the app is Starlette already: its routes mount as they are, the bodies are
pydantic models as the settings are, and the description that clients read is made from the code.
"""

from __future__ import annotations

from fastapi import FastAPI
from starlette.routing import Mount

from services.http import (
    account,
    documents,
    events,
    feedback,
    health,
    imports,
    judging,
    kept_searches,
    knowledge_base,
    models,
    pairs,
    questions,
    runs,
    search,
    test_sets,
)
from services.http.error_responses import TooLargeInJson, explain_errors
from services.http.shapes import LARGEST_UPLOAD, mount_at

NOUNS = (
    runs,
    pairs,
    models,
    test_sets,
    judging,
    events,
    documents,
    imports,
    knowledge_base,
    search,
    feedback,
    questions,
    account,
    kept_searches,
    health,
)
PREFIX = "/v1/api"
LARGEST_BODY = 64 * 1024  # of JSON; uploads have a limit of their own


def create_api() -> FastAPI:
    """The routes. They find the studio when they are called."""
    api = FastAPI(
        title="Deep Memory Studio",
        version="1",
        description="Drive Deep Memory from notebooks, schedulers and other tools.",
        docs_url=None,  # it would load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        max_body_size=LARGEST_BODY,
    )
    for noun in NOUNS:
        api.include_router(noun.router)
    explain_errors(api)
    return api


def api_mount() -> Mount:
    """The routes under `/v1/api`, for `st.App`."""
    upload_mb = LARGEST_UPLOAD // 1_000_000
    too_large = f"The body is too large: 64 kB of JSON or {upload_mb} MB of files at most."
    return mount_at(PREFIX, TooLargeInJson(create_api(), {"detail": too_large}))
