"""From a search with a wrong hit to a missed question, to a training pair."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.screens import sign_in_as_demo
from tests.embedded import temporary_data_dir
from tests.running_app import RunningApp, run_app

QUESTION = "how long do sensors keep data"
MARKED = "[class*='st-key-does_not'] [data-testid='stBaseButton-primary']"


@pytest.fixture(scope="module")
def app() -> Iterator[RunningApp]:
    with temporary_data_dir() as data_dir, run_app(data_dir) as running:
        yield running


def test_a_search_with_a_wrong_hit_becomes_a_training_pair(app: RunningApp, page: Page) -> None:
    sign_in_as_demo(app, page)
    page.get_by_role("link", name="Go to the knowledge base").click()
    page.get_by_role("button", name="Load the sample knowledge base").click()
    expect(page.get_by_text(re.compile(r"Added \d+ documents"))).to_be_visible()

    page.get_by_role("link", name="Search", exact=True).click()
    page.get_by_label("Question", exact=True).fill(QUESTION)
    page.get_by_role("button", name="Search", exact=True).click()
    page.get_by_role("button", name="Does not").first.click()
    expect(page.locator(MARKED).filter(visible=True)).to_have_count(1)

    page.get_by_role("link", name="Missed questions").click()
    expect(page.get_by_text("first hit is wrong")).to_be_visible()
    expect(page.get_by_text("Asked once")).to_be_visible()
    page.get_by_role("link", name="Find its answer").click()

    # The link asks the question again, and the mark is still there.
    expect(page.get_by_label("Question", exact=True)).to_have_value(QUESTION)
    expect(page.locator(MARKED).filter(visible=True)).to_have_count(1)
    page.get_by_role("button", name="Answers it").nth(1).click()
    page.get_by_role("button", name="Make a training pair").click()
    expect(page.get_by_text("It is a training pair now")).to_be_visible()
    expect(page.get_by_role("button", name="Make it a test question instead")).to_be_visible()

    page.get_by_role("link", name="Missed questions").click()
    expect(page.get_by_text("No missed questions")).to_be_visible()
    expect(page.get_by_text("1 training pair")).to_be_visible()
    # Here the training follows, and the better hit that it brings.
