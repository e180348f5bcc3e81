"""A job in DeepLake Cloud is taken for that of a submission only where it may be."""

from __future__ import annotations

from services.deep_memory.cloud_jobs import Submission


def test_the_job_of_a_submission_is_the_one_that_it_names():
    submission = Submission("abc", job_id="job1", known=("job0",))
    assert [submission.may_be(job) for job in ("job0", "job1", "job2")] == [False, True, False]


def test_before_its_id_is_told_it_may_be_any_that_was_not_there_before():
    submission = Submission("abc", known=("job0", "job1"))
    assert [submission.may_be(job) for job in ("job0", "job1", "job2")] == [False, False, True]
