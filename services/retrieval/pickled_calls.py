"""A process that answers what its parent asks, one thing after another, and ends with it.

Calls come pickled over the standard input, answers go over the standard output.
"""

from __future__ import annotations

import gc
import os
import pickle
import queue
import sys
import threading
from collections.abc import Callable
from typing import IO, Any


def answer_calls(
    make: Callable[..., object], answer: Callable[[Callable[..., Any], tuple[Any, ...]], Any]
) -> None:
    """Call methods of what `make` makes of the first thing sent, for as long as the parent lives.

    The first answer, True, says that it is ready. `answer` calls a method with its arguments, and
    says what is to be sent back.
    """
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # libraries print
    target = make(*pickle.load(sys.stdin.buffer))
    asked: queue.Queue[tuple[str, tuple[Any, ...]]] = queue.Queue()
    threading.Thread(target=_read, args=(asked,), daemon=True).start()
    gc.freeze()  # what is there from the start need not be looked through each time
    _send(True, answers)  # ready
    while True:
        name, arguments = asked.get()
        _send(answer(getattr(target, name), arguments), answers)
        gc.collect()  # datasets are cycles, few and large: by itself it would come too late


def _send(what: object, answers: IO[bytes]) -> None:
    pickle.dump(what, answers)
    answers.flush()


def _read(asked: queue.Queue[tuple[str, tuple[Any, ...]]]) -> None:
    """Hand on what is asked, and end this process when the app is gone: in a call, too."""
    try:
        while True:
            asked.put(pickle.load(sys.stdin.buffer))
    except (EOFError, pickle.UnpicklingError):
        os._exit(0)
