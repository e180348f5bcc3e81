"""A real browser for the tests in this folder."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from urllib.parse import urlsplit

import psycopg
import pytest
from playwright.sync_api import Browser, Page, Request, expect, sync_playwright

from services.local_supabase.stack import LocalSupabase
from tests.browser.analyst import Analyst
from tests.browser.screens import open_page, sign_up
from tests.running_app import RunningApp

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
expect.set_options(timeout=30_000)  # a busy machine is slow, not wrong
_HOW = "no browser found: install Debian's `chromium` (apt-get install chromium) or Chrome"


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = next((found for name in _NAMES if (found := shutil.which(name))), None)
    if path is None:
        if os.environ.get("CI"):
            pytest.fail(_HOW)
        pytest.skip(_HOW)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        yield browser
        browser.close()


@pytest.fixture
def analyst(app: RunningApp, page: Page, supabase_stack: LocalSupabase) -> Analyst:
    """Someone who just signed up."""
    email = sign_up(page, app.url)
    expect(page.get_by_text("No runs yet")).to_be_visible()
    with psycopg.connect(supabase_stack.dsn) as connection:
        row = connection.execute("select id from auth.users where email = %s", (email,)).fetchone()
    assert row is not None
    return Analyst(str(row[0]), page, supabase_stack.dsn)


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A visitor's page, which asks nobody but the app, whatever a test does on it."""
    page, elsewhere = open_page(browser), set()

    def note(request: Request) -> None:
        url = urlsplit(request.url)
        if url.scheme not in ("data", "blob") and url.hostname not in ("127.0.0.1", "localhost"):
            elsewhere.add(request.url)

    page.on("request", note)
    yield page
    page.context.close()
    assert not elsewhere, "the browser asked others than the app"
