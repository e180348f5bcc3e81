"""Which set of questions makes the headline: the best kind there is."""

from __future__ import annotations

from services.deep_memory.measured_sets import HELD_OUT, headline, measured_sets
from services.deep_memory.test_sets import FROM_SEARCHES, SAMPLE_TEST_SET


def metrics(**sets: int) -> dict:
    return {
        "verdict": "better",
        "held_out_questions": 144,
        "test_sets": [
            {"name": name.replace("_", " "), "questions": count} for name, count in sets.items()
        ],
    }


def names(found: dict) -> list[str]:
    return [one.name for one in measured_sets(found)]


def test_peoples_own_come_first_then_the_samples_then_the_held_out_ones():
    found = metrics(few=30, many=90) | {}
    found["test_sets"].insert(0, {"name": SAMPLE_TEST_SET, "questions": 127})
    found["test_sets"].append({"name": FROM_SEARCHES, "questions": 40})
    assert names(found) == ["many", FROM_SEARCHES, "few", SAMPLE_TEST_SET, HELD_OUT]
    assert headline(measured_sets(found)).name == "many"


def test_a_set_of_a_few_questions_makes_no_headline():
    assert headline(measured_sets(metrics(few=19))).name == HELD_OUT
    assert headline(measured_sets(metrics(few=19, enough=20))).name == "enough"


def test_where_nothing_is_enough_the_held_out_questions_say_so():
    found = headline(measured_sets(metrics(few=19) | {"held_out_questions": 1}))
    assert (found.name, found.is_enough) == (HELD_OUT, False)


def test_a_run_that_was_not_measured_has_no_sets():
    assert measured_sets({}) == []


def test_a_run_of_an_earlier_version_has_its_held_out_questions():
    found = metrics()
    del found["test_sets"]
    assert names(found) == [HELD_OUT]


def test_held_out_questions_are_peoples_only_where_people_brought_all_of_them():
    [brought] = measured_sets(metrics() | {"held_out_imported": 144})
    assert (brought.is_by_people, brought.described) == (
        True,
        "144 held-out questions that people brought",
    )
    [mixed] = measured_sets(metrics() | {"held_out_imported": 40})
    assert (mixed.is_by_people, mixed.described) == (
        False,
        "144 held-out questions that the app wrote itself but for 40",
    )


def test_a_single_held_out_question_is_the_apps_unless_it_is_known_to_be_brought():
    [alone] = measured_sets(metrics() | {"held_out_questions": 1})
    assert not alone.is_by_people
