"""The served description is true: schemathesis finds no server error and no undeclared answer."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote
from uuid import UUID

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, assume, settings
from schemathesis import Case
from schemathesis.specs.openapi.checks import (
    allow_header_conformance,
    negative_data_rejection,
    positive_data_acceptance,
)
from streamlit.path_security import is_unsafe_path_pattern

from services.http import embeddings
from services.http.api import PREFIX, create_api
from services.runs.states import RunStatus
from tests.contract.conftest import Caller
from tests.running_app import RunningApp

schema = schemathesis.openapi.from_dict(create_api().openapi())
embeddings_schema = schemathesis.openapi.from_dict(embeddings.create_embeddings_api().openapi())

NOT_PROMISED = [
    allow_header_conformance,  # Starlette names the methods of one route, not of all on the path
    negative_data_rejection,  # a query that nobody knows is ignored
    positive_data_acceptance,  # the description can not say every rule: 400 says the others
]


def test_the_description_is_served(app: RunningApp) -> None:
    for prefix, described in ((PREFIX, schema), (embeddings.PREFIX, embeddings_schema)):
        served = httpx.get(f"{app.url}{prefix}/openapi.json").json()
        assert served == {**described.raw_schema, "servers": [{"url": prefix}]}


@pytest.fixture
def things(caller: Caller) -> dict[str, str]:
    """By the names that the routes give them, what the caller has."""
    run_id = caller.script().to(RunStatus.GENERATED).run.id
    pairs = caller.api.get(f"/deep-memory/runs/{run_id}/pairs", params=caller.own).json()
    runs = dict.fromkeys(("run_id", "training_run_id", "job_id"), run_id)
    return {"user_id": caller.id, "pair_id": pairs["pairs"][0]["id"], **runs}


@schema.parametrize()
@settings(
    max_examples=20,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_no_answer_is_undeclared(
    case: Case, app: RunningApp, caller: Caller, things: dict[str, str]
) -> None:
    # Streamlit refuses such a path before any route sees it.
    assume(not is_unsafe_path_pattern(unquote(case.formatted_path).lstrip("/")))
    for part in (case.path_parameters, case.query, case.body):
        point_at_what_is_there(part, things)
    case.call_and_validate(
        base_url=f"{app.url}{PREFIX}",
        headers={"Authorization": caller.api.headers["Authorization"]},
        excluded_checks=NOT_PROMISED,
    )


@embeddings_schema.parametrize()
@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_no_answer_of_embeddings_is_undeclared(case: Case, app: RunningApp, caller: Caller) -> None:
    case.call_and_validate(
        base_url=f"{app.url}{embeddings.PREFIX}",
        headers={"Authorization": caller.api.headers["Authorization"]},
        excluded_checks=NOT_PROMISED,
    )


def point_at_what_is_there(part: Any, things: dict[str, str]) -> None:
    """Random ids reach no further than 404: valid ones become those of the caller's things."""
    if isinstance(part, dict):
        for name in part.keys() & things.keys():
            if is_uuid(part[name]):
                part[name] = things[name]


def is_uuid(value: Any) -> bool:
    try:
        return bool(UUID(value))
    except (ValueError, TypeError, AttributeError):
        return False
