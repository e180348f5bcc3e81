"""Doubtful pairs are shown in review and dropped or kept together; pairs go out and come in."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.screens import generate_on_the_sample, open_page, sign_in_as_demo
from tests.embedded import temporary_data_dir
from tests.running_app import RunningApp, run_app

LEAK = "What does this passage say about access?"


@pytest.fixture(scope="module")
def app(browser: Browser) -> Iterator[RunningApp]:
    """With the demo analyst's run in review."""
    with temporary_data_dir() as data_dir, run_app(data_dir) as running:
        page = open_page(browser)
        generate_on_the_sample(running, page)
        page.context.close()
        yield running


def test_flagged_pairs_are_filtered_and_dropped_or_kept_together(
    app: RunningApp, page: Page
) -> None:
    _open_review(app, page)
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
    expect(page.get_by_text("No pair matches.")).to_be_visible()

    _show(page, "All flagged")
    page.get_by_role("button", name="Keep all").click()
    expect(page.get_by_text("Checked: no pair is flagged.")).to_be_visible()


def test_a_dropped_pair_comes_back_from_the_file_and_a_wrong_file_changes_nothing(
    app: RunningApp, page: Page, tmp_path: Path
) -> None:
    _open_review(app, page)
    page.get_by_text("Export and import pairs").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="BEIR", exact=True).click()
    pairs = tmp_path / "pairs.zip"
    download.value.save_as(pairs)
    page.get_by_text("Keep", exact=True).first.click()
    page.get_by_role("button", name="Drop 1 marked pair").click()
    expect(page.get_by_text("Dropped 1 pair.")).to_be_visible()

    _import(page, pairs)
    expect(page.get_by_text(re.compile(r"Imported 1 pair\. \d+ were left out"))).to_be_visible()

    pairs.with_suffix(".jsonl").write_text("Who?")
    _import(page, pairs.with_suffix(".jsonl"))
    expect(page.get_by_text("Line 1 of the file is not JSON.")).to_be_visible()


def _open_review(app: RunningApp, page: Page) -> None:
    sign_in_as_demo(app, page)
    expect(page.get_by_role("button", name="Start Training")).to_be_visible()


def _import(page: Page, file: Path) -> None:
    page.locator(".st-key-workflow").locator("input[type=file]").set_input_files(file)
    expect(page.get_by_text(file.name)).to_be_visible()  # it is uploaded
    page.get_by_role("button", name="Import", exact=True).click()


def _show(page: Page, kind: str) -> None:
    page.locator(".st-key-pair_filter").get_by_role("combobox").click()
    page.get_by_role("option", name=kind, exact=True).click()
