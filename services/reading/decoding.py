"""The encoding of a text file, and its text."""

from __future__ import annotations

import codecs
import io
import re
import unicodedata
from collections import Counter
from pathlib import PurePath

import charset_normalizer

from services.errors import DocumentRejected
from services.reading import rejections
from services.reading.limits import MAX_CHARACTERS, MAX_ELEMENTS

_BYTES_AT_ONCE = 1_000_000
_MOST_BYTES_OF_A_CHARACTER = 4
_SAMPLE = 100_000
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# How files of other kinds begin, which are renamed more often than damaged.
_OTHER_KINDS = (
    (b"%PDF-", "a PDF", ".pdf"),
    (b"PK\x03\x04", "a zip or Office", ".zip, .docx, .xlsx or .pptx"),
    (bytes.fromhex("d0cf11e0a1b11ae1"), "an old Office", ".doc, .xls or .ppt"),
    (b"{\\rtf", "an RTF", ".rtf"),
    (b"\x1f\x8b\x08", "a gzip", ".gz"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z", ".7z"),
    (b"Rar!\x1a\x07", "a rar", ".rar"),
)
# Encodings of one byte for texts that are mostly ASCII, the likeliest first.
_WESTERN = ("cp1252", "cp1250", "iso8859_2", "mac_roman", "cp850")
_BETWEEN_LETTERS = set("'\u2018\u2019-\u2013\u2014·\u00ad/&_")
_MOSTLY_ASCII = 0.6
_BLANKS = dict.fromkeys(map(ord, "\t\n\r\f\u00a0\u3000"))
_LEAST_PRINTED = 0x20
_WIDE_STOPS = "\u3001\u3002\uff0c"


def encoding_of(name: str, content: bytes, declared: str = "") -> str:
    """The encoding of a text file; `declared` is what the file itself says, if it does.

    A byte order mark decides, then UTF-8 if the file is valid in it, then what is declared, then
    the zeros of UTF-16. Else Windows-1252 is taken unless another code page makes words of what
    would be signs inside of words.

    Raises:
        DocumentRejected: the file is of another kind, or binary.
    """
    for signature, kind, extension in _OTHER_KINDS:
        if content.startswith(signature):
            raise _of_another_kind(name, kind, extension)
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return encoding
    if found := _zeros_of_utf_16(content):
        return found
    if _is_valid(content, "utf-8"):
        return "utf-8"
    if declared and _is_valid(content, declared):
        return declared
    return _guessed(name, content)


def text_of(name: str, content: bytes, declared: str = "") -> str:
    """The text of a file, with \\n as line end.

    Raises:
        DocumentRejected: it is no text, or longer than a document may be.
    """
    if len(content) > _MOST_BYTES_OF_A_CHARACTER * MAX_CHARACTERS:
        raise rejections.too_long(name)
    return stream_of(name, content, declared, newline=None).read()


def stream_of(
    name: str, content: bytes, declared: str = "", newline: str | None = ""
) -> io.TextIOWrapper:
    """The text of a file as a stream; `newline` as for `open`.

    Raises:
        DocumentRejected: it is no text, or has more lines than a document ever has.
    """
    if content.count(b"\n") > MAX_ELEMENTS:
        raise rejections.too_many_elements(name, "lines")
    encoding = encoding_of(name, content, declared)
    stream = io.TextIOWrapper(io.BytesIO(content), encoding, errors="replace", newline=newline)
    sample = stream.read(_SAMPLE)
    odd = sum(1 for character in sample if _is_binary(character))
    if odd > max(2, len(sample) // 50):
        raise rejections.not_text(name)
    stream.seek(0)
    return stream


def _of_another_kind(name: str, kind: str, extension: str) -> DocumentRejected:
    return DocumentRejected(
        f"{name} is not a text: inside, it is {kind} file.",
        next_step=f"Give it its own ending ({extension}) instead of "
        f"{PurePath(name).suffix} and add it again.",
    )


def _is_binary(character: str) -> bool:
    return unicodedata.category(character) == "Cc" and character not in "\t\n\r\f\v\x1b\x85"


def _is_valid(content: bytes, encoding: str) -> bool:
    try:
        decoder = codecs.getincrementaldecoder(encoding)()
        for start in range(0, len(content), _BYTES_AT_ONCE):
            decoder.decode(content[start : start + _BYTES_AT_ONCE])
        decoder.decode(b"", final=True)
    except (LookupError, ValueError):
        return False
    return True


def _zeros_of_utf_16(content: bytes) -> str:
    """The kind of UTF-16 without a mark, whose Latin letters have a zero beside them, or ""."""
    sample = content[: _SAMPLE - _SAMPLE % 2]
    if len(sample) < 2 or len(content) % 2:
        return ""
    first, second = sample[::2].count(0), sample[1::2].count(0)
    if second * 3 > len(sample) // 2 and not first:
        return "utf-16-le"
    if first * 3 > len(sample) // 2 and not second:
        return "utf-16-be"
    return _other_utf_16(sample) if first or second else ""


def _other_utf_16(sample: bytes) -> str:
    """The kind of UTF-16 of letters that are not Latin: those of one alphabet have the same small
    byte beside them, and Chinese ones have stops that are written with such bytes."""
    for kind, beside in (("utf-16-le", sample[1::2]), ("utf-16-be", sample[::2])):
        try:
            text = codecs.getincrementaldecoder(kind)().decode(sample)
        except UnicodeError:
            continue
        [(byte, times)] = Counter(beside.replace(b"\0", b"")).most_common(1) or [(0, 0)]
        is_of_one_alphabet = byte < _LEAST_PRINTED and times * 2 > len(beside)
        has_stops = any(stop in text for stop in _WIDE_STOPS)
        if (is_of_one_alphabet or has_stops) and text.translate(_BLANKS).isprintable():
            return kind
    return ""


def _guessed(name: str, content: bytes) -> str:
    sample = _telling_lines(content)
    high = sum(1 for byte in sample if byte >= 0x80)
    letters = high + sum(1 for byte in sample if chr(byte).isalpha() and byte < 0x80)
    if high > _MOSTLY_ASCII * letters:
        match = charset_normalizer.from_bytes(sample).best()
        if match is not None:
            return match.encoding
    fit = {encoding: _oddities(sample, encoding) for encoding in _WESTERN}
    best = min(fit, key=lambda encoding: fit[encoding])
    if fit[best] > len(sample) // 10 + 2:
        raise rejections.not_text(name)
    return best


def _telling_lines(content: bytes) -> bytes:
    """Lines with bytes that are not ASCII: the others are the same in all encodings."""
    telling, size = [], 0
    for match in re.finditer(rb"[^\n]{0,200}[\x80-\xff][^\n]{0,200}", content):
        telling.append(match[0])
        size += len(match[0])
        if size > _SAMPLE:
            break
    return b"\n".join(telling)


def _oddities(sample: bytes, encoding: str) -> int:
    """How many characters cannot be meant: signs inside of words, capitals after small letters."""
    text = sample.decode(encoding, errors="replace")
    odd = 0
    for match in re.finditer(r"[^\x00-\x7f]", text):
        character = match[0]
        before = text[match.start() - 1] if match.start() else " "
        after = text[match.end()] if match.end() < len(text) else " "
        if character == "\ufffd" or unicodedata.category(character) in ("Cc", "Cn", "Co"):
            odd += 3
        elif character.isalpha():
            odd += character.isupper() and before.islower()
        elif character not in _BETWEEN_LETTERS:
            odd += before.isalpha() and after.isalpha()
    return odd
