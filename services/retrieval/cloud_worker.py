"""The process that talks to DeepLake Cloud: `python -m services.retrieval.cloud_worker`.

It is a separate process because deeplake's client has no time limit: opening a dataset takes ten
calls of up to 170 s each, and only a process can be stopped from outside whatever it is doing.
`cloud_calls.CloudProcesses` starts it, sends it one call after another over its standard input and
output (pickled), and kills it when an answer takes too long. It ends with the app.

deeplake's version control makes changes atomic: a change is committed when it is complete, readers
read the last commit, and the next change discards what a killed one left half done. The history is
not kept: texts and vectors from before the last replacement are deleted, because a person removed
them.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import requests

from services.retrieval.cloud_failures import CloudFailure, Failure
from services.retrieval.cloud_history import ADDED, REPLACED, forget_replaced
from services.retrieval.content import ABSENT, EMPTY
from services.retrieval.local_store import import_deeplake
from services.retrieval.pickled_calls import answer_calls

deeplake: Any = import_deeplake()

import deeplake.client.client as rest  # noqa: E402 - after the import without calls home
from deeplake.constants import DEFAULT_VECTORSTORE_TENSORS  # noqa: E402
from deeplake.core import lock as deeplake_lock  # noqa: E402
from deeplake.core.vectorstore.deeplake_vectorstore import VectorStore  # noqa: E402
from deeplake.core.vectorstore.vector_search.indra.query import parse_query  # noqa: E402
from deeplake.util import exceptions  # noqa: E402

# Each lock registers its release for the end of the process, and so keeps the dataset of each
# change in memory until then. This process is killed anyway, and a lock that it leaves expires.
deeplake_lock.atexit = types.SimpleNamespace(register=lambda release: release)

_TENSORS = [str(tensor["name"]) for tensor in DEFAULT_VECTORSTORE_TENSORS]
_MANAGED = {"tensor_db": True}
_FAILURES: dict[type[BaseException], Failure] = {
    exceptions.AuthenticationException: Failure.TOKEN,
    exceptions.InvalidTokenException: Failure.TOKEN,
    exceptions.EmptyTokenException: Failure.TOKEN,
    exceptions.AuthorizationException: Failure.FORBIDDEN,
    exceptions.TokenPermissionError: Failure.FORBIDDEN,
    exceptions.AgreementError: Failure.FORBIDDEN,
    exceptions.ResourceNotFoundException: Failure.MISSING,
    exceptions.DatasetHandlerError: Failure.MISSING,
    exceptions.OverLimitException: Failure.LIMITED,
    exceptions.ServerException: Failure.SERVER,
    exceptions.BadGatewayException: Failure.SERVER,
    exceptions.GatewayTimeoutException: Failure.SERVER,
    exceptions.LockedException: Failure.LOCKED,
    exceptions.ReadOnlyModeError: Failure.LOCKED,
    exceptions.BadRequestException: Failure.REFUSED,
    exceptions.UnexpectedStatusCodeException: Failure.REFUSED,  # such as 409
    exceptions.UnprocessableEntityException: Failure.REFUSED,
    requests.exceptions.JSONDecodeError: Failure.GARBLED,
    requests.RequestException: Failure.NETWORK,
}


class Unreachable(BaseException):
    """No connection. Not an Exception, because the client swallows those or retries."""


def one_try(method: str, url: str, **options: Any) -> requests.Response:
    """Stands in for `requests.request`, so that the client sends nothing twice.

    The client retries a 502 up to three times, and a lost connection endlessly, whatever the call:
    a training that had begun is begun again. Here both are raised past the client's loop instead;
    `CloudProcesses.call` and its callers decide whether to retry.
    """
    try:
        response = requests.api.request(method, url, **options)
    except requests.ConnectionError as error:
        raise Unreachable from error
    if response.status_code in rest.retry_status_codes:
        raise exceptions.BadGatewayException
    return response


class Cloud:
    """The calls that this process answers. Paths are `hub://organization/dataset`."""

    def __init__(self, token: str, endpoint: str | None) -> None:
        self._token = token
        if endpoint:
            rest.HUB_REST_ENDPOINT = endpoint

    def check(self, path: str) -> list[str]:
        """Return the organizations of the token, or fail."""
        return list(self._client().organizations)

    def read(self, path: str) -> dict[str, Any]:
        """Return the rows of the last commit, or only its version if it is empty."""
        dataset = self._committed(path)
        if dataset is None or not len(dataset):
            return {"version": _without_rows(dataset)}
        return {
            "version": dataset.commit_id,
            "ids": [str(id_) for id_ in dataset.id.text()],
            "texts": [str(text) for text in dataset.text.text()],
            "metadata": dataset.metadata.dict(),
            "embeddings": np.asarray(dataset.embedding.numpy(), dtype=np.float32),
            "embedder": (str(dataset.info["embedder"]), int(dataset.info["width"])),
        }

    def version(self, path: str) -> str:
        dataset = self._committed(path)
        return dataset.commit_id if dataset is not None and len(dataset) else _without_rows(dataset)

    def replace(self, path: str, rows: dict[str, Any], embedder: tuple[str, int]) -> str:
        """Make `rows` the whole content, as one commit; return its version."""
        dataset = self._for_change(path)
        known_figures = dict(dataset.embedding.info)
        with dataset:
            for name in _TENSORS:
                dataset[name].clear()
            self._extend(dataset, rows)
            # Clearing a tensor drops its info, where the service keeps its trained models.
            dataset.embedding.info.update(known_figures)
            dataset.info.update(embedder=embedder[0], width=embedder[1])
        return self._commit(dataset, REPLACED)

    def append(self, path: str, rows: dict[str, Any], embedder: tuple[str, int]) -> str:
        """Add `rows` that are not there yet, as one commit; return its version."""
        dataset = self._for_change(path)
        present = set(dataset.id.text()) if len(dataset) else set()
        new = [row for row, id_ in enumerate(rows["id"]) if id_ not in present]
        if not new:
            return dataset.commit_id
        with dataset:
            self._extend(dataset, {name: [rows[name][row] for row in new] for name in _TENSORS})
            dataset.info.update(embedder=embedder[0], width=embedder[1])
        return self._commit(dataset, ADDED)

    def search(
        self, path: str, embedding: np.ndarray, k: int, deep_memory: bool
    ) -> dict[str, list[Any]]:
        """Return id, text, metadata and score of the `k` best rows, found by the service."""
        # The query that `VectorStore.search` sends. That method needs an open dataset, which takes
        # ten calls, is stale after a change by others, and is created if it is missing.
        metric = "deepmemory_distance" if deep_memory else "cos"
        tensors = ["id", "text", "metadata"]
        query = parse_query(metric, k, embedding, "embedding", "", tensors)
        return self._client().remote_query(*_names(path), query)["data"]

    def send_questions(
        self,
        path: str,
        questions: list[str],
        relevance: list[list[tuple[str, int]]],
        vectors: np.ndarray,
    ) -> None:
        """Overwrite `<path>_queries` with the questions to train on."""
        self._require_plan(path)
        vector_of = dict(zip(questions, vectors, strict=True))
        store = VectorStore(
            _queries(path), overwrite=True, token=self._token, runtime=_MANAGED, verbose=False
        )
        store.add(
            text=questions,
            metadata=[{"relevance": row} for row in relevance],
            embedding_data=questions,
            embedding_function=lambda texts: [vector_of[text] for text in texts],
        )

    def submit(self, path: str) -> str:
        """Begin a training on what was sent, and return the job's id. Each call begins one."""
        # Not `DeepMemory.train`, which uploads and submits in one call: after a failure nobody
        # knows whether a job has begun.
        return str(self._client().start_taining(path, _queries(path))["job_id"])

    def jobs(self, path: str) -> list[dict[str, str]]:
        jobs = self._client().list_jobs(path)
        return [{"id": str(job["id"]), "status": str(job["status"])} for job in jobs]

    def job(self, job_id: str) -> dict[str, Any]:
        # Not `check_status`: it also prints a table, and fails on a job whose table it cannot draw
        # (completed, without figures).
        route = f"/api/deepmemory/v1/jobs/{job_id}/status"
        job = self._client().request("GET", route).json()
        return {"status": str(job["status"]), "progress": job.get("progress")}

    def cancel(self, job_id: str) -> None:
        # Not `cancel_job`: it prints an error instead of raising it.
        self._client().request("POST", f"/api/deepmemory/v1/jobs/{job_id}/cancel")

    def _client(self) -> rest.DeepMemoryBackendClient:
        return rest.DeepMemoryBackendClient(token=self._token)

    def _require_plan(self, path: str) -> None:
        # Not `deepmemory_is_available`: it treats an error like "not on this plan".
        route = f"/api/organizations/{_names(path)[0]}/features/deepmemory"
        if not self._client().request("GET", route).json()["available"]:
            raise CloudFailure(Failure.PLAN, "deep memory is not available")

    def _exists(self, path: str) -> bool:
        # `deeplake.exists` also returns False if the token has no access. This call says why.
        try:
            self._client().get_dataset_credentials(*_names(path), mode="r")
        except exceptions.ResourceNotFoundException:
            return False
        return bool(deeplake.exists(path, token=self._token))

    def _committed(self, path: str) -> Any | None:
        """The dataset at its last commit, which no writer changes; None if there is none."""
        if not self._exists(path):
            return None
        dataset = deeplake.load(path, token=self._token, read_only=True, verbose=False)
        if dataset.commit_id is None:
            return None
        if dataset.has_head_changes:
            dataset.checkout(dataset.commit_id)
        return dataset

    def _for_change(self, path: str) -> Any:
        """The dataset, created if missing, without what an interrupted change left in it."""
        if self._exists(path):
            dataset = deeplake.load(path, token=self._token, read_only=False, verbose=False)
        else:
            dataset = deeplake.empty(path, token=self._token, runtime=_MANAGED, verbose=False)
        if dataset.read_only:
            # The library silently opens it read-only when another process holds its lock.
            raise CloudFailure(Failure.LOCKED, "another process is writing")
        if dataset.commit_id is not None and dataset.has_head_changes:
            dataset.reset(force=True)
        for tensor in DEFAULT_VECTORSTORE_TENSORS:
            if tensor["name"] not in dataset.tensors:
                dataset.create_tensor(**tensor)
        if dataset.commit_id is None:
            for name in _TENSORS:
                dataset[name].clear()
        return dataset

    def _extend(self, dataset: Any, rows: dict[str, Sequence[Any]]) -> None:
        # Tensor by tensor is 20 times as fast as `dataset.extend`, which works row by row.
        for name in _TENSORS:
            dataset[name].extend(rows[name])

    def _commit(self, dataset: Any, what: str) -> str:
        version = dataset.commit(what)
        forget_replaced(dataset)
        dataset._unlock()  # otherwise it stays locked until this object is garbage-collected
        return str(version)


def _without_rows(dataset: Any | None) -> str:
    return ABSENT if dataset is None else EMPTY


def _queries(path: str) -> str:
    """The dataset from which the service takes the questions."""
    return f"{path}_queries"


def _names(path: str) -> tuple[str, str]:
    """The organization and the dataset of `hub://organization/dataset`."""
    organization, dataset = path.removeprefix("hub://").split("/")
    return organization, dataset


def main() -> None:
    requests.request = one_try  # type: ignore[assignment]
    answer_calls(Cloud, _answer)


def _answer(method: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    """What the method returns, or a CloudFailure in its place."""
    try:
        return method(*arguments)
    except Unreachable:
        return CloudFailure(Failure.NETWORK, "no connection")
    except CloudFailure as failure:
        return failure
    except tuple(_FAILURES) as error:
        kinds = [_FAILURES[kind] for kind in type(error).__mro__ if kind in _FAILURES]
        return CloudFailure(kinds[0], type(error).__name__)
    except Exception as error:  # noqa: BLE001 - the edge of the process: the parent decides
        # Mostly an answer of the service that lacks the fields that the client needs.
        return CloudFailure(Failure.GARBLED, f"{type(error).__name__}: {error}"[:300])


if __name__ == "__main__":
    main()
