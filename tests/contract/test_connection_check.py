"""The connection test against a strict stand-in."""

from __future__ import annotations

from services.config import Settings
from services.openai_api.connection_check import ConnectionReport, check_connection
from tests.fakes.openai_server import FakeOpenAI, failing, refuse


def settings_for(fake: FakeOpenAI, **changes) -> Settings:
    values = {"openai_api_key": fake.key, "openai_base_url": fake.base_url, **changes}
    return Settings(_env_file=None, **values)


def test_a_connection_that_works_says_how_the_models_answer():
    with FakeOpenAI() as fake:
        report = check_connection(settings_for(fake))
    assert report == ConnectionReport("gpt-4o-mini", "schema", "text-embedding-3-small", 1536, ())


def test_a_server_of_ones_own_is_told_with_its_own_form_and_width():
    with FakeOpenAI(obeys_schemas=False, widths={"nomic-embed-text": 768}) as fake:
        report = check_connection(settings_for(fake, embedding_model="nomic-embed-text"))
    assert (report.answer_form, report.embedding_width, report.problems) == ("json", 768, ())


def test_each_model_that_does_not_answer_is_a_problem_of_its_own():
    with FakeOpenAI() as fake:
        fake.fail(failing(401, "invalid_api_key"), times=2)
        report = check_connection(settings_for(fake))
    assert len(report.problems) == 2
    assert all("refused the key" in problem for problem in report.problems)
    assert (report.answer_form, report.embedding_width) == (None, None)


def test_a_vector_of_another_width_than_the_models_is_a_problem():
    with FakeOpenAI(widths={"text-embedding-3-small": 512}) as fake:
        report = check_connection(settings_for(fake))
    assert len(report.problems) == 1
    assert "width" in report.problems[0]


def test_a_model_that_refuses_the_harmless_passage_is_named():
    with FakeOpenAI() as fake:
        fake.fail(refuse)
        (problem,) = check_connection(settings_for(fake)).problems
    assert "refused" in problem


def test_what_works_without_a_server_is_not_tried():
    with FakeOpenAI() as fake:
        settings = settings_for(fake, question_model="offline", embedding_model="wordllama")
        report = check_connection(settings)
        assert fake.calls() == []
    assert report == ConnectionReport(None, None, None, None, ())
