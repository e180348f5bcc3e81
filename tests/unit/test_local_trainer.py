"""The trainer learns what the pairs say, repeats itself, and keeps its models safe."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from services.pairs.offline_writer import OfflineQuestionWriter

from services.deep_memory import query_map
from services.deep_memory.evaluation import evaluate_blocks, evaluate_embeddings
from services.deep_memory.hybrid import DeepMemoryModel, SearchIndex, in_context, train_hybrid
from services.deep_memory.lexical import LexicalIndex
from services.deep_memory.local_trainer import TrainerSettings, TrainingStopped, fit_folds
from services.deep_memory.query_map import QueryMap
from services.errors import TrainingError
from services.knowledge.sample import sample_documents
from services.retrieval.chunking import split_into_chunks
from services.retrieval.embeddings import WordLlamaEmbedder

WIDTH = 24


def normalised(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def turned() -> tuple[np.ndarray, np.ndarray, list[set[int]]]:
    """Questions that lie away from their chunks, all by the same turn: a map can undo it."""
    rng = np.random.default_rng(0)
    chunks = normalised(rng.standard_normal((300, WIDTH)))
    turn = np.linalg.qr(np.eye(WIDTH) + 0.35 * rng.standard_normal((WIDTH, WIDTH)))[0]
    turn *= np.sign(np.diag(turn))
    return normalised(chunks @ turn), chunks, [{row} for row in range(300)]


@pytest.fixture(scope="module")
def trained(turned: tuple[np.ndarray, np.ndarray, list[set[int]]]) -> QueryMap:
    queries, chunks, relevant = turned
    return QueryMap(fit_folds(queries[:200], chunks, relevant[:200]).averaged(), "toy")


def test_training_lifts_recall_on_questions_it_never_saw(turned, trained: QueryMap) -> None:
    queries, chunks, relevant = turned
    before = evaluate_embeddings(queries[200:], chunks, relevant[200:]).as_metrics()
    after = evaluate_embeddings(trained.apply(queries[200:]), chunks, relevant[200:]).as_metrics()
    assert after["recall@10"] > before["recall@10"] + 0.05


def test_the_same_seed_gives_the_same_map_and_another_seed_another(turned) -> None:
    queries, chunks, relevant = turned
    few = TrainerSettings(epochs=3)
    maps = [
        fit_folds(queries, chunks, relevant, seed=seed, settings=few).averaged()
        for seed in (1, 1, 2)
    ]
    assert np.array_equal(maps[0], maps[1])
    assert not np.array_equal(maps[0], maps[2])


def test_pairs_that_teach_nothing_leave_search_as_it_is() -> None:
    chunks = np.eye(WIDTH, dtype=np.float32)
    fit = fit_folds(chunks, chunks, [{row} for row in range(WIDTH)])
    assert np.array_equal(fit.averaged(), np.eye(WIDTH))


def test_many_chunks_are_sampled_and_training_still_gains(turned) -> None:
    queries, chunks, relevant = turned
    sampled = TrainerSettings(candidates=64, batch_size=32)
    fit = fit_folds(queries[:200], chunks, relevant[:200], settings=sampled)
    model = QueryMap(fit.averaged())
    before = evaluate_embeddings(queries[200:], chunks, relevant[200:]).as_metrics()
    after = evaluate_embeddings(model.apply(queries[200:]), chunks, relevant[200:]).as_metrics()
    assert after["ndcg@10"] > before["ndcg@10"]


def test_several_relevant_chunks_and_copies_of_them_can_be_trained_on(turned) -> None:
    queries, chunks, _ = turned
    doubled = np.concatenate([chunks, chunks])
    relevant = [{row, (row + 1) % 300} for row in range(300)]
    fit = fit_folds(queries, doubled, relevant, settings=TrainerSettings(epochs=3))
    assert np.isfinite(fit.matrices).all()


def test_progress_rises_to_its_end(turned) -> None:
    queries, chunks, relevant = turned
    seen: list[tuple[int, int, float]] = []
    fit_folds(
        queries,
        chunks,
        relevant,
        settings=TrainerSettings(epochs=4),
        on_progress=lambda *progress: seen.append(progress),
    )
    done = [epoch for epoch, _, _ in seen]
    assert done == sorted(done)
    assert seen[-1][0] == seen[-1][1]
    assert all(0 <= recall <= 1 for _, _, recall in seen)


def test_training_ends_when_it_is_told_to_stop(turned) -> None:
    queries, chunks, relevant = turned
    asked = iter([False, False, True])
    with pytest.raises(TrainingStopped):
        fit_folds(queries, chunks, relevant, should_stop=lambda: next(asked))


@pytest.mark.parametrize("count", [0, 3])
def test_too_few_pairs_are_refused(turned, count: int) -> None:
    queries, chunks, relevant = turned
    with pytest.raises(TrainingError, match="too few"):
        fit_folds(queries[:count], chunks, relevant[:count])


def test_pairs_that_share_one_chunk_can_still_be_trained_on(turned) -> None:
    queries, chunks, _ = turned
    fit = fit_folds(queries[:8], chunks, [{0}] * 8, settings=TrainerSettings(epochs=2))
    assert np.isfinite(fit.matrices).all()


def test_embeddings_that_are_not_numbers_are_refused(turned) -> None:
    queries, chunks, relevant = turned
    broken = queries.copy()
    broken[0, 0] = np.nan
    with pytest.raises(TrainingError, match="not numbers"):
        fit_folds(broken, chunks, relevant)


def test_questions_of_another_width_are_refused(trained: QueryMap) -> None:
    with pytest.raises(TrainingError, match="width"):
        trained.apply(np.zeros((1, WIDTH + 1), np.float32))


def test_mapped_queries_have_length_one_and_a_zero_stays_zero(trained: QueryMap) -> None:
    mapped = trained.apply(np.stack([np.ones(WIDTH), np.zeros(WIDTH)]))
    assert np.linalg.norm(mapped, axis=1) == pytest.approx([1, 0])
    assert mapped.dtype == np.float32


def test_a_model_is_read_as_it_was_written(trained: QueryMap, tmp_path: Path) -> None:
    path = tmp_path / "models" / "run.npz"
    trained.save(path)
    loaded = QueryMap.load(path)
    assert np.array_equal(loaded.matrix, trained.matrix)
    assert (loaded.embedder, loaded.seed, loaded.settings) == ("toy", 0, trained.settings)
    assert [file.name for file in path.parent.iterdir()] == ["run.npz"]


def test_a_damaged_cut_or_foreign_file_is_refused(trained: QueryMap, tmp_path: Path) -> None:
    path = tmp_path / "run.npz"
    trained.save(path)
    whole = path.read_bytes()
    foreign = tmp_path / "foreign.npz"
    np.savez(foreign, matrix=np.eye(3))
    for content in (b"", b"not a model", whole[: len(whole) // 2], foreign.read_bytes()):
        path.write_bytes(content)
        with pytest.raises(TrainingError, match=r"run\.npz cannot be read"):
            QueryMap.load(path)
    with pytest.raises(TrainingError):
        QueryMap.load(tmp_path / "missing.npz")


def test_a_changed_byte_anywhere_in_a_model_is_noticed(trained: QueryMap, tmp_path: Path) -> None:
    path = tmp_path / "run.npz"
    trained.save(path)
    whole = path.read_bytes()
    for place in range(0, len(whole), max(1, len(whole) // 400)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(TrainingError, match="cannot be read"):
            QueryMap.load(path)
    for end in (len(whole) - 72, len(whole) - 1):
        path.write_bytes(whole[:end])
        with pytest.raises(TrainingError, match="cannot be read"):
            QueryMap.load(path)


def test_a_model_from_before_there_were_checksums_is_read(
    trained: QueryMap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run.npz"
    monkeypatch.setattr(query_map, "FORMAT_VERSION", 1)
    monkeypatch.setattr(query_map, "_sealed", lambda content: content)
    trained.save(path)
    monkeypatch.undo()
    assert np.array_equal(QueryMap.load(path).matrix, trained.matrix)


def test_a_model_without_a_checksum_is_refused_where_the_head_of_its_numbers_is_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """numpy splits that as Python, in a file of more than 4 kB before zip's own sum is known."""
    path = tmp_path / "run.npz"
    monkeypatch.setattr(query_map, "FORMAT_VERSION", 1)
    monkeypatch.setattr(query_map, "_sealed", lambda content: content)
    QueryMap(np.eye(64, dtype=np.float32)).save(path)
    whole = path.read_bytes()
    head = whole.index(b"{'descr'")
    for place in range(head, whole.index(b"\n", head)):
        for byte in b"(}\0\xff":
            if byte != whole[place]:
                path.write_bytes(whole[:place] + bytes([byte]) + whole[place + 1 :])
                with pytest.raises(TrainingError, match="cannot be read"):
                    QueryMap.load(path)


def test_a_model_that_can_not_be_written_leaves_the_old_one(
    trained: QueryMap, tmp_path: Path
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way of a folder")
    with pytest.raises(TrainingError, match="cannot be written"):
        trained.save(blocked / "run.npz")
    assert blocked.read_text() == "in the way of a folder"


def test_a_chunk_alone_in_its_document_keeps_its_vector(turned) -> None:
    _, chunks, _ = turned
    assert in_context(chunks, range(len(chunks))) == pytest.approx(chunks, abs=1e-6)


def test_context_comes_from_the_same_document_and_more_from_near_chunks() -> None:
    chunks = np.eye(4, dtype=np.float32)
    first = in_context(chunks, ["a", "a", "a", "b"])[0]
    assert first[0] > first[1] > first[2] > 0
    assert first[3] == 0


def test_words_are_found_in_another_form_and_unknown_words_score_nothing() -> None:
    index = LexicalIndex(["Days are transferred to the next year.", "The fee is due in May."])
    scores = index.scores(["Can I transfer a day?", "zebra", ""])
    assert scores[0, 0] > scores[0, 1] == 0
    assert not scores[1:].any()


def test_texts_without_any_word_can_be_searched_in_vain() -> None:
    assert not LexicalIndex(["...", "!"]).scores(["anything"]).any()
    assert LexicalIndex([]).scores(["anything"]).shape == (1, 0)


def test_hybrid_finds_what_only_the_words_tell_apart(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    chunks = normalised(rng.standard_normal((60, WIDTH)) + 3)
    texts = [f"The code of part number {row} is part{row}x." for row in range(60)]
    index = SearchIndex.of(chunks, texts, range(60))
    questions = [f"What is part{row}x?" for row in range(60)]
    queries = normalised(rng.standard_normal((60, WIDTH)) + 3)
    relevant = [{row} for row in range(60)]
    model = train_hybrid(queries[:40], questions[:40], index, relevant[:40], embedder="toy")
    model.save(tmp_path / "run.npz")
    loaded = DeepMemoryModel.load(tmp_path / "run.npz")
    scores = loaded.scores(queries[40:], questions[40:], index)
    assert np.array_equal(scores, model.scores(queries[40:], questions[40:], index))
    hybrid = evaluate_blocks(lambda a, b: scores[a:b], 60, relevant[40:]).as_metrics()
    cosine = evaluate_embeddings(queries[40:], chunks, relevant[40:]).as_metrics()
    assert hybrid["recall@10"] > cosine["recall@10"] + 0.3


def test_words_that_alone_tell_chunks_apart_get_more_than_the_usual_weight() -> None:
    rng = np.random.default_rng(0)
    texts = [f"The code of part number {row} is part{row}x." for row in range(300)]
    questions = [f"What is part{row}x?" for row in range(300)]
    index = SearchIndex.of(normalised(rng.standard_normal((300, WIDTH))), texts, range(300))
    queries = normalised(rng.standard_normal((300, WIDTH)))  # say nothing about the chunks

    model = train_hybrid(queries, questions, index, [{row} for row in range(300)])

    assert model.lexical_weight > 0.05


def test_questions_written_by_rule_which_repeat_words_do_not_raise_the_weight_above_it() -> None:
    chunks = [
        chunk
        for name, content in sample_documents()[:15]
        for chunk in split_into_chunks(content.decode(), name, name)
    ]
    asked = [
        (question, row)
        for row, chunk in enumerate(chunks)
        for question in OfflineQuestionWriter().write(chunk, 3).questions
    ]
    texts, embedder = [chunk.text for chunk in chunks], WordLlamaEmbedder()
    index = SearchIndex.of(embedder.embed(texts), texts, [chunk.document for chunk in chunks])
    questions = [question for question, _ in asked]

    model = train_hybrid(embedder.embed(questions), questions, index, [{row} for _, row in asked])

    assert model.lexical_weight == 0.05


def test_a_map_without_a_weight_is_not_a_hybrid_model(trained: QueryMap, tmp_path: Path) -> None:
    trained.save(tmp_path / "run.npz")
    with pytest.raises(TrainingError, match="cannot be read"):
        DeepMemoryModel.load(tmp_path / "run.npz")
