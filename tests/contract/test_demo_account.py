"""The demo button works from the first start on, whatever addresses people sign up with."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from services.accounts.auth import Accounts
from services.accounts.database import Database, SupabaseEndpoint
from services.errors import SignInRefused
from services.local_supabase.demo import DEMO_EMAIL, ensure_demo_account
from services.local_supabase.migrations import connect
from services.local_supabase.stack import LocalSupabase
from tests.embedded import run_embedded, temporary_data_dir

PASSWORD = "correct horse battery"


def accounts_of(stack: LocalSupabase) -> Accounts:
    endpoint = SupabaseEndpoint(
        stack.url, SecretStr(stack.publishable_key), SecretStr(stack.secret_key)
    )
    return Accounts(endpoint, Database(endpoint.url, endpoint.secret_key))


@pytest.mark.parametrize("address", [DEMO_EMAIL, DEMO_EMAIL.upper()])
def test_nobody_signs_up_with_the_address_of_the_demo_account(accounts, address):
    with pytest.raises(SignInRefused, match="belongs to the demo account") as refused:
        accounts.sign_up(address, PASSWORD)
    assert "Continue as demo analyst" in refused.value.next_step


def test_demo_account_is_there_at_the_first_start_and_stays_the_same(supabase_stack, owner):
    demo = accounts_of(supabase_stack).sign_in(
        supabase_stack.demo_email, supabase_stack.demo_password
    )
    assert demo.identity.email == DEMO_EMAIL
    assert ensure_demo_account(owner, supabase_stack.demo_password) == DEMO_EMAIL  # the next start
    again = accounts_of(supabase_stack).sign_in(DEMO_EMAIL, supabase_stack.demo_password)
    assert again.identity == demo.identity


def test_person_who_took_the_address_before_keeps_the_account_and_the_button_works():
    with temporary_data_dir() as data_dir:
        with run_embedded(data_dir) as stack, connect(stack.dsn) as owner:
            # As it was before the address was reserved.
            person = accounts_of(stack).sign_up("ann@example.com", PASSWORD).identity
            owner.execute("delete from auth.users where email = %s", (DEMO_EMAIL,))
            owner.execute(
                "update auth.users set email = %s where id = %s", (DEMO_EMAIL, person.user_id)
            )
        with run_embedded(data_dir) as stack:
            accounts = accounts_of(stack)
            assert accounts.sign_in(DEMO_EMAIL, PASSWORD).identity.user_id == person.user_id
            demo = accounts.sign_in(stack.demo_email, stack.demo_password)
            assert demo.identity.email == "demo-2@example.com"
            for address in (DEMO_EMAIL, stack.demo_email):
                with pytest.raises(SignInRefused, match="belongs to the demo account"):
                    accounts.sign_up(address, PASSWORD)


def test_demo_account_from_before_is_known_by_its_password_and_new_secrets_open_the_new_one(owner):
    owner.execute("begin")
    try:
        owner.execute(
            "update auth.users set raw_app_meta_data = raw_app_meta_data - 'demo' where email = %s",
            (DEMO_EMAIL,),
        )
        assert ensure_demo_account(owner, "another password") == "demo-2@example.com"
        assert ensure_demo_account(owner, "one more password") == "demo-2@example.com"
    finally:
        owner.execute("rollback")
