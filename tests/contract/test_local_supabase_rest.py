"""Rows through the gateway: roles, row-level security and the cap of hosted Supabase."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from postgrest.exceptions import APIError
from supabase import Client, create_client

from services.local_supabase.migrations import connect
from services.local_supabase.stack import LocalSupabase

ROWS = 1_200
CAP = 1_000


@pytest.fixture(scope="module")
def table(supabase_stack: LocalSupabase) -> Iterator[str]:
    """A table as a migration makes one, with a policy and rows of nobody."""
    name = f"rest_check_{uuid.uuid4().hex[:8]}"
    with connect(supabase_stack.dsn) as connection:
        connection.execute(
            f"create table {name} (id int primary key, owner uuid default auth.uid());"
            f"alter table {name} enable row level security;"
            f"create policy own on {name} to authenticated"
            " using ((select auth.uid()) = owner) with check ((select auth.uid()) = owner);"
            f"insert into {name} select n, null from generate_series(1, {ROWS}) n;"
            "notify pgrst, 'reload schema'"
        )
        _wait_until_visible(supabase_stack, name)
        yield name
        connection.execute(f"drop table {name}; notify pgrst, 'reload schema'")


def _wait_until_visible(stack: LocalSupabase, table: str) -> None:
    service = create_client(stack.url, stack.secret_key)
    for _ in range(500):
        try:
            service.table(table).select("id").limit(1).execute()
            return
        except APIError:
            continue
    raise AssertionError("PostgREST did not reload its schema")


@pytest.fixture
def service(supabase_stack) -> Client:
    return create_client(supabase_stack.url, supabase_stack.secret_key)


def signed_in(stack: LocalSupabase) -> Client:
    client = create_client(stack.url, stack.publishable_key)
    client.auth.sign_up({"email": f"{uuid.uuid4().hex}@example.com", "password": "long enough"})
    return client


def test_secret_key_sees_all_rows_but_a_thousand_at_a_time(service, table):
    answer = service.table(table).select("id", count="exact").order("id").execute()
    rest = service.table(table).select("id").order("id").range(CAP, ROWS).execute()
    assert (len(answer.data), answer.count) == (CAP, ROWS)
    assert [row["id"] for row in rest.data] == list(range(CAP + 1, ROWS + 1))


def test_head_counts_without_rows(service, table):
    assert service.table(table).select("id", count="exact", head=True).execute().count == ROWS


def test_visitor_sees_nothing(supabase_stack, table):
    visitor = create_client(supabase_stack.url, supabase_stack.publishable_key)
    assert visitor.table(table).select("id").execute().data == []


def test_users_see_and_change_only_what_is_theirs(supabase_stack, table, service):
    ann, bob = signed_in(supabase_stack), signed_in(supabase_stack)
    row = ann.table(table).insert({"id": ROWS + 1}).execute().data[0]
    try:
        assert row["owner"] == ann.auth.get_user().user.id
        assert ann.table(table).select("id").execute().data == [{"id": ROWS + 1}]
        assert bob.table(table).select("id").execute().data == []
        assert bob.table(table).update({"id": 0}).eq("id", ROWS + 1).execute().data == []
        with pytest.raises(APIError) as refused:
            bob.table(table).insert({"id": ROWS + 2, "owner": row["owner"]}).execute()
        assert refused.value.code == "42501"
    finally:
        service.table(table).delete().eq("id", ROWS + 1).execute()


def test_nobody_reaches_the_accounts_through_the_api(service, supabase_stack):
    for client in (service, signed_in(supabase_stack)):
        with pytest.raises(APIError):
            client.schema("auth").table("users").select("*").execute()


def test_odd_characters_in_a_filter_arrive_unchanged(service, table):
    answer = service.table(table).select("id").in_("id", [1, 2]).or_("id.eq.1,id.eq.3").execute()
    assert [row["id"] for row in answer.data] == [1]
