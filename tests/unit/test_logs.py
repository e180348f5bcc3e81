"""The log shows where an error happened and of what kind, and nothing that it quotes."""

from __future__ import annotations

import io
import logging

from services.logs import WordlessFormatter


def test_a_traceback_goes_to_the_log_without_the_words_of_its_exceptions():
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(WordlessFormatter("%(message)s"))
    log = logging.getLogger("tests.wordless")
    log.addHandler(handler)
    log.propagate = False
    document = "".join(reversed("txet terces"))
    try:
        try:
            int(document)
        except ValueError as error:
            raise RuntimeError(document) from error
    except RuntimeError:
        log.exception("run_failed run=%s", "r1")
    told = written.getvalue()
    assert told.startswith("run_failed run=r1\n")
    assert "builtins.RuntimeError\ncaused by\n" in told
    assert "builtins.ValueError" in told
    assert f'File "{__file__}", line' in told
    assert document not in told
