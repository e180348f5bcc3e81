"""Trained models are measured on test questions, looked into, compared and switched."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.screens import generate_on_the_sample, open_page, sign_in_as_demo
from tests.embedded import temporary_data_dir
from tests.running_app import RunningApp, run_app

QUESTIONS = """question,document,answer,answerable
Who may get into the systems with extra rights?,access-management.md,,
What may not be bought with the company card?,corporate-card-rules,,yes
Who was the first king of Rome?,rome.md,,
How do whales sleep without drowning?,,,no
"""


@pytest.fixture(scope="module")
def app(browser: Browser) -> Iterator[RunningApp]:
    """With a model that the demo analyst has trained."""
    with temporary_data_dir() as data_dir, run_app(data_dir) as running:
        page = open_page(browser)
        generate_on_the_sample(running, page)
        page.get_by_role("button", name="Start Training").click()
        expect(page.get_by_text("Measure on your own")).to_be_visible(timeout=90_000)
        page.context.close()
        yield running


def test_a_model_is_measured_on_questions_that_were_brought(
    app: RunningApp, page: Page, tmp_path: Path
) -> None:
    sign_in_as_demo(app, page)
    page.get_by_text("Measure on your own test questions").click()
    card = page.locator(".st-key-own_questions")
    expect(card.get_by_role("combobox", name="Measure on")).to_have_value(
        "Hand-written questions of the sample"
    )

    file = tmp_path / "mine.csv"
    file.write_text(QUESTIONS)
    card.locator("input[type=file]").set_input_files(file)
    expect(card.get_by_text("mine.csv")).to_be_visible()  # it is uploaded
    card.get_by_role("button", name="Add test questions").click()
    expect(page.get_by_text("Added 4 test questions.")).to_be_visible()
    card.get_by_role("button", name="Measure", exact=True).click()

    expect(page.get_by_text("Measured on mine: see the verdict and its tab.")).to_be_visible()
    expect(page.get_by_role("row", name="mine").get_by_text("too few to measure")).to_be_visible()
    page.get_by_role("tab", name="mine").click()
    tab = page.get_by_role("tabpanel").filter(visible=True)
    expect(tab.get_by_text(re.compile("too few for figures"))).to_be_visible()
    expect(tab.get_by_text("1 question left out")).to_be_visible()
    recognised = tab.get_by_test_id("stMetric").filter(has_text="Recognised")
    expect(recognised.get_by_text(re.compile(r"^(0|100)\.0%$"))).to_be_visible()

    card.get_by_role("button", name="Remove").click()
    expect(page.get_by_text("Removed the test set mine.")).to_be_visible()


def test_a_set_is_judged_by_keyboard_and_measured_as_far_as_it_was(
    app: RunningApp, page: Page
) -> None:
    sign_in_as_demo(app, page)
    page.get_by_text("Measure on your own test questions").click()
    page.locator(".st-key-own_questions").get_by_role("button", name="Judge").click()
    expect(page.get_by_role("heading", name="Judge Hand-written questions")).to_be_visible()
    expect(page.get_by_text("0 judged")).to_be_visible()
    chunk = page.locator(".st-key-to_judge")
    for key, then in (
        ("y", "1 judged, 1 of them answer"),
        ("n", "2 judged, 1 of them answer"),
        ("s", "2 judged, 1 of them answer"),
        ("u", "2 judged, 1 of them answer"),
        ("n", "3 judged, 1 of them answer"),
        ("u", "2 judged, 1 of them answer"),
    ):
        before = chunk.inner_text()
        page.keyboard.press(key)
        expect(page.get_by_text(then)).to_be_visible()
        expect(chunk).not_to_have_text(before, use_inner_text=True)

    page.get_by_role("link", name="Deep Memory").last.click()
    page.get_by_text("Measure on your own test questions").click()
    card = page.locator(".st-key-own_questions")
    card.get_by_role("button", name="Measure", exact=True).click()
    page.get_by_role("tab", name="Hand-written questions of the sample").click()
    tab = page.get_by_role("tabpanel").filter(visible=True)
    expect(tab.get_by_text("As far as it was judged")).to_be_visible()
    expect(tab.get_by_role("row", name="bpref")).to_be_visible()


def test_a_question_that_was_won_opens_with_both_lists(app: RunningApp, page: Page) -> None:
    sign_in_as_demo(app, page)
    page.get_by_role("tab", name="Hand-written questions of the sample").click()
    panel = page.get_by_role("tabpanel").filter(visible=True)
    panel.get_by_text(re.compile(r"^Won: \d+ questions")).click()
    panel.locator("[class*='st-key-rank_change_'] button").first.click()

    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("heading", name="Without training")).to_be_visible()
    expect(dialog.get_by_role("heading", name="With this model")).to_be_visible()
    expect(dialog.get_by_text(re.compile(r"at rank \d+ with this model"))).to_be_visible()
    expect(dialog.get_by_text("answers it").first).to_be_visible()


def test_an_older_model_is_switched_to_in_one_click_and_back(app: RunningApp, page: Page) -> None:
    sign_in_as_demo(app, page)
    count = page.get_by_label("Questions per chunk")
    count.fill("1")
    count.press("Tab")
    generate = page.get_by_role("button", name="Generate Training Data")
    expect(generate).to_have_count(1)  # two for a moment, while the page is drawn again
    generate.click()
    page.get_by_role("button", name="Start Training").click(timeout=90_000)
    page.get_by_text("Compare 2 models").click(timeout=90_000)
    newer, older = (page.locator("[class*='st-key-model_row_']").nth(place) for place in (0, 1))

    for chosen, other in ((older, newer), (newer, older)):
        chosen.get_by_role("button", name="Use").click()
        expect(page.get_by_text(re.compile("Search uses the model of .* now"))).to_be_visible()
        expect(chosen.get_by_text("In use")).to_be_visible()
        expect(other.get_by_role("button", name="Use")).to_be_visible()


def test_a_person_compares_deep_memory_with_any_search_without_training(
    app: RunningApp, page: Page
) -> None:
    sign_in_as_demo(app, page)
    page.get_by_role("link", name="Search", exact=True).click()
    page.get_by_label("Question", exact=True).fill("how long do sensors keep data")
    page.get_by_role("button", name="Search", exact=True).click()
    expect(page.get_by_role("heading", name="Best without training")).to_be_visible()
    expect(page.get_by_role("heading", name="Deep Memory", exact=True)).to_be_visible()

    page.locator(".st-key-untrained").get_by_text("Plain cosine", exact=True).click()

    expect(page.get_by_role("heading", name="Plain cosine", exact=True)).to_be_visible()
    expect(page.get_by_role("heading", name="Best without training")).to_have_count(0)
