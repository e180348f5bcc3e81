"""The examples of docs/examples/ do what docs/integrations.md says, against a model that was really
trained: their rankings are those of the folder and of the app."""

from __future__ import annotations

import importlib.util
import json
import os
import runpy
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import numpy as np
import openai
import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from pydantic import SecretStr

from services.accounts.auth import Accounts
from services.config import PROJECT_ROOT
from services.http.api import PREFIX
from services.knowledge.sample import sample_documents, sample_questions
from services.local_supabase.migrations import connect
from services.local_supabase.stack import LocalSupabase
from tests.fakes.wire import Reply, Request, WireServer
from tests.running_app import RunningApp

EXAMPLES = PROJECT_ROOT / "docs" / "examples"
QUESTIONS = [sample.question for sample in sample_questions()[:6]]
WITHIN_S = 180


def example(name: str) -> ModuleType:
    """The module of one example, as a reader has it after copying the file."""
    about = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert about is not None and about.loader is not None
    module = importlib.util.module_from_spec(about)
    sys.modules[name] = module  # pydantic looks the annotations of a class up there
    about.loader.exec_module(module)
    return module


@dataclass(frozen=True)
class Trained:
    """A person whose search uses a model that was trained on the sample."""

    url: str
    token: str
    run_id: str
    api: httpx.Client
    studio: openai.OpenAI
    folder: Path  # the model, downloaded

    @property
    def chunks(self) -> list[dict[str, Any]]:
        lines = (self.folder / "chunks.jsonl").read_text(encoding="utf-8").split("\n")
        return [json.loads(line) for line in lines if line]

    def hits(self, question: str) -> list[dict[str, Any]]:
        found = self.api.post("/search", json={"query": question, "k": 5}).raise_for_status()
        assert found.json()["trained_run_id"] == self.run_id
        return found.json()["hits"]

    def found_in_folder(self, question: str) -> list[str]:
        return [chunk["id"] for _, chunk in self._search(question)]

    @property
    def _search(self) -> Callable[..., list[tuple[float, dict[str, Any]]]]:
        return runpy.run_path(str(self.folder / "search.py"))["search"]


@pytest.fixture(scope="module")
def trained(
    app: RunningApp, accounts: Accounts, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Trained]:
    user = accounts.sign_up(f"{uuid.uuid4().hex}@example.com", "correct horse battery")
    token, own = user.access_token(), {"user_id": user.identity.user_id}
    headers = {"Authorization": f"Bearer {token}"}
    with (
        httpx.Client(base_url=f"{app.url}{PREFIX}", headers=headers, timeout=60) as api,
        openai.OpenAI(base_url=f"{app.url}/v1", api_key=token) as studio,
    ):
        files = [("files", file) for file in sample_documents()]
        assert api.post("/documents", files=files).status_code == 201
        body = {**own, "questions_per_chunk": 1}
        run_id = api.post("/deep-memory/generate", json=body).raise_for_status().json()["job_id"]
        wait_for(api, run_id, own, "generated")
        body = {**own, "training_run_id": run_id}
        api.post("/deep-memory/train", json=body).raise_for_status()
        wait_for(api, run_id, own, "completed")
        api.post(f"/deep-memory/models/{run_id}/use").raise_for_status()
        folder = example("download_model").download_model(
            app.url, token, run_id, tmp_path_factory.mktemp("model")
        )
        yield Trained(app.url, token, run_id, api, studio, folder)


def wait_for(api: httpx.Client, run_id: str, own: dict[str, str], status: str) -> None:
    deadline = time.monotonic() + WITHIN_S
    while (run := api.get(f"/deep-memory/runs/{run_id}", params=own).json())["status"] != status:
        assert time.monotonic() < deadline and "failed" not in run["status"], run
        time.sleep(0.2)


def test_folder_is_downloaded_and_its_card_has_the_figures_of_the_map_alone(trained):
    metrics = trained.api.get("/deep-memory/models").json()["models"][0]["metrics"]
    card = (trained.folder / "README.md").read_text(encoding="utf-8")
    alone = metrics["map_alone"]
    assert f"| {alone['before']['recall@10']:.3f} | {alone['after']['recall@10']:.3f} |" in card
    assert len(trained.found_in_folder(QUESTIONS[0])) == 10


def test_langchain_retriever_gives_the_apps_own_ranking(trained):
    module = example("langchain_retriever")
    retriever = module.DeepMemoryRetriever(token=SecretStr(trained.token), studio=trained.url, k=5)
    for question in QUESTIONS:
        found, hits = retriever.invoke(question), trained.hits(question)
        assert [document.id for document in found] == [hit["id"] for hit in hits]
        assert [document.page_content for document in found] == [hit["text"] for hit in hits]
        assert {document.metadata["deep_memory"] for document in found} == {True}
        assert [document.metadata["source"] for document in found] == [
            hit["document"] for hit in hits
        ]
    assert trained.token not in repr(retriever)


def test_llamaindex_retriever_gives_the_apps_own_ranking(trained):
    module = example("llamaindex_retriever")
    retriever = module.DeepMemoryRetriever(trained.token, trained.url, k=5)
    for question in QUESTIONS:
        found, hits = retriever.retrieve(question), trained.hits(question)
        assert [node.node_id for node in found] == [hit["id"] for hit in hits]
        assert [node.text for node in found] == [hit["text"] for hit in hits]
        assert [node.score for node in found] == [hit["score"] for hit in hits]
        assert {node.metadata["deep_memory"] for node in found} == {True}


@pytest.mark.parametrize("name", ["langchain_retriever", "llamaindex_retriever"])
def test_a_retriever_says_that_a_token_is_not_valid(app, name):
    retriever = example(name).DeepMemoryRetriever(token="expired", studio=app.url)
    with pytest.raises(httpx.HTTPStatusError, match="401"):
        retriever.invoke("dues") if hasattr(retriever, "invoke") else retriever.retrieve("dues")


@pytest.fixture
def database(supabase_stack: LocalSupabase, owner: psycopg.Connection) -> Iterator[Any]:
    """A database of its own beside the app's, in the embedded Postgres."""
    name = f"vectors_{uuid.uuid4().hex[:8]}"
    owner.execute(f"create database {name}")
    with connect(make_conninfo(supabase_stack.dsn, dbname=name)) as connection:
        yield connection
    owner.execute(f"drop database {name}")


def test_pgvector_ranks_as_the_folder_does(trained, database):
    module = example("pgvector_search")
    module.MOST_INPUTS = 100  # so that documents are cut apart by the requests
    module.fill(database, trained.studio, trained.chunks)
    stored = database.execute("select embedding::text from passages order by position").fetchall()
    np.testing.assert_allclose(
        [json.loads(text) for (text,) in stored],
        np.load(trained.folder / "chunks.npy"),
        atol=1e-6,
    )
    for question in QUESTIONS:
        found = module.search(database, trained.studio, question)
        assert [chunk_id for chunk_id, _ in found] == trained.found_in_folder(question)


class ProfileOnly(WireServer):
    """All that deeplake's `VectorStore` asks its cloud when it opens a local path."""

    def answer(self, request: Request) -> Reply:
        return Reply(200, {"_id": "public", "name": "public", "organizations": ["public"]})


IN_DEEPLAKE = """
import json, runpy, sys
import deeplake.client.client
from openai import OpenAI
example, cloud, store, url, token, folder, questions = sys.argv[1:]
deeplake.client.client.HUB_REST_ENDPOINT = cloud  # a loopback, as tests have no network
module = runpy.run_path(example)
studio = OpenAI(base_url=f"{url}/v1", api_key=token)
lines = open(f"{folder}/chunks.jsonl", encoding="utf-8").read().split("\\n")
filled = module["fill"](store, studio, [json.loads(line) for line in lines if line])
found = [module["search"](filled, studio, question) for question in json.loads(questions)]
print(json.dumps([[chunk_id for chunk_id, _ in hits] for hits in found]))
"""


def test_deeplake_ranks_as_the_folder_does(trained, tmp_path):
    """In a process of its own, because `VectorStore` asks DeepLake Cloud who calls."""
    with ProfileOnly() as cloud:
        run = subprocess.run(
            [
                sys.executable,
                "-c",
                IN_DEEPLAKE,
                EXAMPLES / "deeplake_search.py",
                cloud.url,
                tmp_path / "store",
                trained.url,
                trained.token,
                trained.folder,
                json.dumps(QUESTIONS),
            ],
            env={**os.environ, "BUGGER_OFF": "true", "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=180,
        )
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout.splitlines()[-1])
    assert found == [trained.found_in_folder(question) for question in QUESTIONS]
