"""A file takes the place of the stored document with its name: whole, once, and told as that."""

# ruff: noqa: F401, F811 - some of what is imported are fixtures

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from services.deep_memory.measurement import pairs_by_question, usable_pairs
from services.errors import NotAllowed
from services.knowledge.import_lease import ImportLease, ImportLost
from services.knowledge.import_rows import Import
from services.knowledge.knowledge_base import stored_under
from services.models import Document
from services.pairs.store import PairStore
from services.workspace import Workspace
from tests.behind_the_door import store_of
from tests.contract.conftest import Caller
from tests.contract.test_imports import (
    LONG_S,
    Embedder,
    embedder,
    eventually,
    few,
    go_on,
    messages,
    names,
    readers,
    script,
    space,
    studio,
    told,
)
from tests.imports import ImportScript, let_import_lease_run_out
from tests.runs import Script, finished

pytestmark = pytest.mark.usefixtures("readers")


def replace(space: Workspace, *files: tuple[str, str]) -> Import:
    return space.documents.add([(name, text.encode()) for name, text in files], replace=True)


def document(space: Workspace, name: str) -> Document:
    [found] = [document for document in space.documents.all() if document.name == name]
    return found


def texts(space: Workspace) -> dict[str, list[str]]:
    """The texts of each document's chunks, by its name."""
    found: dict[str, list[str]] = {}
    for chunk in store_of(space).snapshot().chunks:
        found.setdefault(chunk.document, []).append(chunk.text)
    return found


def ask_about(space: Workspace, service, name: str, questions: int = 3) -> Script:
    """A run with so many pairs about each chunk of a document."""
    run = Script(space.user, service).start()
    ids = [chunk.id for chunk in space.documents.chunks_of(document(space, name).id)]
    run.lease.begin_generation(ids)
    run.lease.save_pairs(*finished(ids, questions), {})
    return run


def test_a_new_text_takes_the_place_of_the_earlier_one(space):
    space.documents.add([("rules.txt", b"Berth 4."), ("soup.txt", b"Soup.")])
    before = document(space, "rules.txt")
    old_chunks = {chunk.id for chunk in space.documents.chunks_of(before.id)}

    done = replace(space, ("rules.txt", "Berth 5."), ("new.txt", "Buoys."))

    assert (done.status, done.replace) == ("done", True)
    assert done.counts == {"replaced": 1, "added": 1}
    assert done.chunk_count == 2
    assert told(space, done) == [("rules.txt", "replaced"), ("new.txt", "added")]
    assert texts(space) == {"rules.txt": ["Berth 5."], "soup.txt": ["Soup."], "new.txt": ["Buoys."]}
    after = document(space, "rules.txt")
    assert (after.id, after.added_at) == (before.id, before.added_at)  # links and place stay
    assert names(space) == ["rules.txt", "soup.txt", "new.txt"]
    assert old_chunks.isdisjoint(space.documents.chunks())
    assert after.replaced.at > before.added_at
    assert messages(space, done)["rules.txt"] == (
        "It replaced the earlier text: 1 chunk. No pairs were about it."
    )


def test_without_being_asked_to_nothing_is_replaced(space):
    space.documents.add([("rules.txt", b"Berth 4.")])
    done = space.documents.add([("rules.txt", b"Berth 5.")])
    assert (done.replace, done.counts) == (False, {"added": 1})
    assert texts(space) == {"rules.txt": ["Berth 4."], "rules (2).txt": ["Berth 5."]}


@pytest.mark.parametrize(("questions", "said"), [(1, "the pair"), (3, "the 3 pairs")])
def test_the_pairs_about_the_earlier_text_are_counted_and_stay_where_they_are(
    space,
    studio,
    service,
    new_user,
    questions,
    said,
):
    other = Workspace(studio, new_user())
    for their in (space, other):
        their.documents.add([("rules.txt", b"Berth 4."), ("soup.txt", b"Soup.")])
    run = ask_about(space, service, "rules.txt", questions)
    ask_about(other, service, "rules.txt", 9)

    done = replace(space, ("rules.txt", "Berth 5."))

    assert messages(space, done)["rules.txt"] == (
        f"It replaced the earlier text: 1 chunk. Training will not use {said} about it any more."
    )
    assert document(space, "rules.txt").replaced.pair_count == questions
    assert space.pairs.count(run.run.id) == questions
    assert space.pairs.about([c.id for c in store_of(space).snapshot().chunks]) == {}
    assert texts(other) == {"rules.txt": ["Berth 4."], "soup.txt": ["Soup."]}


def test_the_same_text_is_not_replaced_by_itself(space):
    space.documents.add([("rules.txt", b"Berth 4.")])
    version = space.documents.version()
    done = replace(space, ("rules.txt", "Berth 4."), ("copy.txt", "Berth 4."))
    assert done.counts == {"same": 2}
    assert space.documents.version() == version


def test_a_file_that_is_refused_leaves_what_it_would_replace(space):
    space.documents.add([("rules.txt", b"Berth 4.")])
    version = space.documents.version()
    assert replace(space, ("rules.txt", "bad")).counts == {"refused": 1}
    assert space.documents.version() == version


def test_exactly_the_document_of_this_name_is_replaced(space):
    space.documents.add([("rules.txt", b"Berth 4.")])
    space.documents.add([("rules.txt", b"Berth 5."), ("Rules.txt", b"Berth 6.")])
    replace(space, ("rules (2).txt", "Berth 7."))
    assert texts(space) == {
        "rules.txt": ["Berth 4."],
        "rules (2).txt": ["Berth 7."],
        "Rules.txt": ["Berth 6."],
    }
    done = replace(space, ("rules.txt", "Berth 7."))  # has another one's text, and is not doubled
    assert (done.counts, len(names(space))) == ({"same": 1}, 3)


@pytest.mark.parametrize("first", ["Berth 5.", "Berth 4."])
def test_of_two_files_with_one_name_the_second_is_stored_beside_the_first(
    space,
    first,
):
    """Also when the first has the text that is stored: it was given, so it is wanted."""
    space.documents.add([("rules.txt", b"Berth 4.")])
    done = replace(space, ("rules.txt", first), ("rules.txt", "Berth 6."))
    assert [state for _, state in told(space, done)] == [
        "replaced" if first == "Berth 5." else "same",
        "added",
    ]
    assert texts(space) == {"rules.txt": [first], "rules (2).txt": ["Berth 6."]}


def test_a_text_that_was_just_found_to_be_stored_is_not_replaced(space):
    """The report says of the copy that its text is in the knowledge base, so it stays there."""
    space.documents.add([("rules.txt", b"Berth 4.")])
    done = replace(space, ("copy.txt", "Berth 4."), ("rules.txt", "Berth 5."))
    assert [state for _, state in told(space, done)] == ["same", "added"]
    assert texts(space) == {"rules.txt": ["Berth 4."], "rules (2).txt": ["Berth 5."]}


def test_pairs_about_a_replaced_text_are_not_trained_on_and_generation_drops_them(space, service):
    space.documents.add([("rules.txt", b"Berth 4."), ("soup.txt", b"Soup.")])
    run = ask_about(space, service, "rules.txt", 2)
    [soup] = space.documents.chunks_of(document(space, "soup.txt").id)
    run.save(soup.id)
    replace(space, ("rules.txt", "Berth 5."))
    snapshot = store_of(space).snapshot()

    pairs = PairStore(space.user.database).all(run.run.id)
    usable, _ = usable_pairs(pairs, snapshot, ())
    trained = [pair for asked in pairs_by_question(usable, snapshot) for pair, _ in asked]
    assert (len(pairs), [pair.chunk_id for pair in trained]) == (3, [soup.id])

    run.lease.fail("The model did not answer.")
    run.proceed().lease.begin_generation([chunk.id for chunk in snapshot.chunks])
    assert space.pairs.count(run.run.id) == 1


def test_two_new_files_with_one_name_are_both_stored(space):
    done = replace(space, ("rules.txt", "Berth 4."), ("rules.txt", "Berth 5."))
    assert done.counts == {"added": 2}
    assert texts(space) == {"rules.txt": ["Berth 4."], "rules (2).txt": ["Berth 5."]}


def test_a_text_that_was_replaced_can_come_back_under_its_name(space):
    space.documents.add([("rules.txt", b"Berth 4.")])
    before = store_of(space).snapshot().chunks
    replace(space, ("rules.txt", "Berth 5."))
    assert replace(space, ("rules.txt", "Berth 4.")).counts == {"replaced": 1}
    assert store_of(space).snapshot().chunks == before  # so the questions about them fit again


@pytest.mark.parametrize("at_once", [True, False])
def test_a_text_that_was_replaced_can_come_back_under_another_name(
    space,
    at_once,
):
    """Its id is taken by what replaced it."""
    space.documents.add([("rules.txt", b"Berth 4.")])
    files = [("rules.txt", "Berth 5."), ("old rules.txt", "Berth 4.")]
    for group in [files] if at_once else [files[:1], files[1:]]:
        assert replace(space, *group).status == "done"
    assert texts(space) == {"rules.txt": ["Berth 5."], "old rules.txt": ["Berth 4."]}
    assert len({document.id for document in space.documents.all()}) == 2
    for found in space.documents.all():
        [chunk] = space.documents.chunks_of(found.id)
        assert chunk.document == found.name


def test_a_document_that_was_removed_during_the_import_is_not_replaced(
    space,
    readers,
):
    space.documents.add([("rules.txt", b"Berth 4.")])
    gate = readers.hold("0.txt")
    files = [*few(1), ("rules.txt", b"Berth 5.")]
    started = space.documents.start_import(files, replace=True)
    assert readers.reached.wait(LONG_S)
    space.documents.remove(document(space, "rules.txt").id)
    gate.set()
    done = space.documents.wait_for_import(started.id, LONG_S)
    assert done.counts == {"added": 2}
    assert document(space, "rules.txt").replaced is None


@pytest.mark.parametrize("crash", ["before it was stored", "before it was told"])
def test_what_was_replaced_when_the_worker_died_is_told_as_replaced_and_not_again(
    space,
    service,
    owner,
    crash,
):
    """A kill on either side of the write; the second file of one name is not mixed up with it."""
    space.documents.add([("rules.txt", b"Berth 4."), ("soup.txt", b"Soup.")])
    ask_about(space, service, "rules.txt")
    files = [("rules.txt", b"Berth 5."), ("rules.txt", b"Berth 6."), ("soup.txt", b"Stew.")]
    with pytest.MonkeyPatch.context() as patched:

        def killed(*_: object) -> None:
            raise ImportLost

        if crash == "before it was told":
            patched.setattr(ImportLease, "settle", killed)
        else:
            patched.setattr(store_of(space), "add", killed)
        started = space.documents.start_import(files, replace=True)
        eventually(lambda: not space.documents._importer._leases(started.id))
    let_import_lease_run_out(owner, started.id)
    service.rpc("rescue_imports")
    assert space.documents.get_import(started.id).counts == {"waiting": 3}
    stored = crash == "before it was told"
    assert texts(space)["rules.txt"] == ["Berth 5." if stored else "Berth 4."]
    stored_at = document(space, "rules.txt").stored_at

    done = go_on(space, started)

    assert (done.status, done.counts) == ("done", {"replaced": 2, "added": 1})
    assert texts(space) == {
        "rules.txt": ["Berth 5."],
        "rules (2).txt": ["Berth 6."],
        "soup.txt": ["Stew."],
    }
    assert (document(space, "rules.txt").stored_at == stored_at) is stored  # replaced once
    [first, second, third] = space.documents.imported_files(done.id, limit=9)
    assert first.message == (
        "It replaced the earlier text: 1 chunk. Training will not use the 3 pairs about it any "
        "more."
    )
    assert (first.document_id, first.chunk_count) == (document(space, "rules.txt").id, 1)
    assert "It is called rules (2).txt" in second.message
    assert third.state == "replaced"


def test_a_zip_whose_documents_are_replaced_goes_on_in_its_middle(
    space,
    readers,
    embedder,
):
    space.documents.add([("a.zip", b"Berth 1.\nBerth 2.\nBerth 3.")])
    gate = readers.hold("a.zip")
    readers.reached.clear()
    packed = ("a.zip", b"Berth 1 is wet.\nBerth 2.\nBerth 3 is dry.")
    started = space.documents.start_import([packed], replace=True)
    assert readers.reached.wait(LONG_S)
    space.documents.stop_import(started.id)
    gate.set()
    eventually(lambda: not space.documents._importer._leases(started.id))
    assert texts(space)["a.zip/1.txt"] == ["Berth 1 is wet."]

    done = go_on(space, started)

    assert told(space, done) == [
        ("a.zip/1.txt", "replaced"),
        ("a.zip/2.txt", "same"),
        ("a.zip/3.txt", "replaced"),
    ]
    assert names(space) == ["a.zip/1.txt", "a.zip/2.txt", "a.zip/3.txt"]
    assert space.documents.chunk_count() == 3


def test_who_lost_the_import_counts_no_pairs_and_a_person_never(script, user):
    script.start()
    assert script.lease.pairs_by_chunk() == {}
    key = {"p_import": script.id, "p_user": user.identity.user_id, "p_worker": script.id}
    with pytest.raises(NotAllowed):
        user.database.rpc("pairs_by_chunk", **key, p_attempt=1)
    script.rows.stop(script.id)
    with pytest.raises(ImportLost):
        script.lease.pairs_by_chunk()


def test_pairs_of_another_person_are_not_counted(user, new_user, service):
    mine, theirs = Script(user, service).start(), Script(new_user(), service).start()
    for run, questions in ((mine, 2), (theirs, 5)):
        run.lease.begin_generation(["c1", "c2"])
        run.save("c1", questions=questions)
    mine.save("c2")
    importing = ImportScript(user, service).start()
    assert importing.lease.pairs_by_chunk() == {"c1": 2, "c2": 1}


def test_an_import_that_was_begun_by_the_version_before_replaces_nothing(user, service):
    """Its start_import is called for the minutes of a deploy."""
    importing = ImportScript(user, service)
    importing.id = str(uuid4())
    rows = [{"name": "a.txt", "bytes": 1}]
    assert user.database.rpc("start_import", p_import=importing.id, p_files=rows)
    assert importing.now.replace is False


@pytest.mark.parametrize(
    ("file", "is_there"),
    [
        ("rules.txt", True),
        ("Rules.txt", False),
        ("rules (2).txt", False),
        ("manuals.zip", True),
        ("MANUALS.ZIP", False),
        ("manuals", False),
        ("other.zip", False),
        ("offer.eml", True),
        ("bare.eml", True),
        ("none.eml", False),
    ],
)
def test_files_of_which_there_are_documents_are_known_by_their_names(
    space,
    file,
    is_there,
):
    there = ["rules.txt", "manuals/pumps/a.txt", "offer.eml/plan.pdf", "bare.eml.txt"]
    documents = [
        Document(str(n), name, 1, 1, str(n), None)  # type: ignore[arg-type]
        for n, name in enumerate(there)
    ]
    assert stored_under([file], documents) == ([file] if is_there else [])


# Over HTTP


def post(caller: Caller, *files: tuple[str, str], **params: object) -> dict[str, Any]:
    answer = caller.api.post(
        "/documents",
        params=params,
        files=[("files", (name, text.encode())) for name, text in files],
    )
    assert answer.status_code == 201, answer.text
    return answer.json()


def test_over_http_a_document_is_replaced_when_that_is_asked_for(caller: Caller):
    [before] = post(caller, ("rules.txt", "Berth 4."))["documents"]
    assert before["replaced"] is None

    answer = post(caller, ("rules.txt", "Berth 5."), replace="true")

    [after] = answer["documents"]
    assert answer["errors"] == []
    assert after["id"] == before["id"]
    assert (after["replaced"]["chunk_count"], after["replaced"]["pair_count"]) == (1, 0)
    told = caller.api.get(f"/imports/{answer['import_id']}").json()
    assert (told["replace"], told["files"]["replaced"], told["files"]["added"]) == (True, 1, 0)
    files = caller.api.get(
        f"/imports/{answer['import_id']}/files", params={"state": "replaced"}
    ).json()
    assert files["total"] == 1
    assert "It replaced the earlier text: 1 chunk." in files["files"][0]["message"]
    [chunk] = caller.api.get(f"/documents/{before['id']}/chunks").json()["chunks"]
    assert chunk["text"] == "Berth 5."


@pytest.mark.parametrize("params", [{}, {"replace": "false"}])
def test_over_http_both_are_kept_otherwise(caller: Caller, params):
    post(caller, ("rules.txt", "Berth 4."))
    [added] = post(caller, ("rules.txt", "Berth 5."), **params)["documents"]
    assert added["name"] == "rules (2).txt"
    assert caller.api.get("/documents").json()["total"] == 2


def test_over_http_another_word_than_true_or_false_is_refused(caller: Caller):
    answer = caller.api.post(
        "/documents", params={"replace": "maybe"}, files=[("files", ("a.txt", b"Berth 4."))]
    )
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["query", "replace"]
