"""What the app shows and keeps when local files are damaged or lost: part of `benchmarks.faults`.

Run alone: `python -m benchmarks.faults_store`, half a minute.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from services.config import Settings
from services.errors import StoreDamaged
from services.knowledge.sample import sample_documents
from services.models import TrainingRun
from services.retrieval.local_store import LocalVectorStore
from services.retrieval.stores import models_folder
from services.retrieval.vector_store import VectorStore
from services.studio import Studio
from services.workspace import Workspace
from tests.behind_the_door import store_of
from tests.embedded import temporary_data_dir

QUERY = "How many days of leave are there for a move?"


@dataclass(frozen=True, slots=True)
class FileFault:
    fault: str
    seen: str
    kept: str
    recovery: str


def outcomes() -> list[FileFault]:
    """Cause each fault in an app with its own folder, and repair it."""
    with temporary_data_dir() as data_dir:
        studio = Studio(Settings(_env_file=None, data_dir=data_dir))
        try:
            user = studio.accounts.sign_up("files@example.com", "a long password")
            space = Workspace(studio, user)
            space.documents.add(sample_documents())
            run = trained(space)
            models = models_folder(studio.settings, run.user_id)
            [model] = models.glob("*.npz")
            embedder = studio.places.embedder

            def after_a_start() -> VectorStore:
                return LocalVectorStore(models.parent, embedder.name, embedder.width)

            return [
                model_with(studio, space, run, "damaged model", lambda: cut(model), model),
                model_with(studio, space, run, "missing model", model.unlink, model),
                store_with(space, models.parent, "damaged store", cut_texts, after_a_start),
                store_with(
                    space, models.parent, "vanished store", shutil.rmtree, lambda: store_of(space)
                ),
            ]
        finally:
            studio.stop()


def trained(space: Workspace) -> TrainingRun:
    run = space.runs.generate(2)
    for move in (lambda: None, lambda: space.runs.train(run.id)):
        move()
        while space.runs.get(run.id).status.is_active:
            time.sleep(0.1)
    return space.models.use(run.id)


def model_with(
    studio: Studio,
    space: Workspace,
    run: TrainingRun,
    name: str,
    happen: Callable[[], object],
    file: Path,
) -> FileFault:
    whole = file.read_bytes()
    happen()
    found = Workspace(studio, space.user).search.compare(QUERY, 10, run)
    assert found.without and found.run_id is None
    file.write_bytes(whole)
    again = Workspace(studio, space.user).search.compare(QUERY, 10, run).run_id == run.id
    return FileFault(
        name,
        f"{found.problem} Search works without it.",
        f"search ({len(found.without)} hits), pairs and figures",
        "file put back: used again; or train again" if again else "NO",
    )


def store_with(
    space: Workspace,
    folder: Path,
    name: str,
    happen: Callable[[Path], object],
    opened: Callable[[], VectorStore],
) -> FileFault:
    backup = folder.with_name("backup")
    shutil.copytree(folder, backup)
    happen(folder)
    seen = "NOTHING"
    try:
        opened().count()
    except StoreDamaged as error:
        seen = f"{error} {error.next_step}"
    runs = space.runs.page(limit=1)[0]
    shutil.rmtree(folder, ignore_errors=True)
    backup.rename(folder)
    return FileFault(
        name,
        seen,
        f"runs and their pairs ({runs[0].pair_count})",
        "folder put back: read again; or begin anew" if opened().count() else "NO",
    )


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def cut_texts(folder: Path) -> None:
    [texts] = folder.glob("v-*/text/chunks/*")
    cut(texts)


def as_table(faults: list[FileFault]) -> str:
    rows = [f"| {f.fault} | {f.seen} | {f.kept} | {f.recovery} |" for f in faults]
    head = "| file | what the person sees | what is kept | how it recovers |"
    return "\n".join([head, "|---|---|---|---|", *rows])


def main() -> None:
    faults = outcomes()
    print(as_table(faults))
    print(json.dumps([asdict(fault) for fault in faults]))


if __name__ == "__main__":
    main()
