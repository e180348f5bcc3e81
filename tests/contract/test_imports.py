"""Imports of documents: every move from every status, and files that are lost by no fault."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from uuid import uuid4

import numpy as np
import pytest

from services.accounts.database import Database
from services.errors import (
    DatabaseUnavailable,
    DiskFull,
    EmbedderUnavailable,
    NotAllowed,
    NotFound,
    StoreUnavailable,
)
from services.knowledge import adding, kept_files
from services.knowledge.import_lease import ImportLease, ImportLost
from services.knowledge.import_rows import Import, ImportRows, Progress, unfinished_imports
from services.knowledge.knowledge_base import KnowledgeBase
from services.knowledge.sample import sample_documents
from services.retrieval.embeddings import WordLlamaEmbedder
from services.studio import Studio
from services.workspace import Workspace
from tests.behind_the_door import store_of
from tests.imports import ImportScript, StandInReaders, let_import_lease_run_out

STATUSES = ("adding", "stopped", "interrupted", "done")
ALLOWED = {
    "stop": {"adding"},
    "go_on": {"stopped", "interrupted"},
    "give_up": {"stopped", "interrupted"},
    "acknowledge": {"done"},
}
AFTER = {"stop": "stopped", "go_on": "adding", "give_up": "done", "acknowledge": "done"}
LONG_S = 60.0


def eventually(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + LONG_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


# The rows


@pytest.fixture
def script(user, service) -> ImportScript:
    return ImportScript(user, service)


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("move", ALLOWED)
def test_each_move_is_made_from_its_statuses_and_from_no_other(script, move, status):
    script.to(status)
    before = (script.now, script.files)
    if status in ALLOWED[move]:
        getattr(script.rows, move)(script.id)
        assert script.now.status == AFTER[move]
    else:
        with pytest.raises(NotAllowed):
            getattr(script.rows, move)(script.id)
        assert (script.now, script.files) == before


@pytest.mark.parametrize("status", STATUSES)
def test_a_second_import_waits_until_the_first_is_finished(script, status):
    script.to(status)
    if status == "done":
        script.rows.start(str(uuid4()), [("x.txt", 1)])
    else:
        with pytest.raises(NotAllowed, match="not finished"):
            script.rows.start(str(uuid4()), [("x.txt", 1)])
        assert script.rows.current().id == script.id


def test_two_people_import_at_the_same_time(script, new_user, service):
    script.start()
    other = ImportScript(new_user(), service).start([("theirs.txt", 5)])
    assert (script.now.files_total, other.now.files_total) == (3, 1)


def test_an_import_begins_with_all_its_files_waiting_in_order(script):
    script.start([("b.txt", 2), ("a.txt", 0), ("b.txt", 3)])
    assert [(f.position, f.member, f.name, f.bytes, f.state) for f in script.files] == [
        (0, 0, "b.txt", 2, "waiting"),
        (1, 0, "a.txt", 0, "waiting"),
        (2, 0, "b.txt", 3, "waiting"),
    ]
    assert (script.now.counts, script.now.attempt, script.now.files_done) == ({"waiting": 3}, 1, 0)


def test_giving_up_drops_what_waits_and_leaves_what_is_settled(script):
    script.to("stopped")
    script.rows.give_up(script.id)
    assert [file.state for file in script.files] == ["added", "dropped", "dropped"]
    assert script.now.finished_at is not None


def test_going_on_locks_out_the_worker_of_the_attempt_before(script):
    script.to("interrupted")
    old = script.lease
    script.go_on()
    assert (script.now.attempt, script.now.message) == (2, None)
    for call in (
        lambda: old.heartbeat(Progress()),
        lambda: old.settle(script.files),
        old.finish,
        lambda: old.interrupt("too late"),
    ):
        old.lost.clear()  # as if it had not noticed yet
        with pytest.raises(ImportLost):
            call()
        assert old.lost.is_set()
    assert script.now.status == "adding"
    script.lease.heartbeat(Progress(0.5, "b.txt"))
    assert script.now.progress == Progress(0.5, "b.txt")


def test_an_import_has_one_worker_and_a_claim_that_is_sent_twice_is_one(script, user, service):
    script.start()
    script.lease.claim()
    second = ImportLease(service, script.now)
    with pytest.raises(ImportLost):
        second.claim()
    second.lost.clear()
    with pytest.raises(ImportLost):
        second.finish()
    script.lease.finish()


@pytest.mark.parametrize("status", ["stopped", "interrupted", "done"])
def test_an_import_that_does_not_run_is_not_claimed(script, service, status):
    script.to(status)
    with pytest.raises(ImportLost):
        ImportLease(service, script.now).claim()


def test_what_is_settled_stays_when_it_is_said_twice_or_otherwise(script):
    script.start()
    script.settle(0, "added", chunk_count=2, document_id="d", notes=("a note",))
    script.settle(0, "added", chunk_count=2, document_id="d", notes=("a note",))
    script.settle(0, "refused", message="no")
    first = script.files[0]
    assert (first.state, first.chunk_count, first.notes) == ("added", 2, ("a note",))
    assert first.message is None
    assert script.now.counts == {"added": 1, "waiting": 2}


def test_documents_in_a_zip_stand_behind_their_file_and_are_counted(script):
    script.start([("a.zip", 1), ("b.txt", 1)])
    script.settle(0, "refused", member=2)
    script.settle(0, "added", member=1, chunk_count=3)
    assert [(f.position, f.member, f.state) for f in script.files] == [
        (0, 0, "waiting"),
        (0, 1, "added"),
        (0, 2, "refused"),
        (1, 0, "waiting"),
    ]
    assert (script.now.files_total, script.now.files_done, script.now.chunk_count) == (4, 2, 3)


def test_files_are_read_in_pages_and_by_state(script):
    script.start([(f"{number}.txt", 1) for number in range(7)])
    script.settle(3, "refused")
    rows = script.rows
    assert [f.position for f in rows.files(script.id, limit=3, offset=2)] == [2, 3, 4]
    assert [f.position for f in rows.files(script.id, states=["refused"])] == [3]
    assert rows.files(script.id, limit=3, offset=7) == []


def test_an_import_whose_worker_is_gone_is_handed_back_in_words(script, service, owner):
    script.to("adding")
    service.rpc("rescue_imports")
    assert script.now.status == "adding"  # its lease lasts
    let_import_lease_run_out(owner, script.id)
    assert script.id in {row["id"] for row in service.rpc("rescue_imports")}
    assert (script.now.status, script.now.message) == (
        "interrupted",
        "The app stopped while documents were being added.",
    )
    assert script.id not in {row["id"] for row in service.rpc("rescue_imports")}
    with pytest.raises(ImportLost):
        script.lease.settle(script.files)
    script.go_on()
    assert [file.state for file in script.files] == ["added", "waiting", "waiting"]


def test_after_an_outage_nobody_is_rescued_before_its_worker_can_speak(script, service, owner):
    script.start()
    let_import_lease_run_out(owner, script.id)
    owner.execute("update deep_memory_watch set grace_until = now() + interval '1 minute'")
    assert script.id not in {row["id"] for row in service.rpc("rescue_imports")}
    script.lease.heartbeat(Progress())
    owner.execute("update deep_memory_watch set grace_until = now() - interval '1 minute'")
    assert script.id not in {row["id"] for row in service.rpc("rescue_imports")}


def test_an_import_of_another_person_is_not_there(script, new_user):
    script.to("stopped")
    before = (script.now, script.files)
    other = ImportRows(new_user().database)
    assert other.current() is None
    assert other.files(script.id) == []
    for id_ in (script.id, str(uuid4())):
        with pytest.raises(NotFound):
            other.get(id_)
        for move in ALLOWED:
            with pytest.raises(NotAllowed):
                getattr(other, move)(id_)
    assert (script.now, script.files) == before


def test_a_person_writes_no_row_and_acts_as_no_worker(script, user):
    script.start()
    key = {"p_import": script.id, "p_user": user.identity.user_id, "p_worker": script.id}
    for function in ("claim_import", "finish_import", "hold_import"):
        with pytest.raises(NotAllowed):
            user.database.rpc(function, **key, p_attempt=1)
    with pytest.raises(NotAllowed):
        user.database.rpc("rescue_imports")
    for table, column in (("document_imports", "id"), ("document_import_files", "import_id")):
        with pytest.raises(NotAllowed):
            user.database.execute(
                lambda c, t=table, of=column: c.table(t).delete().eq(of, script.id)
            )
    assert script.now.files_total == 3


def test_the_report_waits_until_it_was_read(script):
    assert script.rows.current() is None
    script.to("done")
    assert script.rows.current().id == script.id
    script.rows.acknowledge(script.id)
    script.rows.acknowledge(script.id)
    assert script.rows.current() is None
    assert script.now.status == "done"


@pytest.mark.parametrize(("and_older", "left"), [(True, False), (False, True)])
def test_who_read_the_newest_report_may_have_read_the_older_ones(
    script, user, service, new_user, and_older, left
):
    theirs = ImportScript(new_user(), service).to("done")
    script.to("done")
    newer = ImportScript(user, service).to("done")
    newer.rows.acknowledge(newer.id, and_older=and_older)
    current = script.rows.current()
    assert (current is not None and current.id == script.id) is left
    assert theirs.rows.current().id == theirs.id


def test_reports_of_a_week_ago_go_when_the_next_import_begins(script, user, service, owner):
    script.to("done")
    owner.execute(
        "update document_imports set finished_at = now() - interval '8 days' where id = %s",
        (script.id,),
    )
    ImportScript(user, service).start()
    with pytest.raises(NotFound):
        script.now  # noqa: B018 - asks the database
    assert script.files == []


def test_unfinished_imports_of_all_people_are_known_to_the_sweep(script, new_user, service):
    script.to("stopped")
    others = {status: ImportScript(new_user(), service).to(status) for status in STATUSES}
    found = set(unfinished_imports(service))
    assert {script.id, others["adding"].id, others["interrupted"].id} <= found
    assert others["done"].id not in found


# The work


@pytest.fixture(scope="module")
def studio(new_studio) -> Studio:
    return new_studio()


@pytest.fixture
def space(studio, user) -> Workspace:
    return Workspace(studio, user)


@pytest.fixture
def readers(studio, monkeypatch) -> StandInReaders:
    """Instead of processes that read; each document is a write of its own."""
    stand_in = StandInReaders()
    monkeypatch.setattr(studio.importer, "_readers", stand_in)
    monkeypatch.setattr(adding, "_SECONDS_PER_WRITE", 0)
    monkeypatch.setattr(adding, "_TIMES_A_WRITE", 0)
    yield stand_in
    stand_in.stop()


class Embedder(WordLlamaEmbedder):
    """Fails when its requests are used up; waits where it is told to."""

    def __init__(self) -> None:
        self.requests = 1_000
        self.go_on, self.reached = threading.Event(), threading.Event()
        self.go_on.set()

    def embed(self, texts) -> np.ndarray:
        self.reached.set()
        assert self.go_on.wait(LONG_S)
        if self.requests == 0:
            raise EmbedderUnavailable("The embedding service cannot be reached just now.")
        self.requests -= 1
        return super().embed(texts)


@pytest.fixture
def embedder(studio, space, monkeypatch) -> Embedder:
    embedder = Embedder()
    base = KnowledgeBase(store_of(space), embedder)
    monkeypatch.setattr(studio.importer, "_knowledge_of", lambda user_id: base)
    yield embedder
    embedder.go_on.set()


def few(count: int, first: int = 0) -> list[tuple[str, bytes]]:
    return [(f"{n}.txt", f"Berth {n}.".encode()) for n in range(first, first + count)]


def names(space: Workspace) -> list[str]:
    return [document.name for document in space.documents.all()]


def told(space: Workspace, of: Import) -> list[tuple[str, str]]:
    return [(f.name, f.state) for f in space.documents.imported_files(of.id, limit=500)]


def messages(space: Workspace, of: Import) -> dict[str, str | None]:
    files = space.documents.imported_files(of.id, limit=500)
    return {file.name: file.message for file in files}


def kept(space: Workspace, of: Import) -> list[str]:
    folder = space.documents._kept.path(of.id, 0).parent
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def go_on(space: Workspace, of: Import) -> Import:
    space.documents.go_on_with_import(of.id)
    return space.documents.wait_for_import(of.id, LONG_S)


def test_files_are_added_by_the_real_readers_and_told_one_by_one(space):
    done = space.documents.add(
        [("port.txt", b"Berth 4 is for tankers."), ("e.txt", b""), ("x.exe", b"MZ"), *few(2)]
    )
    assert (done.status, done.counts) == ("done", {"added": 3, "refused": 2})
    assert done.chunk_count == space.documents.chunk_count() == 3
    assert told(space, done) == [
        ("port.txt", "added"),
        ("e.txt", "refused"),
        ("x.exe", "refused"),
        ("0.txt", "added"),
        ("1.txt", "added"),
    ]
    assert "empty" in messages(space, done)["e.txt"]
    assert "type" in messages(space, done)["x.exe"]
    assert kept(space, done) == []
    documents = {document.name: document.id for document in space.documents.all()}
    for file in space.documents.imported_files(done.id, states=["added"], limit=9):
        assert file.document_id == documents[file.name]


def test_the_same_text_is_stored_once_and_told_where(space, readers):
    space.documents.add([("rules.txt", b"Berth 4.")])
    files = [("copy.md", b"Berth 4."), ("x.txt", b"New."), ("y.txt", b"New."), ("x.txt", b"New.")]
    done = space.documents.add(files)
    assert names(space) == ["rules.txt", "x.txt"]
    assert told(space, done) == [
        ("copy.md", "same"),
        ("x.txt", "added"),
        ("y.txt", "same"),
        ("x.txt", "same"),
    ]
    assert "rules.txt" in messages(space, done)["copy.md"]
    assert done.chunk_count == 1


def test_another_text_under_a_stored_name_is_told_with_its_new_name(space, readers):
    space.documents.add([("rules.txt", b"Berth 4.")])
    done = space.documents.add([("rules.txt", b"Berth 5."), ("rules.txt", b"Berth 6.")])
    assert names(space) == ["rules.txt", "rules (2).txt", "rules (3).txt"]
    said = [file.message for file in space.documents.imported_files(done.id, limit=9)]
    assert said == [
        "It is called rules (2).txt, because there is another rules.txt.",
        "It is called rules (3).txt, because there is another rules.txt.",
    ]


def test_no_file_is_no_import(space):
    with pytest.raises(NotAllowed, match="No file"):
        space.documents.start_import([])
    assert space.documents.current_import is None


@pytest.mark.parametrize(
    "name",
    [
        "with\0nul.txt",
        "half \ud83d surrogate.txt",
        "x" * 500 + ".txt",
        "../../etc/passwd.txt",
        "/absolute.txt",
        "C:\\docs\\a.txt",
        "a\nb.txt",
        "**bold** <b>.txt",
        "тест 日本語.txt",
        " .txt",
    ],
)
def test_a_name_of_any_kind_is_added_and_told(space, name):
    done = space.documents.add([(name, b"Berth 4.")])
    assert done.counts == {"added": 1}
    assert len(space.documents.all()) == 1
    assert "\0" not in names(space)[0]
    assert messages(space, done) == {names(space)[0]: None}


@pytest.mark.parametrize("name", ["", "\0", "...", "/"])
def test_a_file_without_a_name_is_refused_in_words(space, name):
    done = space.documents.add([(name, b"Berth 4.")])
    assert done.counts == {"refused": 1}
    assert "cannot be read" in next(iter(messages(space, done).values()))


def test_a_failing_embedder_interrupts_in_words_and_go_on_adds_the_rest(space, readers, embedder):
    embedder.requests = 2
    cut = space.documents.add(few(6))
    assert cut.status == "interrupted"
    assert cut.message.startswith("The embedding service cannot be reached just now.")
    assert names(space) == ["0.txt", "1.txt"]
    assert told(space, cut) == [
        ("0.txt", "added"),
        ("1.txt", "added"),
        *[(f"{n}.txt", "waiting") for n in range(2, 6)],
    ]
    assert kept(space, cut) == ["2", "3", "4", "5"]

    embedder.requests = 1_000
    done = go_on(space, cut)
    assert (done.status, done.counts, done.attempt) == ("done", {"added": 6}, 2)
    assert names(space) == [f"{n}.txt" for n in range(6)]
    assert readers.read_files == ["0.txt", "1.txt", "2.txt", *[f"{n}.txt" for n in range(2, 6)]]
    assert kept(space, done) == []


def test_a_failing_store_interrupts_as_a_failing_embedder_does(space, readers, monkeypatch):
    store = store_of(space)
    add, calls = store.add, []

    def fails_once(documents):
        calls.append(len(documents))
        if len(calls) == 2:
            raise StoreUnavailable("The disk is full.")
        return add(documents)

    monkeypatch.setattr(store, "add", fails_once)
    cut = space.documents.add(few(4))
    assert (cut.status, calls, names(space)) == ("interrupted", [1, 1], ["0.txt"])
    assert cut.message.startswith("The disk is full.")
    assert go_on(space, cut).counts == {"added": 4}
    assert len(space.documents.all()) == 4


def test_a_fault_in_the_app_interrupts_in_words_and_logs_no_text(
    space, readers, monkeypatch, caplog
):
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("services.knowledge.knowledge_base.split_into_chunks", broken)
    cut = space.documents.add([("a.txt", b"The quokka sleeps.")])
    assert cut.status == "interrupted"
    assert "in the app's log" in cut.message
    assert "quokka" not in caplog.text
    space.documents.give_up_import(cut.id)
    assert space.documents.get_import(cut.id).status == "done"


def test_what_was_stored_and_not_told_when_the_worker_died_is_told_as_added(
    space, readers, service, owner
):
    """A kill between the write and what is said of it."""
    space.documents.add([("0.txt", b"Another text.")])
    settle = ImportLease.settle
    with pytest.MonkeyPatch.context() as patched:

        def killed(lease: ImportLease, outcomes) -> None:
            if outcomes[0].position == 1:
                raise ImportLost
            settle(lease, outcomes)

        patched.setattr(ImportLease, "settle", killed)
        started = space.documents.start_import(few(3))
        eventually(lambda: not space.documents._importer._leases(started.id))
    let_import_lease_run_out(owner, started.id)
    service.rpc("rescue_imports")
    cut = space.documents.get_import(started.id)
    assert (cut.status, cut.counts) == ("interrupted", {"added": 1, "waiting": 2})
    assert names(space) == ["0.txt", "0 (2).txt", "1.txt"]

    done = go_on(space, cut)
    assert done.counts == {"added": 3}
    assert names(space) == ["0.txt", "0 (2).txt", "1.txt", "2.txt"]
    assert done.chunk_count == 3


def test_what_was_stored_under_another_name_before_a_crash_is_told_with_that_name(
    space, readers, service, owner
):
    space.documents.add([("1.txt", b"Another text.")])
    with pytest.MonkeyPatch.context() as patched:

        def killed(lease: ImportLease, outcomes) -> None:
            raise ImportLost

        patched.setattr(ImportLease, "settle", killed)
        started = space.documents.start_import(few(1, first=1))
        eventually(lambda: not space.documents._importer._leases(started.id))
    let_import_lease_run_out(owner, started.id)
    service.rpc("rescue_imports")
    assert names(space) == ["1.txt", "1 (2).txt"]
    done = go_on(space, started)
    assert done.counts == {"added": 1}
    assert "It is called 1 (2).txt" in str(messages(space, done))


def test_stop_while_a_group_is_embedded_stores_no_more_and_go_on_adds_it(space, readers, embedder):
    embedder.go_on.clear()
    started = space.documents.start_import(few(3))
    assert embedder.reached.wait(LONG_S)
    space.documents.stop_import(started.id)
    with pytest.raises(NotAllowed):
        space.documents.stop_import(started.id)
    embedder.go_on.set()
    eventually(lambda: not space.documents._importer._leases(started.id))
    stopped = space.documents.get_import(started.id)
    assert (stopped.status, stopped.message) == ("stopped", "You stopped it.")
    assert (names(space), stopped.counts) == ([], {"waiting": 3})
    assert go_on(space, started).counts == {"added": 3}


def test_go_on_while_the_stopped_worker_still_writes_doubles_nothing(space, readers, embedder):
    embedder.go_on.clear()
    started = space.documents.start_import(few(3))
    assert embedder.reached.wait(LONG_S)
    space.documents.stop_import(started.id)
    space.documents.go_on_with_import(started.id)
    with pytest.raises(NotAllowed, match="neither stopped nor interrupted"):
        space.documents.go_on_with_import(started.id)  # a second click, or another tab
    embedder.go_on.set()
    done = space.documents.wait_for_import(started.id, LONG_S)
    assert (done.status, done.counts, done.attempt) == ("done", {"added": 3}, 2)
    assert names(space) == ["0.txt", "1.txt", "2.txt"]
    assert space.documents.chunk_count() == 3


def test_clicks_on_go_on_from_two_tabs_at_once_start_one_worker(space, readers, embedder):
    embedder.requests = 0
    cut = space.documents.add(few(2))
    embedder.requests = 1_000
    answers: list[object] = []

    def click() -> None:
        try:
            answers.append(space.documents.go_on_with_import(cut.id).status)
        except NotAllowed as error:
            answers.append(error)

    tabs = [threading.Thread(target=click) for _ in range(4)]
    for tab in tabs:
        tab.start()
    for tab in tabs:
        tab.join(LONG_S)
    assert len([answer for answer in answers if not isinstance(answer, NotAllowed)]) == 1
    done = space.documents.wait_for_import(cut.id, LONG_S)
    assert (done.status, done.attempt, done.counts) == ("done", 2, {"added": 2})


def test_a_zip_is_told_document_by_document_and_goes_on_in_its_middle(space, readers, embedder):
    packed = ("a.zip", b"Berth 1.\nbad\nBerth 2.\nBerth 3.")
    gate = readers.hold("a.zip")
    started = space.documents.start_import([packed, *few(1)])
    assert readers.reached.wait(LONG_S)
    # The first is told last: until then the file is not settled, and is read again.
    assert told(space, started) == [
        ("a.zip", "waiting"),
        ("a.zip/2.txt", "refused"),
        ("a.zip/3.txt", "added"),
        ("0.txt", "waiting"),
    ]
    space.documents.stop_import(started.id)
    gate.set()
    eventually(lambda: not space.documents._importer._leases(started.id))
    assert names(space) == ["a.zip/1.txt", "a.zip/3.txt"]

    done = go_on(space, started)
    assert told(space, done) == [
        ("a.zip/1.txt", "added"),
        ("a.zip/2.txt", "refused"),
        ("a.zip/3.txt", "added"),
        ("a.zip/4.txt", "added"),
        ("0.txt", "added"),
    ]
    assert names(space) == ["a.zip/1.txt", "a.zip/3.txt", "a.zip/4.txt", "0.txt"]
    assert done.chunk_count == space.documents.chunk_count() == 4


def test_what_a_person_removed_of_a_zip_meanwhile_does_not_come_back(space, readers, embedder):
    gate = readers.hold("a.zip")
    started = space.documents.start_import([("a.zip", b"Berth 1.\nBerth 2.\nBerth 3.")])
    assert readers.reached.wait(LONG_S)
    space.documents.stop_import(started.id)
    gate.set()
    eventually(lambda: not space.documents._importer._leases(started.id))
    second = next(d for d in space.documents.all() if d.name == "a.zip/2.txt")
    space.documents.remove(second.id)
    go_on(space, started)
    assert names(space) == ["a.zip/1.txt", "a.zip/3.txt"]


def test_a_text_that_was_removed_during_the_import_is_added_and_not_called_known(space, readers):
    space.documents.add([("old.txt", b"Berth 1.")])
    gate = readers.hold("0.txt")
    started = space.documents.start_import([*few(2), ("again.txt", b"Berth 0.")])
    assert readers.reached.wait(LONG_S)
    space.documents.remove(*(document.id for document in space.documents.all()))
    gate.set()
    done = space.documents.wait_for_import(started.id, LONG_S)
    assert told(space, done) == [("0.txt", "added"), ("1.txt", "added"), ("again.txt", "same")]
    assert names(space) == ["0.txt", "1.txt"]


def test_a_kept_file_goes_when_it_is_settled_and_the_rest_when_it_is_given_up(space, readers):
    gate = readers.hold("2.txt")
    started = space.documents.start_import(few(4))
    assert readers.reached.wait(LONG_S)
    assert kept(space, started) == ["2", "3"]
    space.documents.stop_import(started.id)
    gate.set()
    eventually(lambda: not space.documents._importer._leases(started.id))
    assert kept(space, started) == ["2", "3"]
    space.documents.give_up_import(started.id)
    assert kept(space, started) == []
    assert [state for _, state in told(space, started)] == ["added", "added", "dropped", "dropped"]


def test_what_a_crash_left_is_swept_when_it_is_old_and_belongs_to_no_import(
    space, studio, readers, embedder, monkeypatch
):
    embedder.requests = 0
    cut = space.documents.add(few(1))
    folder = studio.kept_files.path(cut.id, 0).parent
    left = studio.kept_files.path("left-by-a-crash", 0).parent
    studio.kept_files.keep("left-by-a-crash", few(1))
    studio.kept_files.keep("just-now", few(1))
    for old in (folder, left):
        os.utime(old, (time.time() - 2 * kept_files._NEW_S,) * 2)
    studio.kept_files.sweep([cut.id])
    assert {path.name for path in folder.parent.iterdir()} >= {cut.id, "just-now"}
    assert not left.exists()
    studio.kept_files.forget("just-now")


def test_files_that_cannot_be_kept_begin_no_import(space, studio, monkeypatch):
    def full(self, content: bytes) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("pathlib.Path.write_bytes", full)
        with pytest.raises(StoreUnavailable, match="No space left"):
            space.documents.start_import(few(2))
    assert space.documents.current_import is None
    monkeypatch.setattr("services.disk.free_mb", lambda folder: 201)
    with pytest.raises(DiskFull):
        space.documents.start_import([("a.txt", bytes(3 * 2**20))])
    assert space.documents.current_import is None


def test_files_are_kept_when_the_answer_to_the_start_was_lost(space, studio, monkeypatch, owner):
    """Else each file of an import that did begin would be gone."""
    start = ImportRows.start

    def lost(rows: ImportRows, import_id: str, files, *, replace: bool) -> Import:
        start(rows, import_id, files, replace=replace)
        raise DatabaseUnavailable("No answer.")

    with monkeypatch.context() as patched:
        patched.setattr(ImportRows, "start", lost)
        with pytest.raises(DatabaseUnavailable):
            space.documents.start_import(few(2))
    current = space.documents.current_import
    assert (current.status, kept(space, current)) == ("adding", ["0", "1"])
    let_import_lease_run_out(owner, current.id)
    studio._service.rpc("rescue_imports")
    assert go_on(space, current).counts == {"added": 2}


def test_a_refused_second_import_leaves_no_files_and_the_first_alone(space, studio, readers):
    gate = readers.hold("0.txt")
    started = space.documents.start_import(few(1))
    assert readers.reached.wait(LONG_S)
    folders = {path.name for path in studio.kept_files.path(started.id, 0).parent.parent.iterdir()}
    with pytest.raises(NotAllowed, match="not finished"):
        space.documents.start_import(few(1, first=1))
    again = {path.name for path in studio.kept_files.path(started.id, 0).parent.parent.iterdir()}
    assert again == folders
    gate.set()
    assert space.documents.wait_for_import(started.id, LONG_S).counts == {"added": 1}


def test_an_import_of_another_person_cannot_be_moved_through_their_workspace(
    space, studio, new_user, readers
):
    gate = readers.hold("0.txt")
    started = space.documents.start_import(few(1))
    assert readers.reached.wait(LONG_S)
    other = Workspace(studio, new_user()).documents
    with pytest.raises(NotFound):
        other.get_import(started.id)
    for move in (other.stop_import, other.give_up_import, other.acknowledge_import):
        with pytest.raises(NotAllowed):
            move(started.id)
    assert kept(space, started) == ["0"]  # giving up would have deleted them
    assert other.imported_files(started.id, limit=5) == []
    gate.set()
    assert space.documents.wait_for_import(started.id, LONG_S).counts == {"added": 1}


def test_an_import_goes_on_in_another_replica_and_says_where_files_are_missing(
    space, new_studio, user, readers, embedder
):
    embedder.requests = 0
    cut = space.documents.add(few(2))
    elsewhere = Workspace(new_studio(), user)  # with a data folder of its own
    done = go_on(elsewhere, cut)
    assert done.counts == {"refused": 2}
    assert "is not on this server" in messages(space, done)["0.txt"]


def test_a_replica_that_shares_the_folder_shows_progress_and_goes_on(
    space, studio, user, readers, embedder, new_studio
):
    other_studio = new_studio()
    other_studio.importer._kept = studio.kept_files
    other_studio.importer._readers = readers
    other_studio.importer._knowledge_of = studio.importer._knowledge_of
    other = Workspace(other_studio, user)
    embedder.go_on.clear()
    started = space.documents.start_import(few(3))
    assert embedder.reached.wait(LONG_S)
    eventually(lambda: other.documents.get_import(started.id).progress.chunks_total == 1)
    other.documents.stop_import(started.id)  # its worker is not here, and hears it by and by
    embedder.go_on.set()
    eventually(lambda: not studio.importer._leases(started.id))
    assert go_on(other, started).counts == {"added": 3}
    assert names(space) == ["0.txt", "1.txt", "2.txt"]


def test_an_app_that_ends_says_so_in_the_import_and_starts_no_other(
    new_studio, user, service, tmp_path
):
    studio = new_studio()
    space = Workspace(studio, user)
    readers = StandInReaders()
    studio.importer._readers = readers
    readers.hold("0.txt")
    started = space.documents.start_import(few(2))
    assert readers.reached.wait(LONG_S)
    began = time.monotonic()
    studio.importer.drain()
    assert time.monotonic() - began < 3
    cut = space.documents.get_import(started.id)
    assert (cut.status, cut.message) == (
        "interrupted",
        "The app was shut down while documents were being added.",
    )
    space.documents.go_on_with_import(started.id)  # arrives too late: nobody works on it
    time.sleep(0.2)
    assert space.documents.get_import(started.id).counts == {"waiting": 2}


def test_progress_moves_within_files_and_while_embedding_up_to_the_whole(
    space, readers, embedder, monkeypatch
):
    seen: list[Progress] = []
    real = adding.Adding.__setattr__

    def watched(self, name, value) -> None:
        real(self, name, value)
        if name == "progress":
            seen.append(value)

    monkeypatch.setattr(adding.Adding, "__setattr__", watched)
    done = space.documents.add([("a.zip", b"Berth 1.\nBerth 2.\nBerth 3."), *few(2)])
    assert done.status == "done"
    shares = [progress.share for progress in seen]
    assert shares == sorted(shares)
    assert 0 <= shares[0] < 0.2
    assert shares[-1] == pytest.approx(1.0)
    assert {"a.zip", "0.txt", "1.txt"} <= {progress.file for progress in seen}
    assert any(progress.chunks_total for progress in seen)
    assert all(progress.seconds_left is not None for progress in seen[1:])  # once it works


def test_the_sample_is_loaded_whole_and_loading_it_again_only_fills_gaps(space):
    done = space.documents.wait_for_import(space.documents.load_sample().id, 120)
    assert done.counts == {"added": len(sample_documents())}
    assert sorted(names(space)) == [name for name, _ in sample_documents()]
    assert space.documents.load_sample() is None

    space.documents.remove(space.documents.all()[0].id)
    again = space.documents.wait_for_import(space.documents.load_sample().id, LONG_S)
    assert again.counts == {"added": 1}
    assert len(space.documents.all()) == len(sample_documents())


def test_three_hundred_small_files_are_one_import_in_few_writes(space, monkeypatch):
    store = store_of(space)
    add, writes = store.add, []
    monkeypatch.setattr(
        store, "add", lambda documents: writes.append(len(documents)) or add(documents)
    )
    files = [(f"{n % 7}/index.txt", f"Berth {n} is closed.".encode()) for n in range(300)]
    began = time.monotonic()
    done = space.documents.add(files, within_s=120)
    assert done.counts == {"added": 300}
    assert len({document.name for document in space.documents.all()}) == 300
    assert sum(writes) == 300
    # A write comes after some multiple of the time that the last one took, and not before 2 s.
    assert len(writes) <= 2 + (time.monotonic() - began) / adding._SECONDS_PER_WRITE


def test_files_found_are_those_with_the_words_in_name_or_text(space, readers):
    texts = {"soup.txt": "Fridays.", "a.txt": "Soup and SOUP.", "b.txt": "Nothing."}
    space.documents.add([(name, text.encode()) for name, text in texts.items()])
    found = space.documents.find(" sOuP ")
    assert [(item.document.name, item.chunks) for item in found] == [("soup.txt", 0), ("a.txt", 1)]
    assert [item.document.name for item in space.documents.find("")] == list(texts)
    assert space.documents.find("quokka") == []


def test_progress_in_the_row_is_what_another_process_sees(script, user, service):
    script.start()
    script.lease.heartbeat(Progress(0.25, "b.txt", 3, 9))
    assert ImportRows(user.database).get(script.id).progress == Progress(0.25, "b.txt", 3, 9)
    assert replace(script.now, progress=Progress()).is_running


def test_nobody_without_a_sign_in_sees_an_import(script, endpoint):
    script.start()
    nobody = Database(endpoint.url, endpoint.publishable_key)
    with pytest.raises(NotAllowed):
        nobody.execute(lambda c: c.table("document_imports").select("*"))
