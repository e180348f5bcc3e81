"""The faults of `benchmarks.faults` that servers other than OpenAI have from the first call on."""

from __future__ import annotations

from tests.fakes import odd_answers, openai_server, other_servers
from tests.fakes.wire import Fault

_DECOY = 'Perhaps {"questions": ["What did I think of?", "And what else?", "Nothing?"]}'

CHAT_FAULTS: dict[str, Fault] = {
    "knows only max_tokens": other_servers.without("max_completion_tokens"),
    "a context of 4,000 tokens": other_servers.context_of(4_000),
    "a context that no chunk fits in": other_servers.context_of(200),
    "an error in each 200 (502)": odd_answers.error_beside_choices(502),
    "an error in each 200 (402)": odd_answers.error_beside_choices(402),
    "answers that break off": odd_answers.broken_off,
    "empty choices": openai_server.answering(choices=[]),
    "thoughts with a decoy": odd_answers.thinking_aloud(_DECOY),
}
EMBEDDING_FAULTS: dict[str, Fault] = {
    "32 texts at once": other_servers.at_most(32),
    "one text is too long for it": other_servers.too_long_alone(8),
    "vectors that are not numbers": odd_answers.without_numbers,
}
