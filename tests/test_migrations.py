"""Migrations replay from nothing and from an old schema with rows, and agree with the code."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from services.local_supabase.migrations import apply_migrations, bootstrap, connect
from services.runs.states import RunStatus
from services.schema import MIGRATIONS
from tests.moves import MOVES
from tests.schema import COMMAND, SCHEMA, schema_of

ANN, BEN = uuid.uuid4(), uuid.uuid4()
OLD_RUNS = {  # status, DeepLake job -> status after the migrations
    ("generating", None): "generating",
    ("generated", None): "generated",
    ("training", "job-1"): "training",
    ("completed", "job-2"): "completed",
    ("failed", None): "generating_failed",
    ("failed", "job-3"): "training_failed",
}
PEOPLE_CALL = {"start_run", "start_training", "proceed_run", "stop_run", "remove_run"}
PEOPLE_CALL |= {"retry_problem_chunks", "waiting_batches", "waiting_progress"}
PEOPLE_CALL |= {"use_model", "model_in_cloud", "may_remove_run", "remove_completed_run"}
PEOPLE_CALL |= {"settle_cloud_job", "settle_cloud_submission", "say_job_goes_on"}
PEOPLE_CALL |= {"deep_memory_state", "run_problems", "log_run_event", "add_pairs"}
PEOPLE_CALL |= {"start_import", "stop_import", "go_on_with_import", "give_up_import"}
PEOPLE_CALL |= {"keep_measurement", "take_back_judgement"}
PEOPLE_CALL |= {"begin_import", "acknowledge_import", "import_state"}
PEOPLE_CALL |= {"keep_search", "save_log", "person_found_an_answer", "judge_hit", "marks_of"}
PEOPLE_CALL |= {"say_nothing_answers", "decide_purpose", "say_unanswerable", "dismiss_question"}
PEOPLE_CALL |= {"application_votes", "missed_questions"}
PEOPLE_CALL |= {"review_pairs", "note_checks", "unchecked_pairs", "review_counts"}
ANYONE_MAY_CALL = {"run_moves", "run_phase", "lease_end", "question_key"}  # touch no row


@pytest.fixture
def database(supabase_stack) -> Iterator[psycopg.Connection]:
    """A new database with what hosted Supabase starts with, and no migration."""
    name = f"migrated_{uuid.uuid4().hex[:8]}"
    with connect(supabase_stack.dsn) as owner:
        owner.execute(f"create database {name}")
        with connect(make_conninfo(supabase_stack.dsn, dbname=name)) as connection:
            bootstrap(connection)
            yield connection
        owner.execute(f"drop database {name} with (force)")


@pytest.fixture
def at_007(database) -> psycopg.Connection:
    """Migration 007, with two users."""
    apply_migrations(database, upto="007")
    for user in (ANN, BEN):
        database.execute("insert into auth.users (id) values (%s)", (user,))
    return database


def add_run(connection, user, status, job=None, *, minutes_ago=0) -> uuid.UUID:
    return connection.execute(
        "insert into deep_memory_training_runs (user_id, status, deeplake_job_id, created_at)"
        " values (%s, %s, %s, now() - make_interval(mins => %s)) returning id",
        (user, status, job, minutes_ago),
    ).fetchone()[0]


def add_pair(connection, run, question, chunk="c1") -> None:
    connection.execute(
        "insert into deep_memory_training_pairs (training_run_id, question_text, chunk_id)"
        " values (%s, %s, %s)",
        (run, question, chunk),
    )


def status_of(connection, run) -> str:
    row = connection.execute("select status from deep_memory_training_runs where id = %s", (run,))
    return row.fetchone()[0]


def migration(prefix: str) -> bytes:
    [file] = MIGRATIONS.glob(f"{prefix}_*.sql")
    return file.read_bytes()


def test_all_migrations_run_on_an_empty_database_and_have_no_gaps_in_their_numbers(database):
    applied = apply_migrations(database)
    assert applied == sorted(applied) and applied[0] == "007"
    assert [int(version) for version in applied] == list(range(7, 7 + len(applied)))


def test_schema_to_read_is_exactly_what_the_migrations_make(database):
    apply_migrations(database)
    made = schema_of(database.info.dsn)
    assert SCHEMA.read_text(encoding="utf-8") == made, f"Refresh it with: {COMMAND}"


def test_all_migrations_change_nothing_on_a_database_that_has_them(database):
    apply_migrations(database)
    database.execute("insert into auth.users (id) values (%s)", (ANN,))
    run = add_run(database, ANN, "generating")
    assert apply_migrations(database) == []
    assert status_of(database, run) == "generating"


def test_rows_in_every_old_status_keep_or_get_the_status_of_their_phase(at_007):
    runs = {key: add_run(at_007, ANN, *key) for key in OLD_RUNS}
    apply_migrations(at_007)
    assert {key: status_of(at_007, run) for key, run in runs.items()} == OLD_RUNS


def test_008_runs_twice_without_harm(at_007):
    runs = {key: add_run(at_007, ANN, *key) for key in OLD_RUNS}
    at_007.execute(migration("008"))
    at_007.execute(migration("008"))
    assert {key: status_of(at_007, run) for key, run in runs.items()} == OLD_RUNS
    with pytest.raises(psycopg.errors.CheckViolation):
        add_run(at_007, BEN, "failed")


def test_jobs_in_the_cloud_of_unfinished_runs_are_accounted_for_from_023_on(at_007):
    for key in OLD_RUNS:
        add_run(at_007, ANN, *key)
    apply_migrations(at_007)
    jobs = at_007.execute("select job_id, completed from deep_memory_cloud_jobs order by job_id")
    assert jobs.fetchall() == [("job-1", False), ("job-3", False)]


SUBMISSIONS = {  # what stood in `deeplake_job_id` -> the job's id, what was submitted
    "job-1": ("job-1", {"questions": "", "known": []}),
    "job-2 for questions abc": ("job-2", {"questions": "abc", "known": []}),
    "submitting: for questions abc": (None, {"questions": "abc", "known": []}),
    "submitting:job-1,job-2 for questions abc": (
        None,
        {"questions": "abc", "known": ["job-1", "job-2"]},
    ),
    None: (None, None),
}


def test_job_of_an_old_run_is_its_id_alone_from_027_on_and_the_rest_stands_apart(database):
    apply_migrations(database, upto="026")
    runs = {}
    for text in SUBMISSIONS:
        user = uuid.uuid4()
        database.execute("insert into auth.users (id) values (%s)", (user,))
        runs[text] = add_run(database, user, "training_failed", text)
        if text:
            database.execute(
                "insert into deep_memory_cloud_jobs (user_id, job, training_run_id)"
                " values (%s, %s, %s)",
                (user, text, runs[text]),
            )
    apply_migrations(database)
    for text, expected in SUBMISSIONS.items():
        row = database.execute(
            "select deeplake_job_id, cloud_submission from deep_memory_training_runs where id = %s",
            (runs[text],),
        )
        assert row.fetchone() == expected
        jobs = database.execute(
            "select job_id, submission from deep_memory_cloud_jobs where training_run_id = %s",
            (runs[text],),
        )
        assert jobs.fetchall() == ([expected] if text else [])


def test_old_run_in_batches_stays_one_and_a_replica_of_the_day_before_can_tell(database):
    apply_migrations(database, upto="027")
    database.execute("insert into auth.users (id) values (%s), (%s)", (ANN, BEN))
    old = add_run(database, ANN, "generating_failed")
    database.execute(
        """update deep_memory_training_runs set settings = '{"patient": true, "model": "m"}'"""
    )
    apply_migrations(database)
    as_person(database, BEN)

    def started(settings: str) -> dict:
        row = database.execute("select id, settings from start_run(1, %s)", (settings,)).fetchone()
        database.execute("select stop_run(%s, 'ben')", (row[0],))
        database.execute("select remove_run(%s)", (row[0],))
        return row[1]

    both = {"patient": True, "batch_mode": True}
    assert started('{"patient": true}') == started('{"batch_mode": true}') == both
    assert started('{"model": "m"}') == {"model": "m"}
    database.execute("reset role")
    settings = database.execute(
        "select settings from deep_memory_training_runs where id = %s", (old,)
    )
    assert settings.fetchone() == ({**both, "model": "m"},)


def test_several_unfinished_runs_of_one_user_are_all_kept_and_block_a_new_one(at_007):
    older = add_run(at_007, ANN, "failed", minutes_ago=2)
    newest = add_run(at_007, ANN, "generated", minutes_ago=1)
    add_run(at_007, ANN, "completed")
    bens = add_run(at_007, BEN, "failed", minutes_ago=3)
    apply_migrations(at_007)
    aside = at_007.execute("select id from deep_memory_training_runs where set_aside").fetchall()
    assert aside == [(older,)]
    assert {status_of(at_007, run) for run in (older, newest, bens)} == {
        "generating_failed",
        "generated",
    }
    for user in (ANN, BEN):
        with pytest.raises(psycopg.errors.UniqueViolation):
            add_run(at_007, user, "generating")


def test_run_that_was_set_aside_blocks_alone_and_takes_the_place_when_it_goes_on(at_007):
    older = add_run(at_007, ANN, "failed", minutes_ago=2)
    newest = add_run(at_007, ANN, "failed", minutes_ago=1)
    apply_migrations(at_007)
    as_person(at_007, ANN)
    with pytest.raises(psycopg.errors.UniqueViolation):
        at_007.execute("select * from proceed_run(%s)", (older,))
    at_007.execute("select remove_run(%s)", (newest,))
    assert at_007.execute("select * from start_run(1, '{}')").fetchall() == []
    assert len(at_007.execute("select * from proceed_run(%s)", (older,)).fetchall()) == 1
    at_007.execute("reset role")
    assert at_007.execute(
        "select bool_or(set_aside) from deep_memory_training_runs"
    ).fetchone() == (False,)


def test_repeated_questions_of_an_old_run_go_and_its_count_is_set_right(at_007):
    run = add_run(at_007, ANN, "failed")
    for question in ("How warm is it?", "how  WARM is it? ", "How cold is it?"):
        add_pair(at_007, run, question)
    apply_migrations(at_007)
    kept = at_007.execute("select question_text from deep_memory_training_pairs order by 1")
    assert kept.fetchall() == [("How cold is it?",), ("How warm is it?",)]
    assert at_007.execute("select pair_count from deep_memory_training_runs").fetchone() == (2,)


def test_old_pairs_count_as_progress_when_their_run_goes_on(at_007):
    run = add_run(at_007, ANN, "failed")
    add_pair(at_007, run, "How warm is it?", chunk="c1")
    add_pair(at_007, run, "How cold is it?", chunk="c2")
    apply_migrations(at_007)
    as_person(at_007, ANN)
    row = at_007.execute("select status, processed_chunks from proceed_run(%s)", (run,)).fetchone()
    assert row == ("generating", 2)


def test_statuses_of_the_code_are_those_of_the_check_constraint(owner):
    check = owner.execute(
        "select pg_get_constraintdef(oid) from pg_constraint"
        " where conname = 'deep_memory_training_runs_status_check'"
    ).fetchone()[0]
    assert set(re.findall(r"'([^']+)'", check)) == {status.value for status in RunStatus}


def test_moves_of_the_code_are_those_of_the_database(owner):
    rows = owner.execute("select from_status, to_status from run_moves()").fetchall()
    assert sorted(rows) == sorted((start.value, end.value) for start, end in MOVES)


def test_only_workers_move_a_run_to_what_is_earned_by_work(owner):
    rows = owner.execute("select from_status, to_status from run_moves() where not by_person")
    assert set(rows.fetchall()) == {("generating", "generated"), ("training", "completed")}


def test_every_function_is_open_to_exactly_those_who_may_call_it(owner):
    """Made from the catalogue, so that a new function can not be forgotten."""
    rows = owner.execute(
        "select p.proname, array(select role from unnest(array['anon', 'authenticated',"
        " 'service_role']) role where has_function_privilege(role, p.oid, 'execute'))"
        " from pg_proc p where p.pronamespace = 'public'::regnamespace"
        " and p.prorettype <> 'trigger'::regtype"
    ).fetchall()
    assert len(rows) > 15

    def expected(name: str) -> list[str]:
        if name in ANYONE_MAY_CALL:
            return ["anon", "authenticated", "service_role"]
        return ["authenticated", "service_role"] if name in PEOPLE_CALL else ["service_role"]

    assert dict(rows) == {name: expected(name) for name, _ in rows}


def test_every_function_names_its_schemas_so_that_a_search_path_can_not_bend_it(owner):
    bendable = owner.execute(
        "select proname from pg_proc where pronamespace = 'public'::regnamespace"
        " and proconfig is null"
    ).fetchall()
    assert {name for (name,) in bendable} <= ANYONE_MAY_CALL


def test_every_table_has_row_level_security_and_its_owner_or_nobody_gets_in(owner):
    rows = owner.execute(
        "select c.relname, c.relrowsecurity, (select count(*) from pg_policy"
        "   where polrelid = c.oid and polpermissive),"
        " has_table_privilege('authenticated', c.oid, 'select')"
        " from pg_class c where c.relkind = 'r' and c.relnamespace = 'public'::regnamespace"
    ).fetchall()
    of_the_owner = {
        "deep_memory_training_runs",
        "deep_memory_training_pairs",
        "deep_memory_settings",
        "deep_memory_run_chunks",
        "deep_memory_run_events",
        "deep_memory_judgements",
        "deep_memory_model_counts",
        "deep_memory_questions",
        "deep_memory_searches",
        "deep_memory_test_sets",
        "deep_memory_generation_batches",
        "deep_memory_waiting_chunks",
        "deep_memory_cloud_jobs",
        "document_imports",
        "document_import_files",
    }
    of_the_app = {"app_sessions", "deep_memory_watch"}
    assert {row[0] for row in rows} == of_the_owner | of_the_app
    for table, secured, policies, readable in rows:
        assert secured, table
        assert (policies, readable) == ((1, True) if table in of_the_owner else (0, False)), table


def test_policies_are_for_signed_in_people_and_ask_who_they_are_once_a_statement(owner):
    rows = owner.execute(
        "select polname, polroles::regrole[]::text[], concat(pg_get_expr(polqual, polrelid),"
        " pg_get_expr(polwithcheck, polrelid)) from pg_policy"
    ).fetchall()
    for name, roles, expression in rows:
        assert roles == ["authenticated"], name
        assert len(re.findall(r"auth\.uid\(\)", expression)) == len(
            re.findall(r"SELECT auth\.uid\(\)", expression)
        ), name


def as_person(connection: psycopg.Connection, user: uuid.UUID) -> None:
    connection.execute("set role authenticated")
    claims = f'{{"sub": "{user}", "role": "authenticated"}}'
    connection.execute("select set_config('request.jwt.claims', %s, false)", (claims,))
