"""Base forms of English words, from simplemma's table: "transferred" and "transfers", "transfer".

Importing this module unpacks the table, which takes a fifth of a second: import it where it is
needed. simplemma alone would unpack it at the first word, once in each thread that has one then;
under Python's import lock one thread does, and the others wait.
"""

from __future__ import annotations

import simplemma


def base_form(word: str) -> str:
    return str(simplemma.lemmatize(word, lang="en"))


def is_known(word: str) -> bool:
    """Whether the table has the word."""
    return simplemma.is_known(word, lang="en")


is_known("table")
