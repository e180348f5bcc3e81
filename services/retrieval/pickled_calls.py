"""A process that answers its parent's calls one after another, and ends with the parent.

Calls arrive pickled on standard input; answers go to standard output.
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
    """Serve calls to the object that `make` builds from the first message, while the parent lives.

    The first answer, True, says that the process is ready. `answer` calls a method with its
    arguments and returns what to send back.
    """
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # libraries print
    target = make(*pickle.load(sys.stdin.buffer))
    asked: queue.Queue[tuple[str, tuple[Any, ...]]] = queue.Queue()
    threading.Thread(target=_read, args=(asked,), daemon=True).start()
    gc.freeze()  # objects from the start need not be scanned each time
    _send(True, answers)  # ready
    while True:
        name, arguments = asked.get()
        _send(answer(getattr(target, name), arguments), answers)
        gc.collect()  # datasets are few, large cycles: automatic collection would come too late


def _send(what: object, answers: IO[bytes]) -> None:
    pickle.dump(what, answers)
    answers.flush()


def _read(asked: queue.Queue[tuple[str, tuple[Any, ...]]]) -> None:
    """Queue the calls, and end this process when the app is gone, even during a call."""
    try:
        while True:
            asked.put(pickle.load(sys.stdin.buffer))
    except (EOFError, pickle.UnpicklingError):
        os._exit(0)
