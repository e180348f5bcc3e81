"""A trained model is measured on the sample's questions and on those that a person brings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.embedded import temporary_data_dir
from tests.running_app import RunningApp, run_app

QUESTIONS = """question,document,answer
Who may get into the systems with extra rights?,access-management.md,
What may not be bought with the company card?,corporate-card-rules,
Who was the first king of Rome?,rome.md,
"""


@pytest.fixture(scope="module")
def app(browser: Browser) -> Iterator[RunningApp]:
    """With a model that the demo analyst has trained."""
    with temporary_data_dir() as data_dir, run_app(data_dir) as running:
        page = browser.new_page()
        page.set_default_timeout(30_000)
        page.goto(running.url)
        page.get_by_role("button", name="Continue as demo analyst").click()
        page.get_by_role("link", name="Go to the knowledge base").click()
        page.get_by_role("button", name="Load the sample knowledge base").click()
        page.get_by_role("link", name="Next: train Deep Memory on them").click()
        page.get_by_role("button", name="Generate Training Data").click()
        page.get_by_role("button", name="Start Training").click(timeout=90_000)
        expect(page.get_by_text("Measure on your own")).to_be_visible(timeout=90_000)
        page.close()
        yield running


def test_a_model_is_measured_on_questions_that_were_brought(
    app: RunningApp, page: Page, tmp_path: Path
) -> None:
    page.goto(app.url)
    page.get_by_role("button", name="Continue as demo analyst").click()
    page.get_by_text("Measure on your own test questions").click()
    card = page.locator(".st-key-own_questions")
    expect(card.get_by_role("combobox", name="Measure on")).to_have_value(
        "Hand-written questions of the sample"
    )

    file = tmp_path / "mine.csv"
    file.write_text(QUESTIONS)
    card.locator("input[type=file]").set_input_files(file)
    card.get_by_role("button", name="Add test questions").click()
    expect(page.get_by_text("Added 3 test questions.")).to_be_visible()
    card.get_by_role("button", name="Measure", exact=True).click()

    expect(card.get_by_text(re.compile("Recall@10 on “mine” went from"))).to_be_visible()
    expect(card.get_by_text("1 question left out")).to_be_visible()
    expect(card.get_by_role("row", name="Recall@10")).to_be_visible()

    card.get_by_role("button", name="Remove").click()
    expect(page.get_by_text("Removed the test set mine.")).to_be_visible()
