"""What the screens say of a comparison on the same questions."""

from __future__ import annotations

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from services.deep_memory.evaluation import Evaluation
from services.deep_memory.figures import Questions, Ranked, compared
from services.deep_memory.measured_sets import HELD_OUT
from services.deep_memory.test_sets import FROM_SEARCHES, SAMPLE_TEST_SET
from services.ranking.untrained import Untrained


def said(
    before: list[float],
    after: list[float],
    ndcg_after: float = 1.0,
    measure: str = "recall@10",
    name: str = HELD_OUT,
) -> str:
    """The verdict as the page shows it, on questions with this recall."""

    def card(name: str, figures: dict, measure: str) -> None:
        from pages.ui.verdict import show_verdict
        from services.deep_memory.measured_sets import MeasuredSet

        show_verdict(MeasuredSet(name, len(figures["texts"]), figures), measure)

    count = len(before)
    texts = [f"Question {n}?" for n in range(count)]
    questions = Questions(texts, np.zeros((count, 2)), [{0}] * count, ["chunk"])
    ranked = Ranked({Untrained.COSINE: of(before, 1.0)}, of(after, ndcg_after))
    figures = compared(questions, ranked, np.arange(count))  # each about a document of its own
    page = AppTest.from_function(
        card, args=(name, figures | {"texts": texts}, measure), default_timeout=60
    ).run()
    [box] = [*page.info, *page.success, *page.warning]
    return box.value


def of(recall: list[float], ndcg: float) -> Evaluation:
    values = np.array(recall)
    return Evaluation(dict.fromkeys((1, 3, 5, 10), values), values, values * ndcg)


def test_equal_recall_is_called_no_change_and_never_worse() -> None:
    recall = [1.0] * 35 + [0.0] * 5
    assert said(recall, recall, ndcg_after=0.5) == (
        "**No change of Recall@10.** On 40 held\\-out questions that the app wrote itself (expect "
        "less on your own): 87.5% without Deep Memory, 87.5% with it, a change of +0.0 points, "
        "between +0.0 and +0.0 (95%)."
    )


def test_a_fall_by_chance_is_not_proven_and_says_what_would_settle_it() -> None:
    best, worst = [1.0] * 40, [0.0] * 40
    by_chance = said(best, [*best[1:], 0.0])
    assert by_chance.startswith("**Recall@10: not proven.**")
    assert by_chance.endswith("About 163 more questions like these would settle it.")
    assert said(best, worst).startswith("**Worse Recall@10.**")
    assert said(worst, best).startswith("**Better Recall@10.**")


def test_where_all_was_found_before_there_is_nothing_to_gain() -> None:
    best = [1.0] * 40
    assert said(best, best).startswith("**Nothing to gain: Recall@10 was 100% before.**")


def test_few_questions_are_too_few_to_measure_and_no_figure_is_said() -> None:
    text = said([0.0] * 19, [1.0] * 19)
    assert text.startswith("**Too few to measure.** 19 held")
    assert "%" not in text


def test_the_verdict_is_on_the_measure_that_the_reader_chose() -> None:
    recall = [1.0] * 40
    assert said(recall, recall, 0.5, "ndcg@10").startswith("**Worse nDCG@10.**")


@pytest.mark.parametrize(
    ("name", "who"),
    [
        (SAMPLE_TEST_SET, "On 40 hand\\-written questions of the sample:"),
        (FROM_SEARCHES, "On 40 questions that people searched for:"),
        ("Our own", "On 40 questions of people, “Our own”:"),
    ],
)
def test_who_wrote_the_questions_is_named(name: str, who: str) -> None:
    assert who in said([0.0] * 40, [1.0] * 40, name=name)


def shown(figures: dict) -> AppTest:
    def part(figures: dict) -> None:
        from pages.ui.figures import attribution, figures_of

        figures_of(figures)
        attribution(figures)

    return AppTest.from_function(part, args=(figures,), default_timeout=60).run()


WITHOUT_ANSWER = {
    "questions": 12,
    "answerable_questions": 40,
    "said_so": 0.75,
    "said_so_interval": [0.4677, 0.9111],
    "refused_answerable": 0.05,
    "refused_answerable_interval": [0.0138, 0.165],
}


def shown_without_answer(figures: dict) -> AppTest:
    def part(figures: dict) -> None:
        from pages.ui.unanswerable import without_answer

        without_answer(figures)

    return AppTest.from_function(part, args=(figures,), default_timeout=60).run()


def test_questions_without_an_answer_have_a_measure_of_their_own() -> None:
    page = shown_without_answer({"unanswerable": WITHOUT_ANSWER})
    assert [(one.label, one.value) for one in page.metric] == [
        ("Recognised", "75.0%"),
        ("Wrongly refused", "5.0%"),
    ]
    assert [one.value for one in page.caption] == [
        "Of 12 questions that the documents do not answer; between 46.8% and 91.1% (95%).",
        "Of 40 questions with an answer; between 1.4% and 16.5% (95%).",
    ]


def test_a_model_that_cannot_say_that_nothing_answers_is_told() -> None:
    nothing = dict.fromkeys(WITHOUT_ANSWER) | {"questions": 1, "answerable_questions": 40}
    page = shown_without_answer({"unanswerable": nothing})
    assert not page.metric
    assert "1 question that the documents do not answer" in page.caption[0].value
    assert "Train again" in page.caption[0].value


@pytest.mark.parametrize("figures", [{}, {"unanswerable": None}])
def test_a_set_without_such_questions_shows_nothing_of_them(figures: dict) -> None:
    page = shown_without_answer(figures)
    assert not page.metric and not page.caption and not page.markdown


def test_what_words_context_and_training_bring_is_told_apart() -> None:
    steps = {
        Untrained.COSINE: of([0.2] * 30, 1.0),
        Untrained.COSINE_AND_WORDS: of([0.4] * 30, 1.0),
        Untrained.RANKER: of([0.6] * 30, 1.0),
    }
    questions = Questions(["Who?"] * 30, np.zeros((30, 2)), [{0}] * 30, ["chunk"])
    figures = compared(questions, Ranked(steps, of([0.7] * 30, 1.0)), np.arange(30))
    page = shown({**figures, "questions": 30})
    said = " ".join(element.value for element in [*page.caption, *page.markdown])
    assert "Without Deep Memory: the best search without training." in said
    assert "What each part brings" in said
    [_, *charts] = page.get("arrow_vega_lite_chart") or page.get("vega_lite_chart")
    for chart, measure in zip(charts, ("Recall@1", "Recall@10"), strict=True):
        for name in (measure, "Plain cosine", "+ exact words", "+ context", "+ training"):
            assert name in chart.proto.spec


def test_a_measurement_of_before_there_were_parts_is_against_plain_cosine() -> None:
    metrics = of([0.5] * 30, 1.0).as_metrics()
    page = shown({"questions": 30, "before": metrics, "after": metrics})
    said = " ".join(element.value for element in [*page.caption, *page.markdown])
    assert "Without Deep Memory: plain cosine." in said
    assert "What each part brings" not in said
