"""Doubtful pairs are shown in review, filtered, dropped and kept together."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.embedded import temporary_data_dir
from tests.running_app import RunningApp, run_app

LEAK = "What does this passage say about access?"


@pytest.fixture(scope="module")
def app() -> Iterator[RunningApp]:
    with temporary_data_dir() as data_dir, run_app(data_dir) as running:
        yield running


def test_flagged_pairs_are_filtered_and_dropped_or_kept_together(
    app: RunningApp, page: Page
) -> None:
    _reach_review(app, page)
    field = page.get_by_label("Question", exact=True).first
    field.fill(LEAK)
    field.press("Control+Enter")
    expect(page.get_by_text(re.compile(r"Flagged: .* 1 gives itself away"))).to_be_visible()

    _show(page, "Gives itself away")
    expect(page.get_by_label("Question", exact=True)).to_have_count(1)
    expect(page.get_by_text("gives itself away", exact=True)).to_be_visible()
    page.get_by_role("button", name="Drop all 1 flagged").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text("1 pair will be deleted")).to_be_visible()
    dialog.get_by_role("button", name="Drop them").click()
    expect(page.get_by_text("Dropped 1 pair.")).to_be_visible()
    expect(page.get_by_text("No pair is flagged so.")).to_be_visible()

    _show(page, "All flagged")
    page.get_by_role("button", name="Keep all").click()
    expect(page.get_by_text("Checked: no pair is flagged.")).to_be_visible()


def _reach_review(app: RunningApp, page: Page) -> None:
    page.goto(app.url)
    page.get_by_role("button", name="Continue as demo analyst").click()
    expect(page.get_by_text("The knowledge base is empty.")).to_be_visible()
    page.get_by_role("link", name="Go to the knowledge base").click()
    page.get_by_role("button", name="Load the sample knowledge base").click()
    page.get_by_role("link", name="Next: train Deep Memory on them").click()
    page.get_by_role("button", name="Generate Training Data").click()
    expect(page.get_by_role("button", name="Start Training")).to_be_visible(timeout=90_000)


def _show(page: Page, kind: str) -> None:
    page.locator(".st-key-pair_filter").get_by_role("combobox").click()
    page.get_by_role("option", name=kind, exact=True).click()
