"""The page of one document: its text chunk by chunk, what was left out, questions, and removal."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from services.pairs.review import Pairs
from services.runs.states import RunStatus
from services.workspace import Workspace
from tests.pages.conftest import NAVIGATION, TIMEOUT_S, Screen, context
from tests.runs import Script

LONG = "\n\n".join(
    f"# Berth {n}\n\nBerth {n} is for tankers. " + "The quay is long. " * 38 for n in range(45)
)


@pytest.fixture
def open_document():
    """Opens the page of a document as a link to it does."""

    def open_(workspace: Workspace, document_id: str | None, by: str = "id") -> Screen:
        app = AppTest.from_file(str(NAVIGATION), default_timeout=TIMEOUT_S)
        app.session_state[context._WORKSPACE] = workspace
        app.run()
        if document_id is not None:
            app.query_params[by] = document_id
        app.switch_page("document.py")
        return Screen(app, "document.py").draw()

    return open_


def test_a_document_shows_its_text_its_facts_and_its_name_as_it_is(open_document, empty):
    empty.documents.add([("**a** plan.md", b"# Harbour\n\n## Berths\n\nBerth 4 is *for* tankers.")])
    [document] = empty.documents.all()
    screen = open_document(empty, document.id)
    assert r"\*\*a\*\* plan\.md" in screen.words
    assert "1 chunk" in screen.words
    assert f"{document.characters:,} characters" in screen.words
    assert "Berth 4 is" in screen.app.text[0].value
    assert "Harbour" in screen.words


def test_a_link_to_a_chunk_opens_its_document_where_the_chunk_is(open_document, empty):
    empty.documents.add([("long.md", LONG.encode())])
    chunks = empty.documents.chunks_of(empty.documents.all()[0].id)
    assert len(chunks) > 40
    screen = open_document(empty, chunks[41].id, by="chunk")
    assert "long\\.md" in screen.words
    [said] = [caption.value for caption in screen.app.caption if "found by search" in caption.value]
    assert said.startswith("**42**")


def test_a_link_to_a_chunk_that_was_removed_says_so(open_document, workspace):
    [first, *_] = workspace.documents.all()
    chunk = workspace.documents.chunks_of(first.id)[0]
    workspace.documents.remove(first.id)
    screen = open_document(workspace, chunk.id, by="chunk")
    assert "This document is not there" in screen.words


@pytest.mark.parametrize(
    "document_id", [None, "", "nothing", "00000000-0000-0000-0000-000000000000"]
)
def test_a_document_that_is_not_there_is_told_as_gone(open_document, workspace, document_id):
    screen = open_document(workspace, document_id)
    assert "This document is not there" in screen.words
    assert "Knowledge base" in screen.links


def test_a_document_of_another_person_is_not_there(open_document, workspace, studio, new_user):
    document = workspace.documents.all()[0]
    other = Workspace(studio, new_user())
    screen = open_document(other, document.id)
    assert "This document is not there" in screen.words
    assert "harbour dues" not in screen.words


def test_chunks_are_found_by_words_and_come_in_pages(open_document, empty):
    empty.documents.add([("long.md", LONG.encode())])
    [document] = empty.documents.all()
    assert document.chunk_count > 20
    screen = open_document(empty, document.id)
    assert len(screen.app.text) == 20
    screen.app.text_input(key="chunk_filter").set_value(" berth 44 IS")
    screen.draw()
    assert ["Berth 44 is" in text.value for text in screen.app.text] == [True]
    screen.app.text_input(key="chunk_filter").set_value("no such words")
    assert "No chunk has these words" in screen.draw().words


def test_what_was_left_out_is_said(open_document, empty):
    rows = b"Fruit;Price\napple;1\n\xe9clair;2\n"
    empty.documents.add([("prices.csv", rows)])
    [document] = empty.documents.all()
    screen = open_document(empty, document.id)
    if document.notes:
        assert "how it was read" in screen.words
    assert "apple" in "\n".join(text.value for text in screen.app.text)


def test_questions_about_a_chunk_stand_under_it_and_not_twice(
    open_document, workspace, service, monkeypatch
):
    document = next(d for d in workspace.documents.all() if d.name == "dues.txt")
    [chunk] = workspace.documents.chunks_of(document.id)
    script = Script(workspace.user, service).start(total_chunks=1)
    script.lease.begin_generation([chunk.id])
    script.save(chunk.id, questions=12)
    assert script.now.status is RunStatus.GENERATING
    screen = open_document(workspace, document.id)
    asked = [line for line in screen.words.splitlines() if ":material/help:" in line]
    assert len(asked) == len(set(asked)) == 10
    assert "and 2 more questions" in screen.words
    pairs = Pairs.about
    monkeypatch.setattr(
        Pairs, "about", lambda self, ids: {k: 2 * v for k, v in pairs(self, ids).items()}
    )
    assert len([w for w in screen.draw().words.splitlines() if ":material/help:" in w]) == 10


def test_a_document_is_removed_from_its_page_after_a_question(open_document, workspace):
    document = next(d for d in workspace.documents.all() if d.name == "soup.txt")
    screen = open_document(workspace, document.id).press("remove_document")
    assert len(workspace.documents.all()) == 3
    screen.press("confirm_remove_document")
    assert {d.name for d in workspace.documents.all()} == {"dues.txt", "pilot.txt"}
    assert "This document is not there" in screen.draw().words


def test_a_removal_that_is_cancelled_leaves_the_document(open_document, workspace):
    document = workspace.documents.all()[0]
    screen = open_document(workspace, document.id).press("remove_document")
    screen.press("cancel_remove_document").draw()
    assert len(workspace.documents.all()) == 3
    assert "This document is not there" not in screen.words
