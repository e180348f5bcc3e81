"""Questions without an API key or a download: sentences of a chunk, turned into questions.

Each sentence is asked about in the ways that its grammar allows ("The fee is due on 1 May." ->
"When is the fee due?"), by the rules of overgenerating transformation and ranking (Heilman and
Smith, 2010): the answer is removed, the wh-phrase put in front, and only questions are kept that a
person could ask who has not read the chunk. Fewer and better: a chunk that says nothing that can be
asked clearly gets no question rather than a filler.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from services.base_forms import is_known
from services.generation.adverbial_questions import Asked
from services.generation.question_forms import questions_of, questions_of_a_label
from services.generation.sentences import Sentence, headings_and_sentences, is_whole, without_asides
from services.generation.tagging import Word, tagged
from services.generation.word_lists import BLAND_VERBS, GENERIC, STOP_WORDS
from services.generation.written_questions import WrittenQuestions
from services.models import Chunk, Waiting
from services.pairs.quality import gives_itself_away
from services.pairs.rules import question_key

_FEWEST_WORDS, _MOST_WORDS = 4, 22
_NEEDLESS = frozenset({"also", "therefore", "thus", "however", "now", "similarly"})
_NAME = re.compile(r"(?<=[a-z,] )[A-Z][a-z]+\b")
_JOINS = re.compile(r"[_./:(]|^-|[a-z][A-Z]")  # pg_hba.conf, --jobs, sum()
_CUT_SIGN = re.compile(r'[()\[\]"“”?|]')  # a part is left out at one of these
_CALLED = re.compile(r"(?<=\w)\(\w?\)")  # sum(), git-log(1)
_SHORTENED = re.compile(r"\b(?:e\.g|i\.e|etc)\b")
_LONGEST_PROGRAM = 60  # characters
_FEWEST_CHARACTERS = 40  # a chunk with less prose has nothing to ask about
_LEAST_SCORE = 1.5
_LEAST_OF_THE_WEAK = 4.0
_LEAST_WEIGHT = {"whether": 3.0, "what if": 3.0, "what": 2.0} | dict.fromkeys(
    ("when", "where"), 2.5
)
_LEAST_WORTH = 1.0  # beside the questions that are chosen already
_WORTH = {
    "how": 3.0,
    "what if": 3.0,
    "why": 3.0,
    "how many": 3.0,
    "how soon": 3.0,
    "when": 2.8,
    "where": 2.8,
    "which": 2.6,
    "used for": 2.6,
    "label": 3.0,
    "what": 2.4,
    "what is": 2.4,
    "whether": 1.5,
}


@dataclass(frozen=True, slots=True)
class _Draft:
    kind: str
    sentence: int
    question: str
    score: float


class OfflineQuestionWriter:
    """Writes questions by rule. The same chunk always gives the same questions."""

    name = "Offline writer"

    def write(self, chunk: Chunk, count: int) -> WrittenQuestions:
        """Write up to `count` different questions; fewer if the chunk says too little.

        Fewer are no problem, as asking again would not give more; none is.
        """
        return questions_about(chunk.text, count, chunk.heading_path)

    def waiting(self) -> Waiting | None:
        """Always None: this writer calls no server."""
        return None

    def stop(self) -> None:
        """Does nothing: no call ever waits."""


def questions_about(text: str, count: int, heading_path: Sequence[str] = ()) -> WrittenQuestions:
    """Up to `count` questions about a passage that is below these headings."""
    headings, sentences = headings_and_sentences(text)
    if sum(len(sentence.text) for sentence in sentences) < _FEWEST_CHARACTERS:
        return WrittenQuestions((), problem="too little running text")
    place = next((name for name in (*headings, *heading_path)[::-1] if _is_program(name)), "")
    names = frozenset(_NAME.findall(text))
    drafts = [
        draft
        for number, sentence in enumerate(sentences)
        if is_whole(sentence.text, sentence.goes_on)
        for draft in _drafts(number, sentence, place, names)
    ]
    questions = _chosen(drafts, count)
    return WrittenQuestions(questions, problem=None if questions else "nothing clear to ask")


def _is_program(heading: str) -> bool:
    """Whether a heading names a command or program and nothing else: "git-rebase(1)"."""
    words = tagged(heading) if len(heading) < _LONGEST_PROGRAM else ()
    return len(words) == 1 and words[0].is_identifier and not heading.isupper()


def _drafts(number: int, sentence: Sentence, place: str, names: frozenset[str]) -> Iterator[_Draft]:
    text = without_asides(sentence.text)
    first = text.partition(" ")[0]
    words = tagged(text)
    of_a_label = tuple(questions_of_a_label(words, sentence, place))
    for asked in of_a_label or questions_of(words, text):
        question = asked.question
        if first in names:  # a capital also within a sentence
            question = re.sub(rf"\b{re.escape(first.lower())}\b", first, question, count=1)
        finished = _finished(question)
        if finished is not None:
            score = _WORTH[asked.kind] + _telling(asked, finished)
            if score >= _LEAST_SCORE:
                yield _Draft(asked.kind, number, finished, score)


def _telling(asked: Asked, question: str) -> float:
    """How much the words of a question narrow down what is asked: -2 (too little) to 1."""
    kind = asked.kind
    if kind == "label":
        return 0.0
    words = tagged(question)
    weight = sum({word.lower: _weight(word) for word in words}.values())
    if kind == "what" and any(word.lower in BLAND_VERBS for word in words[-3:]):
        weight -= 1.0  # "support" of "What does Netrw support?" narrows nothing down
    if weight < (_LEAST_OF_THE_WEAK if asked.is_weak else _LEAST_WEIGHT.get(kind, 2.0)):
        return -2.0
    return min(1.0, (weight - 2) / 3) - (0.3 if len(words) > 16 else 0.0)


def _weight(word: Word) -> float:
    if len(word.text) < 2 or not _tells(word.lower):
        return 0.0
    if word.is_identifier and len(word.text) > 2:
        return 2.0 if _JOINS.search(word.text) else 1.5
    return 1.5 if len(word.text) > 4 and word.text.isalpha() and not is_known(word.lower) else 1.0


def _tells(word: str) -> bool:
    return any(map(str.isalpha, word)) and word not in STOP_WORDS and word not in GENERIC


def _finished(question: str) -> str | None:
    """The question, capitalised and with a question mark; None if nobody would ask it."""
    words = question.split()
    if not _FEWEST_WORDS <= len(words) <= _MOST_WORDS:
        return None
    text = " ".join(word for word in words if word.lower() not in _NEEDLESS).strip(" ,;:.–—")  # noqa: RUF001
    if (
        _CUT_SIGN.search(_CALLED.sub("", text))
        or _SHORTENED.search(text)
        or gives_itself_away(text)
    ):
        return None
    return f"{text[0].upper()}{text[1:]}?"


def _chosen(drafts: Sequence[_Draft], count: int) -> tuple[str, ...]:
    """Pick drafts one by one: the best first, then sentences and kinds used least so far."""
    remaining = list(drafts)
    chosen: list[_Draft] = []
    while remaining and len(chosen) < count:

        def worth(draft: _Draft) -> float:
            same_sentence = sum(draft.sentence == other.sentence for other in chosen)
            same_kind = sum(draft.kind == other.kind for other in chosen)
            return draft.score - same_sentence * 1.5 - same_kind * 0.3

        best = max(remaining, key=worth)
        if worth(best) < _LEAST_WORTH:
            break
        chosen.append(best)
        remaining = [
            draft
            for draft in remaining
            if question_key(draft.question) != question_key(best.question)
        ]
    return tuple(draft.question for draft in chosen)
