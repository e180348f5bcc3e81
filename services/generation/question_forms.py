"""The questions that one sentence answers, by its grammar.

Each form removes the answer and asks for it: "To see the log, run x." -> "How do you see the log?".
"""

from __future__ import annotations

from collections.abc import Iterator

from services.base_forms import base_form
from services.generation.adverbial_questions import Asked
from services.generation.clause_questions import how_by, questions_of_a_clause
from services.generation.clauses import agrees, clause_of, is_clear
from services.generation.phrases import (
    HANGING,
    is_base_verb,
    is_common_but_rare,
    is_left_hanging,
    is_specific,
    starts_noun_phrase,
    up_to_a_stop,
)
from services.generation.sentences import Sentence
from services.generation.tagging import (
    BE,
    HAVE,
    MODALS,
    Word,
    Words,
    as_within,
    is_a_verb_form,
    words_between,
)
from services.generation.word_lists import (
    TECHNICAL_VERBS,
    WEAK_VERBS,
    word_set,
)

_SHOULD = frozenset({"should", "must", "need", "have", "ought"})
_WISHES = frozenset({"want", "need", "wish", "like", "intend", "prefer"})
_ASKS_WHETHER = frozenset({"check", "see", "determine", "decide", "test", "ask", "know", "verify"})
_CONDITIONAL = frozenset(
    {"if", "when", "once", "after", "unless", "whenever", "to", "before", "while"}
)
_REFERS = frozenset({"see", "refer", "consult", "read", "note", "check", "look"})
_DESCRIBING = word_set(
    "allow be cause compute find force let make plot prefer turn",
)
_FEWEST_IN_A_CONDITION, _MOST_IN_A_CONDITION = 4, 14
_SKIPPED = word_set(
    "however also additionally furthermore moreover usually normally currently typically",
    "generally basically finally unfortunately fortunately naturally obviously clearly",
    "first second",
)
_TIED = word_set(
    "then otherwise instead similarly thus therefore hence conversely alternatively",
    "likewise consequently nevertheless still yet for besides",
)


def questions_of(words: Words, sentence: str) -> Iterator[Asked]:
    """Every question that the sentence answers by itself."""
    opening, words, ending = _without_opening(words)
    if not words:
        return
    if words[0].lower == "to" and words[-1].text == ":" and is_base_verb(words[1]):
        if is_clear(words[1:]) and words[1].lower not in ("be", "have", "do"):
            yield Asked("how", f"how do you {words_between(words[1:-1], sentence)}")
        return
    if opening:
        yield from _of_an_opening(opening, words, sentence)
    yield from _of_a_request(words, sentence)
    if opening and opening[0].lower in _CONDITIONAL:
        return  # what follows holds only then
    clause = clause_of(words, sentence)
    if clause and agrees(clause):
        is_weak = not is_specific(clause.subject)
        if is_weak and not is_common_but_rare(clause.subject):
            return
        for asked in questions_of_a_clause(clause):
            yield Asked(asked.kind, f"{asked.question} {ending}".strip(), is_weak)


def questions_of_a_label(words: Words, sentence: Sentence, place: str) -> Iterator[Asked]:
    """ "--all", described by "Show all branches." -> what does the --all option do.

    `place` is the command or program that has the option, or empty.
    """
    label = sentence.label
    if not label or not words:
        return
    what = f"the {label} option" if label.startswith("-") else label
    what = f"{what} of {place}" if place else what
    first = words[0].lower
    if [word.lower for word in words[:2]] == ["the", "default"]:
        if words[2].lower == "is" or [word.lower for word in words[2:4]] == ["value", "is"]:
            yield Asked("label", f"what is the default of {what}")
    elif sentence.is_first and first in TECHNICAL_VERBS | _DESCRIBING:
        yield Asked("label", f"what does {what} do")
    elif sentence.is_first and first.endswith("s"):
        base = base_form(first)
        if base in TECHNICAL_VERBS and base not in WEAK_VERBS and starts_noun_phrase(words[1:]):
            yield Asked("label", f"what does {what} {base}")
        elif base in TECHNICAL_VERBS | _DESCRIBING:
            yield Asked("label", f"what does {what} do")


def _of_an_opening(opening: Words, main: Words, sentence: str) -> Iterator[Asked]:
    """ "If the disk is full, ..." -> what happens; "To stop it, run x" -> how."""
    first, inner = opening[0].lower, opening[1:]
    if main[0].lower in _REFERS:
        return
    is_request = _is_request(main)
    is_yours = main[0].lower == "you"
    if first == "in" and [word.lower for word in inner[:2]] == ["order", "to"]:
        first, inner = "to", inner[2:]
    if first == "to" and inner and is_base_verb(inner[0]) and is_clear(inner):
        aim = words_between(inner, sentence)
        if inner[0].lower in ("be", "have"):
            return
        if is_request or is_yours:
            yield Asked("how", f"how do you {aim}")
        return
    if first not in ("if", "when", "once", "after", "unless", "whenever"):
        return
    condition = words_between(inner, sentence)
    wish = _wish(inner)
    if any(word.lower in ("want", "wish") for word in wish):
        return
    if wish and is_clear(wish):
        yield Asked("how", f"how can you {words_between(wish, sentence)}")
    if wish or not _is_main(main, sentence) or not _is_condition(inner, sentence):
        return
    joined = {"once": "after", "whenever": "when"}.get(first, first)
    if is_request or (is_yours and any(w.lower in _SHOULD for w in main[1:3])):
        if joined in ("if", "when", "after"):
            yield Asked("what if", f"what should you do {joined} {condition}")
    elif joined in ("if", "when") and not is_yours:
        yield Asked("what if", f"what happens {joined} {condition}")


def _is_main(words: Words, sentence: str) -> bool:
    """Whether a main clause begins here, rather than the next item of a list."""
    opens = words[0].lower in ("you", "it", "they", "this", "the", "a", "an", "all", "no", "only")
    return opens or _is_request(words) or clause_of(words, sentence) is not None


def _wish(inner: Words) -> Words:
    """What "you want to ..." is followed by."""
    texts = [word.lower for word in inner[:5]]
    if texts[:1] != ["you"]:
        return ()
    for position in (1, 2):
        if position + 2 < len(texts) and texts[position] in _WISHES and texts[position + 1] == "to":
            after = inner[position + 2 :]
            is_doing = is_base_verb(after[0]) and after[0].lower not in ("be", "have")
            return after if is_doing else ()
    return ()


def _is_condition(words: Words, sentence: str) -> bool:
    if not _FEWEST_IN_A_CONDITION <= len(words) <= _MOST_IN_A_CONDITION or not is_clear(words):
        return False
    if any(word.text in ",;:" or word.lower in ("none", "neither") for word in words):
        return False
    if words[-1].tag in HANGING:
        return False
    if words[0].lower == "you":
        return words[1].is_verb or words[1].lower in MODALS | BE | HAVE
    words = words[1:] if words[0].lower == "no" else words
    clause = clause_of(words, sentence)
    if clause is None and words[-1].tag in ("VBZ", "NNS") and words[-2].is_noun:
        is_verb = words[-1].tag == "VBZ" or is_a_verb_form(words[-1])
        return is_verb and is_specific(words[:-1])  # "the server starts"
    return clause is not None and is_specific(clause.subject)


def _of_a_request(words: Words, sentence: str) -> Iterator[Asked]:
    """ "Use x to list the files." -> how do you list the files."""
    is_yours = words[0].lower == "you" and len(words) > 2 and words[1].lower in ("can", "may")
    verbs = words[2:] if is_yours else words
    yield from _when_to(words, sentence)
    if not (is_yours or _is_request(words)) or len(verbs) < 5:
        return
    for position in range(2, len(verbs) - 2):
        word, after = verbs[position], verbs[position + 1]
        if word.text in ",;:":
            break
        aim = verbs[position + 1 :]
        if verbs[0].lower == "use" and word.text == "to" and is_base_verb(after):
            cut = up_to_a_stop(aim, sentence)
            if is_clear(aim[:8]) and len(cut.split()) >= 3:
                yield Asked("how", f"how do you {cut}")
            return
    if is_yours and is_base_verb(verbs[0]):
        yield from how_by(f"how can you {words_between(verbs[:1], sentence)}", verbs[1:], sentence)


def _when_to(words: Words, sentence: str) -> Iterator[Asked]:
    """ "Use x if the disk is full." -> when should you use x."""
    texts = [word.lower for word in words[:4]]
    modal = "should"
    if texts[0] == "you" and texts[1] in ("must", "should", "can"):
        modal, words = texts[1], words[2:]
    elif texts[:3] in (["you", "need", "to"], ["you", "have", "to"]):
        modal, words = "must", words[3:]
    elif texts[0] == "you" or not _is_request(words):
        return
    if not words or words[0].lower not in TECHNICAL_VERBS:
        return
    for position, word in enumerate(words[:-4]):
        if word.text in ",;:":
            return
        if word.lower in ("if", "when", "before", "after", "whenever", "unless") and position >= 2:
            before = words[:position]
            states = any(one.lower in BE | MODALS for one in before)
            if states or not is_clear(before) or is_left_hanging(before):
                return
            if _tells_when(before, word):
                yield Asked("when", f"when {modal} you {as_within(before, sentence)}")
            return


def _tells_when(before: Words, word: Word) -> bool:
    is_whether = any(one.lower in _ASKS_WHETHER for one in before) and word.lower == "if"
    return not is_whether and before[-1].lower not in ("even", "only", "as", "except", "and", "or")


def _is_request(words: Words) -> bool:
    return is_base_verb(words[0]) and len(words) > 2 and words[1].lower not in BE | MODALS


def _without_opening(words: Words) -> tuple[Words, Words, str]:
    """The opening phrase, the main clause, and what the opening adds to a question's end."""
    if not words or words[0].lower in _TIED:
        return (), (), ""
    if [word.lower for word in words[:2]] in (["note", "that"], ["notice", "that"]):
        words = words[2:]
        words = words[1:] if words and words[0].text == "," else words
    comma = next((i for i, word in enumerate(words[:18]) if word.text == ","), None)
    if comma is None or comma + 2 >= len(words):
        return (), words, ""
    opening, main = words[:comma], words[comma + 1 :]
    main = main[1:] if main[0].lower == "then" else main
    first = opening[0].lower
    if len(opening) == 1 and first in _SKIPPED:
        return (), main, ""
    if [word.lower for word in opening] == ["by", "default"]:
        return (), main, "by default"
    if first in ("in", "on", "since", "by", "during", "at") and len(opening) <= 4:
        return (opening, main, "") if is_clear(opening) else ((), (), "")
    if first in ("if", "when", "once", "after", "unless", "whenever", "to", "in"):
        return opening, main, ""
    return (), words, ""
