"""The thoughts that a question model writes into its answer, and where they end.

A server that knows its model keeps them separate (`reasoning_content`). Others return the raw
output, with thoughts in tags that differ between model families, or in the channels of gpt-oss, of
which only "final" is the answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_NAME = (
    r"(?:\w+:)?(?:think(?:ing)?|thoughts?|reason(?:ing)?|reflection|analysis|scratchpad|monologue)"
)
_TAG = rf"(?:\w+_|ant)?{_NAME}(?:_\w+)?"  # <inner_monologue>, <antThinking>, <thought_process>
_MARK = re.compile(
    rf"""
    (?P<open>  <{_TAG}(?:\s[^<>]*)?> | \[THINK\] | <\|(?:begin_of_|start_)?{_NAME}\|>
             | ◁{_NAME}▷ | <\|channel>\s*\w+ | \A(?-i:analysis(?=[A-Z])) )
  | (?P<close> </{_TAG}\s*> | \[/THINK\] | <\|(?:/|end_of_|end_){_NAME}\|> | ◁/{_NAME}▷
             | <channel\|> )
  | <\|channel\|>\s*(?P<channel>\w+)(?:[^<{{]*(?:<\|constrain\|>[^<{{]*)?<\|message\|>)?
  | (?P<final> assistantfinal )     # what is left of the channels without their special tokens
  | (?P<end> <\|end\|> )
    """,
    re.IGNORECASE | re.VERBOSE,
)
_SPECIAL_TOKEN = re.compile(r"<\|start\|>\w*|<\|\w+\|>")
_SENTENCE_ENDS = "\n.!?:;>])}`*"
_FAR_ENOUGH = 100  # characters before a mark that are searched for the end of a sentence
_BEFORE_A_BREAK = re.compile(r"[ \t]*(?:\n|\Z)")


@dataclass(slots=True)
class _Mark:
    begin: int
    end: int
    opens: bool
    ends_all: bool  # whatever was opened
    drops_before: bool  # even if nothing was opened: the opening mark was in the prompt
    is_apart: bool  # not in the middle of a sentence, as when a question asks about such a mark


def without_thoughts(content: str) -> str:
    """`content` without thoughts and special tokens."""
    kept, at = [], 0
    for begin, end in thoughts_in(content):
        kept.append(content[at:begin])
        at = max(at, end)
    return _SPECIAL_TOKEN.sub("", "".join([*kept, content[at:]]))


def thoughts_in(content: str) -> list[tuple[int, int]]:
    """The (start, end) of each thought, marks included, in order.

    Thoughts may be nested. One that is opened and never closed extends to the last closing mark
    after it, or else to the end of `content`: the thoughts used up the answer.
    """
    found: list[tuple[int, int]] = []
    opened: list[_Mark] = []
    closed_at = 0
    for mark in _marks(content):
        if mark.opens:
            opened.append(mark)
        elif opened:
            first, closed_at = opened[0], mark.end
            if mark.ends_all:
                opened.clear()
            else:
                opened.pop()
            if not opened and (first.is_apart or mark.is_apart):
                found.append((first.begin, mark.end))
        elif mark.drops_before and mark.is_apart:
            found = [(0, mark.end)]
    if opened and opened[0].is_apart:
        first = opened[0]
        found.append((first.begin, closed_at if closed_at > first.end else len(content)))
    return found


def _marks(content: str) -> Iterator[_Mark]:
    for match in _MARK.finditer(content):
        channel = (match["channel"] or "").lower()
        is_final = bool(match["final"]) or channel == "final"
        yield _Mark(
            match.start(),
            match.end(),
            opens=bool(match["open"]) or channel not in ("", "final"),
            ends_all=is_final or bool(match["end"]),
            drops_before=is_final or bool(match["close"]),
            is_apart=is_final
            or bool(channel)
            or _begins_a_sentence(content, match.start())
            or _BEFORE_A_BREAK.match(content, match.end()) is not None,
        )


def _begins_a_sentence(content: str, place: int) -> bool:
    before = content[max(0, place - _FAR_ENOUGH) : place].rstrip(" \t")
    return not before or before[-1] in _SENTENCE_ENDS
