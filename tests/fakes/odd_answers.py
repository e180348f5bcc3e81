"""Answers with status 200 that hold an error, or the thoughts of the model beside its questions.

Each is a fault for `FakeOpenAI.fail`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.fakes.wire import Answer, Fault, Reply, Request


def error_beside_choices(code: int | str, **error: Any) -> Fault:
    """OpenRouter and gateways like it: 200 was sent before the provider failed."""
    said = {"message": "Provider returned error", "code": code, **error}
    return lambda request, answer: Reply(200, {"error": said, "choices": [], "usage": None})


def error_in_the_choice(code: int) -> Fault:
    """OpenRouter, "Errors and debugging": the provider failed while it wrote."""
    said = {"code": code, "message": "Provider disconnected"}

    def fault(request: Request, answer: Answer) -> Reply:
        reply = answer(request)
        [choice] = reply.body["choices"]
        choice = {**choice, "finish_reason": "error", "error": said}
        return replace(reply, body={**reply.body, "choices": [choice]})

    return fault


def in_words_of_its_own(**body: Any) -> Fault:
    """Gateways that have another place for an error: beside no choices, or none at all."""
    return lambda request, answer: Reply(200, body)


OWN_WORDS: dict[str, Fault] = {
    "FastChat": in_words_of_its_own(object="error", message="CUDA is out", code=50001),
    "FastAPI": in_words_of_its_own(detail="CUDA is out", choices=[], data=[]),
    "one-api": in_words_of_its_own(success=False, message="CUDA is out", data=None),
    "Zhipu": in_words_of_its_own(code=500, msg="CUDA is out", choices=[]),
    "MiniMax": in_words_of_its_own(
        choices=None, base_resp={"status_code": 1000, "status_msg": "CUDA is out"}
    ),
    "a flag": in_words_of_its_own(error=True, message="CUDA is out", choices=[]),
    "a list": in_words_of_its_own(errors=[{"message": "CUDA is out"}], choices=[]),
}


def broken_off(request: Request, answer: Answer) -> Reply:
    """maximhq/bifrost issue 5425: half an answer that ends in "error", and no usage."""
    reply = answer(request)
    message = {"role": "assistant", "content": '{"questions": ["half'}
    choice = {"index": 0, "message": message, "finish_reason": "error"}
    usage = {"prompt_tokens": None, "completion_tokens": None, "total_tokens": 0}
    return replace(reply, body={**reply.body, "choices": [choice], "usage": usage})


def without_numbers(request: Request, answer: Answer) -> Reply:
    """A model that overflows: each vector is null, as llama.cpp writes what is not a number."""
    reply = answer(request)
    rows = [{**row, "embedding": [None] * len(row["embedding"])} for row in reply.body["data"]]
    return replace(reply, body={**reply.body, "data": rows})


# Before and after a thought, by the family of models that writes it so.

THOUGHTS: dict[str, tuple[str, str]] = {
    "DeepSeek R1, Qwen": ("<think>\n", "\n</think>\n\n"),
    "Claude, Nemotron": ("<thinking>", "</thinking>"),
    "Claude, as told in Artifacts": ("<antThinking>", "</antThinking>"),
    "prompted": ("<thought_process>\n", "\n</thought_process>\n"),
    "prompted, too": ("<inner_monologue>", "</inner_monologue>"),
    "Reka": ("<reasoning>\n", "\n</reasoning>\n"),
    "Gemini": ("<thought>", "</thought>\n"),
    "Seed": ("<seed:think>", "</seed:think>"),
    "Magistral": ("[THINK]", "[/THINK]"),
    "OpenThinker": ("<|begin_of_thought|>\n", "\n<|end_of_thought|>\n"),
    "Command A": ("<|START_THINKING|>", "<|END_THINKING|>"),
    "Kimi": ("◁think▷", "◁/think▷"),
    "Gemma": ("<|channel>thought\n", "<channel|>"),
    # ggml-org/llama.cpp pull request 15181
    "gpt-oss": (
        "<|channel|>analysis<|message|>",
        "<|end|><|start|>assistant<|channel|>final<|message|>",
    ),
    "gpt-oss, constrained": (
        "<|channel|>commentary to=me <|message|>",
        "<|end|><|start|>assistant<|channel|>final <|constrain|>json<|message|>",
    ),
    # Augustas11/macprovider issue 743
    "gpt-oss, marks lost": ("analysisWe think: ", "assistantfinal"),
}


def thinking_aloud(thought: str, kind: str = "Claude, Nemotron") -> Fault:
    """A model whose server does not know where its thoughts end."""
    begin, end = THOUGHTS[kind]

    def fault(request: Request, answer: Answer) -> Reply:
        reply = answer(request)
        [choice] = reply.body["choices"]
        content = f"{begin}{thought}{end}{choice['message']['content']}"
        message = {**choice["message"], "content": content}
        return replace(reply, body={**reply.body, "choices": [{**choice, "message": message}]})

    return fault
