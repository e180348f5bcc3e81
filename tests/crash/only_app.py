"""The default: one app, with its Supabase embedded. They go down and come up together."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo
from pydantic import SecretStr

from services.accounts.auth import Accounts
from services.accounts.database import Database, SupabaseEndpoint
from services.local_supabase.__main__ import PREFERRED_PORT
from services.local_supabase.data_folder import load_or_create_secrets
from services.local_supabase.migrations import connect
from tests.crash.scene import App, fake_models, model_settings
from tests.fakes.openai_server import FakeOpenAI
from tests.running_app import run_app


class OnlyApp:
    """An app that can be killed and started again on its data folder."""

    def __init__(self, data_dir: Path, fake: FakeOpenAI) -> None:
        self.data_dir, self.fake = data_dir, fake

    @contextmanager
    def running(self) -> Iterator[App]:
        with run_app(self.data_dir, **model_settings(self.fake)) as running:
            yield App(running)

    def accounts(self, app: App) -> Accounts:
        """Sign-in at the Supabase that this app brought up."""
        told = re.search(r"Supabase uses (\d+)", app.running.log.read_text())
        url = f"http://127.0.0.1:{told[1] if told else PREFERRED_PORT}"
        secrets = load_or_create_secrets(self.data_dir)
        publishable, secret = SecretStr(secrets.publishable_key), SecretStr(secrets.secret_key)
        return Accounts(SupabaseEndpoint(url, publishable, secret), Database(url, secret))

    def owner(self) -> psycopg.Connection:
        about = (self.data_dir / "postgres" / "postmaster.pid").read_text().splitlines()
        return connect(make_conninfo(host=about[4], port=about[3], user="postgres"))

    def status_of(self, run_id: str) -> str:
        with self.owner() as owner:
            query = "select status from deep_memory_training_runs where id = %s"
            row = owner.execute(query, (run_id,)).fetchone()
        assert row is not None
        return row[0]


@contextmanager
def only_app(data_dir: Path) -> Iterator[OnlyApp]:
    with fake_models() as fake:
        yield OnlyApp(data_dir, fake)


def kill(app: App) -> float:
    """kill -9; returns when, by time.monotonic."""
    app.running.process.kill()
    app.running.process.wait()
    return time.monotonic()
