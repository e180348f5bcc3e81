"""The unmodified supabase client signs people up, in and out, and gets GoTrue's own errors."""

from __future__ import annotations

import time
import uuid
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait

import httpx
import jwt
import pytest
from supabase import Client, create_client
from supabase_auth.errors import AuthApiError, AuthWeakPasswordError

from services.local_supabase.data_folder import load_or_create_secrets
from services.local_supabase.gateway import FORWARDED_FOR, KNOWN_DEVICE
from services.local_supabase.migrations import connect
from services.local_supabase.refused_attempts import (
    REFUSALS_ALLOWED,
    REFUSALS_OF_ALL,
    AuthRefused,
    Caller,
    RefusedAttempts,
)
from services.local_supabase.stack import LocalSupabase

PASSWORD = "correct horse battery"


@pytest.fixture
def client(supabase_stack: LocalSupabase) -> Client:
    return create_client(supabase_stack.url, supabase_stack.publishable_key)


@pytest.fixture
def email() -> str:
    return f"{uuid.uuid4().hex}@example.com"


def sign_up(client: Client, email: str):
    return client.auth.sign_up({"email": email, "password": PASSWORD}).session


def test_sign_up_signs_in_and_names_the_user(client, email):
    session = sign_up(client, email.upper())
    assert client.auth.get_user().user.id == session.user.id
    assert session.user.email == email
    assert session.user.role == "authenticated"


def test_password_signs_in_again_as_the_same_user(client, email):
    first = sign_up(client, email)
    again = client.auth.sign_in_with_password({"email": email, "password": PASSWORD})
    assert again.user.id == first.user.id


@pytest.mark.parametrize("known", [True, False])
def test_wrong_password_and_unknown_email_are_told_alike(client, email, known):
    if known:
        sign_up(client, email)
    with pytest.raises(AuthApiError) as refused:
        client.auth.sign_in_with_password({"email": email, "password": "not this one"})
    assert (refused.value.status, refused.value.code) == (400, "invalid_credentials")


def test_second_account_with_one_email_is_refused(client, email):
    sign_up(client, email)
    with pytest.raises(AuthApiError) as refused:
        sign_up(client, email)
    assert (refused.value.status, refused.value.code) == (422, "user_already_exists")


def test_short_password_is_refused_with_its_reason(client, email):
    with pytest.raises(AuthWeakPasswordError) as refused:
        client.auth.sign_up({"email": email, "password": "short"})
    assert refused.value.reasons == ["length"]


@pytest.mark.parametrize("wrong", ["nobody", "a@", "a b@example.com", "a@example.com\n@b.com"])
def test_what_is_no_email_is_refused(client, wrong):
    with pytest.raises(AuthApiError) as refused:
        sign_up(client, wrong)
    assert refused.value.code == "validation_failed"


def test_refresh_rotates_and_a_token_serves_once(client, email):
    first = sign_up(client, email)
    second = client.auth.refresh_session(first.refresh_token).session
    assert second.refresh_token != first.refresh_token
    with pytest.raises(AuthApiError) as refused:
        client.auth.refresh_session(first.refresh_token)
    assert refused.value.code == "refresh_token_already_used"


def test_two_tabs_that_refresh_at_once_do_not_end_the_session(client, email):
    first = sign_up(client, email)
    second = client.auth.refresh_session(first.refresh_token).session
    with pytest.raises(AuthApiError):
        client.auth.refresh_session(first.refresh_token)
    assert client.auth.refresh_session(second.refresh_token).session.user.email == email


def test_late_reuse_of_a_refresh_token_ends_its_whole_session(client, email, supabase_stack):
    first = sign_up(client, email)
    second = client.auth.refresh_session(first.refresh_token).session
    with connect(supabase_stack.dsn) as connection:
        connection.execute(
            "update auth.refresh_tokens set updated_at = updated_at - interval '1 minute'"
            " where revoked and session_id in"
            " (select id from auth.sessions where user_id = %s)",
            (first.user.id,),
        )
    with pytest.raises(AuthApiError) as reused:
        client.auth.refresh_session(first.refresh_token)
    with pytest.raises(AuthApiError) as followed:
        client.auth.refresh_session(second.refresh_token)
    assert reused.value.code == "refresh_token_already_used"
    assert followed.value.code == "refresh_token_not_found"


def test_refresh_tokens_and_passwords_are_stored_hashed(client, email, supabase_stack):
    session = sign_up(client, email)
    with connect(supabase_stack.dsn) as connection:
        [(stored,)] = connection.execute(
            "select encrypted_password from auth.users where email = %s", (email,)
        ).fetchall()
        found = connection.execute(
            "select 1 from auth.refresh_tokens where token = %s", (session.refresh_token,)
        ).fetchone()
    assert stored.startswith("$argon2id$")
    assert found is None


def test_sign_out_ends_the_session_on_the_server(client, email):
    session = sign_up(client, email)
    client.auth.sign_out()
    with pytest.raises(AuthApiError) as refreshed:
        client.auth.refresh_session(session.refresh_token)
    with pytest.raises(AuthApiError) as asked:
        client.auth.get_user(session.access_token)
    assert refreshed.value.code == "refresh_token_not_found"
    assert asked.value.code == "session_not_found"


def test_local_sign_out_keeps_the_other_session(client, email, supabase_stack):
    sign_up(client, email)
    other = create_client(supabase_stack.url, supabase_stack.publishable_key)
    other.auth.sign_in_with_password({"email": email, "password": PASSWORD})
    client.auth.sign_out({"scope": "local"})
    assert other.auth.refresh_session().user.email == email


def forged(session, secret, **changes) -> str:
    claims = jwt.decode(session.access_token, options={"verify_signature": False})
    return jwt.encode({**claims, **changes}, secret, algorithm="HS256")


def test_forged_and_expired_tokens_are_refused_by_accounts_and_rows_alike(
    client, email, supabase_stack
):
    session = sign_up(client, email)
    secret = load_or_create_secrets(supabase_stack.data_dir).jwt_secret
    claims = jwt.decode(session.access_token, options={"verify_signature": False})
    tokens = {
        "other key": forged(session, "x" * 64),
        "expired": forged(session, secret, exp=int(time.time()) - 3600),
        "no signature": jwt.encode(claims, None, algorithm="none"),
    }
    for token in tokens.values():
        headers = {"apikey": supabase_stack.publishable_key, "Authorization": f"Bearer {token}"}
        rows = httpx.get(f"{supabase_stack.url}/rest/v1/", headers=headers)
        with pytest.raises(AuthApiError) as refused:
            client.auth.get_user(token)
        assert (refused.value.status, refused.value.code) == (403, "bad_jwt")
        assert rows.status_code == 401


def test_token_for_another_audience_is_no_user(client, email, supabase_stack):
    session = sign_up(client, email)
    secret = load_or_create_secrets(supabase_stack.data_dir).jwt_secret
    for token in (forged(session, secret, aud="other"), supabase_stack.publishable_key):
        with pytest.raises(AuthApiError) as refused:
            client.auth.get_user(token)
        assert refused.value.code == "bad_jwt"


def test_guessing_is_stopped_even_with_the_right_password_in_the_end(client, email, supabase_stack):
    sign_up(client, email)
    for _ in range(REFUSALS_ALLOWED):
        with pytest.raises(AuthApiError):
            client.auth.sign_in_with_password({"email": email, "password": "a guess"})
    with pytest.raises(AuthApiError) as refused:
        client.auth.sign_in_with_password({"email": email, "password": PASSWORD})
    assert (refused.value.status, refused.value.code) == (429, "over_request_rate_limit")

    def status(key: str, header: str) -> int:
        return httpx.post(
            f"{supabase_stack.url}/auth/v1/token?grant_type=password",
            json={"email": email, "password": PASSWORD},
            headers={"apikey": key, header: "another"},
            timeout=60,
        ).status_code

    for header in (FORWARDED_FOR, KNOWN_DEVICE):  # the app alone is believed who it asks for
        assert status(supabase_stack.publishable_key, header) == 429
        assert status(supabase_stack.secret_key, header) == 200


ANN, HERE = "ann@example.com", Caller("127.0.0.1")


def guess(attempts: RefusedAttempts, caller: Caller, times: int) -> None:
    for _ in range(times):
        with pytest.raises(AuthRefused, match="wrong"), attempts.watching(caller, ANN):
            raise AuthRefused(400, "invalid_credentials", "wrong")


def is_listened_to(attempts: RefusedAttempts, caller: Caller) -> bool:
    try:
        with attempts.watching(caller, ANN):
            return True
    except AuthRefused:
        return False


def test_signing_in_often_is_no_guessing():
    attempts = RefusedAttempts()
    assert all(is_listened_to(attempts, HERE) for _ in range(REFUSALS_ALLOWED + 1))
    guess(attempts, HERE, REFUSALS_ALLOWED)
    assert not is_listened_to(attempts, HERE)


def test_database_that_is_away_is_no_guess():
    attempts = RefusedAttempts()
    for _ in range(REFUSALS_ALLOWED):
        with pytest.raises(OSError, match="away"), attempts.watching(HERE, ANN):
            raise OSError("away")
    assert is_listened_to(attempts, HERE)


def test_guesses_from_one_address_lock_nobody_out_elsewhere():
    attempts = RefusedAttempts()
    guess(attempts, Caller("203.0.113.9"), REFUSALS_ALLOWED)
    assert not is_listened_to(attempts, Caller("203.0.113.9"))
    assert is_listened_to(attempts, HERE)


def test_guesses_from_many_addresses_are_stopped_and_a_known_device_gets_in():
    attempts = RefusedAttempts()
    for number in range(REFUSALS_OF_ALL // REFUSALS_ALLOWED):
        guess(attempts, Caller(f"203.0.113.{number}"), REFUSALS_ALLOWED)
    assert not is_listened_to(attempts, Caller("203.0.113.99"))
    known = Caller("203.0.113.99", device="d1")
    assert is_listened_to(attempts, known)
    guess(attempts, known, REFUSALS_ALLOWED)  # a stolen device may not guess on either
    assert not is_listened_to(attempts, known)
    assert is_listened_to(attempts, Caller("203.0.113.99", device="d2"))


def test_token_check_and_refresh_never_queue_behind_passwords(supabase_stack, client, email):
    """30 people who sign in at once made every check of a token wait for seconds."""
    session = sign_up(client, email)
    credentials = {"email": email, "password": PASSWORD}

    def sign_in(_: int) -> int:
        return httpx.post(
            f"{supabase_stack.url}/auth/v1/token?grant_type=password",
            json=credentials,
            headers={"apikey": supabase_stack.publishable_key},
            timeout=120,
        ).status_code

    with ThreadPoolExecutor(25) as people:
        signing_in = [people.submit(sign_in, number) for number in range(25)]
        wait(signing_in, return_when=FIRST_COMPLETED)  # all the others stand in the queue
        for _ in range(3):
            assert client.auth.get_user(session.access_token).user.email == email
        client.auth.refresh_session(session.refresh_token)
        assert sum(not each.done() for each in signing_in) > 5
        assert {each.result() for each in signing_in} == {200}


@pytest.mark.parametrize("path", ["/rest/v1/", "/auth/v1/health"])
@pytest.mark.parametrize("headers", [{}, {"apikey": "made up"}])
def test_nothing_answers_without_a_known_api_key(supabase_stack, path, headers):
    answer = httpx.get(supabase_stack.url + path, headers=headers)
    assert answer.status_code == 401
    assert "API key" in answer.json()["message"]


@pytest.mark.parametrize(
    ("body", "status"), [(b"{", 400), (b"[]", 400), (b"{}", 400), (b" " * 70_000, 413)]
)
def test_a_body_that_makes_no_sense_is_refused_in_gotrues_shape(supabase_stack, body, status):
    answer = httpx.post(
        f"{supabase_stack.url}/auth/v1/signup",
        content=body,
        headers={"apikey": supabase_stack.publishable_key},
    )
    assert answer.status_code == status
    assert answer.json()["code"] == status
    assert answer.json()["error_code"] in ("bad_json", "validation_failed")


def test_health_answers(supabase_stack):
    answer = httpx.get(
        f"{supabase_stack.url}/auth/v1/health",
        headers={"apikey": supabase_stack.publishable_key},
    )
    assert answer.json()["name"] == "GoTrue"
