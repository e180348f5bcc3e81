"""The knowledge base page: empty, filled, told of what went in, and asked before anything goes."""

from __future__ import annotations

from services.knowledge.documents import Documents
from services.knowledge.sample import sample_documents


def wait_for_import(screen, workspace) -> None:
    workspace.documents.current_import.wait()
    screen.draw()


def test_an_empty_one_offers_files_and_the_sample(open_page, empty):
    screen = open_page(empty, "knowledge_base.py")
    assert "No documents yet" in screen.words
    assert "load_sample" in screen.keys
    assert "add_files" not in screen.keys  # no file is chosen
    assert "Next: train Deep Memory on them" not in screen.links


def test_the_sample_is_loaded_by_one_press_and_told_until_it_was_read(open_page, empty):
    screen = open_page(empty, "knowledge_base.py").press("load_sample")
    wait_for_import(screen, empty)
    count = len(sample_documents())
    assert [box.value for box in screen.app.success] == [
        f"Added {count} documents with {empty.documents.chunk_count()} chunks."
    ]
    assert f"{count} documents, {empty.documents.chunk_count()} chunks" in screen.words
    assert "load_sample" not in screen.keys  # nothing of it is missing
    assert "Next: train Deep Memory on them" in screen.links
    screen.press("ingestion_read")
    assert len(screen.app.success) == 0
    assert empty.documents.current_import is None


def test_each_file_that_was_refused_is_named_with_what_to_do(open_page, empty):
    empty.documents.start_import(
        [("good.txt", b"Berth 4."), ("bad.pdf", b"no pdf"), ("empty.txt", b"")]
    )
    screen = open_page(empty, "knowledge_base.py")
    wait_for_import(screen, empty)
    assert len(screen.app.success) == 1
    assert len(screen.problems) == 2
    assert "bad" in screen.problems[0] and "empty" in screen.problems[1]


def test_while_an_import_runs_no_other_begins(open_page, workspace, monkeypatch):
    class Running:
        is_running, failure, report = True, None, None

        class progress:
            files_read, files_total, chunks_done, chunks_total = 2, 4, 0, 0

    monkeypatch.setattr(Documents, "current_import", property(lambda self: Running()))
    screen = open_page(workspace, "knowledge_base.py")
    [bar] = screen.app.get("progress")
    assert "2 of 4 files" in bar.proto.text
    assert not {"load_sample", "add_files"} & screen.keys


def test_documents_are_listed_and_found_by_name(open_page, workspace):
    ids = {document.name: document.id for document in workspace.documents.all()}
    screen = open_page(workspace, "knowledge_base.py")
    assert {f"remove_{id_}" for id_ in ids.values()} <= screen.keys
    assert "3 documents, 3 chunks" in screen.words
    screen.app.text_input(key="document_filter").set_value(" SOUP ")
    screen.draw()
    assert {key for key in screen.keys if key.startswith("remove_")} == {
        f"remove_{ids['soup.txt']}"
    }
    screen.app.text_input(key="document_filter").set_value("no such name")
    assert "No document name contains this" in screen.draw().words


def test_a_document_is_removed_after_a_question_that_names_it(open_page, workspace):
    document = next(d for d in workspace.documents.all() if d.name == "soup.txt")
    screen = open_page(workspace, "knowledge_base.py").press(f"remove_{document.id}")
    assert "soup" in screen.words and "1 chunks" in screen.words
    assert len(workspace.documents.all()) == 3  # nothing went yet
    screen.press("confirm_remove_document")
    assert {d.name for d in workspace.documents.all()} == {"dues.txt", "pilot.txt"}
    screen.draw()
    assert "2 documents, 2 chunks" in screen.words


def test_a_document_that_another_tab_removed_is_told_as_gone(open_page, workspace):
    document = workspace.documents.all()[0]
    screen = open_page(workspace, "knowledge_base.py").press(f"remove_{document.id}")
    workspace.documents.remove(document.id)
    screen.press("confirm_remove_document")
    assert len(screen.problems) == 1
    assert "no longer in the knowledge base" in screen.problems[0]


def test_a_name_is_shown_as_it_is_and_not_as_markup(open_page, empty):
    empty.documents.add([("**bold** [x](http://y).txt", b"Berth 4.")])
    screen = open_page(empty, "knowledge_base.py")
    assert "**bold**" not in screen.words
    assert r"\*\*bold\*\*" in screen.words


def test_more_chunks_than_this_machine_is_for_are_told_to_go_to_the_cloud(
    open_page, workspace, monkeypatch
):
    assert "belong on DeepLake Cloud" not in open_page(workspace, "knowledge_base.py").words
    monkeypatch.setattr(Documents, "belong_on_cloud", lambda self, chunks: chunks > 2)
    assert "belong on DeepLake Cloud" in open_page(workspace, "knowledge_base.py").words
