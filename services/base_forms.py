"""Base forms of English words by simplemma's table: "transfer" for "transferred", "transfers".

Importing this module unpacks the table, which takes a fifth of a second: import it where it is
needed. Without this, simplemma would unpack it at the first word, once in every thread that has
one at that moment; under Python's import lock one thread does so, and the others wait.
"""

from __future__ import annotations

import simplemma


def base_form(word: str) -> str:
    return str(simplemma.lemmatize(word, lang="en"))


def is_known(word: str) -> bool:
    """Whether the table has the word."""
    return simplemma.is_known(word, lang="en")


is_known("table")
