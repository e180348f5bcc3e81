"""A strict stand-in for DeepLake Cloud's REST API, for the unmodified deeplake 3.9.52 client.

Datasets lie in a folder of this machine, whose path holds `vectordb/` as the client demands. A
training really trains: a ridge regression from questions to their chunks, so that a search with
`deepmemory_distance` finds more. Jobs move on with each look at their status.

In a test: `with FakeActiveloop(folder) as fake: fake.url, fake.token`. As a process of its own:
`python -m tests.fakes.activeloop_server --port 8082 --folder DIR`.
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
import shutil
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import jwt
import numpy as np

from tests.fakes.activeloop_datasets import DatasetReader, Refused, answer_query, error, fit
from tests.fakes.wire import Fault, Reply, Request, WireServer

ORGANIZATION = "acme"
_EPOCHS = 4
_STUCK_EPOCH, _STUCK_SHARE = 3, 0.7


class FakeActiveloop(WireServer):
    """`available`: whether the plan has Deep Memory. `outcome`: how the next jobs end,
    "completed", "failed" or "stuck" (at 70%). `refuses_to_cancel`: how a cancel of a job that works
    is answered, such as 409; 0 where it is cancelled."""

    def __init__(
        self, folder: Path, *, latency_s: float = 0.0, port: int = 0, token: str | None = None
    ) -> None:
        super().__init__(latency_s=latency_s, port=port)
        self.folder = folder / "vectordb"
        self.token = token or jwt.encode({"id": "analyst"}, "no one checks this signature" * 2)
        self.available = True
        self.outcome = "completed"
        self.refuses_to_cancel = 0
        self.jobs: dict[str, dict[str, Any]] = {}
        self.models: dict[str, np.ndarray] = {}
        self._numbers = itertools.count(1)
        self._fitted: dict[str, np.ndarray] = {}
        self._looks: dict[str, int] = {}
        self._rows = DatasetReader(self.folder)

    @property
    def faults(self) -> dict[str, Fault]:
        return {**super().faults, **FAULTS}

    def answer(self, request: Request) -> Reply:
        if request.headers.get("authorization") != f"Bearer {self.token}":
            return error(401, "Invalid token")
        for header in ("hub-cli-version", "x-activeloop-provider-type"):
            if header not in request.headers:
                return error(400, f"The header {header} is missing")
        for method, pattern, handler in self._routes():
            found = re.fullmatch(pattern, request.path)
            if method == request.method and found:
                try:
                    return handler(request, *found.groups())
                except Refused as refusal:
                    return refusal.reply
        return error(404, f"No route {request.method} {request.path}")

    def _routes(self) -> list[tuple[str, str, Any]]:
        word, memory = r"([\w-]+)", r"/api/deepmemory/v1"
        return [
            ("GET", "/api/user/profile", self._profile),
            ("GET", f"/api/org/{word}/ds/{word}/creds", self._creds),
            ("POST", "/api/dataset/create", self._create),
            ("DELETE", f"/api/dataset/{word}/{word}", self._delete),
            ("POST", "/api/event", lambda request: Reply(200, {})),
            ("GET", f"/api/organizations/{word}/features/deepmemory", self._feature),
            ("POST", f"/api/query/dataset/{word}/{word}", self._query),
            ("POST", f"{memory}/train", self._train),
            ("GET", f"{memory}/jobs/{word}/status", self._status),
            ("POST", f"{memory}/jobs/{word}/cancel", self._cancel),
            ("DELETE", f"{memory}/jobs/{word}", self._forget),
            ("GET", f"{memory}/{word}/{word}/jobs", self._list),
        ]

    def _profile(self, request: Request) -> Reply:
        return Reply(
            200, {"_id": "analyst", "name": "An Analyst", "organizations": [ORGANIZATION, "public"]}
        )

    def _creds(self, request: Request, organization: str, dataset: str) -> Reply:
        self._member(organization)
        if request.query.get("mode", "a") not in {"r", "w", "a", "None"}:
            raise Refused(400, "mode must be r, w or a")
        json.loads(request.query.get("db_engine", "{}"))
        path = self._path(organization, dataset)
        path.mkdir(parents=True, exist_ok=True)
        return Reply(
            200, {"path": str(path), "repository": "protected", "mode": "w", "creds": None}
        )

    def _create(self, request: Request) -> Reply:
        body = request.json()
        if {"tag", "public", "rewrite", "meta", "repository"} - set(body):
            raise Refused(400, "a field is missing")
        organization, _ = body["tag"].split("/")
        self._member(organization)
        return Reply(200, {})

    def _delete(self, request: Request, organization: str, dataset: str) -> Reply:
        self._member(organization)
        shutil.rmtree(self._path(organization, dataset), ignore_errors=True)
        self.models.pop(dataset, None)
        return Reply(200, {})

    def _feature(self, request: Request, organization: str) -> Reply:
        self._member(organization)
        return Reply(200, {"available": self.available})

    def _query(self, request: Request, organization: str, dataset: str) -> Reply:
        self._member(organization)
        rows, model = self._rows(organization, dataset), self.models.get(dataset)
        return Reply(200, answer_query(request.json()["query"], rows, model))

    def _train(self, request: Request) -> Reply:
        body = request.json()
        if set(body) != {"corpus_dataset", "query_dataset"}:
            raise Refused(400, "corpus_dataset and query_dataset are needed")
        if not self.available:
            raise Refused(403, "Deep Memory is not available on this plan")
        (organization, corpus), (_, queries) = (
            path.removeprefix("hub://").split("/") for path in body.values()
        )
        self._member(organization)
        chunks, questions = self._rows(organization, corpus), self._rows(organization, queries)
        row_of = {id_: row for row, id_ in enumerate(chunks["id"])}
        relevant = [about["relevance"] for about in questions["metadata"]]
        if not relevant or any(grade != 1 for row in relevant for _, grade in row):
            raise Refused(400, "Each question needs relevant ids with the relevance 1")
        if unknown := [id_ for row in relevant for id_, _ in row if id_ not in row_of]:
            raise Refused(400, f"{len(unknown)} relevant ids are not in the corpus")
        # As MongoDB makes ids: the time in seconds, then a number.
        job_id = f"{int(time.time()):08x}{next(self._numbers):016x}"
        self.jobs[job_id] = {
            "id": job_id,
            "dataset_id": f"{organization}/{corpus}",
            "organization_id": organization,
            "status": "pending",
            "progress": None,
        }
        self._looks[job_id] = 0
        targets = chunks["embedding"][[row_of[row[0][0]] for row in relevant]]
        self._fitted[job_id] = fit(questions["embedding"], targets)
        return Reply(200, {"job_id": job_id})

    def _status(self, request: Request, job_id: str) -> Reply:
        job = self._job(job_id)
        if job["status"] in {"pending", "training"}:
            self._advance(job)
        return Reply(200, job)

    def _advance(self, job: dict[str, Any]) -> None:
        self._looks[job["id"]] += 1
        looks = self._looks[job["id"]]
        stuck = self.outcome == "stuck"
        epoch = min(looks - 1, _STUCK_EPOCH) if stuck else looks - 1
        if epoch == 0:
            return
        share = min(epoch / _EPOCHS, _STUCK_SHARE if stuck else 1.0)
        job["status"] = "training"
        job["progress"] = {
            "eta": round(60 * (1 - share), 1),
            # Ticks while the job is stuck, too.
            "last_update_at": f"2025-11-21T10:{looks // 60 % 60:02}:{looks % 60:02}",
            "error": None,
            "dataset": "query",
            "split": "val",
            "epoch": epoch,
            "loss": 0.5 / epoch,
            "delta": 2.6,
            "base_val_recall@10": 0.829,
            "val_recall@10": 0.829 + 0.026 * share,
            "train_recall@10": "87.8%",
            "best_recall@10": "85.5% (+2.6)%",
        }
        if self.outcome == "failed":
            job["status"] = "failed"
            job["progress"] = {"error": "Training ran out of memory"}
        elif epoch >= _EPOCHS:
            self.finish(job["id"])

    def finish(self, job_id: str) -> None:
        """Complete a job: its model is the one that answers from now on."""
        job = self._job(job_id)
        job["status"] = "completed"
        if job_id in self._fitted:  # not one that a test has made up
            self.models[job["dataset_id"].split("/")[1]] = self._fitted[job_id]

    def _cancel(self, request: Request, job_id: str) -> Reply:
        job = self._job(job_id)
        if job["status"] not in {"pending", "training"}:
            raise Refused(400, "The job has ended already")
        if self.refuses_to_cancel:
            raise Refused(self.refuses_to_cancel, "The job can not be cancelled any more")
        del self.jobs[job_id]
        return Reply(200, {})

    def _forget(self, request: Request, job_id: str) -> Reply:
        self._job(job_id)
        del self.jobs[job_id]
        return Reply(200, {})

    def _list(self, request: Request, organization: str, dataset: str) -> Reply:
        self._member(organization)
        wanted = f"{organization}/{dataset}"
        return Reply(200, [job for job in self.jobs.values() if job["dataset_id"] == wanted])

    def _job(self, job_id: str) -> dict[str, Any]:
        if job_id not in self.jobs:
            raise Refused(404, "There is no such job")
        return self.jobs[job_id]

    def _member(self, organization: str) -> None:
        if organization != ORGANIZATION:
            raise Refused(403, "You are not a member of this organization")

    def _path(self, organization: str, dataset: str) -> Path:
        return self.folder / organization / dataset


def failing(status: int) -> Fault:
    return lambda request, answer: error(status)


def done_but(status: int) -> Fault:
    """Do the work, and answer with an error: a gateway that gave up waiting."""

    def lost(request: Request, answer: Any) -> Reply:
        answer(request)
        return error(status)

    return lost


def done_but_hang_up(request: Request, answer: Any) -> Reply:
    """Do the work, and close the connection without a word."""
    return replace(answer(request), cut=0.0)


def wrong_json(request: Request, answer: Any) -> Reply:
    """Valid JSON that is not what the route answers."""
    return Reply(200, {"unexpected": True})


FAULTS: dict[str, Fault] = {
    "expired_token": failing(401),
    "forbidden": failing(403),
    "missing": failing(404),
    "rate_limited": failing(429),
    "server_error": failing(500),
    "bad_gateway": failing(502),
    "unavailable": failing(503),
    "gateway_timeout": failing(504),
    "wrong_json": wrong_json,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8082)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--latency-s", type=float, default=0.0)
    options = parser.parse_args()
    with FakeActiveloop(options.folder, latency_s=options.latency_s, port=options.port) as fake:
        print(f"ACTIVELOOP_ENDPOINT={fake.url} ACTIVELOOP_TOKEN={fake.token}", flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
