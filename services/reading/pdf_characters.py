"""Characters of a PDF made plain: ligatures, private symbols, accents beside their letters."""

from __future__ import annotations

import re
import unicodedata

# Stands for a hyphen that the typesetter put at the end of a line, until the lines are joined.
HYPHEN_AT_LINE_END = "\u00ad"

_PLAIN = str.maketrans(
    {
        "\ufb00": "ff",
        "\ufb01": "fi",
        "\ufb02": "fl",
        "\ufb03": "ffi",
        "\ufb04": "ffl",
        "\ufb05": "ft",
        "\ufb06": "st",
        "\u0132": "IJ",
        "\u0133": "ij",
        "\u200b": None,
        "\u2060": None,
        "\ufeff": None,
        "\u200e": None,
        "\u200f": None,
        "\u202a": None,
        "\u202b": None,
        "\u202c": None,
        "\u00a0": " ",
        "\u2010": "-",
        "\u2011": "-",
        # What Word's bullets are in the Symbol and Wingdings fonts.
        "\uf0b7": "\u2022",
        "\uf0a7": "\u2022",
        "\uf0d8": "\u2022",
        "\uf0fc": "\u2713",
        "\uf02d": "-",
        # Bullets of fonts that do not say what their letters are.
        "\x88": "\u2022",
        "\x95": "\u2022",
        # Old fonts without names for these two.
        "\uf001": "fi",
        "\uf002": "fl",
    }
)
# An accent that TeX's old fonts print on its own, before or after its letter.
_ACCENTS = {
    "\u00a8": "\u0308",
    "\u00b4": "\u0301",
    "\u02c6": "\u0302",
    "\u02dc": "\u0303",
    "\u02c7": "\u030c",
}
_BESIDE = re.compile("([\u00a8\u00b4\u02c6\u02dc\u02c7])([A-Za-z\u0131])")
_PRESENTED = re.compile("[\ufb50-\ufdff\ufe70-\ufefc]")


def plain(text: str) -> str:
    """`text` with ligatures as letters and without zero-width characters. A hyphen at the end of a
    line stays marked (`HYPHEN_AT_LINE_END`)."""
    if text.isascii():
        return text
    text = text.translate(_PLAIN)
    if _PRESENTED.search(text):
        text = unicodedata.normalize("NFKC", text)
    return _BESIDE.sub(_accented, text)


def _accented(match: re.Match[str]) -> str:
    letter = "i" if match[2] == "\u0131" else match[2]
    together = unicodedata.normalize("NFC", letter + _ACCENTS[match[1]])
    return together if len(together) == 1 else match[0]
