"""The running app and people who drive it over HTTP."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import jwt
import psycopg
import pytest

from services.accounts.auth import Accounts, Identity, SignedInUser, Tokens
from services.accounts.database import Database
from services.config import Settings
from services.generation.batch_mode import BatchMode
from services.http.api import PREFIX
from services.local_supabase.data_folder import load_or_create_secrets
from services.local_supabase.stack import LocalSupabase
from services.studio import Studio
from tests.running_app import RunningApp, run_app
from tests.runs import Script


@dataclass(frozen=True)
class Caller:
    """A signed-in person with an HTTP client: `api` has the base address and the token."""

    user: SignedInUser
    api: httpx.Client
    service: Database

    @property
    def id(self) -> str:
        return self.user.identity.user_id

    @property
    def own(self) -> dict[str, Any]:
        return {"user_id": self.id}

    def script(self) -> Script:
        """A run of this person that the test moves itself; the app does not work on it."""
        return Script(self.user, self.service)


@pytest.fixture(scope="module")
def app(supabase_stack: LocalSupabase) -> Iterator[RunningApp]:
    """The app on the embedded default, on the data folder that the test session looks into."""
    with run_app(supabase_stack.data_dir) as running:
        yield running


@pytest.fixture(scope="module")
def new_studio(
    supabase_stack: LocalSupabase, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Studio]]:
    """Makes an app without its screens, in this process, on a data folder of its own."""
    studios = []

    def make(batch_mode: BatchMode = BatchMode(), **settings: Any) -> Studio:
        studio = Studio(
            Settings(
                _env_file=None,
                data_dir=tmp_path_factory.mktemp("data"),
                supabase_url=supabase_stack.url,
                supabase_publishable_key=supabase_stack.publishable_key,
                supabase_secret_key=supabase_stack.secret_key,
                **settings,
            ),
            batch_mode=batch_mode,
        )
        studios.append(studio)
        return studio

    yield make
    for studio in studios:
        studio.stop()


@pytest.fixture(scope="session")
def claims(accounts: Accounts) -> dict[str, Any]:
    """What a token of a real sign-up says."""
    user = accounts.sign_up(f"{uuid.uuid4().hex}@example.com", "correct horse battery")
    return jwt.decode(user.access_token(), options={"verify_signature": False})


@pytest.fixture
def new_caller(
    app: RunningApp,
    supabase_stack: LocalSupabase,
    accounts: Accounts,
    service: Database,
    owner: psycopg.Connection,
    claims: dict[str, Any],
) -> Iterator[Callable[[], Caller]]:
    """Makes people as a sign-up would, without a password, whose hashing takes its time."""
    jwt_secret = load_or_create_secrets(supabase_stack.data_dir).jwt_secret
    clients = []

    def make() -> Caller:
        email = f"{uuid.uuid4().hex}@example.com"
        row = owner.execute("insert into auth.users (email) values (%s) returning id", (email,))
        identity = Identity(str(row.fetchone()[0]), email)
        row = owner.execute(
            "insert into auth.sessions (user_id) values (%s) returning id", (identity.user_id,)
        )
        mine = {"sub": identity.user_id, "email": email, "session_id": str(row.fetchone()[0])}
        token = jwt.encode({**claims, **mine}, jwt_secret)
        client = httpx.Client(
            base_url=f"{app.url}{PREFIX}",
            headers={"Authorization": f"Bearer {token}"},
            timeout=30,
        )
        clients.append(client)
        user = accounts.open_session(identity, Tokens(token, "none", claims["exp"]))
        return Caller(user, client, service)

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def caller(new_caller: Callable[[], Caller]) -> Caller:
    return new_caller()
