"""Every pair is seen, whatever the row cap, and pairs change in review and at no other time."""

from __future__ import annotations

import uuid

import pytest

from services.errors import NotAllowed, NotFound
from services.local_supabase.postgrest import MAX_ROWS
from services.models import Chunk
from services.pairs.exchange import NewPair
from services.pairs.store import AddedPairs, PairStore
from services.runs.states import RunStatus
from tests.runs import Script, finished

MANY = 2_500
NOT_IN_REVIEW = [status for status in RunStatus if status is not RunStatus.GENERATED]


@pytest.fixture
def script(user, service) -> Script:
    return Script(user, service)


@pytest.fixture
def pairs(user) -> PairStore:
    return PairStore(user.database)


def in_review(script: Script, questions: list[str]) -> Script:
    """A run in review with one chunk a question."""
    chunk_ids = [f"c{number:05}" for number in range(len(questions))]
    chunks, rows = finished(chunk_ids)
    for row, question in zip(rows, questions, strict=True):
        row["question_text"] = question
    script.start(len(chunks))
    script.lease.begin_generation(chunk_ids)
    for first in range(0, len(chunks), MAX_ROWS):
        batch = slice(first, first + MAX_ROWS)
        script.lease.save_pairs(chunks[batch], rows[batch], {})
    script.lease.finish_generation()
    return script


def test_2500_pairs_are_all_paged_counted_and_trained_on_past_the_row_cap(script, pairs, service):
    questions = [f"What is number {number}?" for number in range(MANY)]
    run_id = in_review(script, questions).run.id
    assert pairs.count(run_id) == script.now.pair_count == MANY
    paged = [
        pair.question_text
        for offset in range(0, MANY + 100, 100)
        for pair in pairs.page(run_id, limit=100, offset=offset)
    ]
    assert sorted(paged) == sorted(questions)
    trained_on = PairStore(service).all(run_id)  # what the training job reads
    assert sorted(pair.question_text for pair in trained_on) == sorted(questions)
    assert pairs.drop(run_id, [pair.id for pair in trained_on[:1_200]]) == 1_200
    assert pairs.count(run_id) == script.now.pair_count == MANY - 1_200


def test_pairs_of_a_chunk_stand_together_in_an_order_that_stays(script, pairs):
    script.start(2)
    script.save("c2", "c1", questions=3)
    script.lease.finish_generation()
    order = [pair.chunk_id for pair in pairs.page(script.run.id, limit=10)]
    assert order == ["c1"] * 3 + ["c2"] * 3
    first = pairs.page(script.run.id, limit=10)
    pairs.edit(first[0].training_run_id, first[0].id, "Something else entirely?")
    assert [p.id for p in pairs.page(script.run.id, limit=10)] == [p.id for p in first]


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("PROBE", {"Which probe drifts?"}),
        ("100%", {"Is it 100% safe?"}),
        ("a_b", {"What is a_b?"}),
        ("2*3", {"How much is 2*3?"}),
        ("\\", {"Where is C:\\temp?"}),
        ("  probe ", {"Which probe drifts?"}),
        ("", None),
        ("nothing like it", set()),
    ],
)
def test_search_takes_what_is_typed_literally(script, pairs, search, found):
    questions = ["Which probe drifts?", "Is it 100% safe?", "Is it 100 or so?", "What is a_b?"]
    questions += ["What is axb?", "How much is 2*3?", "Where is C:\\temp?"]
    run_id = in_review(script, questions).run.id
    found = set(questions) if found is None else found
    page = pairs.page(run_id, limit=50, search=search)
    assert {pair.question_text for pair in page} == found
    assert pairs.count(run_id, search=search) == len(found)


def test_edit_keeps_the_pair_and_tidies_the_question(script, pairs):
    script.to(RunStatus.GENERATED)
    [pair, _] = pairs.page(script.run.id, limit=5)
    edited = pairs.edit(pair.training_run_id, pair.id, "  Which   probe drifts?\n")
    assert (edited.id, edited.question_text) == (pair.id, "Which probe drifts?")
    assert pairs.get(script.run.id, pair.id) == edited


@pytest.mark.parametrize("question", ["", "  \n", "WHAT was  it?"])
def test_edit_refuses_an_empty_question_and_one_that_its_chunk_has(script, pairs, question):
    script.to(RunStatus.GENERATED)
    pairs.add(script.run.id, [NewPair("What was it?", "c1")], CHUNKS)
    [pair] = pairs.page(script.run.id, limit=5, search="of c1")
    with pytest.raises(NotAllowed):
        pairs.edit(pair.training_run_id, pair.id, question)
    assert pairs.get(script.run.id, pair.id) == pair


@pytest.mark.parametrize("status", [s for s in NOT_IN_REVIEW if s is not RunStatus.GENERATING])
def test_pairs_of_a_run_that_is_not_in_review_can_not_be_changed(script, pairs, status):
    script.to(status)
    [pair, other] = pairs.page(script.run.id, limit=5)
    with pytest.raises(NotFound):
        pairs.edit(pair.training_run_id, pair.id, "Something else?")
    assert pairs.drop(pair.training_run_id, [pair.id, other.id]) == 0
    assert pairs.count(script.run.id) == script.now.pair_count == 2


@pytest.mark.parametrize("status", NOT_IN_REVIEW)
def test_raw_client_can_not_add_a_pair_outside_of_review(script, user, status):
    script.to(status)
    row = {"training_run_id": script.run.id, "question_text": "New?", "chunk_id": "c1"}
    with pytest.raises(NotAllowed):
        user.database.execute(lambda c: c.table("deep_memory_training_pairs").insert(row))


def test_raw_client_can_not_move_a_pair_to_another_run(script, user, service):
    first = script.to(RunStatus.COMPLETED).run.id
    second = Script(user, service).to(RunStatus.GENERATED)
    [pair, _] = PairStore(user.database).page(second.run.id, limit=5)
    with pytest.raises(NotAllowed):
        user.database.execute(
            lambda c: (
                c.table("deep_memory_training_pairs")
                .update({"training_run_id": first})
                .eq("id", pair.id)
            )
        )
    assert PairStore(user.database).count(first) == 2


CHUNKS = {f"c{n}": Chunk(f"c{n}", "d", "d.txt", n, f"Text {n} " * 100) for n in range(3)}


def test_added_pairs_stand_beside_the_others_and_adding_them_again_changes_nothing(script, pairs):
    run_id = script.to(RunStatus.GENERATED).run.id
    new = [
        NewPair('Wer zahlt "die Miete"?\nUnd wann? 👩‍🔬', "c0", 1 / 3),
        NewPair("what is 0 OF  c1?", "c1"),  # the run has it in other case and spacing
        NewPair("Who was here?", "gone"),
        NewPair("A half \ud83d and a NUL\0?", "c2"),
    ]
    assert pairs.add(run_id, new, CHUNKS) == AddedPairs(added=2, duplicates=1, unknown=1)
    assert pairs.add(run_id, new, CHUNKS) == AddedPairs(added=0, duplicates=3, unknown=1)
    assert script.now.pair_count == pairs.count(run_id) == 4
    [added] = pairs.page(run_id, limit=5, search="Miete")
    assert NewPair(added.question_text, added.chunk_id, added.relevance_score) == new[0]
    assert added.chunk_preview == CHUNKS["c0"].text[:200]


def test_a_question_stands_once_for_each_chunk_that_answers_it(script, pairs):
    run_id = script.to(RunStatus.GENERATED).run.id
    new = [NewPair("Who pays?", "c0"), NewPair("Who pays?", "c1"), NewPair("who  pays?", "c0")]
    assert pairs.add(run_id, new, CHUNKS) == AddedPairs(added=2, duplicates=1, unknown=0)
    found = pairs.page(run_id, limit=5, search="Who pays")
    assert {pair.chunk_id for pair in found} == {"c0", "c1"}


def test_2500_pairs_are_added_past_any_cap(script, pairs):
    run_id = script.to(RunStatus.GENERATED).run.id
    new = [NewPair(f"Is it {number}?", "c0") for number in range(MANY)]
    assert pairs.add(run_id, new, CHUNKS).added == MANY
    assert script.now.pair_count == MANY + 2


@pytest.mark.parametrize("status", NOT_IN_REVIEW)
def test_pairs_are_not_added_outside_of_review(script, pairs, status):
    script.to(status)
    before = script.now.pair_count
    with pytest.raises(NotAllowed):
        pairs.add(script.run.id, [NewPair("New?", "c0")], CHUNKS)
    assert script.now.pair_count == before


def test_pairs_are_not_added_to_the_run_of_another_user(script, new_user):
    script.to(RunStatus.GENERATED)
    with pytest.raises(NotAllowed):
        PairStore(new_user().database).add(script.run.id, [NewPair("New?", "c0")], CHUNKS)
    assert script.now.pair_count == 2


def test_pair_that_never_was_is_not_found(script, pairs):
    script.to(RunStatus.GENERATED)
    with pytest.raises(NotFound):
        pairs.edit(str(uuid.uuid4()), str(uuid.uuid4()), "Something?")
    assert pairs.drop(str(uuid.uuid4()), [str(uuid.uuid4())]) == 0
