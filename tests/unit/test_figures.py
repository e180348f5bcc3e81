"""What the screens say of a comparison on the same questions."""

from __future__ import annotations

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from services.deep_memory.evaluation import Evaluation
from services.deep_memory.measurement import Questions, compared


def said(before: list[float], after: list[float], ndcg_after: float) -> str:
    """The verdict as the page shows it, on questions with this recall."""

    def card(figures: dict) -> None:
        from pages.ui.figures import verdict

        verdict(figures, "held-out questions")

    count = len(before)
    questions = Questions(
        [f"Question {n}?" for n in range(count)], np.zeros((count, 2)), [{0}] * count, ["chunk"]
    )
    figures = compared(
        questions, of(before, 1.0), of(after, ndcg_after), np.arange(count)
    )  # each question about a document of its own
    page = AppTest.from_function(card, args=(figures,), default_timeout=60).run()
    [box] = [*page.info, *page.success, *page.warning]
    return box.value


def of(recall: list[float], ndcg: float) -> Evaluation:
    values = np.array(recall)
    return Evaluation(dict.fromkeys((1, 3, 5, 10), values), values, values * ndcg)


@pytest.mark.parametrize("questions", [8, 40])
def test_equal_recall_is_called_no_change_and_never_worse(questions: int) -> None:
    recall = [1.0] * (questions - questions // 8) + [0.0] * (questions // 8)
    text = said(recall, recall, ndcg_after=0.5)
    assert text == (
        "**No change.** Recall@10 on held-out questions stayed at 87.5%. "
        "The change lies between +0.0 and +0.0 points (95%)."
    )


def test_a_fall_by_chance_is_called_not_proven_and_a_proven_one_worse() -> None:
    best, worst = [1.0] * 40, [0.0] * 40
    assert said(best, [*best[1:], 0.0], ndcg_after=1.0).startswith("**Not proven.**")
    assert said(best, worst, ndcg_after=1.0).startswith("**Worse.**")
    assert said(worst, best, ndcg_after=1.0).startswith("**Better.**")
