"""The progress of a run at work: in the workflow card and in view, whatever else is looked at."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Locator, Page, expect
from psycopg.types.json import Jsonb

from services.local_supabase.stack import LocalSupabase
from services.runs.states import RunStatus
from tests.browser.analyst import METRICS, Analyst
from tests.browser.screens import hosted_on
from tests.embedded import temporary_data_dir
from tests.fakes.openai_server import FakeOpenAI
from tests.running_app import RunningApp, run_app

S = RunStatus
SIZES = [(1280, 800), (420, 800)]


@pytest.fixture(scope="module")
def app(supabase_stack: LocalSupabase) -> Iterator[RunningApp]:
    """An app whose questions take a while to be written."""
    with (
        temporary_data_dir() as data_dir,
        FakeOpenAI(latency_s=3.0) as openai,
        run_app(
            data_dir,
            OPENAI_API_KEY=openai.key,
            OPENAI_BASE_URL=openai.base_url,
            EMBEDDING_MODEL="wordllama",
            GENERATION_CONCURRENCY="1",
            **hosted_on(supabase_stack, supabase_stack.url),
        ) as running,
    ):
        yield running


def test_nothing_that_is_opened_stops_or_hides_the_progress(
    app: RunningApp, analyst: Analyst
) -> None:
    page = analyst.page
    older = [_completed(analyst, days_ago=days) for days in (1, 2)]
    live = analyst.has_run(S.GENERATING)
    failed = analyst.has_run(S.GENERATING_FAILED, set_aside=True, created_at=_ago(3))
    analyst.opens(app)
    counts = itertools.count(51)

    def goes_on() -> None:
        """What the worker does is told, in the card, within some polls."""
        count = next(counts)
        analyst.set(live, "processed_chunks", count)
        expect(_card(page).get_by_text(f"{count} of 80 chunks")).to_be_visible()

    goes_on()
    analyst.clicks_row(older[0])
    expect(_card(page).get_by_text(re.compile("70.0% without .* 80.0% with it"))).to_be_visible()
    goes_on()
    _card(page).get_by_text("Won: 25 questions").click()
    _card(page).get_by_role("button", name="Page 2", exact=True).click()
    goes_on()
    page.get_by_text("Compare 2 models").click()
    goes_on()
    analyst.clicks_row(live)
    analyst.row(live).get_by_role("button", name="Refresh").click()
    goes_on()
    analyst.clicks_row(failed)
    analyst.row(failed).get_by_role("button", name="Remove").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    goes_on()
    page.get_by_role("dialog").get_by_role("button", name="Remove", exact=True).click()
    expect(analyst.row(failed)).to_have_count(0)
    goes_on()
    analyst.clicks_row(older[1])
    goes_on()
    page.get_by_role("link", name="Search", exact=True).click()
    page.get_by_role("link", name="Deep Memory", exact=True).click()
    goes_on()
    _card(page).get_by_role("button", name="Close").click()
    expect(_card(page).get_by_text("Recall@10")).to_have_count(0)
    goes_on()


def test_the_progress_of_a_training_stays_above_an_older_run(
    app: RunningApp, analyst: Analyst
) -> None:
    older = _completed(analyst, days_ago=1)
    live = analyst.has_run(S.TRAINING)
    analyst.opens(app)
    analyst.clicks_row(older)
    expect(_card(analyst.page).get_by_text(re.compile("70.0% without"))).to_be_visible()

    progress = {"progress": {"step": "Half way", "share": 0.5}}
    analyst.set(live, "metrics", Jsonb(progress))

    expect(_card(analyst.page).get_by_text("Half way")).to_be_visible()
    expect(_card(analyst.page).get_by_text(re.compile("70.0% without"))).to_be_visible()


def test_after_proceed_the_progress_is_in_view_however_far_below_the_row_was(
    app: RunningApp, analyst: Analyst
) -> None:
    page = analyst.page
    _add_documents(app, page, 4)
    for days in range(1, 15):
        _completed(analyst, days_ago=days)
    failed = analyst.has_run(S.GENERATING_FAILED, pairs=0, created_at=_ago(30))
    for width, height in SIZES:
        page.set_viewport_size({"width": width, "height": height})
        analyst.opens(app)
        analyst.clicks_row(failed)
        proceed = analyst.row(failed).get_by_role("button", name="Proceed")
        proceed.hover()  # which scrolls to it
        expect(_card(page).get_by_text("Training workflow")).not_to_be_in_viewport()

        proceed.click()

        expect(page.get_by_text(re.compile("Resuming generation"))).to_be_visible()
        expect(_card(page).get_by_test_id("stProgress")).to_be_in_viewport()
        _card(page).get_by_role("button", name="Stop generation").click()
        expect(_card(page).get_by_test_id("stProgress")).to_have_count(0)


def test_what_a_click_shows_or_could_not_do_comes_into_view(
    app: RunningApp, analyst: Analyst
) -> None:
    page = analyst.page
    oldest = [_completed(analyst, days_ago=days) for days in range(1, 15)][-1]
    failed = analyst.has_run(S.GENERATING_FAILED, created_at=_ago(30))
    for width, height in SIZES:
        page.set_viewport_size({"width": width, "height": height})
        analyst.opens(app)

        page.get_by_role("button", name="Show the run").click()
        proceed = analyst.row(failed).get_by_role("button", name="Proceed")
        expect(proceed).to_be_in_viewport()

        proceed.click()  # with an empty knowledge base
        refused = page.get_by_role("alert").get_by_text("The knowledge base is empty, so")
        expect(refused).to_be_in_viewport()

        analyst.clicks_row(oldest)
        expect(_card(page).get_by_text(re.compile("70.0% without"))).to_be_in_viewport()


def _card(page: Page) -> Locator:
    return page.locator(".st-key-workflow")


def _completed(analyst: Analyst, *, days_ago: int) -> str:
    when = _ago(days_ago)
    return analyst.has_run(
        S.COMPLETED, pairs=0, metrics=Jsonb(METRICS), created_at=when, started_at=when,
        completed_at=when,
    )  # fmt: skip


def _ago(days: int) -> datetime:
    return datetime.now(UTC) - timedelta(days=days)


def _add_documents(app: RunningApp, page: Page, count: int) -> None:
    page.goto(f"{app.url}/knowledge_base")
    page.locator('input[type="file"]').set_input_files(
        [
            {
                "name": f"Quay {number}.txt",
                "mimeType": "text/plain",
                "buffer": f"Cargo of vessel {number} stays for {number + 2} years.".encode(),
            }
            for number in range(count)
        ]
    )
    page.get_by_role("button", name=f"Add {count} files").click()
    expect(page.get_by_text(f"Added {count} documents")).to_be_visible(timeout=90_000)
