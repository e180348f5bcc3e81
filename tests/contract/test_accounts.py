"""Sign up, in and out; the session outlives F5, a restart, and a refresh by two at once."""

from __future__ import annotations

import gc
import itertools
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import psutil
import pytest
from pydantic import SecretStr

from services.accounts.auth import Accounts, SignedInUser
from services.accounts.database import Database, SupabaseEndpoint
from services.accounts.visitors import Visitor
from services.errors import DatabaseUnavailable, NotSignedIn, SignInRefused
from services.local_supabase.refused_attempts import REFUSALS_ALLOWED

PASSWORD = "correct horse battery"
_numbers = itertools.count(1)


@pytest.fixture
def email() -> str:
    return f"person{next(_numbers)}-{uuid.uuid4().hex[:6]}@example.com"


@pytest.fixture
def user(accounts, email) -> SignedInUser:
    return accounts.sign_up(email, PASSWORD)


def sees_own_rows(user: SignedInUser) -> bool:
    return user.database.execute(lambda c: c.table("deep_memory_settings").select("*")).data == []


def end_access_token(owner, user: SignedInUser) -> None:
    """As if an hour had gone by: the app must refresh before its next statement."""
    owner.execute(
        "update app_sessions set expires_at = now() where user_id = %s", (user.identity.user_id,)
    )


def another_process(endpoint: SupabaseEndpoint) -> Accounts:
    return Accounts(endpoint, Database(endpoint.url, endpoint.secret_key))


def test_person_signs_up_then_in_with_the_same_account(accounts, user, email):
    again = accounts.sign_in(email, PASSWORD)
    assert again.identity == user.identity
    assert again.cookie != user.cookie
    assert sees_own_rows(again)


@pytest.mark.parametrize(
    ("address", "password", "words"),
    [
        ("nobody@example.com", PASSWORD, "not right"),
        ("no address", PASSWORD, "not right|not a valid"),
        ("", "", "not"),
    ],
)
def test_wrong_credentials_are_refused_in_words(accounts, address, password, words):
    with pytest.raises(SignInRefused, match=words):
        accounts.sign_in(address, password)


def test_wrong_password_is_told_like_an_unknown_address(accounts, user, email):
    with pytest.raises(SignInRefused) as wrong:
        accounts.sign_in(email, "wrong password")
    with pytest.raises(SignInRefused) as unknown:
        accounts.sign_in("unknown@example.com", PASSWORD)
    assert str(wrong.value) == str(unknown.value)


@pytest.mark.parametrize(("password", "words"), [("short", "8 characters"), (PASSWORD, "is an")])
def test_account_that_can_not_be_made_says_why(accounts, user, email, password, words):
    address = email if password == PASSWORD else f"new-{email}"
    with pytest.raises(SignInRefused, match=words):
        accounts.sign_up(address, password)


def test_owner_gets_in_where_she_signed_in_before_whatever_others_guess(accounts, user, email):
    """All from one address, as behind a proxy. Her cookie outlives her signing out."""
    accounts.sign_out(user)
    stranger, owner = Visitor("192.0.2.1", None), Visitor("192.0.2.1", user.cookie)
    for _ in range(REFUSALS_ALLOWED):
        with pytest.raises(SignInRefused, match="not right"):
            accounts.sign_in(email, "a guess", stranger)
    with pytest.raises(SignInRefused, match="Too many attempts"):
        accounts.sign_in(email, PASSWORD, stranger)
    another = accounts.sign_up(f"another-{email}", PASSWORD).cookie
    for cookie in (user.cookie[:-1] + "-", another, "ü.é"):
        with pytest.raises(SignInRefused, match="Too many attempts"):
            accounts.sign_in(email, PASSWORD, Visitor("192.0.2.1", cookie))
    assert accounts.sign_in(email.upper(), PASSWORD, owner).identity == user.identity
    assert accounts.sign_in(email, PASSWORD, Visitor("192.0.2.2", None)).identity == user.identity


def test_session_is_restored_from_the_cookie_by_another_process(endpoint, user):
    restored = another_process(endpoint).restore(user.cookie)
    assert restored.identity == user.identity
    assert sees_own_rows(restored)


@pytest.mark.parametrize("cookie", ["", "made up", "x" * 10_000])
def test_made_up_cookie_restores_nothing(accounts, cookie):
    assert accounts.restore(cookie) is None


def test_database_keeps_no_cookie_that_could_be_used(user, owner):
    [row] = owner.execute(
        "select * from app_sessions where user_id = %s", (user.identity.user_id,)
    ).fetchall()
    assert user.cookie not in [str(value) for value in row]


def test_session_goes_on_after_its_access_token_has_ended(accounts, owner, user):
    end_access_token(owner, user)
    restored = accounts.restore(user.cookie)
    assert sees_own_rows(restored)
    [(expires_at,)] = owner.execute(
        "select extract(epoch from expires_at) from app_sessions where user_id = %s",
        (user.identity.user_id,),
    ).fetchall()
    assert expires_at > time.time() + 60


def test_many_processes_that_refresh_at_once_all_go_on(endpoint, owner, user):
    """The refresh token serves once: one gets through, the others take what it got."""
    end_access_token(owner, user)
    sessions = [another_process(endpoint).restore(user.cookie) for _ in range(6)]
    with ThreadPoolExecutor(6) as processes:
        tokens = list(processes.map(SignedInUser.access_token, sessions))
    assert len(set(tokens)) == 1
    assert all(sees_own_rows(session) for session in sessions)
    end_access_token(owner, user)
    assert sees_own_rows(another_process(endpoint).restore(user.cookie))


def test_slow_process_waits_until_the_quick_one_has_stored_its_tokens(
    endpoint, accounts, owner, user
):
    """The quick one has its answer, and its row is not written yet when the slow one asks."""

    def write(refresh_token: str, expires_at: object) -> None:
        owner.execute(
            "update app_sessions set refresh_token = %s, expires_at = %s where user_id = %s",
            (refresh_token, expires_at, user.identity.user_id),
        )

    def read() -> tuple[str, object]:
        return owner.execute(
            "select refresh_token, expires_at from app_sessions where user_id = %s",
            (user.identity.user_id,),
        ).fetchone()

    class StoredAfterThreeReads(Database):
        reads = 0

        def execute(self, query):
            answer = super().execute(query)
            self.reads += 1
            if self.reads == 3:  # to restore, to refresh, and after the refusal
                write(*new)
            return answer

    end_access_token(owner, user)
    old = read()
    quick = accounts.fresh_tokens(user.cookie)
    new = read()
    write(*old)
    slow = Accounts(endpoint, StoredAfterThreeReads(endpoint.url, endpoint.secret_key))
    assert slow.restore(user.cookie).access_token() == quick.access_token


def test_signed_out_session_is_gone_everywhere_and_the_others_stay(accounts, endpoint, user, email):
    other = accounts.sign_in(email, PASSWORD)
    accounts.sign_out(user)
    accounts.sign_out(user)  # a second click
    assert another_process(endpoint).restore(user.cookie) is None
    assert sees_own_rows(accounts.restore(other.cookie))
    with pytest.raises(NotSignedIn):
        accounts.identify(user.access_token())


def test_session_that_was_signed_out_elsewhere_ends_when_it_has_to_refresh(accounts, owner, user):
    end_access_token(owner, user)
    stale = accounts.restore(user.cookie)
    accounts.sign_out(user)
    with pytest.raises(NotSignedIn):
        stale.access_token()


def test_session_that_was_signed_out_elsewhere_ends_soon(accounts, user, monkeypatch):
    stale = accounts.restore(user.cookie)
    accounts.sign_out(user)
    monkeypatch.setattr("services.accounts.auth._TRUSTED_S", 0)
    with pytest.raises(NotSignedIn):
        stale.access_token()


def test_session_that_ended_at_supabase_ends_here_at_once(accounts, owner, user):
    end_access_token(owner, user)
    stale = accounts.restore(user.cookie)
    owner.execute("delete from auth.sessions where user_id = %s", (user.identity.user_id,))
    with pytest.raises(NotSignedIn):
        stale.access_token()


def test_bearer_token_tells_whose_it_is_and_a_forged_one_nothing(accounts, user):
    token = user.access_token()
    assert accounts.identify(token) == user.identity
    for forged in (token[:-4] + "AAAA", "nonsense", ""):
        with pytest.raises(NotSignedIn):
            accounts.identify(forged)


def test_supabase_that_does_not_answer_is_told_as_such():
    nowhere = SupabaseEndpoint("http://127.0.0.1:9", SecretStr("key"), SecretStr("key"))
    accounts = another_process(nowhere)
    with pytest.raises(DatabaseUnavailable):
        accounts.sign_in("ann@example.com", PASSWORD)
    with pytest.raises(DatabaseUnavailable):
        accounts.restore("cookie")


def test_signing_in_and_out_and_being_looked_up_leave_no_connection_behind(accounts, user):
    gc.collect()
    gc.disable()  # it would close them some time
    try:
        before = _connections_to(accounts.endpoint.url)
        again = accounts.sign_in(user.identity.email, PASSWORD)
        for _ in range(3):
            accounts.identify(again.access_token())
        accounts.sign_out(again)
        assert _connections_to(accounts.endpoint.url) <= before
    finally:
        gc.enable()


def _connections_to(url: str) -> int:
    port = urlsplit(url).port
    found = psutil.Process().net_connections(kind="tcp")
    return sum(bool(each.raddr) and each.raddr.port == port for each in found)
