"""Words broken at the ends of lines made whole again."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from services.reading.pdf_characters import HYPHEN_AT_LINE_END
from services.reading.pdf_lines import Line
from services.reading.pdf_tables import Table

_WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
_LAST_PART = re.compile(r"([^\W\d_]+)[\u00ad-]$")
_FIRST_PART = re.compile(r"^([^\W\d_]+)")
_BROKEN_ADDRESS = re.compile(r"(://|\bwww\.)\S*[/.=&?_]$")
# "well-known", "self-made", but "wellness" and "selfish".
_BEFORE_HYPHEN = {"well", "self"}
_ENDINGS = ("ness", "ing", "ish", "less", "hood")
_OPENING = "\"'([{\u201c\u201d\u2018\u2019\u201e\u00ab\u00bb"
_WIDE_END = re.compile("[\u3000-\u30ff\u3400-\u9fff\uff00-\uffef]$")
_WIDE_START = re.compile("^[\u3000-\u30ff\u3400-\u9fff\uff00-\uffef]")


class Hyphens:
    """Joins lines. A hyphen at a line's end is kept if the document has the word with it elsewhere,
    or if both parts are words of the document and their joint is not. Where the document does not
    have the word, "well-" and "self-" keep theirs."""

    def __init__(self, pages: Iterable[Iterable[Line | Table]]) -> None:
        self._words: Counter[str] = Counter()
        for items in pages:
            for item in items:
                if isinstance(item, Line):
                    found = _WORD.findall(item.text)
                    # The parts of a broken word are no words.
                    if item.text[-1:] in ("-", HYPHEN_AT_LINE_END):
                        found = found[:-1]
                    self._words.update(word.lower() for word in found)

    def joined(self, text: str, line: str) -> str:
        """`text`, going on with `line`."""
        if text.endswith(("-", HYPHEN_AT_LINE_END)) and len(text) > 1:
            return self._without_hyphen(text, line)
        if _BROKEN_ADDRESS.search(text) and not line[:1].isupper() and line[:1] not in "([":
            return text + line
        if not text.isascii() and _WIDE_END.search(text) and _WIDE_START.match(line):
            return text + line
        return f"{text} {line}"

    def _without_hyphen(self, text: str, line: str) -> str:
        before, after = _LAST_PART.search(text), _FIRST_PART.match(line)
        token = text[:-1].split()[-1:] or [""]
        if before and after and not token[0].strip(_OPENING).isalpha():
            # A flag, a name from a program, or the third part of a compound.
            keeps = not self._words[(before[1] + after[1]).lower()]
            return text[:-1] + ("-" if keeps else "") + line
        if not before:
            spaced = text[-2:-1].isspace()  # a dash, and no hyphen
            return f"{text[:-1]}- {line}" if spaced else f"{text[:-1]}-{line}"
        if not after:
            return f"{text[:-1]}-{line}"
        return text[:-1] + ("-" if self._keeps(before[1], after[1]) else "") + line

    def _keeps(self, a: str, b: str) -> bool:
        if b[0].isupper() and not a.isupper():
            return True
        a, b = a.lower(), b.lower()
        joint, with_hyphen = self._words[a + b], self._words[f"{a}-{b}"]
        if joint or with_hyphen:
            return with_hyphen > joint
        if a in _BEFORE_HYPHEN and not b.startswith(_ENDINGS):
            return True
        return len(a) > 2 and len(b) > 2 and self._words[a] > 0 and self._words[b] > 0

    def ended(self, text: str) -> str:
        """`text` at the end of its block."""
        return text.replace(HYPHEN_AT_LINE_END, "-")
