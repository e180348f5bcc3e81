"""Sentences, and their grammar as far as the offline writer needs it.

The part-of-speech tags come from TextBlob's lexicon tagger and the base forms of verbs from
simplemma: both work from their wheels, without a download. Parsing is careful rather than complete:
a sentence whose subject and verb are in doubt yields no clause.

Importing this module loads the lexicon. Without this, TextBlob would load it at the first word, and
other threads would tag with the part loaded so far; under Python's import lock they wait.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from textblob.en import lexicon, tag

from services.base_forms import base_form, is_known

lexicon.load()

_TOKEN = re.compile(r"[$£€]?\d[\d,.:/]*\d%?|[$£€]?\d%?|\w+(?:[-'’/.&]\w+)*|\S")  # noqa: RUF001
_SENTENCE_END = re.compile(r"(?<=[.!?;])[\"')\]]*\s+(?=[\"'(\[]*\w)")
_ABBREVIATION = re.compile(
    r"(?:\b(?:e\.g|i\.e|cf|vs|dr|mr|mrs|ms|st|no|fig|figs|eq|al|approx|inc|ltd|co|corp|u\.s)\.|"
    r"(?:^|\s)\w\.)[\"')\]]*\s$",
    re.IGNORECASE,
)
_MARKUP = re.compile(r"[*_`]{1,3}|^\s*(?:[-*+•>]|\d+[.)])\s+|\[\d+(?:[-,]\s?\d+)*\]", re.MULTILINE)
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_HEADING = re.compile(r"^\s*#{1,6}\s+(.+?)\s*#*$")

BE = frozenset({"is", "are", "was", "were"})
MODALS = frozenset({"can", "could", "may", "might", "must", "shall", "should", "will", "would"})
_HAVE = frozenset({"has", "have", "had"})
_DO = frozenset({"do", "does", "did"})
_IN_A_SUBJECT = frozenset(
    {"DT", "PDT", "JJ", "JJR", "JJS", "NN", "NNS", "NNP", "NNPS", "PRP$", "CD", "POS", "VBG", "CC"}
)
_SUBJECT_PREPOSITIONS = frozenset({"of", "in", "for", "from", "on", "to", "with", "between", "at"})
_VAGUE = frozenset(
    {"this", "that", "these", "those", "such", "it", "they", "he", "she", "we", "you", "i", "there"}
    | {"its", "their", "his", "her", "our", "your", "both", "each", "another", "other", "others"}
    | {"no", "none", "neither", "nothing", "little", "few"}
    | {"former", "latter", "same", "following", "above", "here", "what", "who", "which", "whose"}
)


@dataclass(frozen=True, slots=True)
class Word:
    text: str
    tag: str  # Penn treebank
    start: int  # where it stands in its sentence
    end: int

    @property
    def is_noun(self) -> bool:
        return self.tag.startswith("NN")

    @property
    def is_verb(self) -> bool:
        return self.tag.startswith("VB")


@dataclass(frozen=True, slots=True)
class Clause:
    """`subject` `auxiliary` `rest`: "The days" "are" "counted twice". For a main verb without an
    auxiliary, `auxiliary` is the form of "do" that a question needs, and `rest` begins with the
    base form of the verb."""

    subject: tuple[Word, ...]
    auxiliary: str
    rest: tuple[Word, ...]
    text: str  # the sentence that the words stand in

    @property
    def head_noun(self) -> Word | None:
        """The subject's main noun: "requests" of "requests for leave"."""
        if any(word.tag == "CC" for word in self.subject):
            return None
        end = next((i for i, word in enumerate(self.subject) if word.tag in ("IN", "TO")), None)
        nouns = [word for word in self.subject[:end] if word.tag in ("NN", "NNS")]
        return nouns[-1] if nouns else None

    @property
    def has_main_verb_moved(self) -> bool:
        return self.auxiliary in ("do", "does", "did")


def headings_and_sentences(text: str) -> tuple[list[str], list[str]]:
    """Split a passage into its headings and its prose sentences; table rows are left out."""
    headings, paragraphs = [], [""]
    for line in text.splitlines():
        heading = _HEADING.match(line)
        if heading:
            headings.append(_MARKUP.sub("", heading[1]).strip())
        if heading or not line.strip() or _is_tabular(line):
            paragraphs.append("")
        else:
            paragraphs[-1] += f"{line}\n"
    sentences = [found for text in paragraphs for found in _sentences(_plain(text))]
    return headings, sentences


def tagged(sentence: str) -> tuple[Word, ...]:
    """Tag the words of a sentence; each has its position."""
    spans = list(_TOKEN.finditer(sentence))
    tags = tag(" ".join(span[0] for span in spans), tokenize=False) if spans else []
    if len(tags) != len(spans):  # the tagger splits a few odd tokens: skip such a sentence
        return ()
    names = [_mended_tag(span[0], name) for span, (_, name) in zip(spans, tags, strict=True)]
    return tuple(
        Word(span[0], name, span.start(), span.end())
        for span, name in zip(spans, _mended_by_neighbours(names), strict=True)
    )


def clause_of(words: tuple[Word, ...], sentence: str) -> Clause | None:
    """Find subject and verb; None if the sentence cannot be parsed with confidence."""
    words = _without_opening(words)
    for position, word in enumerate(words):
        lower = word.text.lower()
        subject = words[:position]
        if lower in BE | MODALS | _HAVE or word.tag in ("VBZ", "VBD"):
            return _clause(subject, word, words[position + 1 :], sentence)
        if not _may_be_in_a_subject(word):
            return None
    return None


def noun_phrases(words: tuple[Word, ...], sentence: str) -> list[str]:
    """Noun phrases of two to five words, without article, in order."""
    phrases: list[list[Word]] = []
    current: list[Word] = []
    for word in (*words, Word("", ".", 0, 0)):
        ends = not (word.is_noun or word.tag in ("JJ", "VBG", "CD"))
        if not ends and not (current and word.start - current[-1].end > 1):
            current.append(word)
            continue
        phrases.append(current)
        current = []
    kept = [phrase for phrase in map(_trimmed, phrases) if 2 <= len(phrase) <= 5]
    return [as_within(tuple(phrase), sentence) for phrase in kept]


def as_within(words: tuple[Word, ...], sentence: str) -> str:
    """The words as they read within a sentence, even if they were at its beginning."""
    text = words_between(words, sentence)
    return text if words[0].start else uncapitalised(text)


def uncapitalised(text: str) -> str:
    """`text` with a lower-case first letter, unless it begins a name or an abbreviation."""
    first, _, others = text.partition(" ")
    is_article = first in ("The", "A", "An")
    is_name = not first[1:].islower() or others[:1].isupper()
    if is_article or (not is_name and is_known(first.lower())):
        return text[0].lower() + text[1:]
    return text


def words_between(words: tuple[Word, ...], sentence: str) -> str:
    """The words as they stand in the sentence, including spaces."""
    return sentence[words[0].start : words[-1].end] if words else ""


def _clause(
    subject: tuple[Word, ...], verb: Word, rest: tuple[Word, ...], sentence: str
) -> Clause | None:
    end = next((i for i, word in enumerate(rest) if word.text in '.;:!?()[]"“”—–'), len(rest))  # noqa: RUF001
    rest = rest[:end]
    head = subject[-1] if subject else None
    if (
        head is None
        or not (head.is_noun or head.tag == "CD")
        or not any(word.is_noun for word in subject)
        or len(subject) > 10
        or subject[0].tag in ("IN", "TO", "CC")
        or any(word.text.lower() in _VAGUE for word in subject)
        or len(rest) < 2
    ):
        return None
    lower = verb.text.lower()
    first = next((word for word in rest if word.tag != "RB"), rest[0])
    if lower in BE | MODALS or (lower in _HAVE and first.tag in ("VBN", "VBD")):
        return Clause(subject, lower, rest, sentence)
    if verb.text != lower or any(word.text.lower() in BE | MODALS for word in rest[:3]):
        return None
    base = base_form(lower)
    if lower in _DO or (base == lower and lower != "have"):
        return None
    auxiliary = "do" if lower == "have" else "did" if verb.tag == "VBD" else "does"
    return Clause(subject, auxiliary, (Word(base, "VB", verb.start, verb.end), *rest), sentence)


def _may_be_in_a_subject(word: Word) -> bool:
    if word.tag in ("IN", "TO"):
        return word.text.lower() in _SUBJECT_PREPOSITIONS
    return word.tag in _IN_A_SUBJECT


def _without_opening(words: tuple[Word, ...]) -> tuple[Word, ...]:
    """Leave out "In 2017," or "However," before the subject."""
    for position, word in enumerate(words[:9]):
        if word.text == "," and words[0].tag in ("IN", "RB", "TO", "CC"):
            return words[position + 1 :]
        if word.is_verb:
            break
    return words


def _trimmed(phrase: list[Word]) -> list[Word]:
    while phrase and not phrase[-1].is_noun:
        phrase = phrase[:-1]
    while phrase and (phrase[0].tag in ("CD", "VBG") or phrase[0].text.lower() in _VAGUE):
        phrase = phrase[1:]
    return phrase


def _mended_tag(text: str, name: str) -> str:
    if re.fullmatch(r"[$£€]?\d[\d.,:/]*%?", text):
        return "CD"
    if not any(character.isalnum() for character in text):
        return "." if name.startswith(("NN", "JJ", "VB", "CD")) else name
    return name


def _mended_by_neighbours(names: list[str]) -> list[str]:
    """Correct the tagger's most frequent mistakes."""
    mended = list(names)
    for i in range(1, len(names) - 1):
        before, name, after = names[i - 1 : i + 2]
        opens_an_object = after in ("DT", "PRP$", "CD") or (name == "VBN" and after == "JJ")
        if before == "IN" and name in ("VB", "VBP"):
            mended[i] = "NN"  # "requests for leave"
        elif before.startswith("NN") and name == "VBN" and opens_an_object:
            mended[i] = "VBD"  # "the company raised new capital"
        elif before in ("NN", "NNP") and name == "NNS" and opens_an_object:
            mended[i] = "VBZ"  # "the gateway stores 400 readings"
    return mended


def _sentences(paragraph: str) -> list[str]:
    found, start = [], 0
    for end in _SENTENCE_END.finditer(paragraph):
        if not _ABBREVIATION.search(paragraph[: end.end()][-12:]):
            found.append(paragraph[start : end.start()].strip())
            start = end.end()
    found.append(paragraph[start:].strip())
    return [sentence for sentence in found if sentence]


def _plain(paragraph: str) -> str:
    return " ".join(_MARKUP.sub("", _LINK.sub(r"\1", paragraph)).split())


def _is_tabular(line: str) -> bool:
    letters = sum(character.isalpha() for character in line)
    return line.count("|") >= 2 or line.count("\t") >= 2 or letters < 0.5 * len(line.strip())
