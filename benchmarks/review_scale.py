"""How long a reviewer waits with many pairs.

    python -m benchmarks.review_scale DIR [--pairs 20000]

Makes a knowledge base of half as many chunks as pairs from the passages of a data set in BEIR
layout, and a run in review with two questions for each. Then it draws the dashboard in this
process, without a browser (Streamlit's AppTest, which draws the whole page for each press; a
browser draws the review alone), and calls the services that the page calls. "first_page" is drawn
while the check of all pairs begins in the background. Prints one JSON object last; times are in
seconds.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from streamlit.testing.v1 import AppTest

from benchmarks.beir import read_beir
from benchmarks.varied import CHUNKS_PER_DOCUMENT, varied_chunks
from pages.ui import context
from services import studio as current
from services.accounts.auth import SignedInUser
from services.accounts.visitors import Visitor
from services.config import PROJECT_ROOT, Settings
from services.models import Chunk, Document, Review
from services.pairs.selection import Order, Selection
from services.retrieval.content import EmbeddedDocument
from services.studio import Studio
from services.workspace import Workspace
from tests.embedded import temporary_data_dir

_TIMES = 5
_AT_ONCE = 1_000
_DOUBTFUL = Selection(Review.TO_REVIEW, order=Order.DOUBT)


def measure(folder: Path, pairs: int) -> dict[str, Any]:
    """Everything that the command prints."""
    with temporary_data_dir() as data_dir:
        studio = Studio(Settings(_env_file=None, data_dir=data_dir))
        try:
            user = studio.sign_in_as_demo()
            texts = list(varied_chunks(read_beir(folder).passages, pairs // 2))
            run_id = _run_in_review(studio, user, texts)
            current._current = studio
            return {"pairs": pairs, "chunks": len(texts), **_waits(Workspace(studio, user), run_id)}
        finally:
            studio.stop()


def _waits(space: Workspace, run_id: str) -> dict[str, Any]:
    context.visitor = lambda: Visitor("203.0.113.7", None)
    app = AppTest.from_file(str(PROJECT_ROOT / "pages" / "navigation.py"), default_timeout=300)
    app.session_state[context._WORKSPACE] = space
    app.switch_page("account.py").run()  # so that what a process imports once is imported
    app.switch_page("deep_memory.py")
    began = time.perf_counter()
    waits = {"first_page": _seconds(app.run)}
    checking = space.pairs.check_in_background(space.runs.get(run_id))
    waits["drop_while_checking"] = _press(app, "drop_")
    checking.wait(3600)
    waits["check_in_background"] = time.perf_counter() - began
    app.run()
    waits["page_when_checked"] = median(_seconds(app.run) for _ in range(_TIMES))
    for key in ("keep_", "drop_", "review_undo", "review_next"):
        waits[f"page: {key.strip('_')}"] = median(_press(app, key) for _ in range(_TIMES))
    waits["page: edit and save"] = median(_edit(app, number) for number in range(_TIMES))
    waits |= {f"service: {name}": seconds for name, seconds in _services(space, run_id).items()}
    assert not app.exception, app.exception
    return {name: round(seconds, 3) for name, seconds in waits.items()}


def _press(app: AppTest, key: str) -> float:
    """Press the button of this key, or the current pair's."""
    button = next(
        b
        for b in app.button
        if b.key == key or ((b.key or "").startswith(key) and b.proto.shortcut)
    )
    return _seconds(lambda: button.click().run())


def _edit(app: AppTest, number: int) -> float:
    _press(app, "edit_")
    area = app.text_area[0]
    area.set_value(f"What is number {number} of all this?")
    save = app.button(key=f"save_{(area.key or '').removeprefix('question_')}")
    return _seconds(lambda: save.click().run())


def _services(space: Workspace, run_id: str) -> dict[str, float]:
    page = space.pairs.page(run_id, limit=100, selection=_DOUBTFUL)
    pairs = iter(page)
    return {
        "a page by doubt": _median(
            lambda: space.pairs.page(run_id, limit=10, offset=5_000, selection=_DOUBTFUL)
        ),
        "counts": _median(lambda: space.pairs.counts(run_id)),
        "drop": _median(lambda: space.pairs.decide(run_id, [next(pairs)], Review.DROPPED)),
        "edit": _median(lambda: space.pairs.edit(run_id, pair := next(pairs), pair.chunk_id)),
        "check of what changed": _seconds(
            lambda: space.pairs.check_in_background(space.runs.get(run_id)).wait(60)
        ),
    }


def _median(action: Callable[[], object]) -> float:
    return median(_seconds(action) for _ in range(_TIMES))


def _seconds(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def _run_in_review(studio: Studio, user: SignedInUser, texts: list[str]) -> str:
    """Store the chunks, and a run with two questions about each: its first and last words."""
    from tests.runs import Script

    store = studio.places.store_of(user.identity.user_id)
    vectors = studio.places.embedder.embed(texts)
    documents = []
    for first in range(0, len(texts), CHUNKS_PER_DOCUMENT):
        part = texts[first : first + CHUNKS_PER_DOCUMENT]
        name = f"{first}.txt"
        chunks = [Chunk(f"c{first + n}", name, name, n, text) for n, text in enumerate(part)]
        digest = hashlib.sha256("".join(part).encode()).hexdigest()
        about = Document(name, name, len(part), sum(map(len, part)), digest, datetime.now(UTC))
        documents.append(EmbeddedDocument(about, chunks, vectors[first : first + len(part)]))
    store.add(documents)
    script = Script(user, studio._service).start(len(texts))
    script.lease.begin_generation([f"c{n}" for n in range(len(texts))])
    for first in range(0, len(texts), _AT_ONCE):
        numbered = list(enumerate(texts))[first : first + _AT_ONCE]
        rows = [
            {
                "chunk_id": f"c{n}",
                "chunk_preview": text[:200],
                "question_text": f"What of {' '.join(words)}?",
                "relevance_score": 1.0,
            }
            for n, text in numbered
            for words in (text.split()[:8], text.split()[-8:])
        ]
        done = [{"chunk_id": f"c{n}", "problem": None} for n, _ in numbered]
        script.lease.save_pairs(done, rows, {})
    script.lease.finish_generation()
    return script.run.id


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--pairs", type=int, default=20_000)
    arguments = parser.parse_args()
    print(json.dumps(measure(arguments.folder, arguments.pairs)))


if __name__ == "__main__":
    main()
