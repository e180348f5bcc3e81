"""Every status's row, one open at a time, with what can be done about it; the blocked button."""

from __future__ import annotations

import re
from collections.abc import Iterator

import psycopg
import pytest
from playwright.sync_api import Page, expect
from psycopg.types.json import Jsonb

from services.local_supabase.stack import LocalSupabase
from services.runs.states import RunStatus
from services.runs.store import why_blocked
from tests.browser.analyst import METRICS, Analyst
from tests.browser.screens import hosted_on, sign_up
from tests.embedded import temporary_data_dir
from tests.forwarder import Forwarder
from tests.running_app import RunningApp, run_app


@pytest.fixture(scope="module")
def network(supabase_stack: LocalSupabase) -> Forwarder:
    """The way to the database, which a test may cut."""
    return Forwarder(supabase_stack.url)


@pytest.fixture(scope="module")
def app(supabase_stack: LocalSupabase, network: Forwarder) -> Iterator[RunningApp]:
    """The app on a Supabase that it did not bring up itself, as with a hosted one."""
    with (
        temporary_data_dir() as data_dir,
        run_app(data_dir, **hosted_on(supabase_stack, network.url)) as running,
    ):
        yield running


def test_one_row_is_open_at_a_time(app: RunningApp, analyst: Analyst) -> None:
    newer = analyst.has_run(RunStatus.TRAINING_FAILED)
    older = analyst.has_run(RunStatus.GENERATING_FAILED, pairs=0, set_aside=True)
    analyst.opens(app)

    analyst.clicks_row(newer)
    expect(analyst.row(newer).get_by_role("button", name="Proceed")).to_be_visible()
    analyst.clicks_row(older)
    expect(analyst.row(older).get_by_role("button", name="Proceed")).to_be_visible()
    expect(analyst.row(newer).get_by_role("button", name="Proceed")).to_have_count(0)
    analyst.clicks_row(older)
    expect(analyst.row(older).get_by_role("button", name="Proceed")).to_have_count(0)


@pytest.mark.parametrize("status", [RunStatus.GENERATING, RunStatus.TRAINING])
def test_an_active_row_refreshes_itself_alone_and_offers_stop(
    app: RunningApp, analyst: Analyst, status: RunStatus
) -> None:
    run_id = analyst.has_run(status)
    analyst.opens(app)
    row = analyst.row(run_id)
    analyst.clicks_row(run_id)
    expect(row.get_by_role("button", name="Stop", exact=True)).to_be_visible()
    expect(row.get_by_role("button", name="Proceed")).to_have_count(0)

    analyst.set(run_id, "pair_count", 77)
    row.get_by_role("button", name="Refresh").click()
    expect(row.get_by_text("77 pairs")).to_be_visible()

    row.get_by_role("button", name="Stop", exact=True).click()
    expect(row.get_by_role("alert")).to_contain_text(re.compile("Stopped by .*@example.com"))


@pytest.mark.parametrize(
    ("status", "progress"),
    [
        (RunStatus.GENERATING, "50/80"),
        (RunStatus.GENERATING_FAILED, "50/80"),
        (RunStatus.TRAINING_FAILED, "50/80"),
        (RunStatus.TRAINING, "In progress"),
        (RunStatus.GENERATED, "—"),
    ],
)
def test_progress_reads_as_its_status_says_and_the_button_names_the_reason(
    app: RunningApp, analyst: Analyst, status: RunStatus, progress: str
) -> None:
    run_id = analyst.has_run(status)
    analyst.opens(app)

    expect(analyst.row(run_id).get_by_text(progress, exact=True).first).to_be_visible()
    expect(analyst.page.get_by_role("button", name="Generate Training Data")).to_be_disabled()
    expect(analyst.page.get_by_text(why_blocked(status))).to_be_visible()


def test_the_blocked_button_leads_to_the_row(app: RunningApp, analyst: Analyst) -> None:
    run_id = analyst.has_run(RunStatus.TRAINING_FAILED, error_message="The disk is full.")
    analyst.opens(app)

    analyst.page.get_by_role("button", name="Show the run").click()

    expect(analyst.row(run_id).get_by_text("The disk is full.")).to_be_visible()
    expect(analyst.row(run_id).get_by_text("2 pairs").last).to_be_visible()


def test_remove_asks_first_and_says_how_many_pairs_went(app: RunningApp, analyst: Analyst) -> None:
    run_id = analyst.has_run(RunStatus.GENERATING_FAILED, pairs=3)
    analyst.opens(app)
    analyst.clicks_row(run_id)
    analyst.row(run_id).get_by_role("button", name="Remove").click()

    dialog = analyst.page.get_by_role("dialog")
    expect(dialog.get_by_text("3 pairs")).to_be_visible()
    dialog.get_by_role("button", name="Remove", exact=True).click()

    expect(analyst.page.get_by_text("Training run and 3 associated pairs deleted")).to_be_visible()
    expect(analyst.row(run_id)).to_have_count(0)


def test_a_completed_row_shows_its_results_and_does_not_expand(
    app: RunningApp, analyst: Analyst
) -> None:
    run_id = analyst.has_run(RunStatus.COMPLETED, metrics=Jsonb(METRICS), completed_at="now")
    analyst.opens(app)
    expect(analyst.row(run_id).get_by_text("70.0% → 80.0%")).to_be_visible()

    analyst.clicks_row(run_id)

    expect(
        analyst.page.get_by_text(re.compile("70.0% without Deep Memory, 80.0% with it"))
    ).to_be_visible()
    expect(analyst.page.get_by_text("though their documents were")).to_be_visible()
    expect(analyst.row(run_id).get_by_role("button", name="Proceed")).to_have_count(0)


def test_a_completed_run_is_removed_from_its_row_unless_search_uses_it(
    app: RunningApp, analyst: Analyst
) -> None:
    used, old = (
        analyst.has_run(RunStatus.COMPLETED, metrics=Jsonb(METRICS), completed_at="now")
        for _ in range(2)
    )
    with psycopg.connect(analyst.dsn, autocommit=True) as connection:
        connection.execute(
            "insert into deep_memory_settings (user_id, enabled, active_run_id)"
            " values (%s, true, %s)",
            (analyst.user_id, used),
        )
    analyst.opens(app)
    expect(analyst.row(used).locator(f".st-key-remove_{used} button").first).to_be_disabled()

    analyst.row(old).locator(f".st-key-remove_{old} button").first.click()
    dialog = analyst.page.get_by_role("dialog")
    expect(dialog.get_by_text("2 pairs")).to_be_visible()
    dialog.get_by_role("button", name="Remove", exact=True).click()

    expect(analyst.page.get_by_text("its model and 2 associated pairs deleted")).to_be_visible()
    expect(analyst.row(old)).to_have_count(0)
    expect(analyst.row(used)).to_be_visible()


def test_won_questions_are_shown_in_pages_to_the_last(app: RunningApp, analyst: Analyst) -> None:
    run_id = analyst.has_run(RunStatus.COMPLETED, metrics=Jsonb(METRICS), completed_at="now")
    analyst.opens(app)
    analyst.clicks_row(run_id)
    analyst.page.get_by_text("Won: 25 questions").click()
    moves = analyst.page.locator("[class*='st-key-rank_change_'] button")
    expect(moves).to_have_count(20)

    analyst.page.get_by_role("button", name="Page 2", exact=True).click()

    expect(moves).to_have_count(5)
    expect(moves.last).to_contain_text("Who pays 24?")


def test_proceed_closes_the_row_and_the_workflow_shows_what_follows(
    app: RunningApp, analyst: Analyst
) -> None:
    page = analyst.page
    page.goto(f"{app.url}/knowledge_base")
    page.get_by_role("button", name="Load the sample knowledge base").click()
    expect(page.get_by_text(re.compile(r"Added \d+ documents"))).to_be_visible()
    run_id = analyst.has_run(RunStatus.GENERATING_FAILED, pairs=0)
    analyst.opens(app)
    analyst.clicks_row(run_id)

    analyst.row(run_id).get_by_role("button", name="Proceed").click()

    expect(page.get_by_text(re.compile(r"Resuming generation from chunk 0/\d+"))).to_be_visible()
    expect(analyst.row(run_id).get_by_role("button", name="Proceed")).to_have_count(0)
    expect(page.get_by_role("button", name="Start Training")).to_be_visible(timeout=60_000)


def test_rows_are_filtered_by_status_and_told_when_none_matches(
    app: RunningApp, analyst: Analyst
) -> None:
    run_id = analyst.has_run(RunStatus.GENERATING_FAILED)
    analyst.opens(app)

    _filter(analyst.page, "Completed")
    expect(analyst.page.get_by_text("No run has this status.")).to_be_visible()
    _filter(analyst.page, "Generating failed")
    expect(analyst.row(run_id)).to_be_visible()


def test_a_row_is_reached_and_opened_by_keyboard(app: RunningApp, analyst: Analyst) -> None:
    run_id = analyst.has_run(RunStatus.TRAINING_FAILED)
    analyst.opens(app)

    analyst.toggle(run_id).focus()
    analyst.page.keyboard.press("Enter")

    expect(analyst.row(run_id).get_by_role("button", name="Proceed")).to_be_visible()


def test_a_page_says_quietly_that_the_database_is_away_and_recovers(
    app: RunningApp, analyst: Analyst, network: Forwarder
) -> None:
    run_id = analyst.has_run(RunStatus.GENERATING_FAILED)
    analyst.opens(app)

    network.cut()
    try:
        analyst.page.reload()
        expect(analyst.page.get_by_text("cannot be reached just now")).to_be_visible()
        expect(analyst.page.get_by_role("alert")).to_have_count(0)
    finally:
        network.restore()

    expect(analyst.row(run_id)).to_be_visible(timeout=20_000)  # with no reload


@pytest.mark.parametrize(
    ("deeplake_path", "trainer", "shown"),
    [("kb", "cloud", False), ("kb", "local", True)],
)
def test_the_page_is_gated_only_where_the_cloud_must_train_and_is_not_there(
    supabase_stack: LocalSupabase,
    page: Page,
    deeplake_path: str,
    trainer: str,
    shown: bool,
) -> None:
    with (
        temporary_data_dir() as data_dir,
        run_app(
            data_dir,
            DEEPLAKE_PATH=str(data_dir / deeplake_path),
            DEEP_MEMORY_TRAINER=trainer,
            **hosted_on(supabase_stack, supabase_stack.url),
        ) as app,
    ):
        sign_up(page, app.url)
        expect(page.get_by_role("heading", name="Deep Memory")).to_be_visible()
        expect(page.get_by_text("only available with DeepLake Cloud")).to_have_count(int(not shown))
        expect(page.get_by_text("Training history")).to_have_count(int(shown))


def _filter(page: Page, label: str) -> None:
    page.locator(".st-key-history_status").get_by_role("combobox").click()
    page.get_by_role("option", name=label, exact=True).click()
