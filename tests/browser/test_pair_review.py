"""A review in the browser: by keyboard only, flagged pairs together, pairs out and in as files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

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


def test_a_review_is_done_by_keyboard_only(app: RunningApp, page: Page) -> None:
    _open_review(app, page)
    _reviewed(page, 0)
    first = _current(page)
    question = first.locator("strong").inner_text()

    _press(page, "k")
    _reviewed(page, 1)
    expect(page.get_by_text("Kept.", exact=True)).to_be_visible()
    second = _current(page).locator("strong").inner_text()
    assert second != question
    _press(page, "n")
    expect(_current(page).locator("strong")).not_to_have_text(second)
    _press(page, "b")
    expect(_current(page).locator("strong")).to_have_text(second)
    _press(page, "d")
    _reviewed(page, 2)
    expect(page.get_by_text("Dropped.", exact=True)).to_be_visible()

    _press(page, "e")
    field = page.get_by_label("Question", exact=True)
    expect(field).to_be_focused()
    page.keyboard.press("Delete")  # its text is selected
    page.keyboard.press("Control+Enter")
    expect(page.get_by_text("A question cannot be empty.")).to_be_visible()
    expect(field).not_to_have_value("")
    field.focus()
    page.keyboard.press("Control+a")
    page.keyboard.type("Who keeps and drops nothing here?")  # letters are no commands now
    page.keyboard.press("Control+Enter")
    expect(page.get_by_text("Saved.", exact=True)).to_be_visible()
    expect(page.get_by_text("edited from:")).to_be_visible()
    _reviewed(page, 3)

    for left in (2, 1, 0):
        _press(page, "u")
        _reviewed(page, left)
    expect(_current(page).locator("strong")).to_have_text(question)

    _press(page, "a")
    _reviewed(page, 10)
    expect(page.get_by_text("Kept 10 pairs.")).to_be_visible()
    _press(page, "x")
    _reviewed(page, 20)
    _press(page, "u")
    _reviewed(page, 10)
    _press(page, "u")
    _reviewed(page, 0)


def test_flagged_pairs_are_found_and_decided_about_together(app: RunningApp, page: Page) -> None:
    _open_review(app, page)
    _press(page, "e")
    field = page.get_by_label("Question", exact=True)
    expect(field).to_be_focused()
    field.fill(LEAK)
    page.keyboard.press("Control+Enter")
    row = page.locator("[class*=st-key-pair_]").filter(has_text=LEAK)
    expect(row.get_by_text("gives itself away", exact=True)).to_be_visible()
    _press(page, "u")

    _show(page, "All flagged")
    flagged = page.get_by_text(re.compile(r"Flagged: \d+ of"))
    expect(flagged).to_be_visible()
    before = flagged.inner_text()
    page.get_by_role("button", name=re.compile(r"^Drop all \d+ pairs")).click()
    expect(page.get_by_text(re.compile(r"Dropped \d+ pairs\."))).to_be_visible()
    expect(flagged).to_have_count(0)
    _press(page, "u")
    expect(page.get_by_text(before)).to_be_visible()


def test_a_dropped_pair_comes_back_from_the_file_and_a_wrong_file_changes_nothing(
    app: RunningApp, page: Page, tmp_path: Path
) -> None:
    _open_review(app, page)
    page.get_by_text("Export and import pairs").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="BEIR", exact=True).click()
    pairs = tmp_path / "pairs.zip"
    download.value.save_as(pairs)
    _press(page, "d")
    expect(page.get_by_text("Dropped.", exact=True)).to_be_visible()

    _import(page, pairs)
    expect(page.get_by_text(re.compile(r"Imported 1 pair\. \d+ were left out"))).to_be_visible()

    pairs.with_suffix(".jsonl").write_text("Who?")
    _import(page, pairs.with_suffix(".jsonl"))
    expect(page.get_by_text("Line 1 of the file is not JSON.")).to_be_visible()


def _open_review(app: RunningApp, page: Page) -> None:
    """When the check is done, so that the order stays."""
    sign_in_as_demo(app, page)
    expect(page.get_by_text(re.compile("Flagged: |Checked: no pair"))).to_be_visible()


def _press(page: Page, key: str) -> None:
    """When the page is whole: until then the keys belong to what was drawn before."""
    running = page.locator('[data-testid="stApp"][data-test-script-state="running"]')
    expect(running).to_have_count(0)
    page.keyboard.press(key)


def _reviewed(page: Page, count: int) -> None:
    expect(page.get_by_text(re.compile(rf"Reviewed {count} of \d+:"))).to_be_visible()


def _current(page: Page) -> Locator:
    return page.locator("[class*=st-key-pair_]").filter(has=page.locator("strong"))


def _import(page: Page, file: Path) -> None:
    page.locator(".st-key-workflow").locator("input[type=file]").set_input_files(file)
    expect(page.get_by_text(file.name)).to_be_visible()  # it is uploaded
    page.get_by_role("button", name="Import", exact=True).click()


def _show(page: Page, kind: str) -> None:
    page.locator(".st-key-pair_filter").get_by_role("combobox").click()
    page.get_by_role("option", name=kind, exact=True).click()
