"""The words of a sentence with their parts of speech.

The part-of-speech tags come from TextBlob's lexicon tagger and the base forms of verbs from
simplemma: both work from their wheels, without a download.

Importing this module loads the lexicon. Without this, TextBlob would load it at the first word, and
other threads would tag with the part loaded so far; under Python's import lock they wait.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from textblob.en import lexicon, tag

from services.base_forms import base_form, is_known
from services.generation.sentences import without_code_marks
from services.generation.word_lists import (
    DETERMINERS,
    TECHNICAL_VERBS,
)

lexicon.load()
_TOKEN = re.compile(
    r"\x02[^\x03]*\x03"
    r"|[$£€]\d[\d,.]*%?"
    r"|(?<!\S)--?[A-Za-z][\w-]*(?:=[\w<>-]*[\w>])?"  # an option
    r"|(?<!\S)[~.]*/(?:[\w.+-]*/)*[\w.+-]*[\w/]"  # a path
    r"|\d[\d,.:/]*\d%?(?!\w)|\d%?(?!\w)"
    r"|\w+(?:[-'’/.&:@+_]+\w+)*(?:\(\w?\))?"  # noqa: RUF001
    r"|\S"
)
_IDENTIFIER = re.compile(
    r"^(?:\x02.*\x03|--?[A-Za-z].*|[~.]*/.+|\w*[^\W\d_]\w*_\w+|_\w+|[\w-]+\(\w?\)|\w+::\w.*"
    r"|\w*[a-z]\w*[./]\w*[a-z]\w*|[A-Z]?[a-z]+[A-Z]\w*|[A-Za-z]+\d[\w.-]*|\w+@\w+.*|[A-Z]{2,}[\w-]*)$"
)
BE = frozenset({"is", "are", "was", "were"})
MODALS = frozenset({"can", "could", "may", "might", "must", "shall", "should", "will", "would"})
HAVE = frozenset({"has", "have", "had"})
_OPENS_AN_OBJECT = frozenset(
    {"DT", "PRP$", "CD", "JJ", "NNP", "TO", "WP", "WDT", "WRB"} | {"NN", "NNS"}
)


@dataclass(frozen=True, slots=True)
class Word:
    text: str
    tag: str  # Penn treebank
    start: int  # where it stands in its sentence
    end: int

    @property
    def lower(self) -> str:
        return self.text.lower()

    @property
    def is_noun(self) -> bool:
        return self.tag.startswith("NN")

    @property
    def is_verb(self) -> bool:
        return self.tag.startswith("VB")

    @property
    def is_identifier(self) -> bool:
        return _IDENTIFIER.match(self.text) is not None


Words = tuple[Word, ...]


def tagged(sentence: str) -> Words:
    """Tag the words of a sentence; each has its position. Identifiers are names."""
    spans = list(_TOKEN.finditer(sentence))
    named = [_IDENTIFIER.match(span[0]) is not None for span in spans]
    plain = ["Paris" if is_name else span[0] for span, is_name in zip(spans, named, strict=True)]
    tags = tag(" ".join(plain), tokenize=False) if spans else []
    if len(tags) != len(spans):  # the tagger splits a few odd tokens: skip such a sentence
        return ()
    names = [
        "NNP" if is_name else _mended_tag(span[0], name)
        for span, is_name, (_, name) in zip(spans, named, tags, strict=True)
    ]
    names = _mended_by_neighbours([span[0].lower() for span in spans], names)
    return tuple(
        Word(span[0], name, span.start(), span.end())
        for span, name in zip(spans, names, strict=True)
    )


def as_within(words: Words, sentence: str) -> str:
    """The words as they read within a sentence, even if they were at its beginning."""
    text = words_between(words, sentence)
    if not words or words[0].start:
        return text
    return text[0].lower() + text[1:] if words[0].tag == "VBG" else uncapitalised(text)


def uncapitalised(text: str) -> str:
    """`text` with a lower-case first letter, unless it begins a name or an abbreviation."""
    first, _, others = text.partition(" ")
    is_determiner = first.lower() in DETERMINERS
    is_name = lexicon.get(first) == "NNP" and lexicon.get(first.lower()) is None
    is_name = is_name or not first[1:].replace("-", "").islower() or others[:1].isupper()
    if is_determiner or (not is_name and _are_known(first.lower())):
        return text[0].lower() + text[1:]
    return text


def _are_known(word: str) -> bool:
    return all(part and is_known(part) for part in word.split("-"))


def words_between(words: Words, sentence: str) -> str:
    """The words as they stand in the sentence, including spaces."""
    return without_code_marks(sentence[words[0].start : words[-1].end]) if words else ""


def _mended_tag(text: str, name: str) -> str:
    if re.fullmatch(r"[$£€]?\d[\d.,:/]*%?", text):
        return "CD"
    if not any(character.isalnum() for character in text):
        return "." if name.startswith(("NN", "JJ", "VB", "CD")) else name
    return name


def _mended_by_neighbours(texts: list[str], names: list[str]) -> list[str]:
    """Correct the tagger's most frequent mistakes."""
    mended = list(names)
    if len(names) > 1 and names[0] in ("VBN", "VBD") and names[1].startswith("NN"):
        mended[0] = "JJ"  # "Missed events"
    for i in range(1, len(names) - 1):
        before, name, after = mended[i - 1], names[i], names[i + 1]
        opens_an_object = after in ("DT", "PRP$", "CD") or (name == "VBN" and after == "JJ")
        if before == "IN" and name in ("VB", "VBP"):
            mended[i] = "NN"  # "requests for leave"
        elif name == "VBG" and before[:2] == "NN" and texts[i + 1] in BE | MODALS:
            mended[i] = "NN"  # "the memory setting is"
        elif name == "VBZ" and texts[i + 1] == "of":
            mended[i] = "NNS"  # "handles of the group"
        elif before == "JJ" and name == "VB" and texts[i + 1] in BE | MODALS:
            mended[i] = "NN"
        elif before == "NNP" and name == "VB" and after == "VBZ":
            mended[i] = "NN"  # "the join() call merges"
        elif before == "DT" and name in ("VB", "VBP", "VBZ"):
            mended[i] = "NN" if name != "VBZ" else "NNS"  # "the result", "the returns"
        elif name in ("VBN", "VBD") and before in ("DT", "IN", "PRP$", "JJ") and after[:2] == "NN":
            mended[i] = "JJ"  # "the specified file"
        elif before.startswith("NN") and name == "VBN" and opens_an_object:
            mended[i] = "VBD"  # "the company raised new capital"
        elif (
            before in ("NN", "NNP", "CD")
            and name == "NNS"
            and _is_a_verb(texts[i], texts[i + 1], after)
        ):
            mended[i] = "VBZ"  # "the gateway stores 400 readings"
        elif before == "NNS" and name in ("NN", "VB") and texts[i] in TECHNICAL_VERBS:
            mended[i] = "VBP" if opens_an_object or name == "VB" else name
    return mended


def is_a_verb_form(word: Word) -> bool:
    """Whether a word can be the third person of a verb: "starts"."""
    base = base_form(word.lower)
    return base != word.lower and (base in TECHNICAL_VERBS or lexicon.get(base) == "VB")


def _is_a_verb(text: str, following: str, tag_after: str) -> bool:
    if following in BE | MODALS | HAVE or tag_after in ("VBZ", "VBD"):
        return False
    base = base_form(text)
    is_verb = base in TECHNICAL_VERBS or (base != text and lexicon.get(base) == "VB")
    return is_verb and tag_after in _OPENS_AN_OBJECT
