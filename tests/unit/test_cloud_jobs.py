"""What is remembered of a job in DeepLake Cloud is read as it was written."""

from __future__ import annotations

import pytest

from services.deep_memory.cloud_jobs import Submission, job_id_in


@pytest.mark.parametrize(
    "submission",
    [
        Submission("abc", job_id="job1"),
        Submission("abc", known=("job1", "job2")),
        Submission("abc", known=("job1",)),
    ],
)
def test_a_submission_is_read_as_it_was_written(submission):
    assert Submission.read(str(submission)) == submission
    assert job_id_in(str(submission)) == submission.job_id


def test_before_anything_was_submitted_there_is_no_job():
    assert job_id_in(None) is None
    first = Submission.read(str(Submission("abc")))
    assert (first.questions, first.job_id) == ("abc", None)
    assert "job1" not in first.known
