"""E-mail: the message as one document, and its attachments as others."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage, Message
from typing import Any

from services.errors import DocumentRejected
from services.reading import rejections
from services.reading.blocks import Source

_HEADERS = ("From", "To", "Cc", "Date", "Subject")
_EXTENSIONS = {
    "application/pdf": ".pdf",
    "application/json": ".json",
    "text/csv": ".csv",
    "text/html": ".html",
    "text/markdown": ".md",
    "text/plain": ".txt",
}
_MOST_PARTS = 1_000
_LINES_OF_A_PART = 20  # that may begin with "--", as the borders of parts do


def members(source: Source) -> Iterator[Source]:
    """The message under its own name, then each attachment: "offer.eml" holds "offer.eml", to be
    read as a text or a web page, and "offer.eml/prices.xlsx".

    Images that are shown within the text are left out and noted. A forwarded message is an
    attachment "….eml".

    Raises:
        DocumentRejected: it is no message, or encrypted.
    """
    if source.content.count(b"\n--") > _LINES_OF_A_PART * _MOST_PARTS:
        raise _too_many_parts(source.name)
    message = message_from_bytes(source.content, policy=policy.default)
    if not any(_header(message, name) for name in ("From", "Date", "Subject", "To")):
        raise rejections.damaged(source.name)
    if message.get_content_type() in ("application/pkcs7-mime", "multipart/encrypted"):
        raise _encrypted(source.name)
    plain, page = _texts(message)
    yield _document(source.name, message, plain, page)
    taken: set[str] = set()
    images = 0
    for number, part in enumerate(_attachments(message), 1):
        if number > _MOST_PARTS:
            raise _too_many_parts(source.name)
        if part.get_content_maintype() == "image" and _is_within_text(part):
            images += 1
            continue
        name = _unique(f"{source.name}/{_file_name(part, number)}", taken)
        yield Source(name, _content(part))
        source.progress(number / (number + 1))
    if images:
        source.note(f"{images} image{'' if images == 1 else 's'} without text")


def _too_many_parts(name: str) -> DocumentRejected:
    return rejections.too_intricate(name, f"has more than {_MOST_PARTS:,} parts")


def _header(message: Message[Any, Any], name: str) -> str:
    try:
        text = str(message.get(name, ""))
    except (ValueError, LookupError, AttributeError, TypeError):  # what the parser makes of it
        text = next((str(v) for k, v in message.raw_items() if k.lower() == name.lower()), "")
    return " ".join(text.split())


def _texts(message: EmailMessage) -> tuple[str, str]:
    """The text of the message, plain and as a web page, each "" if there is none."""
    found = {"text/plain": "", "text/html": ""}
    for part in _leaves(message):
        kind = part.get_content_type()
        if kind in found and not _is_attached(part):
            separator = "\n\n" if found[kind] else ""
            found[kind] += separator + _text(part)
    return found["text/plain"].strip(), found["text/html"].strip()


def _leaves(part: Any) -> Iterator[EmailMessage]:
    """The parts that hold something, in order. A forwarded message is one of them."""
    waiting = [part]
    while waiting:
        part = waiting.pop()
        if part.get_content_maintype() == "multipart" and isinstance(part.get_payload(), list):
            waiting += reversed(part.get_payload())
        else:
            yield part


def _is_attached(part: EmailMessage) -> bool:
    return part.get_content_disposition() == "attachment" or bool(part.get_filename())


def _is_within_text(part: EmailMessage) -> bool:
    return part.get("Content-ID") is not None or part.get_content_disposition() == "inline"


def _attachments(message: EmailMessage) -> Iterator[EmailMessage]:
    for part in _leaves(message):
        is_text = part.get_content_type() in ("text/plain", "text/html")
        if not is_text or _is_attached(part):
            yield part


def _text(part: EmailMessage) -> str:
    content = _content(part)
    charset = part.get_content_charset() or "utf-8"
    for encoding in ("utf-8", charset, "cp1252"):
        try:
            return content.decode(encoding)
        except (LookupError, UnicodeError):
            continue
    return content.decode("latin-1")


def _content(part: EmailMessage) -> bytes:
    if part.get_content_type() == "message/rfc822":
        inner = _forwarded(part)
        return b"" if inner is None else inner.as_bytes()
    content = part.get_payload(decode=True)
    return content if isinstance(content, bytes) else b""


def _forwarded(part: EmailMessage) -> Message[Any, Any] | None:
    inner: Any = part.get_payload()
    return inner[0] if isinstance(inner, list) and inner else None


def _document(name: str, message: EmailMessage, plain: str, page: str) -> Source:
    headers = [(each, text) for each in _HEADERS if (text := _header(message, each))]
    title = _header(message, "Subject")
    if page and len(plain) < 20:
        lines = "<br>".join(f"{each}: {html.escape(text)}" for each, text in headers)
        head = f"<h1>{html.escape(title)}</h1>" if title else ""
        content = f"{head}<p>{lines}</p>\n{page}"
        return Source(name, content.encode("utf-8", "replace"), kind=".html")
    head = f"# {title}\n\n" if title else ""
    lines = "\n".join(f"{each}: {text}" for each, text in headers)
    content = f"{head}{lines}\n\n{plain}\n"
    return Source(name, content.encode("utf-8", "replace"), kind=".txt")


def _file_name(part: EmailMessage, number: int) -> str:
    kind = part.get_content_type()
    name = part.get_filename() or ""
    if not name and kind == "message/rfc822":
        inner = _forwarded(part)
        subject = "" if inner is None else _header(inner, "Subject")
        name = f"{subject or f'message {number}'}.eml"
    name = re.sub(r"[\x00-\x1f\x7f]", "", name).replace("\\", "/").rpartition("/")[2].strip(" .")
    return name or f"attachment {number}{_EXTENSIONS.get(kind, '')}"


def _unique(name: str, taken: set[str]) -> str:
    stem, dot, extension = name.rpartition(".")
    unique, number = name, 2
    while unique in taken:
        unique = f"{stem} ({number}){dot}{extension}"
        number += 1
    taken.add(unique)
    return unique


def _encrypted(name: str) -> DocumentRejected:
    return DocumentRejected(
        f"{name} is encrypted.",
        next_step="Open it in your mail program, save its text, and add that.",
    )
