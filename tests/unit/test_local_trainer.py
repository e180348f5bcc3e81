"""The trainer learns what the pairs say, repeats itself, and keeps its models safe."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from services.deep_memory import query_map
from services.deep_memory.evaluation import evaluate_embeddings
from services.deep_memory.local_trainer import (
    TrainerSettings,
    TrainingStopped,
    _Fit,
    _folds,
    _near_duplicates,
    fit_folds,
)
from services.deep_memory.query_map import QueryMap
from services.errors import TrainingError
from services.ranking.context import in_context
from services.ranking.whitening import whitening

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


# The fit, against its definition ----------------------------------------------------------------


def loss(
    matrix: np.ndarray,
    queries: np.ndarray,
    chunks: np.ndarray,
    relevant: list[set[int]],
    never: list[set[int]],
) -> float:
    """InfoNCE of each question, summed: the probability is shared among all that answer it, and
    `never` are no candidates for it."""
    total = 0.0
    for query, answers, left_out in zip(queries, relevant, never, strict=True):
        logits = query @ matrix @ chunks.T / 0.05
        kept = [row for row in range(len(chunks)) if row not in left_out]
        normaliser = logits.max() + np.log(np.exp(logits[kept] - logits.max()).sum())
        total -= sum(logits[row] - normaliser for row in answers) / len(answers)
    return total


def test_the_gradient_is_that_of_the_loss_and_copies_of_an_answer_are_no_negatives() -> None:
    rng = np.random.default_rng(0)
    chunks = normalised(rng.standard_normal((7, 5))).astype(np.float64)
    chunks[6] = chunks[0]
    queries = normalised(rng.standard_normal((3, 5))).astype(np.float64)
    relevant = [{0}, {1, 2}, {3, 6}]
    never = [{6}, set(), {0}]
    fit = _Fit(
        queries,
        chunks,
        [np.array(sorted(found)) for found in relevant],
        _near_duplicates(np.arange(7), chunks),
        np.arange(3),
        np.eye(5) + 0.1 * rng.standard_normal((5, 5)),
        TrainerSettings(),
        rng,
    )
    found = queries.T @ fit._pull_on_queries(queries, np.arange(3))
    for row, column in itertools.product(range(5), range(5)):
        step = np.zeros((5, 5))
        step[row, column] = 1e-5
        above, below = (
            loss(fit.matrix + sign * step, queries, chunks, relevant, never) for sign in (1, -1)
        )
        assert found[row, column] == pytest.approx((above - below) / 2e-5, rel=1e-3, abs=1e-5)


def a_fit(turned, *, start: np.ndarray | None = None, **settings) -> _Fit:
    queries, chunks, relevant = turned
    return _Fit(
        queries,
        chunks,
        [np.array(sorted(found)) for found in relevant],
        {},
        np.arange(200),
        np.eye(WIDTH, dtype=np.float32) if start is None else start,
        TrainerSettings(**settings),
        np.random.default_rng(0),
    )


def test_steps_are_adams(turned) -> None:
    """By the pull to the start alone, whose gradient is known."""
    fit = a_fit(turned, pull_to_start=2.0, learning_rate=0.01)
    fit._pull_on_queries = lambda queries, batch: np.zeros_like(queries)
    offset = np.random.default_rng(1).standard_normal((WIDTH, WIDTH))
    fit.matrix = expected = fit.start + offset
    mean = square = np.zeros_like(offset)
    for step in range(1, 6):
        gradient = 2.0 * (expected - fit.start)
        mean, square = 0.9 * mean + 0.1 * gradient, 0.999 * square + 0.001 * gradient**2
        corrected = mean / (1 - 0.9**step), square / (1 - 0.999**step)
        expected = expected - 0.01 * corrected[0] / (np.sqrt(corrected[1]) + 1e-8)
        fit._step(np.arange(10))
        assert fit.matrix == pytest.approx(expected, abs=1e-6)


def test_the_gradient_of_a_batch_is_the_mean_of_its_questions(turned) -> None:
    fit = a_fit(turned)
    fit._step(np.array([3, 3, 3, 3]))
    once = a_fit(turned)
    once._step(np.array([3]))
    assert fit.mean == pytest.approx(once.mean, abs=1e-5)


def test_training_stops_after_six_epochs_without_gain_and_keeps_the_best_map(turned) -> None:
    fit = a_fit(turned, epochs=40, patience=6, batch_size=100)
    quality = iter([1.0, 2.0, 5.0, 5.0, 4.0, 3.0, 4.0, 5.0, 5.0, *[9.0] * 40])
    maps, seen = [], []

    def step(batch: np.ndarray) -> None:
        fit.matrix = fit.matrix + 1

    def validate(questions: np.ndarray, matrix: np.ndarray) -> tuple[float, float]:
        found = next(quality)
        maps.append(matrix)
        return found, found / 10

    fit._step, fit._validate = step, validate
    best = fit.run(np.arange(5), lambda *progress: seen.append(progress), None)
    assert [epoch for epoch, _ in seen] == [*range(1, 9), 40]  # the second was the best
    assert best is maps[2]
    assert seen[-1] == (40, 0.5)


def test_an_untrained_map_that_is_best_is_kept(turned) -> None:
    fit = a_fit(turned, patience=2)
    fit._validate = lambda questions, matrix: (1.0, 0.1)
    assert np.array_equal(fit.run(np.arange(5), lambda *_: None, None), np.eye(WIDTH))


@pytest.mark.parametrize(
    ("size", "most", "sizes"),
    [(200, 8, [200]), (90, 8, [90, 90, 20]), (90, 2, [90, 90]), (10, 3, [10] * 3)],
)
def test_an_epoch_goes_through_the_questions_once_but_has_so_many_batches_at_most(
    turned, size: int, most: int, sizes: list[int]
) -> None:
    fit = a_fit(turned, batch_size=size, batches_per_epoch=most, epochs=1)
    batches = []
    fit._step = batches.append
    fit.run(np.arange(200, 210), lambda *_: None, None)
    assert [len(batch) for batch in batches] == sizes
    seen = np.concatenate(batches)
    assert len(set(seen.tolist())) == len(seen)
    assert seen.tolist() != sorted(seen)


def test_candidates_are_all_chunks_or_the_answers_among_some_by_chance(turned) -> None:
    answers = np.array([5, 250])
    assert a_fit(turned)._candidates(answers).tolist() == list(range(300))
    assert a_fit(turned, candidates=300)._candidates(answers).tolist() == list(range(300))
    some = a_fit(turned, candidates=50)._candidates(answers)
    assert set(answers) <= set(some.tolist())
    assert some.tolist() == sorted(set(some.tolist()))
    assert 35 <= len(some) <= 52


def test_copies_are_found_whatever_block_they_are_in() -> None:
    chunks = np.eye(1200, dtype=np.float32)
    copies = [3, 511, 512, 700, 1023, 1024, 1199]
    chunks[copies] = chunks[3]
    alike = _near_duplicates(np.arange(1200), chunks)
    assert {row: found.tolist() for row, found in alike.items()} == dict.fromkeys(copies, copies)
    assert _near_duplicates(np.array([1199]), chunks)[1199].tolist() == copies


def test_questions_that_share_their_first_chunk_are_in_one_fold_and_folds_are_even() -> None:
    relevant = [{row // 2, 90} for row in range(60)]
    folds = _folds(relevant, 3, seed=0)
    assert folds[::2].tolist() == folds[1::2].tolist()
    assert np.bincount(folds).tolist() == [20, 20, 20]
    assert set(_folds([{0}, {0}, {1}], 3, seed=0)) == {0, 1}
    assert folds.tolist() != _folds(relevant, 3, seed=1).tolist()


def test_the_map_starts_by_counting_less_what_all_chunks_share() -> None:
    rng = np.random.default_rng(0)
    chunks = normalised(rng.standard_normal((400, WIDTH)) + 2 * np.eye(WIDTH)[0])
    start = whitening(chunks)
    moment = chunks.T @ chunks / 400
    ridge = 0.5 + 4 * WIDTH / 400
    whitened = start @ (moment * WIDTH / np.trace(moment) + ridge * np.eye(WIDTH)) @ start
    assert whitened == pytest.approx(np.eye(WIDTH) * whitened[0, 0], abs=1e-4)
    assert np.linalg.eigvalsh(start).mean() == pytest.approx(1, abs=1e-5)
    assert start[0, 0] < start[1, 1]


def test_with_few_chunks_the_map_starts_near_to_leaving_queries_as_they_are() -> None:
    few, many = (
        normalised(np.random.default_rng(0).standard_normal((count, WIDTH)) + 1)
        for count in (6, 2000)
    )
    away = [np.abs(whitening(chunks) - np.eye(WIDTH)).max() for chunks in (few, many)]
    assert away[0] < away[1]


def test_progress_counts_the_epochs_of_all_folds(turned) -> None:
    queries, chunks, relevant = turned
    seen: list[tuple[int, int]] = []
    settings = TrainerSettings(epochs=2, folds=3)
    fit_folds(
        queries,
        chunks,
        relevant,
        settings=settings,
        on_progress=lambda done, last, _: seen.append((done, last)),
    )
    assert seen == [(done, 6) for done in (1, 2, 2, 3, 4, 4, 5, 6, 6)]


def test_each_map_is_fitted_to_the_other_folds_and_validated_on_its_own(
    turned, monkeypatch
) -> None:
    queries, chunks, relevant = turned
    trained, validated = [], []

    def run(self, validation, report, should_stop) -> np.ndarray:
        trained.append(set(self.train.tolist()))
        validated.append(validation.tolist())
        return np.full((WIDTH, WIDTH), len(trained), np.float32)

    monkeypatch.setattr(_Fit, "run", run)
    fit = fit_folds(queries, chunks, relevant, settings=TrainerSettings(validation_questions=50))
    for fold in range(3):
        own = set(np.flatnonzero(fit.fold_of == fold).tolist())
        assert trained[fold] == set(range(300)) - own
        assert len(validated[fold]) == 50
        assert set(validated[fold]) < own
    assert (fit.averaged() == 2).all()
    assert fit.averaged().dtype == np.float32


@pytest.mark.parametrize(
    ("relevant", "width"),
    [([{0}] * 7, WIDTH), ([{0}] * 8, WIDTH + 1), ([set()] + [{0}] * 7, WIDTH)],
)
def test_pairs_that_do_not_fit_the_chunks_are_refused(turned, relevant, width: int) -> None:
    queries = normalised(np.ones((8, width)))
    with pytest.raises(TrainingError, match="do not fit"):
        fit_folds(queries, turned[1], relevant)


def test_four_questions_are_enough(turned) -> None:
    queries, chunks, relevant = turned
    few = TrainerSettings(epochs=1)
    assert len(fit_folds(queries[:4], chunks, relevant[:4], settings=few).matrices) == 3


def test_chunks_that_are_not_numbers_are_refused(turned) -> None:
    queries, chunks, relevant = turned
    broken = chunks.copy()
    broken[0, 0] = np.inf
    with pytest.raises(TrainingError, match="not numbers"):
        fit_folds(queries, broken, relevant)


# The context of a chunk --------------------------------------------------------------------------


@pytest.mark.parametrize("length", [1, 2, 3, 9, 25])
def test_a_chunk_in_its_context_is_itself_and_the_weighted_mean_of_its_neighbours(
    length: int,
) -> None:
    chunks = normalised(np.random.default_rng(length).standard_normal((length + 2, WIDTH)))
    documents = ["before", *["d"] * length, "after"]
    found = in_context(chunks, documents)
    for row in range(1, length + 1):
        near = [o for o in range(1, length + 1) if abs(o - row) <= 8]
        weights = np.exp(-np.abs(np.array(near) - row) / 2)
        expected = chunks[row] + weights @ chunks[near] / weights.sum()
        assert found[row] == pytest.approx(expected / np.linalg.norm(expected), abs=1e-5)
    assert found[[0, -1]] == pytest.approx(chunks[[0, -1]], abs=1e-6)


def test_a_chunk_without_a_vector_stays_without_one() -> None:
    assert not in_context(np.zeros((1, WIDTH)), ["d"]).any()


def test_a_disk_that_is_full_is_told_and_leaves_the_old_model_and_no_part_of_the_new(
    trained: QueryMap, tmp_path: Path, monkeypatch
) -> None:
    path = tmp_path / "run.npz"
    trained.save(path)
    before = path.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("services.deep_memory.query_map.os.fsync", full)
    with pytest.raises(TrainingError, match=r"can ?not be written"):
        replace(trained, seed=9).save(path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["run.npz"]


@pytest.mark.parametrize(
    "change",
    [
        {"format": "another"},
        {"version": 2},
        {"width": WIDTH + 1},
        {"settings": 3},
        {"seed": "none"},
    ],
)
def test_a_file_that_describes_another_model_is_refused(
    trained: QueryMap, tmp_path: Path, change: dict
) -> None:
    path = tmp_path / "run.npz"
    trained.save(path)
    with np.load(path) as stored:
        matrix, about = stored["matrix"], json.loads(str(stored["about"]))
    np.savez(path, matrix=matrix, about=np.array(json.dumps(about | change)))
    with pytest.raises(TrainingError):
        QueryMap.load(path)
    np.savez(path, matrix=matrix * np.nan, about=np.array(json.dumps(about)))
    with pytest.raises(TrainingError):
        QueryMap.load(path)


def test_one_query_alone_is_no_list_of_queries(trained: QueryMap) -> None:
    with pytest.raises(TrainingError, match=f"width {WIDTH}"):
        trained.apply(np.ones(WIDTH, np.float32))


def test_a_model_is_written_into_a_folder_that_is_made_and_over_an_older_one(
    trained: QueryMap, tmp_path: Path
) -> None:
    path = tmp_path / "stores" / "models" / "run.npz"
    for seed in (1, 2):
        replace(trained, seed=seed).save(path)
        assert QueryMap.load(path).seed == seed
