"""The reranker against a stand-in on loopback: what it is asked, and every way to fail."""

from __future__ import annotations

import logging
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from services.config import Settings, load_settings
from services.errors import ConfigurationError
from services.models import SearchHit
from services.retrieval.reranking import DEPTH, Reranker, RerankerFailed, make_reranker, reranked
from services.retrieval.search import Comparison, rank_changes
from tests.fakes.rerank_server import MODEL, FakeReranker
from tests.fakes.wire import Reply, answer_by_half, hang_up, slow, web_page

QUERY = "who pays harbour dues"
TEXTS = ["soup on fridays", "harbour pilots", "ships pays harbour dues", "dues"]


@pytest.fixture
def fake():
    with FakeReranker() as server:
        yield server


def reranker_of(fake: FakeReranker, within_s: float = 2.0, **changes: str) -> Reranker:
    values = {"url": fake.base_url, "model": MODEL, "key": fake.key, **changes}
    return Reranker(**values, within_s=within_s)


def answering(body: object, status: int = 200):
    return lambda request, answer: Reply(status, body)


def results_of(*pairs: tuple[object, object]):
    return answering({"results": [{"index": i, "relevance_score": s} for i, s in pairs]})


def hits_of(texts: list[str]) -> list[SearchHit]:
    return [
        SearchHit(f"c{place}", "port.txt", text, 1.0 - place / 100, place + 1, ("Port", "Rules"))
        for place, text in enumerate(texts)
    ]


def lists_of(without: list[str], with_: list[str]) -> Comparison:
    before, after = hits_of(without), hits_of(with_)
    return Comparison(before, after, rank_changes(before, after), run_id="r1" if after else None)


def test_scores_come_in_the_order_of_the_texts(fake):
    assert reranker_of(fake).scores(QUERY, TEXTS) == [0, 0.25, 0.75, 0.25]
    [call] = fake.calls()
    assert call.request.json() == {
        "model": MODEL,
        "query": QUERY,
        "documents": TEXTS,
        "top_n": len(TEXTS),
    }


def test_no_texts_are_not_sent(fake):
    assert reranker_of(fake).scores(QUERY, []) == []
    assert fake.calls() == []


def test_settings_make_a_reranker_only_if_they_name_one(fake):
    assert make_reranker(Settings(_env_file=None)) is None
    settings = Settings(
        _env_file=None,
        rerank_url=f"{fake.base_url}/",
        rerank_model=MODEL,
        rerank_api_key=fake.key,
    )
    reranker = make_reranker(settings)
    assert reranker is not None
    assert reranker.scores(QUERY, TEXTS)[2] == 0.75
    assert fake.key not in repr(settings)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"rerank_url": "http://localhost:8000"}, "RERANK_MODEL"),
        ({"rerank_model": MODEL}, "RERANK_URL"),
        ({"rerank_url": "localhost", "rerank_model": MODEL}, "RERANK_URL"),
        ({"rerank_api_key": "sécret"}, "RERANK_API_KEY"),
        ({"rerank_api_key": "two\nlines"}, "RERANK_API_KEY"),
    ],
)
def test_settings_that_cannot_work_are_refused_by_name(values, named):
    with pytest.raises(ConfigurationError, match=named) as refused:
        load_settings(_env_file=None, **values)
    assert not any(secret in str(refused.value) for secret in ("sécret", "two"))


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (answering({"message": "no"}, 401), "refused the key"),
        (answering({"message": "no"}, 404), "no such address"),
        (answering({"message": "slow down"}, 429), "rate limit"),
        (answering({"message": "oh"}, 500), r"status 500"),
        (answering("", 302), r"status 302"),
        (web_page, "one score for each text"),
        (answering("[" * 100_000), "one score for each text"),
        (answering("null"), "one score for each text"),
        (answering([]), "one score for each text"),
        (answering({"results": None}), "one score for each text"),
        (answering({"results": [1, 2, 3, 4]}), "one score for each text"),
        (answering({"results": [{"index": 0}]}), "one score for each text"),
        (results_of((0, 1), (1, 1), (2, 1)), "one score for each text"),
        (results_of((0, 1), (1, 1), (2, 1), (4, 1)), "one score for each text"),
        (results_of((0, 1), (1, 1), (2, 1), (-1, 1)), "one score for each text"),
        (results_of((0, 1), (1, 1), (2, 1), (2, 1)), "one score for each text"),
        (results_of((0, 1), (1, 1), (2, 1), (3, 1), (3, 1)), "one score for each text"),
        (results_of((0, 1), (1, 1), (2, 1), (True, 1)), "one score for each text"),
        (results_of((0, 1), (1, 1), (2, 1), (3.0, 1)), "one score for each text"),
        (results_of((0, 1), (1, 1), (2, 1), ("3", 1)), "one score for each text"),
        (results_of((0, 1), (1, 1), (2, 1), (3, "1")), "one score for each text"),
        (results_of((0, 1), (1, 1), (2, 1), (3, None)), "one score for each text"),
        (results_of((0, 1), (1, 1), (2, 1), (3, float("nan"))), "one score for each text"),
        (results_of((0, 1), (1, 1), (2, 1), (3, float("inf"))), "one score for each text"),
        (results_of((0, 1), (1, 1), (2, 1), (3, 10**400)), "one score for each text"),
        (answering("x" * 4_000_001), "one score for each text"),
    ],
)
def test_an_unusable_answer_is_told_in_words_and_not_asked_for_again(fake, fault, words, caplog):
    caplog.set_level(logging.DEBUG)
    fake.fail(fault)
    with pytest.raises(RerankerFailed, match=words) as failed:
        reranker_of(fake).scores(QUERY, TEXTS)
    assert len(fake.calls()) == 1
    told = f"{failed.value} {failed.value.next_step} {caplog.text}"
    assert not any(secret in told for secret in (fake.key, QUERY, *TEXTS))


def test_a_wrong_key_and_a_wrong_model_are_told_apart(fake):
    with pytest.raises(RerankerFailed, match="refused the key"):
        reranker_of(fake, key="rk-wrong").scores(QUERY, TEXTS)
    with pytest.raises(RerankerFailed, match="does not exist there"):
        reranker_of(fake, model="other").scores(QUERY, TEXTS)


@pytest.mark.parametrize("fault", [hang_up, answer_by_half])
def test_a_connection_that_breaks_is_tried_a_second_time_and_no_third(fake, fault):
    fake.fail(fault)
    assert reranker_of(fake).scores(QUERY, TEXTS)[2] == 0.75
    fake.fail(fault, times=9)
    with pytest.raises(RerankerFailed, match="could not be reached"):
        reranker_of(fake).scores(QUERY, TEXTS)
    assert len(fake.calls()) == 4


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/v1", "http://127.0.0.1:99999/v1"])
def test_a_server_that_is_not_there_is_told(url):
    with pytest.raises(RerankerFailed, match="could not be reached"):
        Reranker(url, MODEL).scores(QUERY, TEXTS)


def test_a_late_answer_is_not_waited_for(fake):
    fake.fail(slow(5.0))
    began = time.monotonic()
    with pytest.raises(RerankerFailed, match=r"within 0\.3 seconds"):
        reranker_of(fake, within_s=0.3).scores(QUERY, TEXTS)
    assert time.monotonic() - began < 2


def test_calls_that_wait_for_a_stuck_server_do_not_wait_longer_than_theirs(fake):
    fake.fail(slow(5.0), times=99)
    reranker = reranker_of(fake, within_s=0.3)

    def seconds(_: int) -> float:
        began = time.monotonic()
        with pytest.raises(RerankerFailed):
            reranker.scores(QUERY, TEXTS)
        return time.monotonic() - began

    with ThreadPoolExecutor(24) as people:
        assert max(people.map(seconds, range(24))) < 2


def test_the_list_in_use_is_ordered_anew_and_the_other_is_not(fake):
    found = reranked(lists_of(TEXTS, TEXTS[::-1]), QUERY, 3, reranker_of(fake), is_of_trained=False)
    assert [hit.text for hit in found.without] == [TEXTS[2], TEXTS[1], TEXTS[3]]
    assert [(hit.rank, hit.score) for hit in found.without] == [(1, 0.75), (2, 0.25), (3, 0.25)]
    assert [hit.text for hit in found.with_] == TEXTS[:0:-1]
    as_searched = lists_of(TEXTS, TEXTS[::-1])  # what the model moved, before the other list was
    assert found.moved == {hit.chunk_id: as_searched.moved[hit.chunk_id] for hit in found.with_}
    assert found.reranking is not None
    assert (found.reranking.model, found.reranking.is_of_trained) == (MODEL, False)
    assert (found.reranking.problem, found.reranking.seconds > 0) == ("", True)
    assert found.run_id == "r1"


def test_the_trained_list_is_ordered_anew_when_search_uses_that_one(fake):
    found = reranked(lists_of(TEXTS, TEXTS), QUERY, 4, reranker_of(fake), is_of_trained=True)
    assert [hit.text for hit in found.without] == TEXTS
    assert [hit.chunk_id for hit in found.with_] == ["c2", "c1", "c3", "c0"]
    assert found.moved == {"c2": 2, "c1": 0, "c3": 1, "c0": -3}


def test_it_reads_the_first_hits_with_their_headings_and_leaves_the_others_behind_them(fake):
    texts = [f"passage {place}" for place in range(DEPTH + 5)]
    texts[DEPTH - 1] = texts[DEPTH + 1] = "harbour dues"
    found = reranked(lists_of(texts, []), f" {QUERY}\n", 40, reranker_of(fake), is_of_trained=False)
    asked = fake.calls()[0].request.json()
    assert (asked["query"], len(asked["documents"])) == (QUERY, DEPTH)
    assert asked["documents"][0] == "Port > Rules\n\npassage 0"
    order = [hit.chunk_id for hit in found.without]
    assert order[0] == f"c{DEPTH - 1}"
    assert order[DEPTH:] == [f"c{place}" for place in range(DEPTH, DEPTH + 5)]
    assert [hit.rank for hit in found.without] == list(range(1, DEPTH + 6))


def test_a_failure_leaves_the_order_and_says_why(fake):
    fake.fail(answering({}, 503))
    before = lists_of(TEXTS, [])
    found = reranked(before, QUERY, 2, reranker_of(fake), is_of_trained=False)
    assert found.without == before.without[:2]
    assert found.reranking is not None
    assert "status 503" in found.reranking.problem
