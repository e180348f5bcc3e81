"""The knowledge base page: empty, filled, told of what went in, and asked before anything goes."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from services.knowledge.documents import Documents
from services.knowledge.sample import sample_documents
from services.workspace import Workspace
from tests.imports import StandInReaders
from tests.pages.conftest import Screen


def wait_for_import(screen: Screen, workspace: Workspace) -> None:
    workspace.documents.wait_for_import(workspace.documents.current_import.id, 120)
    screen.draw()


@pytest.fixture
def readers(studio, monkeypatch) -> Iterator[StandInReaders]:
    stand_in = StandInReaders()
    monkeypatch.setattr(studio.importer, "_readers", stand_in)
    yield stand_in
    stand_in.stop()


def stopped(workspace: Workspace, readers: StandInReaders, count: int = 3) -> str:
    """The id of an import that was stopped before its last file was read."""
    name = f"{count - 1}.txt"
    gate = readers.hold(name)
    files = [(f"{n}.txt", f"Crane {n} lifts.".encode()) for n in range(count)]
    started = workspace.documents.start_import(files)
    assert readers.reached.wait(60)
    workspace.documents.stop_import(started.id)
    gate.set()
    return started.id


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
    screen.press("import_read")
    assert len(screen.app.success) == 0
    assert empty.documents.current_import is None


def test_each_file_that_was_refused_is_named_with_what_to_do(open_page, empty):
    empty.documents.start_import(
        [("good.txt", b"Berth 4."), ("bad.pdf", b"no pdf"), ("empty.txt", b"")]
    )
    screen = open_page(empty, "knowledge_base.py")
    wait_for_import(screen, empty)
    assert len(screen.app.success) == 1
    assert screen.problems == ["2 files were not added: see why below."]
    assert "bad" in screen.words and "empty" in screen.words
    assert "Add a file that holds text" in screen.words
    assert "good" not in "\n".join(box.value for box in screen.app.caption)


def test_while_an_import_runs_it_is_shown_and_no_other_begins(open_page, workspace, readers):
    workspace.documents.acknowledge_import(workspace.documents.current_import.id)
    gate = readers.hold("2.txt")
    workspace.documents.start_import([(f"{n}.txt", f"Crane {n} lifts.".encode()) for n in range(4)])
    assert readers.reached.wait(60)
    screen = open_page(workspace, "knowledge_base.py")
    [bar] = screen.app.get("progress")
    assert "of 4 files" in bar.proto.text
    assert r"reading 2\.txt" in bar.proto.text
    assert 0 < bar.proto.value < 100
    assert re.search(r"about \d+ s left", bar.proto.text)
    assert not {"load_sample", "add_files"} & screen.keys
    screen.press("stop_import")
    gate.set()
    assert {"go_on_import", "give_up_import"} <= screen.keys
    assert "You stopped it" in screen.problems[0]
    assert not {"load_sample", "add_files"} & screen.keys


def test_a_stopped_import_goes_on_by_one_press_and_a_second_tab_is_told(open_page, empty, readers):
    stopped(empty, readers)
    screen = open_page(empty, "knowledge_base.py")
    other_tab = open_page(empty, "knowledge_base.py")
    assert "3 are kept, and not added yet" in screen.problems[0]
    assert "Not added yet" in screen.words
    screen.press("go_on_import")
    other_tab.press("go_on_import")
    assert any("neither stopped nor interrupted" in said for said in other_tab.problems)
    wait_for_import(screen, empty)
    assert [box.value for box in screen.app.success] == ["Added 3 documents with 3 chunks."]
    assert empty.documents.chunk_count() == 3


def test_the_rest_of_a_stopped_import_is_given_up_and_told(open_page, empty, readers):
    stopped(empty, readers)
    screen = open_page(empty, "knowledge_base.py").press("give_up_import")
    assert "Given up" in screen.words
    assert "3 files were given up" in screen.problems[0]
    assert "import_read" in screen.keys
    screen.press("import_read")
    assert "No documents yet" in screen.words


def test_files_are_shown_by_what_became_of_them_those_that_need_a_person_first(
    open_page, empty, readers
):
    files = [(f"{n:02}.txt", f"Crane {n} lifts.".encode()) for n in range(25)]
    empty.documents.add([*files, ("worse.txt", b"bad"), ("again.txt", b"Crane 3 lifts.")])
    screen = open_page(empty, "knowledge_base.py")
    [choice] = screen.app.get("button_group")
    assert [option.content for option in choice.proto.options] == [
        "Not added (1)",
        "There already (1)",
        "Added (25)",
    ]
    assert "worse" in screen.words and "24" not in screen.words
    assert "1 was in the knowledge base already" in screen.words


def test_a_report_of_another_import_does_not_begin_on_the_page_of_the_last_one(
    open_page, empty, readers
):
    files = [(f"{n:02}.txt", f"Crane {n} lifts.".encode()) for n in range(45)]
    empty.documents.add(files)
    screen = open_page(empty, "knowledge_base.py", import_page=3)
    assert r"44\.txt" in screen.words
    screen.press("import_read")
    empty.documents.add([("new.txt", b"A buoy is green.")])
    assert r"new\.txt" in screen.draw().words


def choose_files(screen: Screen, *files: tuple[str, str]) -> Screen:
    uploader = screen.app.get("file_uploader")[0]
    uploader.set_value([(name, text.encode(), "text/plain") for name, text in files])
    return screen.draw()


def test_nothing_is_asked_about_files_whose_names_are_new(open_page, workspace):
    workspace.documents.acknowledge_import(workspace.documents.current_import.id)
    screen = choose_files(open_page(workspace, "knowledge_base.py"), ("new.txt", "Buoys."))
    assert "add_files" in screen.keys
    assert len(screen.app.radio) == 0


def test_files_whose_names_are_here_replace_them_when_that_is_chosen(open_page, workspace):
    workspace.documents.acknowledge_import(workspace.documents.current_import.id)
    ids = {document.name: document.id for document in workspace.documents.all()}
    screen = choose_files(
        open_page(workspace, "knowledge_base.py"),
        ("soup.txt", "Stew is on Mondays."),
        ("dues.txt", "Dues are 50 euros."),
        ("new.txt", "Buoys are green."),
    )
    [choice] = screen.app.radio
    assert choice.label == r"2 of these are here already: soup\.txt, dues\.txt"
    assert (choice.options, choice.value) == (["Keep both", "Replace them"], "Keep both")
    assert "as “name (2)”" in screen.words
    choice.set_value("Replace")
    screen.draw()
    assert "Training will not use their pairs any more" in screen.words
    screen.press("add_files")
    wait_for_import(screen, workspace)
    assert [box.value for box in screen.app.success] == [
        "Added 1 document and replaced the text of 2 more: 3 chunks."
    ]
    assert "It replaced the earlier text: 1 chunk" in screen.words.replace("\\", "")
    assert "Training will not use their pairs any more" in screen.words
    after = {document.name: document.id for document in workspace.documents.all()}
    assert after == ids | {"new.txt": after["new.txt"]}
    assert len(screen.app.radio) == 0  # the next files are asked about anew


def test_files_whose_names_are_here_are_kept_beside_them_otherwise(open_page, workspace):
    workspace.documents.acknowledge_import(workspace.documents.current_import.id)
    screen = choose_files(open_page(workspace, "knowledge_base.py"), ("soup.txt", "Stew."))
    [choice] = screen.app.radio
    assert choice.label == r"1 of these is here already: soup\.txt"
    assert choice.options == ["Keep both", "Replace it"]
    screen.press("add_files")
    wait_for_import(screen, workspace)
    assert "soup (2).txt" in {document.name for document in workspace.documents.all()}
    assert len(workspace.documents.all()) == 4


def test_of_many_names_that_are_here_a_few_are_shown(open_page, empty, readers):
    files = [(f"{n}.txt", f"Crane {n} lifts.") for n in range(8)]
    empty.documents.add([(name, text.encode()) for name, text in files])
    screen = choose_files(open_page(empty, "knowledge_base.py"), *files)
    assert screen.app.radio[0].label.endswith(r"3\.txt, 4\.txt and 3 more")


def test_a_report_of_replaced_documents_alone_says_so(open_page, empty, readers):
    empty.documents.add([("a.txt", b"Crane 1 lifts.")])
    empty.documents.add([("a.txt", b"Crane 2 lifts.")], replace=True)
    screen = open_page(empty, "knowledge_base.py")
    assert [box.value for box in screen.app.success] == [
        "Replaced the text of 1 document: 1 chunk."
    ]


def test_documents_are_listed_and_found_by_name_and_by_words(open_page, workspace):
    ids = {document.name: document.id for document in workspace.documents.all()}
    screen = open_page(workspace, "knowledge_base.py")
    assert {f"remove_{id_}" for id_ in ids.values()} <= screen.keys
    assert "3 documents, 3 chunks" in screen.words
    for words, name in ((" SOUP.t ", "soup.txt"), ("marseille", "soup.txt"), ("berth", "dues.txt")):
        screen.app.text_input(key="document_filter").set_value(words)
        screen.draw()
        assert {key for key in screen.keys if key.startswith("remove_")} == {f"remove_{ids[name]}"}
    screen.app.text_input(key="document_filter").set_value("no such words")
    assert "No document has this in its name or text" in screen.draw().words


def test_a_document_is_removed_after_a_question_that_names_it(open_page, workspace):
    document = next(d for d in workspace.documents.all() if d.name == "soup.txt")
    screen = open_page(workspace, "knowledge_base.py").press(f"remove_{document.id}")
    assert "soup" in screen.words and "its 1 chunk" in screen.words
    assert len(workspace.documents.all()) == 3  # nothing went yet
    screen.press("confirm_remove_document")
    assert {d.name for d in workspace.documents.all()} == {"dues.txt", "pilot.txt"}
    screen.draw()
    assert "2 documents, 2 chunks" in screen.words


def choose(screen: Screen, *ids: str) -> None:
    for id_ in ids:
        screen.app.checkbox(key=f"choose_{id_}").check()
        screen.draw()


def test_several_documents_are_chosen_and_removed_together_after_a_question(open_page, workspace):
    ids = {document.name: document.id for document in workspace.documents.all()}
    screen = open_page(workspace, "knowledge_base.py")
    assert not {"remove_chosen", "choose_all", "choose_none"} & screen.keys
    choose(screen, ids["soup.txt"], ids["dues.txt"])
    assert "**2 documents**, 2 chunks" in screen.words
    screen.press("remove_chosen")
    assert "**2 documents**" in screen.words and r"soup\.txt" in screen.words
    assert len(workspace.documents.all()) == 3
    screen.press("confirm_remove_document")
    assert [d.name for d in workspace.documents.all()] == ["pilot.txt"]
    screen.draw()
    assert "remove_chosen" not in screen.keys


def test_a_removal_that_is_cancelled_removes_nothing_and_keeps_the_choice(open_page, workspace):
    ids = {document.name: document.id for document in workspace.documents.all()}
    screen = open_page(workspace, "knowledge_base.py")
    choose(screen, ids["soup.txt"])
    screen.press("remove_chosen").press("cancel_remove_document").draw()
    assert len(workspace.documents.all()) == 3
    assert "**1 document**, 1 chunk" in screen.words


def test_a_choice_stays_while_others_are_searched_and_ends_on_wish(open_page, workspace):
    ids = {document.name: document.id for document in workspace.documents.all()}
    screen = open_page(workspace, "knowledge_base.py")
    choose(screen, ids["soup.txt"])
    screen.app.text_input(key="document_filter").set_value("pilot")
    screen.draw()
    choose(screen, ids["pilot.txt"])
    assert "**2 documents**" in screen.words
    screen.app.text_input(key="document_filter").set_value("")
    screen.draw().press("choose_all")
    assert "**3 documents**" in screen.words
    screen.press("choose_none")
    assert "remove_chosen" not in screen.keys
    assert not any(box.value for box in screen.app.checkbox)


def test_a_chosen_document_that_another_tab_removed_is_chosen_no_more(open_page, workspace):
    documents = workspace.documents.all()
    screen = open_page(workspace, "knowledge_base.py")
    choose(screen, documents[0].id, documents[1].id)
    workspace.documents.remove(documents[0].id)
    assert "**1 document**, 1 chunk" in screen.draw().words


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
