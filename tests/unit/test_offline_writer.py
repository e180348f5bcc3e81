"""The offline writer asks little, and what it asks is whole, answered by the chunk and specific."""

from __future__ import annotations

import re
import time

import pytest

from services.generation.offline_writer import OfflineQuestionWriter, questions_about
from services.knowledge.sample import sample_documents
from services.models import Chunk
from services.pairs.quality import asks_little, gives_itself_away

WRITER = OfflineQuestionWriter()


def chunk(text: str, heading_path: tuple[str, ...] = ()) -> Chunk:
    return Chunk(
        id="c", document_id="d", document="d.md", position=0, text=text, heading_path=heading_path
    )


def questions(text: str, count: int = 9, heading_path: tuple[str, ...] = ()) -> list[str]:
    return list(WRITER.write(chunk(text, heading_path), count).questions)


def beside_other_text(sentence: str) -> list[str]:
    return questions(f"It has been so for many years, as everybody knows. {sentence}")


@pytest.fixture(scope="module")
def sample_passages() -> list[str]:
    return [
        passage
        for _, content in sample_documents()
        for passage in re.split(r"\n(?=## )", content.decode("utf-8"))
    ]


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("The annual fee is due on 30 June.", "When is the annual fee due?"),
        ("A complaint is transferred within 5 days.", "How soon is a complaint transferred?"),
        ("A complaint is settled within five days.", "How soon is a complaint settled?"),
        (
            "Visitor badges are kept for 30 days at reception.",
            "For how long are visitor badges kept?",
        ),
        (
            "The night gateway stores 400 readings.",
            "How many readings does the night gateway store?",
        ),
        ("Total revenue was $20 million.", "How much was total revenue?"),
        (
            "The rescue device must be recharged because the battery can leak.",
            "Why must the rescue device be recharged?",
        ),
        (
            "Requests for leave are approved by the line manager.",
            "Are requests for leave approved by the line manager?",
        ),
        ("A berth plan is a list of moorings for the harbour.", "What is a berth plan?"),
        ("Ada Berg is the author of the harbour rules.", "Who is Ada Berg?"),
        (
            "Setting StepLimit to 0 disables the pump.",
            "Does setting StepLimit to 0 disable the pump?",
        ),
        (
            "The default size of a berth plan is 40 metres.",
            "What is the default size of a berth plan?",
        ),
        ("Session logs are stored in `/var/log/sessions`.", "Where are session logs stored?"),
        (
            "The `autovacuum` daemon starts after the database has recovered.",
            "When does the autovacuum daemon start?",
        ),
        (
            "By default, the sync daemon copies every mail.",
            "What does the sync daemon copy by default?",
        ),
        (
            "A berth that was booked for a guest must be kept free until noon.",
            "Must a berth that was booked for a guest be kept free?",
        ),
        (
            "Queries sent in a single call are processed in one transaction.",
            "Are queries sent in a single call processed in one transaction?",
        ),
    ],
)
def test_a_statement_is_turned_into_the_question_that_it_answers(
    sentence: str, expected: str
) -> None:
    assert expected in beside_other_text(sentence)


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        (
            "If the harbour basin freezes, the ferries stop.",
            "What happens if the harbour basin freezes?",
        ),
        (
            "If the harbour basin freezes, call the ice breaker.",
            "What should you do if the harbour basin freezes?",
        ),
        (
            "When no berth plan exists for a vessel, the vessel waits.",
            "What happens when no berth plan exists for a vessel?",
        ),
        (
            "If you want to stop the replication, run `pg_ctl stop`.",
            "How can you stop the replication?",
        ),
        ("To see the commit history, run `git log`.", "How do you see the commit history?"),
        ("To rename the billing table:\n\n```\nALTER\n```", "How do you rename the billing table?"),
        (
            "You can change the password policy by editing `pg_hba.conf`.",
            "How can you change the password policy?",
        ),
        ("Use `pg_dump` to copy a whole database.", "How do you copy a whole database?"),
        (
            "Back up the berth plan before you close the harbour.",
            "When should you back up the berth plan?",
        ),
    ],
)
def test_an_instruction_is_turned_into_the_question_of_who_needs_it(
    sentence: str, expected: str
) -> None:
    assert beside_other_text(sentence) == [expected]


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        (
            "`pg_hba.conf` controls which hosts may connect.",
            "What does pg_hba.conf control?",
        ),
        (
            "The `--jobs` option sets the number of threads.",
            "Which option sets the number of threads?",
        ),
        (
            "The __init__ method sets max_connections and foo.bar_baz in one step.",
            "Which method sets max_connections and foo.bar_baz in one step?",
        ),
        (
            "Passwords of git-shell(1) are kept in ~/.config/git-shell/users.d for a while.",
            "Where are passwords of git-shell(1) kept?",
        ),
        (
            "The CamelCase::join() call merges snake_case_names of --all-branches.",
            "Does the CamelCase::join() call merge snake_case_names of --all-branches?",
        ),
        (
            "The *new* mooring list is printed by `lpr -P quay` on **demand** _alone_.",
            "Is the new mooring list printed by lpr -P quay on demand alone?",
        ),
    ],
)
def test_identifiers_stay_as_they_are_written(sentence: str, expected: str) -> None:
    assert expected in beside_other_text(sentence)


@pytest.mark.parametrize(
    ("text", "heading_path", "expected"),
    [
        (
            "### `max_connections` (integer)\n\nDetermines the maximum number of connections to "
            "the database server.\nThe default is 100.",
            (),
            ["What does max_connections determine?", "What is the default of max_connections?"],
        ),
        (
            "-p, --patch\n:   Generate patch text for each commit that is shown.",
            ("git-log(1)", "Options"),
            ["What does the --patch option of git-log(1) do?"],
        ),
        (
            "```\nx = isrow (y)\n```\n\nReturn true if y is a row vector of the workspace.",
            ("Matrices",),
            ["What does isrow do?"],
        ),
        (
            "Some words about the matter at hand, which say nothing.\n\n"
            "Return true if y is a row vector of the workspace.",
            (),
            [],
        ),
    ],
)
def test_a_description_is_asked_about_by_what_it_describes(
    text: str, heading_path: tuple[str, ...], expected: list[str]
) -> None:
    assert questions(text, heading_path=heading_path) == expected


@pytest.mark.parametrize(
    "sentence",
    [
        "It was returned to the supplier in May because of the weather.",  # what was?
        "They have approved the new harbour plan of the northern district.",
        "This option sets the number of harbour threads.",
        "The command prints the list.",  # every manual has one
        "The value is 5.",
        "Fcn returns a result in either of two formats.",  # an argument's name
        "See Chapter 42 for the moorings of the harbour.",
        "To see the moorings of the harbour, see Chapter 42.",
        "Figure 3: The moorings of the northern harbour are shown.",
        "Note: moorings = harbour { north }; the quay is closed.",
        "The moorings of the northern harbour are",  # cut off
        "of the northern harbour are closed in winter by the harbour master.",
        "Emergency exits, fire doors and alarm buttons of the northern harbour.",
        "Some northern harbours are closed in winter by the harbour master.",
        "Otherwise, the northern harbour is closed by the harbour master.",
        "| northern harbour | is closed by | the harbour master |",
        "A longer mooring line puts too much strain on the harbour wall.",  # than which?
    ],
)
def test_what_nobody_could_ask_is_not_asked(sentence: str) -> None:
    written = WRITER.write(chunk(f"It has been so for many years.\n\n{sentence}"), 3)
    assert written.questions == ()
    assert written.problem


def test_the_statement_that_holds_only_under_a_condition_is_not_asked_about_without_it() -> None:
    text = "If the harbour basin freezes, the northern ferries are moored at the southern quay."
    assert questions(text) == ["What happens if the harbour basin freezes?"]


def test_a_list_is_not_cut_in_the_middle() -> None:
    asked = questions("The harbour master owns northern moorings, buoys and both cranes of steel.")
    assert not any("moorings" in question and "buoys" not in question for question in asked)


def test_names_keep_their_capitals_and_other_words_lose_them() -> None:
    text = "Octave plots harbour maps on demand for Octave users. Fines are paid by the driver."
    asked = questions(f"{text} The people of Octave like it.")
    assert any(" Octave " in question for question in asked)
    assert "Are fines paid by the driver?" in asked


def test_no_more_questions_than_asked_for_and_none_twice(sample_passages: list[str]) -> None:
    for passage in sample_passages:
        for count in (0, 1, 3):
            written = WRITER.write(chunk(passage), count).questions
            assert len(written) <= count
            assert len({question.lower() for question in written}) == len(written)


def test_a_question_less_than_asked_for_is_no_problem_but_none_at_all_is_one() -> None:
    one = WRITER.write(chunk("The annual fee is due on 30 June each and every year."), 3)
    assert (one.questions, one.problem) == (("When is the annual fee due?",), None)
    none = WRITER.write(chunk("These are the many things that one has to say about it all."), 3)
    assert (none.questions, none.problem) == ((), "nothing clear to ask")
    short = WRITER.write(chunk("## Heading only"), 3)
    assert (short.questions, short.problem) == ((), "too little running text")


def test_most_passages_of_the_sample_are_asked_about(sample_passages: list[str]) -> None:
    asked = [len(WRITER.write(chunk(passage), 3).questions) for passage in sample_passages]
    assert sum(count > 0 for count in asked) / len(asked) > 0.5
    assert sum(asked) / len(asked) > 0.8


def test_questions_read_as_questions_and_none_is_a_filler(sample_passages: list[str]) -> None:
    for passage in sample_passages:
        for question in WRITER.write(chunk(passage), 3).questions:
            assert re.fullmatch(r"[A-Z0-9][^|#*\n?]+\?", question), question
            assert 4 <= len(question.split()) <= 22
            assert not gives_itself_away(question)
            assert not asks_little(question)


def test_questions_use_the_words_of_their_chunk(sample_passages: list[str]) -> None:
    for passage in sample_passages:
        known = set(re.findall(r"\w{4,}", passage.lower()))
        for question in WRITER.write(chunk(passage), 3).questions:
            assert len(known & set(re.findall(r"\w{4,}", question.lower()))) >= 1, question


def test_the_same_chunk_gives_the_same_questions(sample_passages: list[str]) -> None:
    again = OfflineQuestionWriter()
    for passage in sample_passages[:40]:
        assert WRITER.write(chunk(passage), 5) == again.write(chunk(passage), 5)


def test_kinds_and_sentences_take_turns_the_best_first() -> None:
    text = (
        "The harbour master assigns a berth to each vessel within 2 hours. "
        "Coal tankers are kept at the southern quay. "
        "To leave the northern harbour, call the harbour master."
    )
    assert questions(text, 3) == [
        "How soon does the harbour master assign a berth to each vessel?",
        "How do you leave the northern harbour?",
        "Where are coal tankers kept?",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   \n",
        "Yes.",
        "| a | b |\n|---|---|\n| 1 | 2 |",
        "1 2 3\n4 5 6\n" * 20,
        "\u0000\ufffd\u200b" * 30,
        "(((((" * 40,
        "a " * 500,
        "``` " * 300,
        "` " * 2000,
        "**a" * 1500,
        "_a" * 2000,
        "To : you. If , if. You can. When." * 40,
        "Größe und Gewicht der Sendung sind vor dem Versand zu prüfen, sonst wird sie abgewiesen.",
        "価格は二〇二四年に改定されました。" * 5,
        "x" * 5000,
        f"# {'x' * 3000}\n\nThe harbour is closed.",
    ],
)
def test_odd_text_neither_breaks_the_writer_nor_holds_it_up(text: str) -> None:
    began = time.perf_counter()
    written = questions_about(text, 3)
    assert time.perf_counter() - began < 1
    assert bool(written.questions) is (written.problem is None)
