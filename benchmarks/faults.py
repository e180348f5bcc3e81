"""What faults of OpenAI, similar servers and DeepLake Cloud do: `python -m benchmarks.faults`.

Whole runs with the real clients against the stand-ins, one fault after another. Prints a Markdown
table and, last, one JSON object: the fault, what the person reads, the pairs kept, and whether
Proceed completed the run once the fault had passed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from benchmarks import faults_store
from benchmarks.cloud_faults import ALWAYS, scenarios, timed
from benchmarks.other_servers import CHAT_FAULTS, EMBEDDING_FAULTS
from benchmarks.stalls import stalls
from services.config import Settings
from services.deep_memory.cloud_jobs import Watching
from services.knowledge.kept_files import File
from services.runs.states import RunStatus
from services.studio import Studio
from services.workspace import Workspace
from tests.behind_the_door import store_of
from tests.embedded import temporary_data_dir
from tests.fakes import activeloop_server, openai_server, wire
from tests.fakes.activeloop_server import FakeActiveloop
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.wire import Fault, WireServer

DOCUMENTS = 40
TRAIN = "/deepmemory/v1/train"
STUCK_S = 5.0  # normally a job that does not move is given up after an hour
OPENAI_FAULTS: dict[str, tuple[Fault, float]] = {
    "wrong or expired key": (openai_server.failing(401, "invalid_api_key"), ALWAYS),
    "key without the right": (openai_server.failing(403), ALWAYS),
    "no such model": (openai_server.failing(404, "model_not_found"), ALWAYS),
    "quota used up": (openai_server.insufficient_quota, ALWAYS),
    "429 for a moment": (openai_server.rate_limited(1), 3),
    "500 that stays": (openai_server.failing(500), ALWAYS),
    "503 for a moment": (openai_server.failing(503), 2),
    "connection dropped": (wire.hang_up, ALWAYS),
    "half an answer": (wire.answer_by_half, ALWAYS),
    "a sign-in page": (wire.web_page, ALWAYS),
    "slow answers (2 s)": (wire.slow(2.0), 5),
    "refusals": (openai_server.refuse, 3),
    "cut answers": (openai_server.cut_off, 3),
    "empty answers": (openai_server.saying('{"questions": []}'), 3),
    "wrong JSON": (openai_server.saying('{"questions": "none"}'), 3),
}
CLOUD_FAULTS: dict[str, tuple[Fault, str]] = {
    "token expires": (activeloop_server.failing(401), ""),
    "no right to the dataset": (activeloop_server.failing(403), ""),
    "429 that stays": (activeloop_server.failing(429), ""),
    "500 that stays": (activeloop_server.failing(500), ""),
    "connection dropped": (wire.hang_up, ""),
    "half an answer": (wire.answer_by_half, ""),
    "wrong JSON": (activeloop_server.wrong_json, ""),
    "502 after the job was made": (activeloop_server.done_but(502), TRAIN),
    "connection lost after the job was made": (activeloop_server.done_but_hang_up, TRAIN),
    "slow replies (1 s)": (wire.slow(1.0), ""),
    "job deleted there": (activeloop_server.failing(404), "/status"),
    "the plan cannot be read": (activeloop_server.failing(500), "/features/deepmemory"),
}


@dataclass(frozen=True, slots=True)
class Outcome:
    server: str
    fault: str
    seen: str  # what the person reads, or the problems that the run counts
    seconds: float
    pairs_kept: int
    proceed_completed: bool | None  # None: the fault had no effect, so there was nothing to proceed


def main() -> None:
    with running_studio() as (studio, openai, cloud):
        user = studio.accounts.sign_up("faults@example.com", "a long password")
        workspace = Workspace(studio, user)
        workspace.documents.add([document(number) for number in range(DOCUMENTS)])
        outcomes = [
            generation_with(workspace, openai, name, fault, times)
            for name, (fault, times) in OPENAI_FAULTS.items()
        ]
        outcomes += [
            replace(generation_with(workspace, openai, name, fault, ALWAYS, 0), server="others")
            for name, fault in CHAT_FAULTS.items()
        ]
        outcomes += [
            training_with(workspace, cloud, name, script_of(cloud, fault, matching))
            for name, (fault, matching) in CLOUD_FAULTS.items()
        ]
        outcomes += [
            training_with(workspace, cloud, "job stuck at 70%", set_to(cloud, outcome="stuck")),
            training_with(workspace, cloud, "the job fails", set_to(cloud, outcome="failed")),
            training_with(workspace, cloud, "not on this plan", set_to(cloud, available=False)),
        ]
        outcomes += [Outcome("DeepLake Cloud", *row) for row in scenarios(workspace, cloud)]
    with running_studio(embedding_model="text-embedding-3-small") as (studio, openai, _):
        outcomes += [
            embedding_with(studio, openai, name, fault) for name, fault in EMBEDDING_FAULTS.items()
        ]
    outcomes += [Outcome(*row) for row in stalls()]
    print(as_table(outcomes))
    print(faults_store.as_table(faults_store.outcomes()))
    print(json.dumps([asdict(outcome) for outcome in outcomes]))


@contextmanager
def running_studio(
    embedding_model: str = "wordllama",
) -> Iterator[tuple[Studio, FakeOpenAI, FakeActiveloop]]:
    with (
        temporary_data_dir() as data_dir,
        FakeOpenAI() as openai,
        FakeActiveloop(Path(data_dir)) as cloud,
    ):
        studio = Studio(
            Settings(
                _env_file=None,
                data_dir=data_dir,
                deeplake_path="hub://acme/faults",
                activeloop_token=cloud.token,
                activeloop_endpoint=cloud.url,
                openai_api_key=openai.key,
                openai_base_url=openai.base_url,
                embedding_model=embedding_model,
            ),
            watching=Watching(given_up_after_s=STUCK_S),
        )
        try:
            yield studio, openai, cloud
        finally:
            studio.stop()


def document(number: int) -> File:
    sentences = [f"quay{number}{x * 3} moors vessel{x}{number}." for x in "abcdef"]
    return f"Quay {number}.txt", " ".join(sentences).encode()


def generation_with(
    workspace: Workspace,
    openai: FakeOpenAI,
    name: str,
    fault: Fault,
    times: float,
    answered_first: int = DOCUMENTS // 3,  # so that there is something to keep
) -> Outcome:
    paid_before = len(openai.calls())
    openai.fail(after(answered_first, openai, paid_before, fault), times=times + answered_first)
    run, seconds = timed(workspace, workspace.runs.generate)
    openai.forgive()
    seen, completed = run.error_message or "", None
    if run.status is RunStatus.GENERATING_FAILED:
        run_id = run.id
        again, _ = timed(workspace, lambda: workspace.runs.proceed(run_id))
        completed = again.status is RunStatus.GENERATED
    else:
        seen = ", ".join(
            f"{count} {what}" for what, count in workspace.runs.problems(run.id).items()
        )
    workspace.runs.stop(run.id)
    workspace.runs.remove(run.id)
    return Outcome("OpenAI", name, seen or "nothing", seconds, run.pair_count, completed)


def embedding_with(studio: Studio, openai: FakeOpenAI, name: str, fault: Fault) -> Outcome:
    """A new person adds documents while the embedding server has the fault, then starts a run."""
    user = studio.accounts.sign_up(f"{len(openai.calls())}@example.com", "a long password")
    workspace = Workspace(studio, user)
    files = [document(number) for number in range(DOCUMENTS)]
    openai.fail(fault, times=ALWAYS, matching="/embeddings")
    added = workspace.documents.add(files)
    openai.forgive()
    completed = None
    if added.is_unfinished:
        workspace.documents.go_on_with_import(added.id)
        completed = workspace.documents.wait_for_import(added.id, 600.0).status == "done"
    run, seconds = timed(workspace, workspace.runs.generate)
    seen = added.message or "nothing"
    return Outcome("embeddings", name, seen, seconds, run.pair_count, completed)


def after(count: int, openai: FakeOpenAI, paid_before: int, fault: Fault) -> Fault:
    """Let `count` calls pass, then do `fault`."""

    def delayed(request: wire.Request, answer: wire.Answer) -> wire.Reply:
        passed = len(openai.calls()) - paid_before
        return answer(request) if passed < count else fault(request, answer)

    return delayed


def training_with(
    workspace: Workspace, cloud: FakeActiveloop, name: str, begin: Callable[[], None]
) -> Outcome:
    run, _ = timed(workspace, workspace.runs.generate)
    store_of(workspace).count()  # load the content first, so that the fault hits the training
    begin()
    submitted_before = len(cloud.calls(TRAIN))
    run, seconds = timed(workspace, lambda: workspace.runs.train(run.id))
    submitted = len(cloud.calls(TRAIN)) - submitted_before
    cloud.forgive()
    cloud.outcome, cloud.available = "completed", True
    completed = None
    if run.status is RunStatus.TRAINING_FAILED:
        run_id = run.id
        again, _ = timed(workspace, lambda: workspace.runs.proceed(run_id))
        completed = again.status is RunStatus.COMPLETED
    seen = run.error_message or f"nothing ({submitted} submitted)"
    return Outcome("DeepLake Cloud", name, seen, seconds, run.pair_count, completed)


def script_of(cloud: WireServer, fault: Fault, matching: str) -> Callable[[], None]:
    return lambda: cloud.fail(fault, times=ALWAYS, matching=matching)


def set_to(cloud: FakeActiveloop, **values: object) -> Callable[[], None]:
    return lambda: cloud.__dict__.update(values)


def as_table(outcomes: list[Outcome]) -> str:
    said = {None: "not needed", True: "yes", False: "NO"}
    rows = [
        f"| {o.server} | {o.fault} | {re.sub(r'[|]', '/', o.seen)} | {o.seconds} s "
        f"| {o.pairs_kept} | {said[o.proceed_completed]} |"
        for o in outcomes
    ]
    head = "| server | fault | what the person sees | after | pairs kept | Proceed completed it |"
    return "\n".join([head, "|---|---|---|---|---|---|", *rows])


if __name__ == "__main__":
    main()
