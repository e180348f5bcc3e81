"""`POST /v1/embeddings` as OpenAI has it, so that a vector database needs but another address.

It is an app of its own beside the contract, because its errors have OpenAI's shape.
"""

from __future__ import annotations

import base64
from typing import Annotated, Any, Literal

import anyio.to_thread
import numpy as np
from anyio import CapacityLimiter
from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, BeforeValidator, StrictInt, WithJsonSchema
from starlette.exceptions import HTTPException
from starlette.routing import Mount

from services.errors import AppError, NotAllowed
from services.generation.pricing import CHARACTERS_PER_TOKEN
from services.http.bearer import AccessToken, workspace_of
from services.http.error_responses import UNEXPECTED, TooLargeInJson, status_of
from services.http.shapes import Body, mount_at
from services.workspace import Workspace

PREFIX = "/v1"
MOST_INPUTS = 2_048
LARGEST_BODY = 16 * 1024 * 1024
QUERY, CHUNK, DOCUMENT = "deep-memory-query", "deep-memory-chunk", "deep-memory-document"
MODELS = (QUERY, CHUNK, DOCUMENT)

# Embedding takes a whole core: nothing cheap queues behind it.
EMBEDDINGS_AT_ONCE = 2
_embeddings = CapacityLimiter(EMBEDDINGS_AT_ONCE)


def _texts(value: Any) -> Any:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ValueError("a text or a list of texts is needed; numbers of tokens are not read")
    if not 1 <= len(texts) <= MOST_INPUTS:
        raise ValueError(f"1 to {MOST_INPUTS:,} texts in a request, and these are {len(texts):,}")
    for number, text in enumerate(texts, start=1):
        if not text.strip():
            raise ValueError(f"text {number} is empty")
        if not _is_whole(text):
            raise ValueError(f"text {number} holds half of a character (a lone surrogate)")
    return texts


def _is_whole(text: str) -> bool:
    return text == text.encode(errors="replace").decode()


_A_TEXT = {"type": "string", "pattern": r"\S"}
_SOME_TEXTS = {"type": "array", "items": _A_TEXT, "minItems": 1, "maxItems": MOST_INPUTS}


class EmbeddingsRequest(Body):
    """`deep-memory-query`: questions, mapped by the model that search uses, or plain while it uses
    none; the answer's `model` says which. `deep-memory-chunk`: chunks of the knowledge base in
    their context, by their id or their unchanged text. `deep-memory-document`: all chunks of one
    document that is not in it, in order. `dimensions` cannot be chosen."""

    input: Annotated[
        list[str], BeforeValidator(_texts), WithJsonSchema({"anyOf": [_A_TEXT, _SOME_TEXTS]})
    ]
    model: Literal["deep-memory-query", "deep-memory-chunk", "deep-memory-document"]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: StrictInt | None = None
    user: str | None = None


class Embedding(BaseModel):
    """A vector of length 1, as numbers or as the base64 of its little-endian float32."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class Usage(BaseModel):
    """Estimated: four characters are a token."""

    prompt_tokens: int
    total_tokens: int


class Embeddings(BaseModel):
    """`model` is the one asked for; of questions, with the run that trained the map, or "plain"."""

    object: Literal["list"]
    data: list[Embedding]
    model: str
    usage: Usage


class Refusal(BaseModel):
    message: str
    type: str
    param: str | None
    code: str | None


class RefusedRequest(BaseModel):
    error: Refusal


_REFUSALS = {
    400: "The request is malformed, or a rule forbids it.",
    401: "No access token, or it is forged, expired or ended.",
    404: "There is no such model or chunk.",
    413: "The body is too large.",
    503: "A part does not answer just now. Try again later.",
}

router = APIRouter(tags=["Embeddings"])


def _caller(token: AccessToken) -> Workspace:
    return workspace_of(token)


@router.post(
    "/embeddings",
    response_class=JSONResponse,
    responses={
        200: {"model": Embeddings, "description": "A vector for each text, in order."},
        **{
            status: {"model": RefusedRequest, "description": why}
            for status, why in _REFUSALS.items()
        },
    },
)
async def embeddings(
    body: EmbeddingsRequest, space: Annotated[Workspace, Depends(_caller)]
) -> JSONResponse:
    """Vectors of questions or chunks, for a vector database that others run."""
    return await anyio.to_thread.run_sync(_embed, body, space, limiter=_embeddings)


def _embed(body: EmbeddingsRequest, space: Workspace) -> JSONResponse:
    width = space.vectors.width
    if body.dimensions not in (None, width):
        raise NotAllowed(f"`dimensions` can only be {width}: the vectors are not shortened.")
    model: str = body.model
    if model == QUERY:
        vectors, run = space.vectors.of_questions(body.input)
        model = f"{QUERY}:{run.id if run else 'plain'}"
    elif model == CHUNK:
        vectors = space.vectors.of_chunks(body.input)
    else:
        vectors = space.vectors.of_document(body.input)
    encoded = _base64(vectors) if body.encoding_format == "base64" else vectors.tolist()
    tokens = sum(-(-len(text) // CHARACTERS_PER_TOKEN) for text in body.input)
    # Not through pydantic, which would look at half a million numbers one by one.
    return JSONResponse(
        {
            "object": "list",
            "data": [
                {"object": "embedding", "index": index, "embedding": embedding}
                for index, embedding in enumerate(encoded)
            ],
            "model": model,
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        }
    )


def _base64(vectors: np.ndarray) -> list[str]:
    return [base64.b64encode(vector.tobytes()).decode() for vector in vectors.astype("<f4")]


def create_embeddings_api() -> FastAPI:
    """The route, and its errors in OpenAI's shape."""
    api = FastAPI(
        title="Deep Memory Studio: embeddings as OpenAI has them",
        version="1",
        docs_url=None,  # it would load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        max_body_size=LARGEST_BODY,
    )
    api.include_router(router)
    api.exception_handler(AppError)(_explain)
    api.exception_handler(RequestValidationError)(_explain_invalid)
    api.exception_handler(HTTPException)(_explain_http)
    api.exception_handler(Exception)(_explain_unexpected)
    return api


def embeddings_mount() -> Mount:
    """The route under `/v1`, for `st.App`. It goes after the contract, which is at `/v1/api`."""
    limit = f"{LARGEST_BODY // 1024**2} MB in a request at most: send fewer texts at once."
    return mount_at(PREFIX, TooLargeInJson(create_embeddings_api(), _refusal(limit)))


def _refusal(
    message: str,
    *,
    kind: str = "invalid_request_error",
    param: str | None = None,
    code: str | None = None,
) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


async def _explain(_request: Request, error: AppError) -> JSONResponse:
    status, message = status_of(error), f"{error} {error.next_step}"
    if status == 401:
        body = _refusal(message, code="invalid_api_key")
        return JSONResponse(body, status, {"WWW-Authenticate": "Bearer"})
    kind = "server_error" if status >= 500 else "invalid_request_error"
    return JSONResponse(_refusal(message, kind=kind, code=error.code), status)


async def _explain_invalid(_request: Request, error: RequestValidationError) -> JSONResponse:
    flaw = error.errors()[0]
    param = str(flaw["loc"][1]) if len(flaw["loc"]) > 1 else None
    if param == "model" and flaw["type"] == "literal_error":
        message = f"There is no such model. The models are {', '.join(MODELS)}."
        return JSONResponse(_refusal(message, param=param, code="model_not_found"), 404)
    said = str(flaw.get("ctx", {}).get("error", flaw["msg"]))  # never the value itself
    return JSONResponse(_refusal(f"`{param}`: {said}." if param else f"{said}.", param=param), 400)


async def _explain_http(_request: Request, error: HTTPException) -> JSONResponse:
    message = f"There is only POST {PREFIX}/embeddings here. {error.detail}."
    return JSONResponse(_refusal(message), error.status_code, error.headers)


async def _explain_unexpected(_request: Request, _error: Exception) -> JSONResponse:
    """The server logs it; the answer says no more than that."""
    return JSONResponse(_refusal(UNEXPECTED, kind="server_error"), 500)
