"""Parts of sentences: what names something, and where they can be cut."""

from __future__ import annotations

from services.base_forms import base_form, is_known
from services.generation.clauses import Clause
from services.generation.tagging import BE, HAVE, MODALS, Word, Words, words_between
from services.generation.word_lists import (
    GENERIC,
    TECHNICAL_VERBS,
    WEAK_VERBS,
    word_set,
)

STOPS_BEFORE = frozenset(
    {"which", "who", "whose", "where", "when", "while", "although", "but", "if", "unless"}
    | {"because", "since", "though", "whereas", "until", "so", "rather", "as"}
)
ASKED_AFTER = word_set(
    "which who whose where when if whether what how why that",
)
HANGING = frozenset({"IN", "TO", "DT", "CC", "PRP$", "WDT", "MD", "VBG"})
_OPENS_A_QUOTE = ':"“”(['
_HANGING_WORDS = word_set(
    "not only very more most even just least too so also at no every",
)


def is_specific(words: Words) -> bool:
    """Whether a noun phrase names something, also to someone who has not read the text."""
    if any(_names_one_thing(word) for word in words):
        return True
    content = [
        word.lower
        for word in words
        if word.is_noun or word.tag.startswith("JJ") or word.tag in ("VBG", "CD")
    ]
    telling = [word for word in content if word not in GENERIC and not _is_a_symbol(word)]
    if words[0].lower in ("the", "your") and len(content) == 1:
        return False  # "the installer": which?
    return bool(telling)


def is_common_but_rare(words: Words) -> bool:
    """Whether a subject is "the" and one noun that is no word of every manual."""
    return len(words) == 2 and words[0].lower == "the" and words[1].lower not in GENERIC


def _names_one_thing(word: Word) -> bool:
    is_name = word.tag.startswith("NNP") and word.text[:1].isupper() and len(word.text) > 2
    if len(word.text) == 3 and not word.text.isupper() and not is_known(word.lower):
        return False  # "Fcn"
    return is_name or (word.is_identifier and len(word.text) > 3)


def _is_a_symbol(word: str) -> bool:
    """Whether a word rather names an argument of what is described: "fcn", "x"."""
    return len(word) <= 4 and not is_known(word)


def is_base_verb(word: Word) -> bool:
    return word.lower in TECHNICAL_VERBS | WEAK_VERBS or word.tag in ("VB", "VBP")


def starts_noun_phrase(words: Words) -> bool:
    return bool(words) and (words[0].tag in ("DT", "JJ", "PRP$", "CD") or words[0].is_noun)


def part_of_the_rest(clause: Clause, start: int, end: int) -> str:
    """The words of the rest from start to end; empty if they would be cut."""
    words = clause.rest[start:end]
    if not words or len(words) > 12 or any(word.text in ",;" for word in words):
        return ""
    if any(word.lower in ("because", "if", "when", "although", "whether") for word in words):
        return ""
    if any(w.tag == "CC" and begins_a_clause(words[i + 1 : i + 3]) for i, w in enumerate(words)):
        return ""
    if len(words) > 1 and words[-2].text == "to" and words[-1].lower in TECHNICAL_VERBS:
        return ""  # "used to validate", of which only the object is missing
    if is_left_hanging(words):
        return ""
    if clause.has_main_verb_moved and start == 0:
        return f"{words[0].text} {words_between(words[1:], clause.text)}".strip()
    return words_between(words, clause.text)


def up_to_a_stop(words: Words, sentence: str) -> str:
    """The words up to the first comma or subordinate clause; empty if they are too many."""
    for position, word in enumerate(words):
        if word.lower in ("as", "than", "so", "rather") or word.text in _OPENS_A_QUOTE:
            return ""
        if (
            word.lower in ("that", "which", "who", "whose", "where")
            and words[position - 1].text != ","
        ):
            return ""  # without the clause it says something else
        if word.lower in ASKED_AFTER and position and not words[position - 1].is_noun:
            return ""  # "to see if", "to determine which"
        if word.text == "," and not _goes_on_after(words[position + 1 :]):
            return ""
        if word.text in ",;:.!?()" or word.lower in STOPS_BEFORE:
            words = words[:position]
            break
        if word.tag == "CC" and begins_a_clause(words[position + 1 : position + 3]):
            words = words[:position]
            break
    if len(words) > 14:
        return ""
    if not words or is_left_hanging(words) or any(w.lower in BE | MODALS for w in words):
        return ""
    return words_between(words, sentence)


def _goes_on_after(words: Words) -> bool:
    """Whether a comma ends the statement, rather than an item of a list."""
    if not words:
        return False
    if words[0].lower in ("and", "or"):
        return begins_a_clause(words[1:3])
    return words[0].lower in STOPS_BEFORE


def begins_a_clause(words: Words) -> bool:
    return bool(words) and (
        words[0].lower in MODALS | BE | HAVE
        or words[0].tag in ("VBZ", "PRP")
        or (words[0].lower.endswith("s") and base_form(words[0].lower) in TECHNICAL_VERBS)
        or (len(words) > 1 and words[1].lower in MODALS | BE | HAVE)
    )


def is_left_hanging(words: Words) -> bool:
    """Whether the last word needs another after it: "of", "the", or "the new"."""
    last, before = words[-1].tag, words[-2].tag if len(words) > 1 else ""
    return last in HANGING or (last == "JJ" and before in ("DT", "IN", "PRP$"))
