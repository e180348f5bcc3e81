"""Documents as a person adds and sees them, in a real browser: an import of 40 files that is killed
and goes on, and the page of a document on a laptop and on a phone."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from playwright.sync_api import Browser, Page, expect

from services.local_supabase.stack import LocalSupabase
from tests.browser.screens import hosted_on, sign_up
from tests.imports import let_import_lease_run_out
from tests.running_app import RunningApp, run_app

FILES = 40
# Takes a while to read, and says nothing: so that files are stored a few at a time.
_NOTHING = "<b></b>" * 80_000
_SHOTS = os.environ.get("SCREENSHOTS")  # a folder, to look at what the tests see


@pytest.fixture
def start(supabase_stack: LocalSupabase):
    """Starts an app on the database and the data folder of the test session."""
    return lambda: run_app(supabase_stack.data_dir, **hosted_on(supabase_stack, supabase_stack.url))


@pytest.fixture(scope="module")
def app(supabase_stack: LocalSupabase) -> Iterator[RunningApp]:
    settings = hosted_on(supabase_stack, supabase_stack.url)
    with run_app(supabase_stack.data_dir, **settings) as running:
        yield running


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    made = []
    for number in range(FILES):
        path = tmp_path / f"berth {number:02}.html"
        path.write_text(f"<h1>Berth {number}</h1><p>Berth {number} is for tankers.</p>{_NOTHING}")
        made.append(path)
    return made


def look(page: Page, name: str) -> None:
    if _SHOTS:
        page.screenshot(path=Path(_SHOTS, f"{name}.png"), full_page=True)


def go_to_documents(page: Page) -> None:
    page.get_by_role("link", name="Knowledge base", exact=True).first.click()
    expect(page.get_by_role("heading", name="Knowledge base")).to_be_visible()


def add(page: Page, files: list[Path]) -> None:
    page.locator('input[type="file"]').set_input_files(files)
    page.get_by_role("button", name=re.compile(r"Add \d+ files?")).click()


def scrolls_sideways(page: Page) -> bool:
    return page.evaluate(
        "[document.documentElement, ...document.querySelectorAll('[data-testid=\"stMain\"]')]"
        ".some(e => e.scrollWidth > e.clientWidth + 1)"
    )


def test_an_import_of_forty_files_is_killed_and_goes_on(
    start, browser: Browser, page: Page, files: list[Path], owner: psycopg.Connection, service
) -> None:
    with start() as app:
        email = sign_up(page, app.url)
        go_to_documents(page)
        add(page, files)
        expect(page.get_by_text(re.compile(r"[1-9]\d* of 40 files"))).to_be_visible()
        expect(page.get_by_text(re.compile("reading berth"))).to_be_visible()
        look(page, "import-runs")
        app.process.send_signal(signal.SIGKILL)
        app.process.wait()
    row = owner.execute(
        "select i.id from document_imports i join auth.users u on u.id = i.user_id"
        " where u.email = %s",
        (email,),
    ).fetchone()
    let_import_lease_run_out(owner, row[0])
    service.rpc("rescue_imports")

    with start() as app:
        page.goto(app.url)
        again = page.get_by_role("tabpanel").filter(visible=True)
        expect(
            page.get_by_role("tab", name="Sign in").or_(page.get_by_text("No runs yet")).first
        ).to_be_visible()
        if page.get_by_role("tab", name="Sign in").is_visible():
            again.get_by_label("E-mail").fill(email)
            again.get_by_label("Password", exact=True).fill("correct horse battery")
            again.get_by_role("button", name="Sign in").click()
        go_to_documents(page)
        expect(page.get_by_text("The app stopped while documents were being added")).to_be_visible()
        expect(page.get_by_text(re.compile(r"\d+ are kept, and not added yet"))).to_be_visible()
        page.get_by_text("What became of each of 40 files").click()
        expect(page.get_by_text("Not added yet (")).to_be_visible()
        expect(page.get_by_text(re.compile(r"berth \d\d\.html")).first).to_be_visible()
        look(page, "import-killed")
        page.get_by_role("button", name="Go on").click()
        expect(page.get_by_text("Added 40 documents with 40 chunks.")).to_be_visible(timeout=90_000)
        expect(page.get_by_text("40 documents, 40 chunks")).to_be_visible()
        look(page, "import-done")
        page.get_by_role("button", name="Got it").click()
        expect(page.get_by_text("Added 40 documents")).to_have_count(0)


def test_an_import_is_stopped_and_goes_on_and_documents_are_chosen_and_removed(
    app: RunningApp, page: Page, files: list[Path]
) -> None:
    sign_up(page, app.url)
    go_to_documents(page)
    add(page, files[:30])
    page.get_by_role("button", name="Stop adding").click()
    expect(page.get_by_text("You stopped it")).to_be_visible()
    look(page, "import-stopped")
    page.get_by_role("button", name="Go on").click()
    expect(page.get_by_text("Added 30 documents with 30 chunks.")).to_be_visible(timeout=90_000)
    page.get_by_role("button", name="Got it").click()
    page.get_by_label("Find documents").fill("berth 1 is")
    page.get_by_label("Find documents").press("Enter")
    expect(page.get_by_text("in 1 chunk")).to_be_visible()
    page.get_by_label("Find documents").fill("")
    page.get_by_label("Find documents").press("Enter")
    expect(page.get_by_role("link", name="berth 03.html")).to_be_visible()
    page.locator('[class*="st-key-choose_"] label').first.click()
    expect(page.get_by_text("1 document, 1 chunk")).to_be_visible()
    page.get_by_role("button", name="Choose all 30").click()
    expect(page.get_by_role("button", name="Remove them")).to_be_visible()
    look(page, "documents-chosen")
    page.get_by_role("button", name="Remove them").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text("30 documents", exact=False)).to_be_visible()
    look(page, "documents-remove")
    dialog.get_by_role("button", name="Remove").click()
    expect(page.get_by_text("Removed 30 documents.")).to_be_visible()
    expect(page.get_by_text("No documents yet")).to_be_visible()


def test_a_document_is_replaced_with_the_keyboard_and_keeps_its_address(
    app: RunningApp, page: Page, tmp_path: Path
) -> None:
    earlier, later = tmp_path / "earlier", tmp_path / "later"
    for folder, berth in ((earlier, 4), (later, 5)):
        folder.mkdir()
        (folder / "handbook.txt").write_text(f"Berth {berth} is for tankers.")
    (later / "new.txt").write_text("Buoys are green.")
    sign_up(page, app.url)
    go_to_documents(page)
    add(page, [earlier / "handbook.txt"])
    expect(page.get_by_text("Added 1 document with 1 chunk.")).to_be_visible()
    page.get_by_role("button", name="Got it").click()
    expect(page.get_by_text("Added 1 document")).to_have_count(0)
    page.get_by_role("link", name="handbook.txt").click()
    expect(page.get_by_text("Berth 4 is for tankers.")).to_be_visible()
    address = page.url
    go_to_documents(page)

    page.locator('input[type="file"]').set_input_files(sorted(later.iterdir()))
    expect(page.get_by_text("1 of these is here already: handbook.txt")).to_be_visible()
    page.get_by_role("radio", name="Keep both").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_text("The earlier texts are removed, with their chunks.")).to_be_visible()
    for width in (1280, 420):
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_timeout(300)
        assert not scrolls_sideways(page), f"the question at {width} pixels"
        look(page, f"replace-{width}")
    page.set_viewport_size({"width": 1280, "height": 900})
    page.get_by_role("button", name="Add 2 files").click()
    expect(
        page.get_by_text("Added 1 document and replaced the text of 1 more: 2 chunks.")
    ).to_be_visible()
    expect(page.get_by_text("It replaced the earlier text: 1 chunk.")).to_be_visible()
    look(page, "replaced")

    page.goto(address)
    expect(page.get_by_text("Berth 5 is for tankers.")).to_be_visible()
    expect(page.get_by_text("text replaced")).to_be_visible()
    expect(page.get_by_text("Berth 4 is for tankers.")).to_have_count(0)


def test_the_page_of_a_document_fits_on_a_laptop_and_on_a_phone(
    app: RunningApp, browser: Browser, page: Page, tmp_path: Path
) -> None:
    word = "a_very_long_identifier_" * 12
    rows = "".join(f"| {word} | {n} | https://example.com/{'path/' * 30} |\n" for n in range(9))
    text = (
        f"# {word}\n\n## Berths\n\nBerth 4 is for tankers.\n\n```sh\npg_dump --{word} --{word}\n"
        f"```\n\n| name | number | address |\n|---|---|---|\n{rows}"
    )
    path = tmp_path / f"{'a long name without an end ' * 6}.md"
    path.write_text(text)
    sign_up(page, app.url)
    go_to_documents(page)
    add(page, [path])
    expect(page.get_by_text(re.compile("Added 1 document with"))).to_be_visible()
    for width in (1280, 420):
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_timeout(300)  # the layout follows the window
        assert not scrolls_sideways(page), f"the knowledge base at {width} pixels"
        look(page, f"knowledge-base-{width}")
    page.set_viewport_size({"width": 1280, "height": 900})
    page.get_by_role("link", name=re.compile("a long name")).click()
    expect(page.get_by_text("Berth 4 is for tankers.")).to_be_visible()
    expect(page.get_by_label("Find in this document")).to_be_visible()
    for width in (1280, 420):
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_timeout(300)
        assert not scrolls_sideways(page), f"the document at {width} pixels"
        look(page, f"document-{width}")
    address = page.url
    page.reload()  # a link to a document can be kept
    expect(page.get_by_text("Berth 4 is for tankers.")).to_be_visible()
    assert page.url == address
