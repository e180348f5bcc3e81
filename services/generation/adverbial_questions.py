"""Questions for the when, why, how long and how many of a clause."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from services.generation.clauses import Clause, is_clear
from services.generation.phrases import (
    part_of_the_rest,
    up_to_a_stop,
)
from services.generation.tagging import BE, words_between
from services.generation.word_lists import (
    word_set,
)

TIME = re.compile(
    r"\b(?:1[5-9]|20)\d\d\b|\b(?:january|february|march|april|may|june|july|august|september|"
    r"october|november|december|monday|tuesday|wednesday|thursday|friday|saturday|sunday)\b",
    re.IGNORECASE,
)
_SPAN = re.compile(r"\b(?:second|minute|hour|day|week|month|quarter|year)s?\b", re.IGNORECASE)
_NUMBER = re.compile(
    r"\d|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirty|sixty|ninety)\b"
)
_MONEY = re.compile(r"(?:about |approximately |around |up to |over )?[$£€]\s?\d")
_CLAUSAL = word_set(
    "assume think say know ensure expect mean believe see show tell",
)
_NOT_BEFORE = word_set(  # "even if"; "checks if", which is whether
    "only even as except and or whether determine check see indicate test decide specify tell ask",
    "know verify describe return",
)
_TELLS_WHEN = frozenset({"if", "when", "before", "after", "until", "once", "whenever"})


@dataclass(frozen=True, slots=True)
class Asked:
    kind: str
    question: str  # lower case at its beginning, without a question mark
    is_weak: bool = False  # its subject ("the installer") is clear only if the rest says much


def reasons(head: str, clause: Clause) -> Iterator[Asked]:
    for position, word in enumerate(clause.rest[1:], 1):
        if word.lower == "because" or (
            word.lower in ("due", "owing")
            and clause.rest[position + 1 : position + 2]
            and clause.rest[position + 1].text == "to"
            and clause.rest[position - 1].lower != "be"
        ):
            before = part_of_the_rest(clause, 0, position)
            if position >= 2 and before:
                yield Asked("why", f"why {head} {before}")
            return


def conditions(head: str, clause: Clause) -> Iterator[Asked]:
    """ "The server stops if the disk is full." -> when does the server stop."""
    for position, word in enumerate(clause.rest[1:], 1):
        if word.text in ",;":
            return
        if word.lower in _TELLS_WHEN and clause.rest[position - 1].lower not in _NOT_BEFORE:
            before = part_of_the_rest(clause, 0, position)
            answer = clause.rest[position + 1 :]
            if before and len(answer) >= 3 and is_clear(clause.rest[:position]):
                asked = f"when {head} {before}".replace(" only ", " ").replace(" currently ", " ")
                if not any(one.lower in _CLAUSAL for one in clause.rest[:position]):
                    yield Asked("when", asked)
            return


def times(head: str, clause: Clause) -> Iterator[Asked]:
    """Remove the first phrase of time: "on 30 June" -> when, "within 5 days" -> how soon."""
    for position, word in enumerate(clause.rest):
        before = part_of_the_rest(clause, 0, position)
        if word.tag not in ("IN", "TO") or position == 0 or not before:
            continue
        phrase = words_between(clause.rest[position + 1 : position + 5], clause.text)
        if word.lower in ("on", "in", "by", "until", "before", "after", "since") and TIME.search(
            phrase
        ):
            yield Asked("how soon", f"when {head} {before}")
            return
        if word.lower in ("within", "for") and _SPAN.search(phrase) and _NUMBER.search(phrase):
            opening = "how soon" if word.lower == "within" else "for how long"
            yield Asked("how soon", f"{opening} {head} {before}")
            return


def amounts(head: str, clause: Clause) -> Iterator[Asked]:
    """ "stores 30 readings" -> how many readings; "was $20 million" -> how much."""
    rest = clause.rest
    if clause.auxiliary in BE and _MONEY.match(words_between(rest, clause.text)):
        yield Asked("how many", f"how much {head}")
    for position, word in enumerate(rest[:-1]):
        following = rest[position + 1]
        is_object = position >= 1 and rest[position - 1].is_verb
        if any(one.text == "," for one in rest[:position]):
            return
        if is_object and word.tag == "CD" and following.tag == "NNS":
            verb = words_between(rest[1:position], clause.text) if position > 1 else ""
            after = up_to_a_stop(rest[position + 2 : position + 10], clause.text)
            words = ("how many", following.text, head, rest[0].text, verb, after)
            yield Asked("how many", " ".join(filter(None, words)))
            return
