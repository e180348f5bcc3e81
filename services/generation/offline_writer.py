"""Questions without an API key or a download: sentences of a chunk, turned into questions.

Each sentence is asked about in the ways that its grammar allows ("The fee is due on 1 May." ->
"When is the fee due?"), by the rules of overgenerating transformation (Heilman and Smith, 2010):
the answer is removed and the wh-phrase put in front. The chosen questions differ in kind and in the
sentence they ask about, so that training sees short and long ones about every part of the chunk.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from services.generation.clauses import (
    BE,
    Clause,
    Word,
    as_within,
    clause_of,
    headings_and_sentences,
    noun_phrases,
    tagged,
    uncapitalised,
    words_between,
)
from services.generation.written_questions import WrittenQuestions
from services.models import Chunk, Waiting
from services.pairs.quality import gives_itself_away
from services.pairs.rules import question_key

_FEWEST_WORDS, _MOST_WORDS = 4, 20
_FEWEST_CHARACTERS = 40  # a chunk with less prose has nothing to ask about
_TIME = re.compile(
    r"\b(?:1[5-9]|20)\d\d\b|\b(?:january|february|march|april|may|june|july|august|september|"
    r"october|november|december|monday|tuesday|wednesday|thursday|friday|saturday|sunday)\b",
    re.IGNORECASE,
)
_SPAN = re.compile(r"\b(?:second|minute|hour|day|week|month|quarter|year)s?\b", re.IGNORECASE)
_REASON = re.compile(r",?\s*\b(?:because|so that|in order to|due to|owing to)\b", re.IGNORECASE)
_STOPS_BEFORE = frozenset({"which", "who", "whose", "where", "when", "while", "although", "but"})
_MONEY = re.compile(r"(?:about |approximately |around |up to |over )?[$£€]\s?\d")
_UNCOUNTABLE = frozenset({"percent", "cash", "total", "number", "rest", "most", "all", "some"})


@dataclass(frozen=True, slots=True)
class _Draft:
    kind: str
    sentence: int
    question: str


class OfflineQuestionWriter:
    """Writes questions by rule. The same chunk always gives the same questions."""

    name = "Offline writer"

    def write(self, chunk: Chunk, count: int) -> WrittenQuestions:
        """Write up to `count` different questions; fewer if the chunk says too little."""
        headings, sentences = headings_and_sentences(chunk.text)
        if sum(len(sentence) for sentence in sentences) < _FEWEST_CHARACTERS:
            return WrittenQuestions((), problem="too little running text")
        drafts = [
            draft
            for number, sentence in enumerate(sentences)
            for draft in _drafts(number, sentence, headings[-1] if headings else None)
        ]
        questions = _chosen(drafts, count)
        if len(questions) < count:
            return WrittenQuestions(questions, problem="too few sentences to ask about")
        return WrittenQuestions(questions)

    def waiting(self) -> Waiting | None:
        """Always None: this writer calls no server."""
        return None

    def stop(self) -> None:
        """Does nothing: no call ever waits."""


def _drafts(number: int, sentence: str, heading: str | None) -> Iterator[_Draft]:
    words = tagged(sentence)
    clause = clause_of(words, sentence)
    if clause:
        for kind, question in _clause_questions(clause):
            if (finished := _finished(question)) is not None:
                yield _Draft(kind, number, finished)
    for kind, question in _topic_questions(noun_phrases(words, sentence), heading):
        if (finished := _finished(question)) is not None:
            yield _Draft(kind, number, finished)


def _clause_questions(clause: Clause) -> Iterator[tuple[str, str]]:
    """Every question that the clause answers, each with its kind."""
    subject = as_within(clause.subject, clause.text)
    rest = _rest(clause)
    head = f"{clause.auxiliary} {subject}"
    yield from _reasons(head, rest)
    yield from _times(head, clause)
    yield from _amounts(head, clause)
    if clause.has_main_verb_moved:
        yield from _objects(head, clause)
    elif rest:
        noun = clause.head_noun
        if noun is not None and _is_countable(noun) and len(rest.split()) >= 3:
            asked_of = as_within((noun,), clause.text)
            yield "which", f"which {asked_of} {clause.auxiliary} {rest}"
        has_name = any(word.tag.startswith("NNP") for word in clause.subject)
        if clause.auxiliary in BE and _starts_noun_phrase(clause.rest) and not has_name:
            yield "what is", f"what {clause.auxiliary} {subject}"
    if rest:
        yield "whether", f"{head} {rest}"


def _reasons(head: str, rest: str) -> Iterator[tuple[str, str]]:
    reason = _REASON.search(rest)
    if reason and len(rest[: reason.start()].split()) >= 2:
        yield "why", f"why {head} {rest[: reason.start()]}"


def _times(head: str, clause: Clause) -> Iterator[tuple[str, str]]:
    """Remove the first phrase of time: "on 30 June" -> when, "within 5 days" -> how soon."""
    for position, word in enumerate(clause.rest):
        before = _cut(clause, clause.rest[:position])
        if word.tag not in ("IN", "TO") or position == 0 or not before:
            continue
        phrase = words_between(clause.rest[position + 1 : position + 5], clause.text)
        lower = word.text.lower()
        if lower in ("on", "in", "by", "until", "before", "after", "since") and _TIME.search(
            phrase
        ):
            yield "when", f"when {head} {before}"
            return
        if lower in ("within", "for") and _SPAN.search(phrase) and re.search(r"\d", phrase):
            opening = "how soon" if lower == "within" else "for how long"
            yield "when", f"{opening} {head} {before}"
            return


def _amounts(head: str, clause: Clause) -> Iterator[tuple[str, str]]:
    """ "stores 30 readings" -> how many readings; "was $20 million" -> how much."""
    rest = clause.rest
    if clause.auxiliary in BE and _MONEY.match(words_between(rest, clause.text)):
        yield "how many", f"how much {head}"
    for position, word in enumerate(rest[:-1]):
        following = rest[position + 1]
        is_object = position >= 1 and rest[position - 1].is_verb
        if is_object and word.tag == "CD" and following.tag == "NNS":
            verb = words_between(rest[1:position], clause.text) if position > 1 else ""
            after = _cut(clause, rest[position + 2 : position + 10])
            first = rest[0].text if position else ""
            yield "how many", f"how many {following.text} {head} {first} {verb} {after}"
            return


def _objects(head: str, clause: Clause) -> Iterator[tuple[str, str]]:
    """Remove the object: "covers the cost of repair" -> what does ... cover."""
    verb, *others = clause.rest
    if not _starts_noun_phrase(tuple(others)):
        return
    end = next(
        (i for i, word in enumerate(others) if word.tag in ("IN", "TO") and word.text != "of"),
        None,
    )
    after = _cut(clause, tuple(others[end:])) if end is not None else ""
    yield "what", f"what {head} {verb.text} {after}"


def _topic_questions(phrases: list[str], heading: str | None) -> Iterator[tuple[str, str]]:
    """Questions about what a sentence mentions, for sentences whose grammar is in doubt."""
    if len(phrases) >= 2 and set(phrases[0].split()).isdisjoint(phrases[1].split()):
        yield "relation", f"how {_be(phrases[0])} {phrases[0]} related to {phrases[1]}"
    if phrases and heading and phrases[0].lower() not in heading.lower():
        topic = uncapitalised(heading)
        yield "topic", f"when it comes to {topic}, what should I know about {phrases[0]}"
    for phrase in phrases[:2]:
        yield "about", f"what is known about {phrase}"


def _be(phrase: str) -> str:
    return "are" if phrase.endswith("s") and not phrase.endswith(("ss", "is", "us")) else "is"


def _rest(clause: Clause) -> str:
    verb = clause.rest[0].text if clause.has_main_verb_moved else ""
    return f"{verb} {_cut(clause, clause.rest[1 if verb else 0 :])}".strip()


def _cut(clause: Clause, words: tuple[Word, ...]) -> str:
    """The words up to the first comma or subordinate clause, at most 14 of them."""
    words = words[:14]
    for position, word in enumerate(words):
        if word.text == "," or word.text.lower() in _STOPS_BEFORE:
            words = words[:position]
            break
    while words and _is_left_hanging(words):
        words = words[:-1]
    if clause.has_main_verb_moved and words and words[0] is clause.rest[0]:
        return f"{words[0].text} {words_between(words[1:], clause.text)}".strip()
    return words_between(words, clause.text)


def _is_countable(noun: Word) -> bool:
    return noun.text.isalpha() and noun.text not in _UNCOUNTABLE


def _is_left_hanging(words: tuple[Word, ...]) -> bool:
    """Whether the last word needs another after it: "of", "the", or "the new"."""
    last, before = words[-1].tag, words[-2].tag if len(words) > 1 else ""
    return last in ("IN", "TO", "DT", "CC", "PRP$", "WDT", "MD") or (
        last == "JJ" and before in ("DT", "IN", "PRP$")
    )


def _starts_noun_phrase(words: tuple[Word, ...]) -> bool:
    return bool(words) and (words[0].tag in ("DT", "JJ", "PRP$") or words[0].is_noun)


def _finished(question: str) -> str | None:
    """The question, capitalised and with a question mark; None if nobody would ask it."""
    words = question.split()
    if not _FEWEST_WORDS <= len(words) <= _MOST_WORDS or question.count("(") != question.count(")"):
        return None
    text = " ".join(words).strip(" ,;:.-–—")  # noqa: RUF001
    if gives_itself_away(text):
        return None
    return f"{text[0].upper()}{text[1:]}?"


_TOPICS = ("relation", "topic", "about")
_BEST_FIRST = ("why", "how many", "when", "which", "what", "whether", "what is", *_TOPICS)


def _chosen(drafts: list[_Draft], count: int) -> tuple[str, ...]:
    """Pick drafts one by one, preferring the sentence and the kind used least so far."""
    remaining = list(drafts)
    chosen: list[_Draft] = []
    while remaining and len(chosen) < count:

        def cost(draft: _Draft) -> tuple[float, int]:
            same_sentence = sum(draft.sentence == other.sentence for other in chosen)
            same_kind = sum(draft.kind == other.kind for other in chosen)
            is_topic = draft.kind in _TOPICS
            return same_sentence * 2 + same_kind + is_topic * 3, _BEST_FIRST.index(draft.kind)

        best = min(remaining, key=cost)
        chosen.append(best)
        remaining = [
            draft
            for draft in remaining
            if question_key(draft.question) != question_key(best.question)
        ]
    return tuple(draft.question for draft in chosen)
