"""Decisions about pairs as screens and routes make them: guarded, undone, checked again."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from services.errors import NotAllowed, RunMoved
from services.models import Review, TrainingPair
from services.pairs.background import Checking, Checks
from services.pairs.quality import Flag
from services.pairs.selection import Order, Selection
from services.runs.states import RunStatus
from services.workspace import Workspace
from tests.runs import Script, finished

TEXTS = {
    "dues.txt": b"Ships pay harbour dues when they berth.",
    "soup.txt": b"The canteen serves soup on Fridays.",
    "pilot.txt": b"The pilot boards a vessel two miles from port.",
}
QUESTIONS = {
    "dues.txt": ["Who pays harbour dues?", "When do ships pay harbour dues?"],
    "soup.txt": ["Where does the pilot board a vessel?", "What does this passage serve?"],
}


@pytest.fixture
def space(new_studio, user) -> Workspace:
    space = Workspace(new_studio(), user)
    space.documents.add(list(TEXTS.items()))
    return space


@pytest.fixture
def script(space, user, service) -> Script:
    """A run in review, in which a question of the pilot stands under the soup."""
    ids = {chunk.document: chunk.id for chunk in space.documents.chunks().values()}
    script = Script(user, service).start(len(ids))
    script.lease.begin_generation(list(ids.values()))
    for name, questions in QUESTIONS.items():
        chunks, rows = finished([ids[name]], questions=len(questions))
        for row, question in zip(rows, questions, strict=True):
            row["question_text"] = question
        script.lease.save_pairs(chunks, rows, {})
    script.lease.finish_generation()
    return script


def pairs_of(space: Workspace, script: Script, **selection: Any) -> dict[str, TrainingPair]:
    found = space.pairs.page(script.run.id, limit=50, selection=Selection(**selection))
    return {pair.question_text: pair for pair in found}


def checked(space: Workspace, script: Script) -> Checking:
    checking = space.pairs.check_in_background(script.now)
    assert checking.wait(60)
    assert checking.error is None
    return checking


def test_what_is_most_likely_wrong_comes_first(space, script):
    checking = checked(space, script)
    assert checking.share == 1
    assert space.pairs.counts(script.run.id).unchecked == 0
    first, second, *_ = pairs_of(space, script, order=Order.DOUBT)
    assert {first, second} == set(QUESTIONS["soup.txt"])
    [leak] = pairs_of(space, script, flag=Flag.GIVES_ITSELF_AWAY)
    assert leak == "What does this passage serve?"


def test_an_edit_is_checked_again_and_a_duplicate_is_none_without_the_first(space, script):
    checked(space, script)
    run_id, question = script.run.id, QUESTIONS["dues.txt"][1]
    pair = pairs_of(space, script)[question]
    space.pairs.edit(run_id, pair, "Who pays harbour dues")
    assert space.pairs.counts(run_id).unchecked == 1
    checked(space, script)
    [repeated] = pairs_of(space, script, flag=Flag.DUPLICATE).values()
    beside = [p for p in pairs_of(space, script).values() if p.chunk_id == repeated.chunk_id]
    space.pairs.decide(run_id, [p for p in beside if p != repeated], Review.DROPPED)
    checked(space, script)
    assert space.pairs.some(run_id, [repeated.id])[0].flags == ()


def test_undo_makes_pairs_what_they_were(space, script):
    run_id = script.run.id
    before = pairs_of(space, script)
    first, second, third, _ = before.values()
    steps = [space.pairs.decide(run_id, [first, second], Review.KEPT)]
    steps.append([(third, space.pairs.edit(run_id, third, "Where is it?"))])
    kept = space.pairs.some(run_id, [first.id, third.id])
    steps.append(space.pairs.decide(run_id, kept, Review.DROPPED))
    assert script.now.pair_count == 2
    while steps:
        steps, _ = space.pairs.undo(run_id, steps)
    assert pairs_of(space, script) == before
    assert script.now.pair_count == 4


def test_undo_leaves_alone_what_somebody_else_decided_since(space, script):
    run_id = script.run.id
    first, second, *_ = pairs_of(space, script).values()
    step = space.pairs.decide(run_id, [first, second], Review.DROPPED)
    theirs = space.pairs.put(run_id, first.id, Review.KEPT)
    assert space.pairs.undo(run_id, [step]) == ([], [second])
    assert space.pairs.some(run_id, [first.id]) == [theirs]


def test_an_edit_of_a_pair_that_changed_meanwhile_is_refused(space, script):
    run_id = script.run.id
    pair = next(iter(pairs_of(space, script).values()))
    space.pairs.edit(run_id, pair, "Theirs?")
    with pytest.raises(RunMoved, match="Somebody else decided"):
        space.pairs.edit(run_id, pair, "Mine?")
    with pytest.raises(NotAllowed, match="empty"):
        space.pairs.edit(run_id, pair, " ")
    assert "Theirs?" in pairs_of(space, script)


def test_a_run_that_moved_takes_no_decision(space, script):
    run_id = script.run.id
    [pair, *_] = pairs_of(space, script).values()
    step = space.pairs.decide(run_id, [pair], Review.KEPT)
    script.train()
    with pytest.raises(RunMoved, match="training now"):
        space.pairs.undo(run_id, [step])
    with pytest.raises(RunMoved, match="training now"):
        space.pairs.edit(run_id, step[0][1], "Else?")


def test_a_check_without_documents_says_so_of_every_pair(new_studio, user, service):
    space = Workspace(new_studio(), user)
    script = Script(user, service).to(RunStatus.GENERATED)
    checked(space, script)
    for pair in space.pairs.page(script.run.id, limit=5):
        assert pair.flags == (Flag.NOT_ANSWERED,)


def test_tabs_share_the_check_of_a_run(space, script):
    begin = Checks().begin
    may_end = threading.Event()
    first = begin("run-1", lambda note: may_end.wait(10) and None)
    assert begin("run-1", lambda note: None) is first
    assert begin("run-2", lambda note: None) is not first
    may_end.set()
    assert first.wait(10)
    assert begin("run-1", lambda note: None) is not first


def test_a_check_that_fails_says_why_and_can_be_made_again(space, script):
    failing = Checking(lambda note: (_ for _ in ()).throw(NotAllowed("Not now.")))
    assert failing.wait(10)
    assert str(failing.error) == "Not now."
    broken = Checking(lambda note: 1 / 0)
    assert broken.wait(10)
    assert str(broken.error) == "The pairs could not be checked."
    checked(space, script)
