"""What several browser tests do: open a page, sign in, come as far as review."""

from __future__ import annotations

import uuid

from playwright.sync_api import Browser, Page, expect

from services.local_supabase.stack import LocalSupabase
from tests.running_app import RunningApp

_TIMEOUT_MS = 30_000  # a busy machine is slow, not wrong


def open_page(browser: Browser) -> Page:
    """A new visitor: no cookies, a laptop's screen."""
    page = browser.new_context(viewport={"width": 1280, "height": 1400}).new_page()
    page.set_default_timeout(_TIMEOUT_MS)
    # While the script runs, what it drew before stands beside what it draws now, and a click on
    # either may be lost: each action waits until the page is whole.
    running = page.locator('[data-testid="stApp"][data-test-script-state="running"]')
    page.add_locator_handler(running, lambda: None)
    return page


def sign_in_as_demo(app: RunningApp, page: Page) -> None:
    page.goto(app.url)
    page.get_by_role("button", name="Continue as demo analyst").click()


def generate_on_the_sample(app: RunningApp, page: Page) -> None:
    """From an empty knowledge base to pairs in review."""
    sign_in_as_demo(app, page)
    page.get_by_role("link", name="Go to the knowledge base").click()
    page.get_by_role("button", name="Load the sample knowledge base").click()
    page.get_by_role("link", name="Next: train Deep Memory on them").click()
    page.get_by_role("button", name="Generate Training Data").click()
    expect(page.get_by_role("button", name="Start Training")).to_be_visible(timeout=90_000)


def sign_up(page: Page, url: str) -> str:
    """Make an account in the browser; returns its e-mail address."""
    email = f"{uuid.uuid4().hex[:12]}@example.com"
    page.goto(url)
    page.get_by_role("tab", name="Sign up").click()
    panel = page.get_by_role("tabpanel").filter(visible=True)
    panel.get_by_label("E-mail").fill(email)
    panel.get_by_label("Password", exact=True).fill("correct horse battery")
    panel.get_by_role("button", name="Create account").click()
    return email


def hosted_on(stack: LocalSupabase, url: str) -> dict[str, str]:
    """Settings of an app that did not bring up its Supabase itself, as with a hosted one."""
    return {
        "SUPABASE_URL": url,
        "SUPABASE_PUBLISHABLE_KEY": stack.publishable_key,
        "SUPABASE_SECRET_KEY": stack.secret_key,
    }
