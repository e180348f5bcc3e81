"""A passage's headings and its whole sentences, with identifiers as they are written.

Only sentences that stand for themselves come out: begun and ended, of running words. List items
without an end, table rows, captions, code and lines of contents are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from services.generation.word_lists import word_set

_SENTENCE_END = re.compile(r"(?<=[.!?;])[\"')\]]*\s+(?=[\"'(\[]*[\w\x02])")
_ABBREVIATION = re.compile(
    r"(?:\b(?:e\.g|i\.e|cf|vs|dr|mr|mrs|ms|st|no|fig|figs|eq|al|approx|inc|ltd|co|corp|u\.s|etc|"
    r"sec|ch|vol|resp)\.|(?:^|\s)\w\.)[\"')\]]*\s$",
    re.IGNORECASE,
)
_HEADING = re.compile(r"^\s*#{1,6}\s+(.+?)\s*#*$")
_FENCE = re.compile(r"^\s*(```|~~~)")
_ITEM = re.compile(r"^\s*(?:[-*+•◦▪–>]|\d{1,3}[.)]|[a-z][.)]|:)\s+")  # noqa: RUF001
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_CITATION = re.compile(r"\s?\[\d+(?:[-,]\s?\d+)*\]")
_CODE = re.compile(r"(`{1,2})(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)
_QUOTED_WORD = re.compile(
    r"(?<!\w)[“”\"]([^\s“”\"\x02\x03]*[_/.-][^\s“”\"\x02\x03]*\w)[“”\"](?!\w)"
)
_STARS = re.compile(r"(?<![\w*])(\*{1,3})(?=[^\s*])([^*\n]*[^\s*])\1(?![\w*])")
# Not `__init__`: underscores around one word of code are part of it.
_UNDERSCORES = re.compile(
    r"(?<![\w_])(?:_(?=[^\W_])([^_\n]*[^\W_])_|__(?=[^\W_])([^_\n]* [^_\n]*)__)(?![\w_])"
)
_ESCAPED = re.compile(r"\\([_*`#\[\]<>~|-])")
_RANGE = re.compile(r"(?<=\d)–(?=\d)")  # noqa: RUF001
_ASIDE = re.compile(r"\s\([^()]*\)")
_CAPTION = re.compile(
    r"^(?:figure|fig\.|table|listing|example|chapter|section|note \d)\s*[\dA-Z]", re.I
)
_CLOSED = re.compile(r"[.!?;][\"')\]\x03]*$")
_FOOTNOTE = re.compile(
    r"^\d{1,2} ?[A-Z]|\b[a-z]+(?:able|ible|ed|ing|ly|ous|ive|tion|ment|ers|ces)\d{1,2}\b"
)
_LEADS_TO_CODE = re.compile(r"^To [a-z].*:$")
_LONGEST_WORD = 40
_CODE_SIGNS = re.compile(r"[{}=\\^|<>]|~(?!/)|://|;\S|\w\[\w|\.{2}|[#%]\w|\$[A-Za-z]")

CODE_BEGINS, CODE_ENDS = "\x02", "\x03"  # around what was marked as code
_MOST_WORDS = 45
_MOST_IN_A_LABEL, _MOST_LABEL_LINES, _SHORT_LINE = 8, 4, 60
_LONG_OPTION = re.compile(r"^(?:-\w\b[^-]*)?(--(?:\[no-\])?[A-Za-z][\w-]+)")
_CALL = re.compile(r"(?:^|=\s|:\s)([a-z]\w+) ?\([^()]*\)\s*(?:\[.*\])?$")
_SETTING = re.compile(r"^(\w+_\w+|-\w)(?=$|,| \()")
_LEADS_ON = word_set(
    "a an the of in on at to for from by with and or is are as that",
)


@dataclass(frozen=True, slots=True)
class Sentence:
    """`label` is what its paragraph describes, if that stands on a line of its own before it."""

    text: str
    label: str = ""
    is_first: bool = False  # of its paragraph
    goes_on: bool = False  # after a semicolon, so that it begins with a small letter


def headings_and_sentences(text: str) -> tuple[list[str], list[Sentence]]:
    """Split a passage into its headings and its prose sentences; table rows are left out.

    What was marked as code stands between CODE_BEGINS and CODE_ENDS, as it was written.
    """
    headings: list[str] = []
    sentences: list[Sentence] = []
    before = ""
    for paragraph in _paragraphs(text):
        heading = _HEADING.match(paragraph)
        if heading:
            headings.append(without_code_marks(_plain(heading[1])).strip())
        else:
            label = label_in(before)
            before_it = ""
            for found in _sentences(_plain(paragraph)):
                goes_on = before_it.endswith(";")
                sentences.append(Sentence(found, label, not before_it, goes_on))
                before_it = found
        before = heading[1] if heading else paragraph
    return headings, sentences


def label_in(paragraph: str) -> str:
    """The option, function or setting that a line names which describes it: "-a, --all"."""
    line = without_code_marks(_plain(paragraph)).strip(" :")
    if not line or len(line.split()) > _MOST_IN_A_LABEL or line[-1] in ".;!?":
        return ""
    found = _LONG_OPTION.search(line) or _CALL.search(line) or _SETTING.match(line)
    return found[1] if found else ""


def _paragraphs(text: str) -> Iterator[str]:
    """Headings, paragraphs and list items; table rows are left out, and so is code but for the last
    of a few lines."""
    current: list[str] = []
    fenced: list[str] | None = None
    for line in [*text.splitlines(), ""]:
        is_fence = _FENCE.match(line) is not None
        if fenced is not None and not is_fence:
            fenced.append(line)
            continue
        is_heading = not is_fence and _HEADING.match(line) is not None
        leaves_out = is_fence or not line.strip() or _is_tabular(line)
        item = _ITEM.match(line)
        if current and (leaves_out or is_heading or item or _ends_early(current, line)):
            yield "\n".join(current)
            current = []
        if is_fence:
            if fenced and len(fenced) <= _MOST_LABEL_LINES:
                yield fenced[-1]  # it may name what follows; it is no sentence
            fenced = [] if fenced is None else None
        elif is_heading:
            yield line
        elif not leaves_out:
            current.append(_ITEM.sub("", line))


def _ends_early(lines: Sequence[str], following: str) -> bool:
    """Whether the paragraph's last line is a title without a mark, as those of a PDF are."""
    last = lines[-1].strip()
    return (
        len(last) < _SHORT_LINE
        and len(last) < 0.7 * len(following)
        and last[-1] not in ".,;:!?-("
        and last.rsplit(None, 1)[-1].lower() not in _LEADS_ON
        and following.lstrip()[:1].isupper()
    )


def is_whole(sentence: str, goes_on: bool = False) -> bool:
    """Whether a sentence begins and ends, and is running text rather than code or a caption."""
    words = sentence.split()
    is_open = not _CLOSED.search(sentence) and not _LEADS_TO_CODE.match(sentence)
    if not 4 <= len(words) <= _MOST_WORDS or is_open or len(max(words, key=len)) > _LONGEST_WORD:
        return False
    first = sentence.lstrip("\"'(")[:1]
    if not (goes_on or first.isupper() or first.isdigit() or first in (CODE_BEGINS, "-", "/")):
        return False
    prose = re.sub(rf"{CODE_BEGINS}[^{CODE_ENDS}]*{CODE_ENDS}", "code", sentence)
    if _CAPTION.match(prose) or _FOOTNOTE.search(prose) or _CODE_SIGNS.search(prose):
        return False
    lower = sum(word.strip(",.;:()\"'").isalpha() and not word.isupper() for word in prose.split())
    return lower >= 0.5 * len(prose.split())


def without_asides(sentence: str) -> str:
    """The sentence without what stands in brackets."""
    return _ASIDE.sub("", sentence)


def without_code_marks(text: str) -> str:
    return text.replace(CODE_BEGINS, "").replace(CODE_ENDS, "")


def _sentences(paragraph: str) -> Iterator[str]:
    start = 0
    for end in _SENTENCE_END.finditer(paragraph):
        if not _ABBREVIATION.search(paragraph[: end.end()][-12:]):
            yield paragraph[start : end.start()].strip()
            start = end.end()
    if last := paragraph[start:].strip():
        yield last


def _plain(paragraph: str) -> str:
    text = _CODE.sub(rf"{CODE_BEGINS}\2{CODE_ENDS}", _LINK.sub(r"\1", paragraph))
    text = _CITATION.sub("", _ESCAPED.sub(r"\1", text))
    text = _QUOTED_WORD.sub(rf"{CODE_BEGINS}\1{CODE_ENDS}", text)
    text = _STARS.sub(r"\2", text)
    text = _UNDERSCORES.sub(lambda found: found[1] or found[2], text)
    return " ".join(_RANGE.sub("-", text).split())


def _is_tabular(line: str) -> bool:
    letters = sum(character.isalpha() for character in line)
    return line.count("|") >= 2 or line.count("\t") >= 2 or letters < 0.5 * len(line.strip())
