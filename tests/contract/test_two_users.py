"""Two users of one database: neither sees nor changes anything of the other.

Through the services that the screens use, and through statements of their own.
"""

from __future__ import annotations

import jwt
import pytest

from services.accounts.database import Database
from services.errors import NotAllowed, NotFound, NotSignedIn
from services.models import Review
from services.pairs.store import PairStore
from services.questions.counted import CountedJudgements
from services.questions.judgements import Judgement, JudgementStore
from services.runs.states import RunStatus
from services.runs.store import RunStore
from tests.imports import ImportScript
from tests.runs import Script

TABLES = [
    "deep_memory_training_runs",
    "deep_memory_training_pairs",
    "deep_memory_run_chunks",
    "deep_memory_run_events",
    "deep_memory_settings",
    "document_imports",
    "document_import_files",
    "deep_memory_questions",
    "deep_memory_judgements",
    "deep_memory_searches",
    "deep_memory_model_counts",
]
READ_ONLY = ["document_imports", "document_import_files"]  # written by functions alone
ONLY_THE_SERVER = ["app_sessions", "deep_memory_watch"]
LOGGED = {"question": "Who pays?", "shown": [], "times": 1, "expected": [], "is_missed": False}
JUDGED = {
    "p_question": "Who pays?",
    "p_chunk": "c1",
    "p_answers": False,
    "p_judge": "person",
    "p_first_hit": "c1",
    "p_origin": "search",
}


@pytest.fixture
def ann(new_user, service) -> Script:
    """Ann has a completed run, one in review, an import and a judgement: something in every
    table."""
    ann = new_user()
    user_id = ann.identity.user_id
    JudgementStore(ann.database, user_id).save([Judgement("Who?", "c1", True, reason="Ann's")])
    CountedJudgements(ann.database, user_id).let_model_count("mine", True)
    ImportScript(ann, service).to("stopped")
    ann.database.rpc("save_log", p_rows=[LOGGED])
    ann.database.rpc("judge_hit", **JUDGED)
    Script(ann, service).to(RunStatus.COMPLETED)
    return Script(ann, service).to(RunStatus.GENERATED)


@pytest.fixture
def ben(new_user):
    return new_user()


def everything(script: Script, owner) -> list[tuple]:
    """Ann's rows, as the database's owner sees them."""
    mine = "training_run_id in (select id from deep_memory_training_runs where user_id = %(user)s)"
    columns = dict.fromkeys(TABLES[1:4], mine)
    of_user = (TABLES[0], TABLES[4], TABLES[5], *TABLES[7:])
    columns |= dict.fromkeys(of_user, "user_id = %(user)s")
    columns[TABLES[6]] = "import_id in (select id from document_imports where user_id = %(user)s)"
    return [
        row
        for table in TABLES
        for row in owner.execute(
            f"select * from {table} where {columns[table]} order by 1",
            {"user": script.user.identity.user_id},
        ).fetchall()
    ]


def test_services_show_nothing_of_another_user(ann, ben):
    runs, pairs, run_id = RunStore(ben.database), PairStore(ben.database), ann.run.id
    assert runs.page(limit=10) == ([], 0)
    assert runs.blocking() is None
    assert runs.events(run_id) == runs.chunks_with_problem(run_id) == pairs.all(run_id) == []
    assert runs.problems(run_id) == {}
    assert (pairs.count(run_id), pairs.page(run_id, limit=5)) == (0, [])
    with pytest.raises(NotFound):
        runs.get(run_id)


def test_services_change_nothing_of_another_user(ann, ben, owner):
    before = everything(ann, owner)
    [pair, _] = PairStore(ann.user.database).page(ann.run.id, limit=5)
    bens, ids = PairStore(ben.database), [pair.id]
    assert bens.decide(ann.run.id, ids, Review.KEPT, question="Mine now?") == []
    assert bens.decide(ann.run.id, ids, Review.DROPPED) == []
    check = {"id": pair.id, "reviewed_at": None, "doubt": 1.0, "flags": ["ben"]}
    assert bens.note_checks(ann.run.id, "v1", [check]) == 0
    assert bens.counts(ann.run.id, "v1").total == len(bens.unchecked(ann.run.id, "v1")) == 0
    for move in ("start_training", "proceed", "remove", "remove_completed"):
        for run in RunStore(ann.user.database).page(limit=5)[0]:
            with pytest.raises(NotFound):
                getattr(RunStore(ben.database), move)(run.id)
    with pytest.raises(NotFound):
        RunStore(ben.database).stop(ann.run.id, by="ben")
    assert everything(ann, owner) == before


@pytest.mark.parametrize("table", TABLES)
def test_raw_client_reads_own_rows_and_no_others(ann, ben, table):
    def read(user):
        return user.database.execute(lambda c: c.table(table).select("*")).data

    assert read(ann.user)
    assert read(ben) == []


@pytest.mark.parametrize("table", READ_ONLY)
def test_raw_client_writes_no_import_not_even_an_own_one(ann, ben, owner, table):
    before = everything(ann, owner)
    key = {"document_imports": "id", "document_import_files": "import_id"}[table]
    [id_] = {
        row[key] for row in ann.user.database.execute(lambda c: c.table(table).select(key)).data
    }
    for person in (ann.user, ben):
        for change in (
            lambda c: c.table(table).update({"message": "by hand"}).eq(key, id_),
            lambda c: c.table(table).delete().eq(key, id_),
            lambda c: c.table(table).insert({key: id_}),
        ):
            with pytest.raises(NotAllowed):
                person.database.execute(change)
    assert everything(ann, owner) == before


@pytest.mark.parametrize("table", [table for table in TABLES if table not in READ_ONLY])
def test_raw_client_changes_and_deletes_no_row_of_another_user(ann, ben, owner, table):
    before = everything(ann, owner)
    column, value = {
        "deep_memory_training_runs": ("error_message", "ben was here"),
        "deep_memory_training_pairs": ("question_text", "ben was here"),
        "deep_memory_run_chunks": ("problem", "ben was here"),
        "deep_memory_run_events": ("message", "ben was here"),
        "deep_memory_settings": ("enabled", True),
        "deep_memory_questions": ("first_hit", "ben was here"),
        "deep_memory_judgements": ("reason", "ben was here"),
        "deep_memory_searches": ("question", "ben was here"),
        "deep_memory_model_counts": ("test_set", "ben was here"),
    }[table]
    for change in (
        lambda c: c.table(table).update({column: value}).not_.is_(column, "null"),
        lambda c: c.table(table).update({column: value}).is_(column, "null"),
        lambda c: c.table(table).delete().neq(column, "x" if value is not True else True),
    ):
        assert ben.database.execute(change).data == []
    assert everything(ann, owner) == before


def test_raw_client_adds_nothing_to_another_user(ann, ben, owner):
    before = everything(ann, owner)
    rows = {
        "deep_memory_training_runs": {"user_id": ann.user.identity.user_id},
        "deep_memory_settings": {"user_id": ann.user.identity.user_id},
        "deep_memory_model_counts": {"test_set": "ben"},
        "deep_memory_training_pairs": {
            "training_run_id": ann.run.id,
            "question_text": "From ben?",
            "chunk_id": "c1",
        },
        "deep_memory_run_chunks": {"training_run_id": ann.run.id, "chunk_id": "ben"},
        "deep_memory_run_events": {
            "training_run_id": ann.run.id,
            "phase": "review",
            "kind": "forged",
            "message": "from ben",
        },
        "deep_memory_questions": {"question": "From ben?", "origin": "form"},
        "deep_memory_judgements": {"question": "From ben?", "chunk_id": "c1", "answers": True},
        "deep_memory_searches": {"question": "From ben?", "source": "log"},
    }
    for table in TABLES[7:]:
        rows[table]["user_id"] = ann.user.identity.user_id
    for table, row in rows.items():
        with pytest.raises(NotAllowed):
            ben.database.execute(lambda c, t=table, r=row: c.table(t).insert(r))
    assert everything(ann, owner) == before


def test_a_completed_run_of_another_user_is_not_removed_by_its_function_or_by_hand(ann, ben, owner):
    [run] = RunStore(ann.user.database).page(limit=5, status=RunStatus.COMPLETED)[0]
    before = everything(ann, owner)
    assert ben.database.rpc("remove_completed_run", p_run=run.id) is None
    by_hand = ben.database.execute(
        lambda c: c.table("deep_memory_training_runs").delete().eq("id", run.id)
    )
    assert by_hand.data == []
    assert everything(ann, owner) == before
    assert ann.user.database.rpc("remove_completed_run", p_run=run.id) == 2


def test_functions_about_questions_show_and_change_nothing_of_another_user(ann, ben, owner):
    before = everything(ann, owner)
    nothing = {"answers": {}, "question": None}
    assert ben.database.rpc("marks_of", p_question="Who pays?") == nothing
    assert ben.database.rpc("missed_questions", p_disagreeing=False, p_limit=10) == []
    assert ben.database.rpc("application_votes", p_limit=10) == []
    ben.database.rpc("judge_hit", **JUDGED | {"p_answers": None})
    ben.database.rpc("save_log", p_rows=[LOGGED | {"times": 7}])
    ben.database.rpc("dismiss_question", p_question="Who pays?", p_origin="search")
    assert everything(ann, owner) == before
    [missed] = ann.user.database.rpc("missed_questions", p_disagreeing=False, p_limit=10)
    assert missed["question"] == "Who pays?"


def test_judgements_of_another_user_are_neither_taken_nor_taken_back(ann, ben, owner):
    before = everything(ann, owner)
    store = JudgementStore(ben.database, ann.user.identity.user_id)  # in her name
    assert store.all() == []
    store.take_back("Who?", "c1")
    with pytest.raises(NotAllowed):
        store.save([Judgement("Who?", "c1", False)])
    assert everything(ann, owner) == before


def test_own_row_can_not_be_given_to_another_user(ann, ben, service):
    mine = Script(ben, service).to(RunStatus.GENERATED)
    with pytest.raises(NotAllowed):
        ben.database.execute(
            lambda c: (
                c.table("deep_memory_training_runs")
                .update({"user_id": ann.user.identity.user_id})
                .eq("id", mine.run.id)
            )
        )


@pytest.mark.parametrize("column", ["last_training_run_id", "active_run_id"])
def test_settings_can_not_point_at_a_run_of_another_user(ann, ben, column):
    """It would keep her from removing that run, or tell that it exists."""
    row = {"user_id": ben.identity.user_id, column: ann.run.id}
    with pytest.raises(NotAllowed):
        ben.database.execute(lambda c: c.table("deep_memory_settings").insert(row))


@pytest.mark.parametrize("table", ONLY_THE_SERVER)
def test_tables_of_the_server_are_closed_to_every_user(ann, table):
    with pytest.raises(NotAllowed):
        ann.user.database.execute(lambda c: c.table(table).select("*"))


@pytest.mark.parametrize("function", ["claim_run", "heartbeat_run", "finish_generation"])
def test_user_can_not_act_as_a_worker_even_on_an_own_run(ann, function):
    key = {"p_run": ann.run.id, "p_user": ann.user.identity.user_id}
    with pytest.raises(NotAllowed):
        ann.user.database.rpc(function, **key, p_worker=ann.run.id, p_attempt=1)


def test_user_can_not_rescue(ann):
    with pytest.raises(NotAllowed):
        ann.user.database.rpc("rescue_runs")


@pytest.mark.parametrize("table", TABLES + ONLY_THE_SERVER)
def test_key_alone_without_a_sign_in_reads_nothing(ann, endpoint, table):
    nobody = Database(endpoint.url, endpoint.publishable_key)
    try:
        assert nobody.execute(lambda c: c.table(table).select("*")).data == []
    except NotAllowed:
        assert table in ONLY_THE_SERVER + READ_ONLY


def test_forged_token_opens_nothing(ann, endpoint):
    claims = {"sub": ann.user.identity.user_id, "role": "authenticated", "aud": "authenticated"}
    for token in (jwt.encode(claims, "guess" * 8), jwt.encode(claims, "", algorithm="none")):
        forged = Database(endpoint.url, endpoint.publishable_key, lambda t=token: t)
        with pytest.raises(NotSignedIn):
            forged.execute(lambda c: c.table("deep_memory_training_runs").select("*"))
