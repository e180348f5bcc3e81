"""The dashboard in each status of a run: what a person reads, and what they can press."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from uuid import uuid4

import pytest

from pages.ui.components import BADGES, plain
from pages.ui.review_desk import Desk
from pages.ui.selection import EXPANDED_RUN
from services.deep_memory.measured_sets import headline, measured_sets
from services.errors import NotFound
from services.knowledge.sample import sample_documents
from services.models import Review, TrainingPair, TrainingRun
from services.pairs.answering import answering_sentence
from services.pairs.selection import Selection
from services.runs.states import RunStatus
from services.runs.store import why_blocked
from services.workspace import Workspace
from tests.pages.conftest import DOCUMENTS, Screen

S = RunStatus
LONG_S = 90


def until(workspace: Workspace, is_so: Callable[[TrainingRun], bool]) -> TrainingRun:
    deadline = time.monotonic() + LONG_S
    while not is_so(run := workspace.runs.page(limit=1)[0][0]):
        assert time.monotonic() < deadline, run
        time.sleep(0.1)
    return run


def is_over(run: TrainingRun) -> bool:
    return not run.status.is_active


# Before a run ----------------------------------------------------------------------------------


def test_an_empty_knowledge_base_comes_first(open_page, empty):
    screen = open_page(empty)
    assert "The knowledge base is empty" in screen.words
    assert "Go to the knowledge base" in screen.links
    assert "generate" not in screen.keys
    assert "No runs yet" in screen.words
    assert "Total chunks: 0" in screen.figures


def test_with_documents_the_price_is_told_and_one_press_generates(open_page, workspace, studio):
    screen = open_page(workspace)
    assert "up to **9 questions**" in screen.words  # three for each of three chunks
    assert studio.writer.name in screen.words
    screen.app.number_input(key="questions_per_chunk").set_value(1)
    assert "up to **3 questions**" in screen.draw().words
    screen.press("generate")
    run = until(workspace, is_over)
    assert (run.status, run.total_chunks) == (S.GENERATED, 3)
    assert run.settings["questions_per_chunk"] == 1
    assert "start_training" in screen.draw().keys


def test_the_switch_waits_for_a_model(open_page, workspace):
    screen = open_page(workspace)
    assert screen.app.toggle(key="deep_memory_enabled").disabled
    assert "Last trained: never" in screen.figures


# While a worker works --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "says", "failed"),
    [
        (S.GENERATING, "Generating", S.GENERATING_FAILED),
        (S.TRAINING, "In progress", S.TRAINING_FAILED),
    ],
)
def test_a_run_under_way_can_be_stopped_and_nothing_else_begun(
    open_page, workspace, run_in, status, says, failed
):
    script = run_in(status)
    screen = open_page(workspace)
    assert says in screen.words
    assert why_blocked(status) in screen.words
    assert "generate" not in screen.keys
    screen.press(f"stop_{script.run.id}")
    assert script.now.status is failed
    assert BADGES[failed][0] in screen.words


def test_progress_is_drawn_as_far_as_it_is(open_page, workspace, run_in):
    script = run_in(S.GENERATING)
    script.lease.begin_generation(["c1", "c2", "c3"])
    script.save("c1", "c2")
    [bar] = open_page(workspace).app.get("progress")
    assert bar.proto.value == 66
    assert "2 of 3 chunks" in bar.proto.text
    assert "2 pairs" in bar.proto.text


def test_what_the_trainer_says_is_drawn(open_page, workspace, run_in):
    script = run_in(S.TRAINING)
    script.lease.note_training("Embedding the questions", 0.25)
    [bar] = open_page(workspace).app.get("progress")
    assert bar.proto.value == 25
    assert "Embedding the questions" in bar.proto.text


def test_the_row_of_a_run_under_way_opens_refreshes_and_stops_it(open_page, workspace, run_in):
    script = run_in(S.GENERATING)
    screen = open_page(workspace)
    assert f"row_stop_{script.run.id}" not in screen.keys
    screen.press(f"toggle_{script.run.id}")
    screen.press(f"refresh_{script.run.id}")
    screen.press(f"row_stop_{script.run.id}")
    assert script.now.status is S.GENERATING_FAILED
    assert script.now.error_message.startswith("Stopped by ")


# Review ----------------------------------------------------------------------------------------


TO_REVIEW = Selection(Review.TO_REVIEW)


def pairs_of(workspace: Workspace, run_id: str) -> list[TrainingPair]:
    return workspace.pairs.page(run_id, limit=100)


@pytest.fixture
def in_review(workspace) -> TrainingRun:
    """A run whose questions were written for real."""
    workspace.runs.generate(1)
    run = until(workspace, is_over)
    assert run.status is S.GENERATED, run.error_message
    return run


def pair_of(workspace: Workspace, pair: TrainingPair) -> TrainingPair:
    return workspace.pairs.some(pair.training_run_id, [pair.id])[0]


def text_of(pair: TrainingPair) -> str:
    return next(text for text in DOCUMENTS.values() if text.startswith(pair.chunk_preview[:20]))


def shown(screen: Screen) -> list[str]:
    """The ids of the pairs on the page, from the top."""
    keys = [button.key for button in screen.app.button]
    return [key.removeprefix("keep_") for key in keys if key.startswith("keep_") and "-" in key]


def keys_of(screen: Screen) -> dict[str, str]:
    """What each key of the keyboard presses."""
    buttons = {button.proto.shortcut: button.key for button in screen.app.button}
    return {shortcut: key for shortcut, key in buttons.items() if shortcut}


def test_pairs_are_shown_beside_their_chunks_to_review(open_page, workspace, in_review):
    screen = open_page(workspace)
    pairs = pairs_of(workspace, in_review.id)
    assert f"{len(pairs)} pairs" in screen.words
    assert set(shown(screen)) == {pair.id for pair in pairs}
    for pair in pairs:
        assert plain(pair.question_text) in screen.words
        start, end = answering_sentence(pair.question_text, text_of(pair))
        assert f":yellow-background[{plain(text_of(pair)[start:end])}]" in screen.words
    assert f"Reviewed **0 of {len(pairs)}**" in screen.words
    assert f"Training uses the {len(pairs)} others as is" in screen.words
    assert "start_training" in screen.keys
    assert why_blocked(S.GENERATED) in screen.words


def test_a_question_is_corrected_where_it_stands(open_page, workspace, in_review):
    screen = open_page(workspace)
    [pair] = workspace.pairs.some(in_review.id, shown(screen)[:1])
    screen.press(f"edit_{pair.id}")
    screen.app.text_area(key=f"question_{pair.id}").set_value("  Who  pays? ")
    screen.press(f"save_{pair.id}")
    saved = pair_of(workspace, pair)
    assert (saved.question_text, saved.review) == ("Who pays?", Review.KEPT)
    assert f"edited from: {plain(pair.question_text)}" in screen.words
    assert ":green[Saved" in screen.words


def test_an_emptied_question_is_refused_beside_its_field_where_the_kept_one_stands_again(
    open_page, workspace, in_review
):
    screen = open_page(workspace)
    [pair] = workspace.pairs.some(in_review.id, shown(screen)[:1])
    screen.press(f"edit_{pair.id}")
    screen.app.text_area(key=f"question_{pair.id}").set_value(" ")
    screen.press(f"save_{pair.id}")
    assert pair_of(workspace, pair) == pair
    assert ":red[A question cannot be empty" in screen.words
    assert screen.app.text_area(key=f"question_{pair.id}").value == pair.question_text
    screen.press(f"leave_{pair.id}")
    assert not screen.app.text_area


def test_a_whole_review_is_a_matter_of_keys(open_page, workspace, in_review):
    screen = open_page(workspace)
    first, second, third = shown(screen)
    keys = keys_of(screen)
    assert keys == {
        "k": f"keep_{first}", "d": f"drop_{first}", "e": f"edit_{first}", "n": "review_next",
        "b": "review_back", "u": "review_undo", "a": "keep_page", "x": "drop_page",
    }  # fmt: skip
    screen.press(keys["k"])
    screen.press(keys_of(screen)["d"])
    decided = workspace.pairs.some(in_review.id, [first, second, third])
    assert [pair.review for pair in decided] == [Review.KEPT, Review.DROPPED, Review.TO_REVIEW]
    assert "Reviewed **2 of 3**: 1 kept (0 edited), 1 dropped." in screen.words
    assert f"**{in_review.pair_count - 1} pairs**" in screen.words
    assert keys_of(screen)["d"] == f"drop_{third}"

    screen.press(keys_of(screen)["u"])
    assert workspace.pairs.some(in_review.id, [second])[0].review is Review.TO_REVIEW
    assert keys_of(screen)["d"] == f"drop_{second}"
    screen.press(keys_of(screen)["n"])
    assert keys_of(screen)["d"] == f"drop_{third}"
    screen.press(keys_of(screen)["b"])
    assert keys_of(screen)["d"] == f"drop_{second}"

    screen.press(keys_of(screen)["a"])
    assert "Kept 2 pairs" in screen.words
    assert "All pairs are reviewed. Start training." in screen.words
    screen.press(keys_of(screen)["u"])
    assert "Reviewed **1 of 3**" in screen.words


def test_a_dropped_page_comes_back_with_undo(open_page, workspace, in_review):
    screen = open_page(workspace).press("drop_page")
    assert workspace.runs.get(in_review.id).pair_count == 0
    assert "start_training" not in screen.keys
    screen.press("review_undo")
    assert workspace.runs.get(in_review.id).pair_count == in_review.pair_count
    assert "start_training" in screen.draw().keys


def test_two_tabs_do_not_overwrite_each_other(open_page, workspace, in_review):
    here, there = open_page(workspace), open_page(workspace)
    [pair] = workspace.pairs.some(in_review.id, shown(here)[:1])
    here.press(f"edit_{pair.id}")
    here.app.text_area(key=f"question_{pair.id}").set_value("Who pays?")
    here.press(f"save_{pair.id}")

    there.press(f"drop_{pair.id}")
    assert pair_of(workspace, pair).question_text == "Who pays?"
    assert pair_of(workspace, pair).review is Review.KEPT
    assert ":red[Somebody else decided about this pair meanwhile" in there.words
    here.press(f"drop_{pair.id}")
    there.press("drop_page")
    assert "Dropped 2 pairs" in there.words


def test_a_key_pressed_twice_before_the_next_pair_is_drawn_decides_once(workspace, in_review):
    desk = Desk(workspace, in_review.id)
    desk.show(TO_REVIEW)
    first, second, third = desk.pairs
    desk.decide(first, Review.KEPT)
    desk.decide(first, Review.DROPPED)
    assert (desk.said.text, desk.current) == ("Kept.", second.id)
    assert pair_of(workspace, first).review is Review.KEPT
    assert pair_of(workspace, second).review is Review.TO_REVIEW

    desk.undo()
    desk.show(TO_REVIEW)
    desk.decide(second, Review.KEPT)
    desk.show(TO_REVIEW)
    desk.decide(first, Review.KEPT)
    assert desk.current == third.id, "the second is decided about"


def test_after_undo_the_next_page_is_the_next_page(workspace, in_review):
    chunk_id = pairs_of(workspace, in_review.id)[0].chunk_id
    lines = [{"question_text": f"Who asked {n}?", "chunk_id": chunk_id} for n in range(30)]
    workspace.pairs.add_file(in_review.id, "p.jsonl", "\n".join(map(json.dumps, lines)).encode())
    desk, everything = Desk(workspace, in_review.id), Selection()
    order = [pair.id for pair in pairs_of(workspace, in_review.id)]
    desk.show(everything)
    for _ in range(2):
        desk.decide_all(desk.pairs, Review.KEPT)
        desk.show(everything)
    assert desk.ids == order[20:30]
    for page in (order[10:20], order[:10]):
        desk.undo()
        desk.show(everything)
        assert desk.ids == page
    desk.turn(1)
    desk.show(everything)
    assert desk.ids == order[10:20]


def test_dropped_pairs_are_seen_again_and_kept(open_page, workspace, in_review):
    screen = open_page(workspace)
    first = shown(screen)[0]
    screen.press(f"drop_{first}")
    screen.app.selectbox(key="pair_filter").set_value("dropped")
    assert shown(screen.draw()) == [first]
    screen.press(f"keep_{first}")
    assert "Reviewed **1 of 3**: 1 kept" in screen.words


def test_pairs_are_found_by_their_words(open_page, workspace, in_review):
    pairs = pairs_of(workspace, in_review.id)
    word = pairs[0].question_text.rstrip("?").split()[-1]
    expected = {p.id for p in pairs if word.casefold() in p.question_text.casefold()}
    screen = open_page(workspace)
    screen.app.text_input(key="pair_search").set_value(word)
    screen.draw()
    assert set(shown(screen)) == expected
    screen.app.text_input(key="pair_search").set_value("no such words")
    assert "No question has these words" in screen.draw().words


def test_a_run_in_review_may_be_discarded_and_is_kept_as_failed(open_page, workspace, in_review):
    screen = open_page(workspace).press("discard_run")
    run = workspace.runs.get(in_review.id)
    assert (run.status, run.pair_count) == (S.GENERATING_FAILED, in_review.pair_count)
    assert BADGES[S.GENERATING_FAILED][0] in screen.words


# Results ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(studio) -> Workspace:
    """A person who generated and trained on the sample, through the services."""
    user = studio.accounts.sign_up(f"{uuid4().hex}@example.com", "a long password")
    workspace = Workspace(studio, user)
    workspace.documents.add(sample_documents())
    workspace.runs.generate(2)
    run = until(workspace, is_over)
    assert run.status is S.GENERATED, run.error_message
    workspace.runs.train(run.id)
    run = until(workspace, is_over)
    assert run.status is S.COMPLETED, run.error_message
    return workspace


def test_results_say_what_was_measured_and_on_what(open_page, trained):
    run = trained.runs.page(limit=1)[0][0]
    screen = open_page(trained)
    assert f"Trained on {run.metrics['trained_questions']:,} questions" in screen.words
    tabs = [tab.label for tab in screen.app.tabs]
    assert any("hand-written" in label.lower() for label in tabs)
    first = headline(measured_sets(run.metrics))
    assert first.is_by_people
    for when in ("before", "after"):
        assert f"{100 * first.figures[when]['recall@10']:.1f}%" in screen.words
    assert BADGES[S.COMPLETED][0] in screen.words
    assert "generate" in screen.keys  # a result blocks no new run


def test_a_trained_model_can_be_downloaded(open_page, trained):
    buttons = [button.proto.label for button in open_page(trained).app.get("download_button")]
    assert "Download the model" in buttons


def test_a_model_of_deeplake_cloud_cannot_be_downloaded_and_the_page_says_why(
    open_page, workspace, run_in
):
    run_in(S.TRAINING).lease.finish_training({"trainer": "cloud"}, activate=False)
    screen = open_page(workspace)
    assert "Its model cannot be downloaded. DeepLake Cloud keeps the models" in screen.words
    buttons = [button.proto.label for button in screen.app.get("download_button")]
    assert "Download the model" not in buttons


def test_a_model_is_put_to_use_and_out_of_it(open_page, trained):
    run = trained.runs.page(limit=1)[0][0]
    trained.models.use(run.id)
    screen = open_page(trained)
    switch = screen.app.toggle(key="deep_memory_enabled")
    assert (switch.value, switch.disabled) == (True, False)
    assert "use_model" not in screen.keys
    switch.set_value(False)
    screen.draw()
    assert not trained.models.state().settings.enabled
    screen.press("switch_on")
    assert trained.models.state().settings.enabled
    assert screen.app.toggle(key="deep_memory_enabled").value


def test_a_result_whose_model_file_is_gone_says_so(open_page, workspace, run_in):
    run_in(S.COMPLETED)
    screen = open_page(workspace)
    assert "There are no figures for this run" in screen.words  # of this one that tests completed
    assert "use_model" not in screen.keys


# After a failure -------------------------------------------------------------------------------

FAILED = [S.GENERATING_FAILED, S.TRAINING_FAILED]


@pytest.mark.parametrize("status", FAILED)
def test_a_failed_run_blocks_says_why_and_offers_to_go_on_or_remove(
    open_page, workspace, run_in, status
):
    script = run_in(status)
    screen = open_page(workspace)
    assert why_blocked(status) in screen.words
    assert "generate" not in screen.keys
    screen.press("show_blocking_run")
    assert plain(script.now.error_message) in screen.words
    assert "2 pairs" in screen.words
    assert {f"proceed_{script.run.id}", f"remove_{script.run.id}"} <= screen.keys


@pytest.mark.parametrize("status", FAILED)
def test_proceed_goes_on_with_the_phase_that_failed(open_page, workspace, run_in, status):
    script = run_in(status)
    attempt = script.now.attempt
    screen = open_page(workspace, **{EXPANDED_RUN: script.run.id})
    screen.press(f"proceed_{script.run.id}")
    run = until(workspace, is_over)
    assert run.attempt == attempt + 1
    expected = S.GENERATED if status is S.GENERATING_FAILED else S.TRAINING_FAILED
    assert run.status is expected  # these pairs are about no document: training says so
    screen.draw()
    assert BADGES[expected][0] in screen.words


@pytest.mark.parametrize("status", FAILED)
def test_a_failed_run_is_removed_after_a_question_that_names_what_goes(
    open_page, workspace, run_in, status
):
    script = run_in(status)
    screen = open_page(workspace, **{EXPANDED_RUN: script.run.id})
    screen.press(f"remove_{script.run.id}")
    assert "2 pairs" in screen.words
    assert script.now.status is status  # nothing went yet
    screen.press("confirm_remove")
    with pytest.raises(NotFound):
        assert script.now
    screen.draw()
    assert "No runs yet" in screen.words
    assert "generate" in screen.keys


def test_a_run_that_another_tab_removed_is_gone_at_the_next_press(open_page, workspace, run_in):
    script = run_in(S.GENERATING_FAILED)
    screen = open_page(workspace, **{EXPANDED_RUN: script.run.id})
    script.store.remove(script.run.id)
    screen.press(f"proceed_{script.run.id}")
    assert "No runs yet" in screen.words
    assert "generate" in screen.keys


# History ---------------------------------------------------------------------------------------


def test_the_history_is_filtered_by_status(open_page, workspace, run_in):
    completed, failed = run_in(S.COMPLETED), run_in(S.GENERATING_FAILED)
    screen = open_page(workspace)
    rows = {f"toggle_{completed.run.id}", f"toggle_{failed.run.id}"}
    assert rows <= screen.keys
    screen.app.selectbox(key="history_status").set_value(S.COMPLETED)
    assert screen.draw().keys & rows == {f"toggle_{completed.run.id}"}
    screen.app.selectbox(key="history_status").set_value(S.TRAINING)
    assert "No run has this status" in screen.draw().words


def test_nobody_sees_the_runs_of_another(open_page, run_in, studio, new_user):
    script = run_in(S.GENERATING_FAILED)
    screen = open_page(Workspace(studio, new_user()), **{EXPANDED_RUN: script.run.id})
    assert "No runs yet" in screen.words
    assert not any(script.run.id in key for key in screen.keys)
