"""Characters as they are stored: composed, printable, with \\n as line end."""

from __future__ import annotations

import re
import unicodedata

# More marks on a letter than any script uses (Unicode Annex 15, "stream-safe"): composing them
# takes time quadratic in their number.
_STACKED = re.compile("m{31}")
_UNPRINTABLE = {"Cc", "Cs", "Cn", "Co"}
_ZERO_WIDTH = dict.fromkeys(map(ord, "\u00ad\u200b\u2060\ufeff"))


def tidy(text: str) -> str:
    """`text` without what cannot be stored or seen: control characters, soft hyphens, zero-width
    spaces, blanks at the ends of lines.

    Joiners (U+200C, U+200D) stay: they change how Persian or Hindi words are written.

    Raises:
        ValueError: it has dozens of marks on one letter, so it is no text.
    """
    if text.isascii() and text.isprintable():
        return text.rstrip()
    if not text.isascii():
        marks = "".join("m" if unicodedata.combining(c) else " " for c in text)
        if _STACKED.search(marks):
            raise ValueError("dozens of marks on one letter")
        text = unicodedata.normalize("NFC", text.translate(_ZERO_WIDTH))
    lines = (_printable(line.rstrip()) for line in text.splitlines())
    return "\n".join(lines).strip("\n").rstrip()


def _printable(line: str) -> str:
    if line.isprintable():
        return line
    return "".join(c for c in line if c == "\t" or unicodedata.category(c) not in _UNPRINTABLE)
