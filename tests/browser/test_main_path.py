"""The main job as a first visitor does it, on the embedded default, in a real browser."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.embedded import temporary_data_dir
from tests.running_app import RunningApp, run_app


@pytest.fixture(scope="module")
def app() -> Iterator[RunningApp]:
    with temporary_data_dir() as data_dir, run_app(data_dir) as running:
        yield running


def test_a_refused_sign_up_stays_at_the_sign_up(app: RunningApp, page: Page) -> None:
    page.goto(app.url)
    page.get_by_role("tab", name="Sign up").click()
    panel = page.get_by_role("tabpanel").filter(visible=True)
    panel.get_by_label("E-mail").fill("demo@example.com")
    panel.get_by_label("Password", exact=True).fill("correct horse battery")
    panel.get_by_role("button", name="Create account").click()
    expect(page.get_by_text("This address belongs to the demo account.")).to_be_visible()
    expect(panel.get_by_role("button", name="Create account")).to_be_visible()
    expect(panel.get_by_label("E-mail")).to_have_value("demo@example.com")


def test_a_first_visitor_makes_search_better(app: RunningApp, page: Page) -> None:
    page.goto(app.url)
    page.get_by_role("button", name="Continue as demo analyst").click()
    expect(page.get_by_text("The knowledge base is empty.")).to_be_visible()

    page.get_by_role("link", name="Go to the knowledge base").click()
    page.get_by_role("button", name="Load the sample knowledge base").click()
    expect(page.get_by_text(re.compile(r"Added \d+ documents"))).to_be_visible()

    page.get_by_role("link", name="Next: train Deep Memory on them").click()
    expect(page.get_by_text(re.compile("Writes up to"))).to_be_visible()
    page.get_by_role("button", name="Generate Training Data").click()

    expect(page.get_by_role("button", name="Start Training")).to_be_visible(timeout=90_000)
    before = _pair_count(page)
    _edit_first_question(page, "Who may withdraw cash with the company card?")
    _drop_second_pair(page)
    expect(page.get_by_text(f"{before - 1} pairs from")).to_be_visible()
    page.reload()  # F5 keeps the person signed in, and what was decided
    expect(
        page.get_by_text(re.compile(r"Reviewed 2 of \d+: 1 kept \(1 edited\), 1 dropped"))
    ).to_be_visible()

    page.get_by_role("button", name="Start Training").click()
    expect(
        page.get_by_text(re.compile("Recall@10.* On 127 hand-written questions of the sample"))
    ).to_be_visible(timeout=90_000)
    page.get_by_role("tab", name="Hand-written questions of the sample").click()
    without, with_ = _recall_at_1(page)
    assert min(without, with_) > 40  # plain cosine alone finds 31.5%
    expect(page.get_by_text("What each part brings").filter(visible=True)).to_be_visible()
    _download_model(page)

    # Written questions teach what search without training knows already: a person decides.
    expect(page.get_by_text("was not put to use by itself")).to_be_visible()
    page.get_by_role("button", name="Use this model").click()
    expect(page.get_by_text(re.compile("Search uses the model of .* now"))).to_be_visible()
    page.get_by_role("link", name="Search", exact=True).click()
    page.get_by_label("Question", exact=True).fill("how long do sensors keep data")
    page.get_by_role("button", name="Search", exact=True).click()
    expect(page.get_by_role("heading", name="Best without training")).to_be_visible()
    page.locator(".st-key-untrained").get_by_text("Plain cosine", exact=True).click()
    expect(page.get_by_text(re.compile(r"\d+ up")).first).to_be_visible()


def _download_model(page: Page) -> None:
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the model").click()
    assert download.value.suggested_filename.startswith("deep-memory-model-")
    folder = zipfile.ZipFile(download.value.path())
    assert "deep-memory-model/search.py" in folder.namelist()
    assert "| recall@10 |" in folder.read("deep-memory-model/README.md").decode()


def _pair_count(page: Page) -> int:
    text = page.get_by_text(re.compile(r"pairs from .* chunks are ready")).inner_text()
    return int(text.split()[0].replace(",", ""))


def _edit_first_question(page: Page, question: str) -> None:
    page.get_by_role("button", name="Edit", exact=False).first.click()
    field = page.get_by_label("Question", exact=True).first
    field.fill(question)
    field.press("Control+Enter")
    expect(page.get_by_text("Saved.", exact=True)).to_be_visible()
    expect(page.get_by_text(question)).to_be_visible()


def _drop_second_pair(page: Page) -> None:
    rows = page.locator("[class*=st-key-drop_]").filter(visible=True)
    rows.get_by_role("button", name=re.compile("^Drop$")).first.click()
    expect(page.get_by_text("Dropped.", exact=True)).to_be_visible()


def _recall_at_1(page: Page) -> tuple[float, float]:
    """(without, with) as the table of the open tab shows them, in percent."""
    table = page.get_by_role("tabpanel").filter(visible=True)
    row = table.get_by_role("row", name=re.compile(r"^Recall@1\b"))
    expect(row).to_be_visible()
    without, with_, _change = row.get_by_role("cell").all_inner_texts()[-3:]
    return float(without.rstrip("%")), float(with_.rstrip("%"))
