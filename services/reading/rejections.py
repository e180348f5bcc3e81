"""The limits on reading a document, and the messages for those that are rejected."""

from __future__ import annotations

import time

from services.errors import DocumentRejected

MAX_BYTES = 25_000_000
MAX_CHARACTERS = 2_000_000
MAX_SECONDS = 10.0  # of CPU time, before any text is read
SECONDS_PER_CHARACTER = 1e-5  # of text read, in addition; an ordinary PDF takes a fifth of it


class Allowance:
    """What reading a document may take: characters of text, and seconds of CPU time.

    The CPU time is that of the thread that created this, so a busy machine does not reject more.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._left = MAX_CHARACTERS
        self._until = time.thread_time() + MAX_SECONDS

    def take(self, text: str) -> str:
        """Count `text` as read, and return it.

        Raises:
            DocumentRejected: the document is now too long, or has taken too long.
        """
        self._left -= len(text)
        if self._left < 0:
            raise too_long(self._name)
        self._until += len(text) * SECONDS_PER_CHARACTER
        self.check_time()
        return text

    def check_time(self) -> None:
        """Check the time against what was read so far.

        Raises:
            DocumentRejected: reading takes too long.
        """
        if time.thread_time() > self._until:
            raise too_intricate(self._name, "takes too long to read")


def empty(name: str) -> DocumentRejected:
    return DocumentRejected(f"{name} is empty.", next_step="Add a file that holds text.")


def too_large(name: str, size: int) -> DocumentRejected:
    return DocumentRejected(
        f"{name} is too large: {size / 1e6:.0f} MB. At most 25 MB can be read.",
        next_step="Split it into smaller files.",
    )


def too_long(name: str) -> DocumentRejected:
    return DocumentRejected(
        f"{name} contains more than {MAX_CHARACTERS:,} characters of text.",
        next_step="Split it into smaller files.",
    )


def too_intricate(name: str, how: str) -> DocumentRejected:
    return DocumentRejected(
        f"{name} {how}, which no ordinary document does.",
        next_step="Save its text as a new document and add that.",
    )


def not_text(name: str) -> DocumentRejected:
    return DocumentRejected(
        f"{name} is not text, or is in an unknown encoding.",
        next_step="Save it as UTF-8 text and add it again.",
    )


def locked(name: str) -> DocumentRejected:
    return DocumentRejected(
        f"{name} is protected by a password or in an old Office format.",
        next_step="Save it without a password in the current format, then add it again.",
    )


def damaged(name: str) -> DocumentRejected:
    return DocumentRejected(
        f"{name} is damaged, or is not what its extension says.",
        next_step="Open it in its own program, save it again, and add that.",
    )
