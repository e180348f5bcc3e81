"""From a search with a wrong hit to a missed question, to a training pair, to a better hit."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.screens import sign_in_as_demo
from tests.embedded import temporary_data_dir
from tests.running_app import RunningApp, run_app

QUESTION = "how long do sensors keep data"
MARKED = "[class*='st-key-does_not'] [data-testid='stBaseButton-primary']"


@pytest.fixture(scope="module")
def app() -> Iterator[RunningApp]:
    with temporary_data_dir() as data_dir, run_app(data_dir) as running:
        yield running


def hits(page: Page, heading: str) -> Locator:
    """The links of the hits below a heading, best first."""
    column = page.get_by_test_id("stColumn").filter(
        has=page.get_by_role("heading", name=heading, exact=True)
    )
    return column.locator("a[href*='chunk=']")


def test_a_search_with_a_wrong_hit_becomes_a_training_pair_and_a_better_hit(
    app: RunningApp, page: Page
) -> None:
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
    answer = hits(page, "Best without training").nth(1).get_attribute("href") or ""
    page.get_by_role("button", name="Answers it").nth(1).click()
    page.get_by_role("button", name="Make a training pair").click()
    expect(page.get_by_text("It is a training pair now")).to_be_visible()
    expect(page.get_by_role("button", name="Make it a test question instead")).to_be_visible()

    page.get_by_role("link", name="Missed questions").click()
    expect(page.get_by_text("No missed questions")).to_be_visible()
    expect(page.get_by_text("1 training pair")).to_be_visible()

    page.get_by_role("link", name="Deep Memory", exact=True).click()
    page.get_by_role("button", name="Generate Training Data").click()
    page.get_by_role("button", name="Start Training").click(timeout=60_000)
    expect(page.get_by_text(re.compile(r"Trained on .*, 1 of them asked by people"))).to_be_visible(
        timeout=120_000
    )
    page.get_by_role("button", name="Use this model").click()
    expect(page.get_by_text("Search uses this model.")).to_be_visible()

    page.get_by_role("link", name="Search", exact=True).click()
    page.get_by_label("Question", exact=True).fill(QUESTION)
    page.get_by_role("button", name="Search", exact=True).click()
    expect(hits(page, "Deep Memory").first).to_have_attribute("href", answer)
    assert hits(page, "Best without training").first.get_attribute("href") != answer
