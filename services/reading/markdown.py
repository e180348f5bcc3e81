"""Markdown: its headings, fences and tables are understood; other text stays as it is written."""

from __future__ import annotations

import re
from collections.abc import Iterator

from services.reading.blocks import Block, Source
from services.reading.decoding import text_of
from services.reading.tables import joined

_HEADING = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*")
_FENCE = re.compile(r"(\s*(?:>\s?|[-*+]\s+|\d{1,9}[.)]\s+)*)(`{3,}|~{3,})\s*([^`]*)")
_UNDERLINE = re.compile(r" {0,3}(=+|-+)[ \t]*")
_ITEM = re.compile(r"[ \t]*(?:[-*+]|\d{1,9}[.)])[ \t]+\S")
_RULE = re.compile(r" {0,3}(?:(?:\*[ \t]*){3,}|(?:-[ \t]*){3,}|(?:_[ \t]*){3,})")
_DELIMITER_ROW = re.compile(r" {0,3}\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*")
_CELL_END = re.compile(r"(?<!\\)\|")
_ESCAPED = re.compile(r"(`+)(?:(?!\1).)+\1|\\([_*#<>\[\]`~|])")
_HARMLESS_COMMENT = re.compile(r"[ \t]*<!--(?:(?!-->).)*-->[ \t]*")
_MOST_BACKTICKS = 200  # in a line that is looked through for code
_LINES_BETWEEN_PROGRESS = 500


def read(source: Source) -> Iterator[Block]:
    """Headings, code, rows of tables, lists and paragraphs. Backslashes that only keep a sign from
    being markup (`pg\\_dump`) are taken out, except in code.

    Raises:
        DocumentRejected: it is no text.
    """
    lines = text_of(source.name, source.content).splitlines()
    place = 0
    front = _front_matter(lines)
    if front:
        yield Block("text", "\n".join(lines[1 : front - 1]))
        place = front
    told = place
    while place < len(lines):
        if place - told >= _LINES_BETWEEN_PROGRESS:
            source.progress(place / len(lines))
            told = place
        blocks, place = _next(lines, place)
        yield from blocks


def _front_matter(lines: list[str]) -> int:
    """How many lines are data about the document, between `---` (or `+++`) at its beginning."""
    if not lines or lines[0].rstrip() not in ("---", "+++"):
        return 0
    for number, line in enumerate(lines[1:200], 1):
        if line.rstrip() == lines[0].rstrip():
            return number + 1
        if number == 1 and not re.match(r"[\w\"'-]+\s*[:=]|#", line):
            return 0
    return 0


def _next(lines: list[str], place: int) -> tuple[list[Block], int]:
    """The blocks that begin at a line, and the line after them."""
    line = lines[place]
    if not line.strip() or _RULE.fullmatch(line) or _HARMLESS_COMMENT.fullmatch(line):
        return [], place + 1
    if _FENCE.fullmatch(line):
        return _fenced(lines, place)
    if heading := _HEADING.fullmatch(line):
        title = _unescaped(heading[2] or "")
        return [Block("heading", title, level=len(heading[1]))], place + 1
    if _starts_table(lines, place):
        return _table(lines, place)
    if line.startswith(("    ", "\t")) and not _ITEM.match(line):
        return _indented(lines, place)
    if _ITEM.match(line):
        return _list(lines, place)
    return _paragraph(lines, place)


def _fenced(lines: list[str], place: int) -> tuple[list[Block], int]:
    opening = _FENCE.fullmatch(lines[place])
    assert opening is not None
    before, fence, about = opening[1], opening[2], opening[3].strip()
    indent = len(before) if not before.strip(" \t>") else len(before.expandtabs())
    quote = before.lstrip() if before.strip().startswith(">") else ""
    end = place + 1
    while end < len(lines):
        closing = lines[end].strip(" \t>")
        if len(closing) >= len(fence) and not closing.strip(fence[0]):
            break
        end += 1
    code = [_without_margin(line, indent, quote) for line in lines[place + 1 : end]]
    language = re.split(r"[\s,{:]", about.lstrip("{."), maxsplit=1)[0].rstrip("}")
    lead = before.strip(" \t>")
    blocks = [Block("text", before.strip())] if lead and lead not in "-*+" else []
    return [*blocks, Block("code", "\n".join(code), language=language)], end + 1


def _without_margin(line: str, indent: int, quote: str) -> str:
    if quote and line.lstrip().startswith(">"):
        line = re.sub(r"^\s*>\s?", "", line)
        return line
    margin = len(line) - len(line.lstrip())
    return line[min(indent, margin) :]


def _indented(lines: list[str], place: int) -> tuple[list[Block], int]:
    end = place
    while end < len(lines) and (lines[end].startswith(("    ", "\t")) or not lines[end].strip()):
        end += 1
    code = [line[1:] if line.startswith("\t") else line[4:] for line in lines[place:end]]
    return [Block("code", "\n".join(code).rstrip())], end


def _starts_table(lines: list[str], place: int) -> bool:
    if "|" not in lines[place] or place + 1 >= len(lines):
        return False
    below = lines[place + 1]
    is_delimited = "-" in below and _DELIMITER_ROW.fullmatch(below) is not None
    return is_delimited and len(_cells(lines[place])) == len(_cells(below))


def _table(lines: list[str], place: int) -> tuple[list[Block], int]:
    header = joined(_cells(lines[place]))
    end = place + 2
    rows = []
    while end < len(lines) and "|" in lines[end] and lines[end].strip():
        if text := joined(_cells(lines[end])):
            rows.append(Block("row", text, header=header))
        end += 1
    return rows or [Block("row", header)], end


def _cells(line: str) -> list[str]:
    line = line.strip().removeprefix("|")
    if line.endswith("|") and not line.endswith("\\|"):
        line = line[:-1]
    return [_unescaped(cell.strip().replace("<br>", " ")) for cell in _CELL_END.split(line)]


def _list(lines: list[str], place: int) -> tuple[list[Block], int]:
    """A list with all that is indented below its items. Code in it is a block of its own."""
    blocks: list[Block] = []
    kept: list[str] = []
    while place < len(lines):
        line = lines[place]
        if _FENCE.fullmatch(line) and (line.startswith((" ", "\t")) or _ITEM.match(line)):
            blocks += _as_text(kept)
            kept = []
            code, place = _fenced(lines, place)
            blocks += code
            continue
        if not line.strip():
            after = next((other for other in lines[place + 1 : place + 3] if other.strip()), "")
            if not (_ITEM.match(after) or after.startswith(("  ", "\t"))):
                break
        elif _ends_paragraph(lines, place) and not line.startswith(("  ", "\t")):
            break
        else:
            kept.append(_unescaped(line))
        place += 1
    return blocks + _as_text(kept), place


def _paragraph(lines: list[str], place: int) -> tuple[list[Block], int]:
    kept = [lines[place]]
    place += 1
    while place < len(lines):
        line = lines[place]
        underline = _UNDERLINE.fullmatch(line)
        if underline and (len(line.strip()) > 1 or line.strip() == "="):
            title = " ".join(_unescaped(each.strip()) for each in kept)
            return [Block("heading", title, level=1 if "=" in line else 2)], place + 1
        if not line.strip() or _ends_paragraph(lines, place) or _ITEM.match(line):
            break
        kept.append(line)
        place += 1
    return _as_text([_unescaped(line) for line in kept]), place


def _ends_paragraph(lines: list[str], place: int) -> bool:
    line = lines[place]
    return bool(
        _HEADING.fullmatch(line)
        or _FENCE.fullmatch(line)
        or _RULE.fullmatch(line)
        or _starts_table(lines, place)
    )


def _as_text(lines: list[str]) -> list[Block]:
    return [Block("text", "\n".join(lines))] if lines else []


def _unescaped(text: str) -> str:
    if "\\" not in text or text.count("`") > _MOST_BACKTICKS:
        return text
    return _ESCAPED.sub(lambda match: match[2] or match[0], text)
