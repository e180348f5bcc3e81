"""What servers that speak like OpenAI refuse or answer otherwise, in bodies as they send them.

Each is a fault for `FakeOpenAI.fail`, so that a server is like that for one call or for good. All
that is not refused is answered by the strict fake itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.fakes.openai_server import tokens_of
from tests.fakes.wire import Answer, Fault, Reply, Request

ALWAYS = 1_000_000
Refuse = Callable[[int, int], Reply]  # of how many there are, and how many there may be


# Embedding: too many texts at once ------------------------------------------------------------


def text_embeddings_inference(count: int, most: int) -> Reply:
    # huggingface/text-embeddings-inference, router/src/http/server.rs: Validation is a 413.
    message = f"batch size {count} > maximum allowed batch size {most}"
    return Reply(413, {"message": message, "code": 413, "type": "Validation"})


def infinity(count: int, most: int) -> Reply:
    # FastAPI's own 422, as pydantic words a list that is too long; it repeats the input.
    fault = {
        "type": "too_long",
        "loc": ["body", "input"],
        "msg": f"List should have at most {most} items after validation, not {count}",
        "input": ["..."],
    }
    return Reply(422, {"detail": [fault]})


def dashscope(count: int, most: int) -> Reply:
    # memodb-io/memobase issue 142
    message = (
        "<400> InternalError.Algo.InvalidParameter: Value error, batch size is invalid, "
        f"it should not be larger than {most}.: input.contents"
    )
    error = {"message": message, "type": "InvalidParameter", "param": None}
    return Reply(400, {"error": {**error, "code": "InvalidParameter"}})


def gemini(count: int, most: int) -> Reply:
    # Google's gateway answers with a list.
    message = f"* BatchEmbedContentsRequest.requests: at most {most} requests can be in one batch\n"
    return Reply(400, [{"error": {"code": 400, "message": message, "status": "INVALID_ARGUMENT"}}])


def nginx(count: int, most: int) -> Reply:
    page = (
        "<html>\r\n<head><title>413 Request Entity Too Large</title></head>\r\n<body></body></html>"
    )
    return Reply(413, page, {"content-type": "text/html"})


def llama_cpp_batch(count: int, most: int) -> Reply:
    # ggml-org/llama.cpp, server: also one text that is longer than its physical batch
    message = "input is too large to process. increase the physical batch size"
    return Reply(500, {"error": {"code": 500, "message": message, "type": "server_error"}})


BATCH_LIMITS: dict[str, Refuse] = {
    "text-embeddings-inference": text_embeddings_inference,
    "FastAPI": infinity,
    "DashScope": dashscope,
    "Gemini": gemini,
    "nginx": nginx,
    "llama.cpp": llama_cpp_batch,
}


def at_most(most: int, refuse: Refuse = text_embeddings_inference) -> Fault:
    """A server that embeds so many texts in one request."""

    def fault(request: Request, answer: Answer) -> Reply:
        texts = request.json().get("input", []) if request.path.endswith("/embeddings") else []
        return refuse(len(texts), most) if len(texts) > most else answer(request)

    return fault


def too_long_alone(words: int) -> Fault:
    """text-embeddings-inference without `--auto-truncate`: a long text fails the whole request."""

    def fault(request: Request, answer: Answer) -> Reply:
        longest = max(len(text.split()) for text in request.json()["input"])
        if longest <= words:
            return answer(request)
        message = f"`inputs` must have less than {words} tokens. Given: {longest}"
        return Reply(413, {"message": message, "code": 413, "type": "Validation"})

    return fault


# Chat: the limit of an answer -----------------------------------------------------------------


def mistral(name: str, value: Any) -> Reply:
    # editor-code-assistant/eca issue 315
    unknown = {"type": "extra_forbidden", "loc": ["body", name], "input": value}
    detail = [{**unknown, "msg": "Extra inputs are not permitted"}]
    error = {"object": "error", "message": {"detail": detail}, "type": "invalid_request_error"}
    return Reply(422, {**error, "param": None, "code": None})


def old_vllm(name: str, value: Any) -> Reply:
    # 1Panel-dev/MaxKB issue 2912
    message = (
        f"[{{'type': 'extra_forbidden', 'loc': ('body', '{name}'), "
        f"'msg': 'Extra inputs are not permitted', 'input': {value}}}]"
    )
    error = {"object": "error", "message": message, "type": "BadRequestError", "param": None}
    return Reply(400, {**error, "code": 400})


def unsupported(name: str, value: Any) -> Reply:
    message = f"Unsupported parameter: '{name}' is not supported with this model."
    error = {"message": message, "type": "invalid_request_error", "param": name}
    return Reply(400, {"error": {**error, "code": "unsupported_parameter"}})


REFUSE_PARAMETER: dict[str, Callable[[str, Any], Reply]] = {
    "Mistral": mistral,
    "old vLLM": old_vllm,
    "OpenAI's words": unsupported,
}


def without(name: str, refuse: Callable[[str, Any], Reply] = mistral) -> Fault:
    """A server that knows no parameter of this name."""

    def fault(request: Request, answer: Answer) -> Reply:
        body = request.json()
        return refuse(name, body[name]) if name in body else answer(request)

    return fault


# Chat: the context ------------------------------------------------------------------------------
# Of prompt and asked tokens, and the context: a refusal, or None. What counts differs.

Context = Callable[[int, int, int], Reply | None]


def vllm(prompt: int, asked: int, most: int) -> Reply | None:
    # vllm-project/vllm issue 20409; the message of v0.8 to v0.10
    if prompt + asked <= most:
        return None
    message = (
        f"This model's maximum context length is {most} tokens. However, you requested "
        f"{prompt + asked} tokens ({prompt} in the messages, {asked} in the completion). "
        "Please reduce the length of the messages or completion."
    )
    error = {"object": "error", "message": message, "type": "BadRequestError", "param": None}
    return Reply(400, {**error, "code": 400})


def new_vllm(prompt: int, asked: int, most: int) -> Reply | None:
    # vllm-project/vllm, entrypoints/openai: the later wording, which names both parameters
    if prompt + asked <= most:
        return None
    message = (
        f"'max_tokens' or 'max_completion_tokens' is too large: {asked}. This model's maximum "
        f"context length is {most} tokens and your request has {prompt} input tokens "
        f"({asked} > {most} - {prompt})."
    )
    error = {"message": message, "type": "BadRequestError", "param": None, "code": 400}
    return Reply(400, {"error": error})


def text_generation_inference(prompt: int, asked: int, most: int) -> Reply | None:
    # huggingface/text-generation-inference, router/src/validation.rs
    if prompt + asked <= most:
        return None
    message = (
        f"Input validation error: `inputs` tokens + `max_new_tokens` must be <= {most}. "
        f"Given: {prompt} `inputs` tokens and {asked} `max_new_tokens`"
    )
    return Reply(422, {"error": message, "error_type": "validation"})


def llama_cpp(prompt: int, asked: int, most: int) -> Reply | None:
    # ggml-org/llama.cpp, server-context.cpp: the answer may be cut, the prompt may not
    if prompt <= most:
        return None
    message = (
        f"request ({prompt} tokens) exceeds the available context size ({most} tokens), "
        "try increasing it"
    )
    error = {"code": 400, "message": message, "type": "exceed_context_size_error"}
    return Reply(400, {"error": {**error, "n_prompt_tokens": prompt, "n_ctx": most}})


def ollama(prompt: int, asked: int, most: int) -> Reply | None:
    if prompt <= most:
        return None
    error = {"message": "the input length exceeds the context length", "type": "api_error"}
    return Reply(500, {"error": {**error, "param": None, "code": None}})


def groq(prompt: int, asked: int, most: int) -> Reply | None:
    if prompt + asked <= most:
        return None
    message = (
        "Request too large for model `llama` in organization `org_0` service tier `on_demand` on "
        f"tokens per minute (TPM): Limit {most}, Requested {prompt + asked}, please reduce your "
        "message size and try again."
    )
    return Reply(
        413, {"error": {"message": message, "type": "tokens", "code": "rate_limit_exceeded"}}
    )


def lm_studio(prompt: int, asked: int, most: int, status: int = 400) -> Reply | None:
    # Gitlawb/openclaude issue 353
    if prompt <= most:
        return None
    message = (
        "The number of tokens to keep from the initial prompt is greater than the context length "
        f"(n_keep: {prompt}>= n_ctx: {most}). Try to load the model with a larger context length, "
        "or provide a shorter input."
    )
    return Reply(status, {"error": message})


def in_words(template: str, **fields: Any) -> Context:
    """A server with nothing to tell it by but its words."""

    def refuse(prompt: int, asked: int, most: int) -> Reply | None:
        if prompt + asked <= most:
            return None
        words = template.format(prompt=prompt, all=prompt + asked, asked=asked, most=most)
        return Reply(400, {"error": {"message": words, **fields}})

    return refuse


def lm_studio_in_200(prompt: int, asked: int, most: int) -> Reply | None:
    # lmstudio-ai/lmstudio-bug-tracker issue 2322
    return lm_studio(prompt, asked, most, status=200)


CONTEXTS: dict[str, Context] = {
    "vLLM": vllm,
    "vLLM, later": new_vllm,
    "TGI": text_generation_inference,
    "llama.cpp": llama_cpp,
    "Ollama": ollama,
    "Groq": groq,
    "LM Studio": lm_studio,
    "LM Studio in a 200": lm_studio_in_200,
    "Gemini": in_words(
        "The input token count ({prompt}) exceeds the maximum number of tokens allowed ({most}).",
        status="INVALID_ARGUMENT",
    ),
    "Claude": in_words(
        "input length and `max_tokens` exceed context limit: {prompt} + {asked} > {most}, decrease "
        "input length or `max_tokens` and try again",
        type="invalid_request_error",
    ),
    "DashScope": in_words("Range of input length should be [1, {most}]", code="InvalidParameter"),
    "Moonshot": in_words("Invalid request: Your request exceeded model token limit: {most}"),
    "Copilot": in_words("prompt token count of {prompt} exceeds the limit of {most}"),
    "Groq, by words": in_words("Please reduce the length of the messages or completion."),
    "Bedrock": in_words("Input Tokens Exceeded: Number of input tokens exceeds maximum length."),
    "watsonx": in_words(
        "the number of input tokens {prompt} cannot exceed the total tokens limit {most}"
    ),
    "Zhipu": in_words("Prompt exceeds max length", code="1261"),
    "LMDeploy": in_words("The prompt length {prompt} is over session_len {most}"),
    "TensorRT-LLM": in_words(
        "default_max_tokens (-900) must be greater than 0, default_max_tokens (-900) = max_seq_len "
        "({most}) - splited_prompt_len ({prompt})"
    ),
    "MLC": in_words(
        "Prompt has {prompt} tokens in total, larger than the model input length limit {most}."
    ),
}


def context_of(most: int, refuse: Context = vllm) -> Fault:
    """A server whose model has a context of so many tokens."""

    def fault(request: Request, answer: Answer) -> Reply:
        body = request.json()
        prompt = tokens_of("\n".join(message["content"] for message in body["messages"]))
        asked = body.get("max_completion_tokens") or body.get("max_tokens") or 0
        return refuse(prompt, asked, most) or answer(request)

    return fault
