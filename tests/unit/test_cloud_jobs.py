"""A job in DeepLake Cloud is taken for that of a submission only where it may be."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from services.deep_memory.cloud_jobs import Submission, ended_jobs


def test_the_job_of_a_submission_is_the_one_that_it_names():
    submission = Submission("abc", job_id="job1", known=("job0",))
    assert [submission.may_be(job) for job in ("job0", "job1", "job2")] == [False, True, False]


def test_before_its_id_is_told_it_may_be_any_that_was_not_there_before():
    submission = Submission("abc", known=("job0", "job1"))
    assert [submission.may_be(job) for job in ("job0", "job1", "job2")] == [False, False, True]


@pytest.mark.parametrize(
    ("statuses", "ended"),
    [
        (["completed"], {"run": True}),
        (["failed"], {"run": False}),
        (["pending"], {}),
        (["training"], {}),
        (["training", "completed"], {"run": True}),  # of those it may be, one has ended well
        ([], {"run": False}),  # the service no longer knows it
    ],
)
def test_a_job_has_ended_when_it_completed_or_none_that_it_may_be_still_works(statuses, ended):
    jobs = [{"id": f"job{n}", "status": status} for n, status in enumerate(statuses)]
    reader = SimpleNamespace(call=lambda *what, deadline: jobs)
    store = SimpleNamespace(reader=reader, path="hub://acme/kb")
    assert ended_jobs(store, {"run": Submission("abc")}) == ended
