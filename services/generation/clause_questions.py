"""The questions that a clause answers: each removes a part and asks for it.

"The fee is due on 1 May." -> "when is the fee due".
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from services.base_forms import is_known
from services.generation.adverbial_questions import TIME, Asked, amounts, conditions, reasons, times
from services.generation.clauses import Clause, is_clear
from services.generation.phrases import (
    ASKED_AFTER,
    STOPS_BEFORE,
    is_base_verb,
    is_left_hanging,
    starts_noun_phrase,
    up_to_a_stop,
)
from services.generation.tagging import BE, HAVE, MODALS, Word, Words, as_within, words_between
from services.generation.word_lists import (
    KINDS_OF_THING,
    NOT_DEFINING,
    TECHNICAL_VERBS,
    WEAK_VERBS,
    word_set,
)

_MORE_OF = re.compile(r"\bmore (?:information|details?|about)\b|\bsome more\b")
_BY_DOING = re.compile(r"\bby \w+ing$")  # what is done is cut off
_PERSONS = word_set(
    "author maintainer founder developer creator leader director president manager head inventor"
)
_KEPT_AT = word_set(
    "stored located installed kept found saved placed written recorded logged documented",
    "defined described configured specified held created listed declared mounted",
)
_COMPLETED_BY = {
    ("consist", "of"), ("depend", "on"), ("refer", "to"), ("belong", "to"), ("rely", "on"),
    ("correspond", "to"), ("result", "in"), ("lead", "to"), ("default", "to"), ("stand", "for"),
    ("apply", "to"), ("point", "to"), ("respond", "to"), ("serve", "as"), ("act", "as"),
    ("expand", "to"), ("evaluate", "to"), ("map", "to"), ("work", "with"), ("differ", "from"),
    ("connect", "to"), ("range", "from"),
}  # fmt: skip  # fmt: skip
_ADJECTIVES = {
    "responsible": ("for",), "based": ("on",), "required": ("for",), "needed": ("for",),
    "equivalent": ("to",), "limited": ("to",), "similar": ("to",),
    "restricted": ("to",), "derived": ("from",), "divided": ("into",),
    "compatible": ("with",), "known": ("as",), "composed": ("of",), "made": ("of",),
}  # fmt: skip  # fmt: skip
_SETTLING = word_set(
    "control determine specify define set tell describe decide indicate",
)


def how_by(head: str, rest: Words, sentence: str) -> Iterator[Asked]:
    """The rest up to "by doing ...", "with x" or "using x", which is the answer."""
    for position, word in enumerate(rest[:-1]):
        if word.text in ",;:" or word.lower in STOPS_BEFORE:
            return
        is_by = word.lower == "by" and rest[position + 1].text.endswith("ing")
        if (is_by or word.lower == "using") and is_clear(rest[:position]):
            before = rest[:position]
            if not (before and is_left_hanging(before)) and (before or head.endswith("ed")):
                yield Asked("how", f"{head} {words_between(rest[:position], sentence)}".strip())
            return


def questions_of_a_clause(clause: Clause) -> Iterator[Asked]:
    subject = as_within(clause.subject, clause.text)
    # "May Pango give other results?" is asked as "Can Pango ..."
    auxiliary = "can" if clause.auxiliary in ("may", "might") else clause.auxiliary
    head = f"{auxiliary} {subject}"
    rest = _rest(clause)
    is_negative = any(word.lower in ("not", "never") for word in clause.rest[:3])
    yield from reasons(head, clause)
    yield from conditions(head, clause)
    if not is_negative:
        yield from times(head, clause)
        yield from amounts(head, clause)
        yield from _definitions(clause, subject)
        yield from _passives(head, clause)
        yield from _objects(head, clause)
        yield from _complements(head, clause)
        yield from _whiches(clause, rest)
        last = rest.rpartition(" ")[2].lower()
        if _MORE_OF.search(rest) or any(w.tag in ("JJR", "RBR") for w in clause.rest[:8]):
            return
        is_opinion = clause.auxiliary in BE and last.removesuffix("s") in NOT_DEFINING
        if clause.auxiliary in ("would", "could", "might") or is_opinion or _BY_DOING.search(rest):
            return
        if len(rest.split()) >= 3 and is_clear(clause.rest[: len(rest.split())]):
            yield Asked("whether", f"{head} {rest}")


def _definitions(clause: Clause, subject: str) -> Iterator[Asked]:
    """ "A shard is a part of an index that ..." -> what is a shard."""
    rest = clause.rest
    if clause.auxiliary not in ("is", "are") or len(rest) < 2 or len(clause.subject) > 8:
        return
    if rest[0].tag == "CD" or rest[0].is_identifier:
        if clause.auxiliary == "is" and len(clause.subject) >= 3:
            yield Asked("what is", f"what is {subject}")
        return
    if clause.auxiliary == "is" and rest[0].lower not in ("a", "an", "the", "any"):
        return
    if clause.auxiliary == "are" and not rest[0].is_noun:
        return
    if len(rest) < 5 or any(word.lower in NOT_DEFINING for word in rest[1:4]):
        return
    is_named = any(w.is_identifier or not is_known(w.lower) for w in clause.subject)
    if clause.subject[0].lower == "the" and not is_named:
        if any(w.tag == "IN" for w in clause.subject) and len(clause.subject) > 4:
            yield Asked("what is", f"what {clause.auxiliary} {subject}")
        return
    asks = "who" if any(word.lower in _PERSONS for word in rest[1:4]) else "what"
    yield Asked("what is", f"{asks} {clause.auxiliary} {subject}")


def _passives(head: str, clause: Clause) -> Iterator[Asked]:
    """ "is stored in x" -> where; "can be changed by editing x" -> how; "is used to x" -> what."""
    passive = _passive(clause)
    if passive is None:
        return
    position, verb = passive
    after = clause.rest[position + 1 :]
    whole = f"{head} {words_between(clause.rest[: position + 1], clause.text)}"
    if not after or clause.rest[0].lower == "only":
        return
    if verb.lower in _KEPT_AT and after[0].lower in ("in", "under", "at") and len(after) >= 2:
        if not TIME.search(words_between(after[:5], clause.text)) and is_clear(after[1:3]):
            yield Asked("where", f"where {whole}")
        return
    if verb.lower == "used" and after[0].lower in ("to", "for"):
        yield Asked("used for", f"what {whole} {'to do' if after[0].lower == 'to' else 'for'}")
        return
    yield from how_by(f"how {whole}", after, clause.text)


def _passive(clause: Clause) -> tuple[int, Word] | None:
    """Where the participle of "is stored", "can be stored", "has been stored" stands."""
    texts = [word.lower for word in clause.rest]
    skipped = 0
    if (texts[0] == "be" and clause.auxiliary in MODALS) or (
        texts[0] == "been" and clause.auxiliary in HAVE
    ):
        skipped = 1
    elif clause.auxiliary not in BE:
        return None
    while skipped < len(texts) and clause.rest[skipped].tag.startswith("RB"):
        skipped += 1
    if skipped < len(texts):
        verb = clause.rest[skipped]
        if verb.tag in ("VBN", "VBD") or verb.text.endswith("ed"):
            return skipped, verb
    return None


def _objects(head: str, clause: Clause) -> Iterator[Asked]:
    """Remove the object: "covers the cost of repair" -> what does ... cover."""
    is_modal = clause.auxiliary in MODALS
    if not (clause.has_main_verb_moved or is_modal):
        return
    verb, *others = clause.rest
    if verb.lower in WEAK_VERBS or verb.lower not in TECHNICAL_VERBS:
        return
    if is_modal and verb.lower == "use":
        return
    asks_what = bool(others) and others[0].lower in ASKED_AFTER and verb.lower in _SETTLING
    is_object = starts_noun_phrase(tuple(others)) and is_clear(tuple(others[:6]))
    if len(others) >= 2 and (is_object or asks_what):
        yield Asked("what", f"what {head} {verb.text}")


def _complements(head: str, clause: Clause) -> Iterator[Asked]:
    """ "depends on x" -> what does ... depend on; "allows you to x" -> what ... allow you to do."""
    rest = clause.rest
    if clause.auxiliary in BE and len(rest) >= 3:
        if rest[1].lower in _ADJECTIVES.get(rest[0].lower, ()):
            yield Asked("what", f"what {head} {rest[0].text} {rest[1].text}")
        return
    if not clause.has_main_verb_moved and clause.auxiliary not in MODALS:
        return
    verb = rest[0].lower
    if len(rest) >= 3 and (verb, rest[1].lower) in _COMPLETED_BY:
        yield Asked("what", f"what {head} {verb} {rest[1].lower}")
    if verb == "mean" and rest[1].lower == "that":
        yield Asked("what", f"what {head} mean")
    if verb in ("allow", "enable", "cause", "force", "tell", "instruct"):
        for position in range(2, min(7, len(rest) - 1)):
            if rest[position + 1].lower == "be":
                return
            if rest[position].text == "to" and is_base_verb(rest[position + 1]):
                whom = rest[1:position]
                if is_clear(whom) and all(_in_a_phrase(word) for word in whom):
                    named = words_between(whom, clause.text)
                    yield Asked("what", f"what {head} {verb} {named} to do")
                return


def _in_a_phrase(word: Word) -> bool:
    return word.is_noun or word.tag in ("DT", "JJ", "PRP", "CD", "PRP$") or word.lower == "you"


def _whiches(clause: Clause, rest: str) -> Iterator[Asked]:
    """ "The vacuumdb command cleans a database" -> which command cleans a database."""
    noun = clause.head_noun
    if noun is None or len(rest.split()) < 4 or len(clause.subject) < 2:
        return
    is_last = clause.subject[-1] is noun
    names_it = any(word.is_identifier for word in clause.subject if word is not noun)
    if not (is_last and names_it and noun.lower.rstrip("s") in KINDS_OF_THING):
        return
    if not is_clear(clause.rest):
        return
    verb = clause.auxiliary
    if clause.has_main_verb_moved:  # as it was written
        first = clause.rest[0]
        verb = clause.text[first.start : first.end]
        rest = " ".join(rest.split()[1:])
    yield Asked("which", f"which {noun.text} {verb} {rest}")


def _rest(clause: Clause) -> str:
    words = clause.rest
    cut = up_to_a_stop(words[1:] if clause.has_main_verb_moved else words, clause.text)
    return f"{words[0].text} {cut}".strip() if clause.has_main_verb_moved else cut
