"""Every pair is seen, whatever the row cap, and pairs change in review and at no other time."""

from __future__ import annotations

import uuid

import pytest

from services.errors import NotAllowed
from services.local_supabase.postgrest import MAX_ROWS
from services.models import Chunk, Review
from services.pairs.exchange import NewPair
from services.pairs.quality import Flag
from services.pairs.selection import Order, Selection
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
    ids = [pair.id for pair in trained_on[:1_200]]
    assert len(pairs.decide(run_id, ids, Review.DROPPED)) == 1_200
    assert len(PairStore(service).all(run_id)) == MANY - 1_200
    assert pairs.count(run_id) == script.now.pair_count == MANY - 1_200


def test_pairs_of_a_chunk_stand_together_in_an_order_that_stays(script, pairs):
    script.start(2)
    script.save("c2", "c1", questions=3)
    script.lease.finish_generation()
    order = [pair.chunk_id for pair in pairs.page(script.run.id, limit=10)]
    assert order == ["c1"] * 3 + ["c2"] * 3
    first = pairs.page(script.run.id, limit=10)
    pairs.decide(script.run.id, [first[0].id], Review.KEPT, question="Something else entirely?")
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
    page = pairs.page(run_id, limit=50, selection=Selection(search=search))
    assert {pair.question_text for pair in page} == found
    assert pairs.count(run_id, Selection(search=search)) == len(found)


def test_edit_keeps_the_pair_and_tidies_the_question(script, pairs):
    script.to(RunStatus.GENERATED)
    [pair, _] = pairs.page(script.run.id, limit=5)
    question = "  Which   probe drifts?\n"
    [edited] = pairs.decide(script.run.id, [pair.id], Review.KEPT, question=question)
    assert (edited.id, edited.question_text) == (pair.id, "Which probe drifts?")
    assert (edited.review, edited.original_question) == (Review.KEPT, pair.question_text)
    assert pairs.get(script.run.id, pair.id) == edited


@pytest.mark.parametrize("question", ["", "  \n", "WHAT was  it?"])
def test_edit_refuses_an_empty_question_and_one_that_its_chunk_has(script, pairs, question):
    script.to(RunStatus.GENERATED)
    pairs.add(script.run.id, [NewPair("What was it?", "c1")], CHUNKS)
    [pair] = pairs.page(script.run.id, limit=5, selection=Selection(search="of c1"))
    with pytest.raises(NotAllowed):
        pairs.decide(script.run.id, [pair.id], Review.KEPT, question=question)
    assert pairs.get(script.run.id, pair.id) == pair


@pytest.mark.parametrize("status", [s for s in NOT_IN_REVIEW if s is not RunStatus.GENERATING])
def test_pairs_of_a_run_that_is_not_in_review_can_not_be_changed(script, pairs, status):
    script.to(status)
    [pair, other] = pairs.page(script.run.id, limit=5)
    run_id, ids = script.run.id, [pair.id, other.id]
    assert pairs.decide(run_id, ids[:1], Review.KEPT, question="Something else?") == []
    assert pairs.decide(run_id, ids, Review.DROPPED) == []
    check = {"id": pair.id, "reviewed_at": None, "doubt": 1.0, "flags": []}
    assert pairs.note_checks(run_id, "v1", [check]) == 0
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
    [added] = pairs.page(run_id, limit=5, selection=Selection(search="Miete"))
    assert NewPair(added.question_text, added.chunk_id, added.relevance_score) == new[0]
    assert added.chunk_preview == CHUNKS["c0"].text[:200]


def test_a_question_stands_once_for_each_chunk_that_answers_it(script, pairs):
    run_id = script.to(RunStatus.GENERATED).run.id
    new = [NewPair("Who pays?", "c0"), NewPair("Who pays?", "c1"), NewPair("who  pays?", "c0")]
    assert pairs.add(run_id, new, CHUNKS) == AddedPairs(added=2, duplicates=1, unknown=0)
    found = pairs.page(run_id, limit=5, selection=Selection(search="Who pays"))
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


def test_pair_that_never_was_is_not_changed(script, pairs):
    script.to(RunStatus.GENERATED)
    ids = [str(uuid.uuid4())]
    assert pairs.decide(str(uuid.uuid4()), ids, Review.KEPT, question="Something?") == []
    assert pairs.decide(script.run.id, ids, Review.DROPPED) == []


# Review ----------------------------------------------------------------------------------------


def test_a_dropped_pair_counts_nowhere_and_comes_back(script, pairs, service):
    run_id = script.to(RunStatus.GENERATED).run.id
    [first, second] = pairs.page(run_id, limit=5)
    [dropped] = pairs.decide(run_id, [first.id], Review.DROPPED, seen=[first.reviewed_at])
    assert script.now.pair_count == pairs.count(run_id) == 1
    assert pairs.page(run_id, limit=5) == PairStore(service).all(run_id) == [second]
    assert pairs.about([first.chunk_id]) == {}
    assert pairs.page(run_id, limit=5, selection=Selection(Review.DROPPED)) == [dropped]

    [back] = pairs.decide(run_id, [first.id], Review.TO_REVIEW, seen=[dropped.reviewed_at])
    assert back == first
    assert script.now.pair_count == pairs.count(run_id) == 2


def test_a_pair_about_which_somebody_decided_since_stays_as_it_is(script, pairs):
    run_id = script.to(RunStatus.GENERATED).run.id
    [first, second] = both = pairs.page(run_id, limit=5)
    ids, seen = [pair.id for pair in both], [pair.reviewed_at for pair in both]
    [edited] = pairs.decide(run_id, [first.id], Review.KEPT, seen=[None], question="What else?")

    # Another tab still shows both as they were.
    changed = pairs.decide(run_id, ids, Review.DROPPED, seen=seen)
    assert [pair.id for pair in changed] == [second.id]
    assert pairs.decide(run_id, [first.id], Review.KEPT, seen=[None], question="Mine?") == []
    assert pairs.get(run_id, first.id) == edited


def test_an_edit_keeps_the_first_question_and_taking_it_back_forgets_it(script, pairs):
    run_id = script.to(RunStatus.GENERATED).run.id
    pair = pairs.page(run_id, limit=5)[0]
    for question in ("What then?", "What now?"):
        [edited] = pairs.decide(run_id, [pair.id], Review.KEPT, question=question)
        assert edited.original_question == pair.question_text
    assert pairs.counts(run_id, "v1").edited == 1
    taken_back = pairs.decide(run_id, [pair.id], Review.TO_REVIEW, question=pair.question_text)
    assert taken_back == [pair]


def test_a_raw_edit_is_noted_like_any_other(script, pairs, user):
    """As replicas of the previous version make it during a deploy."""
    run_id = script.to(RunStatus.GENERATED).run.id
    pair = pairs.page(run_id, limit=5)[0]
    table = "deep_memory_training_pairs"
    change = {"question_text": "What else?"}
    user.database.execute(lambda c: c.table(table).update(change).eq("id", pair.id))
    now = pairs.get(run_id, pair.id)
    assert (now.review, now.original_question) == (Review.KEPT, pair.question_text)
    user.database.execute(lambda c: c.table(table).delete().eq("id", pair.id))
    assert script.now.pair_count == 1


def test_a_raw_delete_of_a_dropped_pair_is_not_counted_twice(script, pairs, user):
    run_id = script.to(RunStatus.GENERATED).run.id
    pair = pairs.page(run_id, limit=5)[0]
    pairs.decide(run_id, [pair.id], Review.DROPPED)
    table = "deep_memory_training_pairs"
    user.database.execute(lambda c: c.table(table).delete().eq("id", pair.id))
    assert script.now.pair_count == pairs.count(run_id) == 1


def test_a_file_brings_a_dropped_pair_back(script, pairs):
    run_id = script.to(RunStatus.GENERATED).run.id
    pair = next(pair for pair in pairs.page(run_id, limit=5) if pair.chunk_id == "c1")
    pairs.decide(run_id, [pair.id], Review.DROPPED)
    again = [NewPair(pair.question_text, "c1"), NewPair(pair.question_text.upper(), "c1")]
    assert pairs.add(run_id, again, CHUNKS) == AddedPairs(added=1, duplicates=1, unknown=0)
    assert pairs.get(run_id, pair.id) == pair
    assert script.now.pair_count == 2


def test_decisions_survive_stop_proceed_and_a_failed_training(script, pairs, service):
    run_id = script.to(RunStatus.GENERATED).run.id
    [first, second] = pairs.page(run_id, limit=5)
    pairs.decide(run_id, [first.id], Review.DROPPED)
    pairs.decide(run_id, [second.id], Review.KEPT, question="What else?")
    decided = pairs.some(run_id, [first.id, second.id])

    script.store.stop(run_id, by="ann")
    script.proceed()
    script.lease.begin_generation(["c1", "c2", "c3"])
    script.save("c3")
    script.lease.finish_generation()
    assert pairs.some(run_id, [first.id, second.id]) == decided
    assert script.now.pair_count == 2  # the kept one, and the one of c3

    script.train()
    script.lease.fail("The trainer did not answer.")
    script.proceed()
    assert pairs.some(run_id, [first.id, second.id]) == decided
    assert first.id not in {pair.id for pair in PairStore(service).all(run_id)}


def test_a_dropped_question_is_not_written_again(script, pairs):
    run_id = script.to(RunStatus.GENERATED).run.id
    pair = pairs.page(run_id, limit=5)[0]
    pairs.decide(run_id, [pair.id], Review.DROPPED)
    script.store.stop(run_id, by="ann")
    script.proceed()
    assert script.lease.begin_generation(["c1", "c2", "c3"]) == {"c1", "c2"}


def checks_of(pairs: list, doubts: list[float], flags: list[str]) -> list[dict]:
    return [
        {"id": pair.id, "reviewed_at": pair.reviewed_at, "doubt": doubt, "flags": flags}
        for pair, doubt in zip(pairs, doubts, strict=True)
    ]


def test_pairs_are_ordered_by_doubt_filtered_by_flag_and_counted(script, pairs):
    script.start(3)
    script.save("c1", "c2", "c3")
    script.lease.finish_generation()
    run_id = script.run.id
    first, second, third = found = pairs.page(run_id, limit=5)
    assert pairs.counts(run_id, "v1").unchecked == 3
    pairs.note_checks(run_id, "v1", checks_of(found[:2], [0.1, 0.7], [Flag.ASKS_LITTLE.value]))
    by_doubt = pairs.page(run_id, limit=5, selection=Selection(order=Order.DOUBT))
    assert [pair.id for pair in by_doubt] == [second.id, first.id, third.id]  # unchecked: last
    flagged = Selection(is_flagged=True)
    assert {pair.id for pair in pairs.all(run_id, flagged)} == {first.id, second.id}
    assert pairs.count(run_id, Selection(flag=Flag.ASKS_LITTLE)) == 2
    assert pairs.count(run_id, Selection(flag=Flag.DUPLICATE)) == 0

    pairs.decide(run_id, [first.id], Review.KEPT)
    counts = pairs.counts(run_id, "v1")
    assert (counts.to_review, counts.kept, counts.dropped, counts.total) == (2, 1, 0, 3)
    assert (counts.flagged, counts.flags, counts.unchecked) == (1, {"asks little": 1}, 1)
    assert pairs.counts(run_id, "v2").unchecked == 3  # the documents changed


def test_a_changed_pair_is_checked_again_with_those_of_its_chunk_and_no_other(script, pairs):
    script.start(2)
    script.save("c1", "c2", questions=2)
    script.lease.finish_generation()
    run_id = script.run.id
    found = pairs.page(run_id, limit=5)
    pairs.note_checks(run_id, "v1", checks_of(found, [0.0] * 4, []))
    assert pairs.unchecked(run_id, "v1") == []
    pairs.decide(run_id, [found[0].id], Review.KEPT)
    assert pairs.unchecked(run_id, "v1") == []
    pairs.decide(run_id, [found[0].id], Review.KEPT, question="What else?")
    again = pairs.unchecked(run_id, "v1")
    assert {pair.id for pair in again} == {pair.id for pair in found[:2]}
    pairs.note_checks(run_id, "v1", checks_of(again, [0.0] * 2, []))
    pairs.decide(run_id, [found[3].id], Review.DROPPED)
    assert {pair.id for pair in pairs.unchecked(run_id, "v1")} == {p.id for p in found[2:]}


def test_a_check_says_nothing_of_a_pair_that_changed_while_it_was_made(script, pairs):
    run_id = script.to(RunStatus.GENERATED).run.id
    found = pairs.page(run_id, limit=5)
    pairs.decide(run_id, [found[0].id], Review.KEPT, question="What else?")
    assert pairs.note_checks(run_id, "v1", checks_of(found, [0.5, 0.5], ["duplicate"])) == 1
    assert pairs.get(run_id, found[0].id).flags == ()


def test_pairs_of_a_file_are_told_from_those_that_the_app_wrote(script, pairs):
    in_review(script, ["Who is there?"])
    chunks = {"c9": Chunk("c9", "d", "d.txt", 0, "Dues are paid on berthing.")}
    assert pairs.add(script.run.id, [NewPair("Who pays dues?", "c9")], chunks).added == 1
    by_people = {pair.question_text for pair in pairs.all(script.run.id) if pair.is_imported}
    assert by_people == {"Who pays dues?"}
    assert len(pairs.all(script.run.id)) > 1
