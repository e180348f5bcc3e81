"""The ranker learns which signals to trust, and its signals say what their names say."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.postings import Postings
from benchmarks.ranking_signals import NAMES, RankingIndex
from benchmarks.reranker import Reranker, fit_weights, harder, train_reranker
from services.deep_memory.lexical import LexicalIndex, words_of

from benchmarks.chunks import sample_chunks
from services.deep_memory.evaluation import evaluate_blocks
from services.deep_memory.local_trainer import FoldedFit, fit_folds
from services.errors import TrainingError
from services.generation.offline_writer import OfflineQuestionWriter
from services.retrieval.embeddings import WordLlamaEmbedder

TEXTS = [
    "The gateway needs 12 volts. It restarts every night.",
    "Probes are calibrated each year by the laboratory.",
    "A lost card is blocked at once by the front desk.",
    "Holidays that are left over lapse on 30 June.",
]
DOCUMENTS = ["device", "device", "staff", "staff"]
embed = WordLlamaEmbedder().embed


@pytest.fixture(scope="module")
def index() -> RankingIndex:
    return RankingIndex(embed(TEXTS), TEXTS, DOCUMENTS, embed)


def signals_of(index: RankingIndex, text: str) -> dict[str, np.ndarray]:
    found = index.candidates(text, embed([text])[0], np.eye(256, dtype=np.float32))
    assert found.rows.tolist() == [0, 1, 2, 3]
    return dict(zip(NAMES, found.signals.T, strict=True))


def test_postings_score_as_the_index_of_the_app_does() -> None:
    asked = "When do leftover holidays lapse for the front desk?"
    ours = Postings(words_of(TEXTS)).bm25(words_of([asked])[0])
    assert ours == pytest.approx(LexicalIndex(TEXTS).scores([asked])[0], rel=1e-4)


def test_words_that_a_chunk_has_are_covered(index: RankingIndex) -> None:
    found = signals_of(index, "Is a lost card blocked?")
    assert found["covered"].tolist() == pytest.approx([0, 0, 1, 0])
    assert found["best sentence, covered"].tolist() == pytest.approx([0, 0, 1, 0])
    assert found["words found"].tolist() == pytest.approx([0, 0, 1, 0])


def test_neighbours_lend_their_words_within_a_document_only(index: RankingIndex) -> None:
    found = signals_of(index, "Is a lost card blocked?")
    assert found["covered with neighbours"].tolist() == pytest.approx([0, 0, 1, 1])
    assert found["bm25 around"][1] == 0 < found["bm25 around"][3] < found["bm25 around"][2]
    assert found["bm25 of document"][0] == 0 < found["bm25 of document"][3]


def test_numbers_are_compared_as_they_stand(index: RankingIndex) -> None:
    assert signals_of(index, "Why 12 volts?")["numbers found"].tolist() == [1, 0, 0, 0]


def test_a_question_without_any_known_word_is_answered(index: RankingIndex) -> None:
    for text in ("", "?", "the of and", "zzxq"):
        found = index.candidates(text, embed([text])[0], np.eye(256, dtype=np.float32))
        assert np.isfinite(found.signals).all() and len(found.rows) == 4


def test_one_chunk_and_chunks_without_words_can_be_searched() -> None:
    for texts in (["A lost card."], ["...", "", "A lost card."]):
        index = RankingIndex(embed(texts), texts, ["a"] * len(texts), embed)
        ranker = Reranker(index.whitening, np.ones(len(NAMES), np.float32))
        rows, scores = ranker.search("Who lost a card?", embed(["Who lost a card?"])[0], 5, index)
        assert rows[0] == len(texts) - 1 and np.isfinite(scores).all()


def test_weights_go_to_the_signal_that_tells() -> None:
    rng = np.random.default_rng(0)
    signals = rng.standard_normal((400, 3)).astype(np.float32)
    question = np.repeat(np.arange(40), 10)
    gains = np.zeros(400)
    for number in range(40):
        gains[number * 10 + signals[number * 10 : number * 10 + 10, 1].argmax()] = 1
    weights = fit_weights(signals * [1, 100, 1], question, gains) * [1, 100, 1]
    assert weights[1] > 5 * max(abs(weights[0]), abs(weights[2]))


def test_rows_that_do_not_count_change_nothing() -> None:
    rng = np.random.default_rng(1)
    signals = rng.standard_normal((60, 4)).astype(np.float32)
    question, gains = np.repeat(np.arange(6), 10), np.tile([1.0] + [0.0] * 8 + [-1.0], 6)
    as_is = fit_weights(signals, question, gains)
    gains[gains < 0] = 0
    assert np.abs(as_is - fit_weights(signals, question, gains)).max() > 1e-3


def test_equal_scores_keep_the_order_of_the_rows(index: RankingIndex) -> None:
    ranker = Reranker(index.whitening, np.zeros(len(NAMES), np.float32))
    rows, _ = ranker.search("Is a lost card blocked?", embed(["card"])[0], 3, index)
    assert rows.tolist() == [0, 1, 2]


def test_questions_without_a_candidate_are_refused(index: RankingIndex) -> None:
    fit = FoldedFit(index.whitening[None], np.zeros(1, int))
    with pytest.raises(TrainingError):
        train_reranker(embed(["card"]), ["card"], [range(4)], fit, index)


def test_training_beats_the_untrained_mixture_on_questions_of_unseen_documents() -> None:
    """Learned from the written questions of every other document, asked those of the rest."""
    chunks = sample_chunks()
    texts, names = [chunk.in_context for chunk in chunks], [chunk.document for chunk in chunks]
    index = RankingIndex(embed(texts), texts, names, embed)
    writer, order = OfflineQuestionWriter(), sorted(set(names))
    train: list[tuple[str, set[int]]] = []
    test: list[tuple[str, set[int]]] = []
    for row, chunk in enumerate(chunks):
        part = train if order.index(chunk.document) % 2 else test
        part += [(asked, {row}) for asked in writer.write(chunk, 3).questions]
    relevant = [rows for _, rows in train]
    questions = harder([text for text, _ in train], index)
    queries = embed(questions)
    fit = fit_folds(queries, index.context, relevant)
    ranker = train_reranker(queries, questions, relevant, fit, index)
    again = train_reranker(queries, questions, relevant, fit, index)
    assert ranker.weights.tolist() == again.weights.tolist()

    asked = harder([text for text, _ in test], index, seed=1)

    def ndcg(trained: bool) -> float:
        scores = np.full((len(asked), len(texts)), -np.inf)
        for line, text in enumerate(asked):
            found = index.candidates(text, embed([text])[0], ranker.matrix)
            scores[line, found.rows] = ranker.score(found) if trained else found.untrained
        measured = evaluate_blocks(lambda a, b: scores[a:b], len(texts), [r for _, r in test])
        return measured.as_metrics()["ndcg@10"]

    assert ndcg(trained=True) > ndcg(trained=False)


def test_harder_questions_repeat_fewer_words(index: RankingIndex) -> None:
    asked = ["Is a lost card blocked by the front desk?"] * 30
    made = harder(asked, index, seed=3)
    assert made == harder(asked, index, seed=3) != harder(asked, index, seed=4)
    kept = [len(set(words_of([one])[0]) & set(words_of(asked[:1])[0])) for one in made]
    assert np.mean(kept) < 4.5 and max(kept) <= 5
