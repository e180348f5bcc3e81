"""Subject and verb of a sentence, as far as the offline writer needs them.

Parsing is careful rather than complete: a sentence whose subject and verb are in doubt yields no
clause.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass

from services.base_forms import base_form, is_known
from services.generation.tagging import (
    BE,
    HAVE,
    MODALS,
    Word,
    Words,
)
from services.generation.word_lists import (
    QUANTIFIERS,
    TECHNICAL_VERBS,
    VAGUE,
    word_set,
)

_CONTRACTION = re.compile(r"['’](?!s\b)|^(?:it|let|that|there|here|what)['’]s$", re.IGNORECASE)  # noqa: RUF001
_DO = frozenset({"do", "does", "did"})
_IN_A_SUBJECT = frozenset(
    {"DT", "PDT", "JJ", "JJR", "JJS", "NN", "NNS", "NNP", "NNPS", "PRP$", "CD", "POS", "VBG", "CC"}
)
_SUBJECT_PREPOSITIONS = frozenset(
    {"of", "in", "for", "from", "on", "to", "with", "between", "at"} | {"under", "within", "inside"}
)
_MOST_IN_A_SUBJECT = 9
# Between subject and verb: "git diff also accepts".
_PASSED_OVER = word_set(
    "also usually typically generally normally automatically often",
)


@dataclass(frozen=True, slots=True)
class Clause:
    """`subject` `auxiliary` `rest`: "The days" "are" "counted twice". For a main verb without an
    auxiliary, `auxiliary` is the form of "do" that a question needs, and `rest` begins with the
    base form of the verb."""

    subject: Words
    auxiliary: str
    rest: Words
    text: str  # the sentence that the words stand in

    @property
    def head_noun(self) -> Word | None:
        """The subject's main noun: "requests" of "requests for leave"."""
        if any(word.tag == "CC" for word in self.subject):
            return None
        end = next((i for i, word in enumerate(self.subject) if word.tag in ("IN", "TO")), None)
        nouns = [word for word in self.subject[:end] if word.is_noun]
        return nouns[-1] if nouns else None

    @property
    def has_main_verb_moved(self) -> bool:
        return self.auxiliary in ("do", "does", "did")

    @property
    def verb(self) -> Word:
        """The word after the auxiliary that is not an adverb."""
        return next((word for word in self.rest if not word.tag.startswith("RB")), self.rest[0])


def clause_of(words: Words, sentence: str) -> Clause | None:
    """Find subject and verb; None if the sentence cannot be parsed with confidence."""
    for position, word in enumerate(words):
        subject = words[:position]
        if word.lower in _PASSED_OVER and subject:
            continue
        subject = tuple(one for one in subject if one.lower not in _PASSED_OVER)
        if subject and subject[-1].is_noun and _goes_on_with_a_participle(words, position):
            continue
        if word.lower in BE | MODALS | HAVE or word.tag in ("VBZ", "VBD", "VBP"):
            return _clause(subject, word, words[position + 1 :], sentence)
        if subject and subject[-1].is_noun and word.lower in ("that", "which", "who"):
            return _after_a_relative(words, position, sentence)
        if not _may_be_in_a_subject(word) and word.lower not in ("as", "by"):
            return None
    return None


def _goes_on_with_a_participle(words: Words, position: int) -> bool:
    """Whether a subject goes on: "queries sent in a single call" are ..."""
    word, following = words[position], words[position + 1 : position + 8]
    if word.tag not in ("VBN", "VBD") or word.lower in BE | HAVE or not following:
        return False
    if following[0].tag not in ("IN", "TO"):
        return False
    stop = next((i for i, one in enumerate(following) if one.text in ",;:()"), len(following))
    return any(one.lower in BE | MODALS for one in following[1:stop])


def _after_a_relative(words: Words, position: int, sentence: str) -> Clause | None:
    """The clause whose subject goes on with "that ...": "A file that was read is locked"."""
    is_subject = (
        words[position + 1].tag.startswith(("VB", "MD")) if position + 2 < len(words) else False
    )
    verbs = [
        i
        for i in range(position + 1, min(position + 10, len(words)))
        if words[i].lower in BE | MODALS
    ]
    stop = next(
        (i for i, word in enumerate(words) if i > position and word.text in ",;:()"), len(words)
    )
    verbs = [i for i in verbs if i < stop]
    if is_subject and verbs and verbs[0] == position + 1:
        verbs = verbs[1:]
    if not is_subject or len(verbs) != 1 or not is_clear(words[:position]):
        return None
    at = verbs[0]
    subject, rest = words[:at], words[at + 1 :]
    if at - position < 3 or len(rest) < 3 or not is_clear(subject[position + 1 :]):
        return None
    if not _is_an_end(words[at - 1]) or words[at - 1].lower in MODALS:
        return None
    end = next((i for i, word in enumerate(rest) if word.text in ".;:!?)]—–"), len(rest))  # noqa: RUF001
    return Clause(subject, words[at].lower, rest[:end], sentence)


def _is_an_end(word: Word) -> bool:
    return word.is_noun or word.tag in ("VBN", "VBD", "JJ", "CD", "RB")


def is_clear(words: Words) -> bool:
    """Whether nothing among the words points to what was said elsewhere ("this", "they")."""
    seen_noun = False
    for position, word in enumerate(words):
        if word.lower == "one" and any(
            after.is_noun for after in words[position + 1 : position + 2]
        ):
            continue
        if _CONTRACTION.search(word.text):
            return False
        if word.lower in ("its", "their", "itself", "themselves") and seen_noun:
            continue
        if word.lower in VAGUE and not (word.lower == "that" and seen_noun):
            return False
        seen_noun = seen_noun or word.is_noun
    return True


def agrees(clause: Clause) -> bool:
    """Whether subject and verb are both singular or both plural, as far as can be seen."""
    head = clause.head_noun
    if clause.subject[0].tag == "VBG":  # "using the options is"
        return clause.auxiliary not in ("are", "were", "do")
    if head is None or head.is_identifier or clause.auxiliary not in BE | {"does", "do", "has"}:
        return True
    wants_many = clause.auxiliary in ("are", "were", "do")
    first = clause.subject[0].lower
    if head.tag in ("NNS", "NNPS"):
        return wants_many or first in ("a", "an") or head.lower.endswith("ss")
    return not wants_many or not is_known(head.lower) or base_form(head.lower) != head.lower


def _clause(subject: Words, verb: Word, rest: Words, sentence: str) -> Clause | None:
    end = next((i for i, word in enumerate(rest) if word.text in ".;!?)]—–"), len(rest))  # noqa: RUF001
    rest = rest[:end]
    head = subject[-1] if subject else None
    if (
        head is None
        or not (head.is_noun or head.tag == "CD")
        or not any(word.is_noun for word in subject)
        or len(subject) > _MOST_IN_A_SUBJECT
        or subject[0].tag in ("IN", "TO", "CC")
        or not is_clear(subject)
        or any(word.lower in QUANTIFIERS or word.tag == "JJR" for word in subject)
        or not _prepositions_follow_nouns(subject)
        or len(rest) < 2
    ):
        return None
    lower = verb.lower
    first = next((word for word in rest if not word.tag.startswith("RB")), rest[0])
    if lower in BE | MODALS or (lower in HAVE and first.tag in ("VBN", "VBD")):
        return Clause(subject, lower, rest, sentence)
    if verb.text != lower or _CONTRACTION.search(lower) or _has_another_verb(verb, rest):
        return None
    if verb.tag == "VBD" and rest[0].tag not in ("DT", "PRP$", "NNP", "CD", "JJ"):
        return None
    base = base_form(lower)
    is_plural = head.tag in ("NNS", "NNPS") or any(word.tag == "CC" for word in subject)
    if lower in _DO or (verb.tag == "VBP" and not (is_plural and lower in TECHNICAL_VERBS)):
        return None
    if verb.tag != "VBP" and base == lower and lower != "have":
        return None
    if verb.tag == "VBZ" and is_plural and head.tag == "NNS":
        return None
    auxiliary = {"VBD": "did", "VBP": "do"}.get(verb.tag, "does")
    auxiliary = "do" if lower == "have" else auxiliary
    return Clause(subject, auxiliary, (Word(base, "VB", verb.start, verb.end), *rest), sentence)


def _has_another_verb(verb: Word, rest: Words) -> bool:
    """Whether `verb` is rather a noun or a participle: "the server logs are", "data stored is"."""
    if verb.tag != "VBD":
        return rest[0].lower in BE | MODALS | HAVE or rest[0].tag in ("VBZ", "VBD")
    end = next((i for i, w in enumerate(rest) if w.text == "," or w.tag.startswith("W")), None)
    return any(
        word.lower in BE | MODALS | HAVE or word.tag in ("VBZ", "VBP") for word in rest[:end]
    )


def _prepositions_follow_nouns(subject: Words) -> bool:
    return all(
        before.is_noun or before.tag == "CD"
        for before, word in itertools.pairwise(subject)
        if word.tag in ("IN", "TO") and not before.is_verb
    )


def _may_be_in_a_subject(word: Word) -> bool:
    if word.tag in ("IN", "TO"):
        return word.lower in _SUBJECT_PREPOSITIONS
    return word.tag in _IN_A_SUBJECT
