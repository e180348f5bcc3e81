"""The sign-in page: with an account, a new one, or as the demo analyst; and out again."""

from __future__ import annotations

import pytest

PASSWORD = "correct horse battery"


def fill(screen, form: str, email: str, password: str) -> None:
    screen.app.text_input(key=f"{form}_email").set_value(email)
    screen.app.text_input(key=f"{form}_password").set_value(password)
    label = {"sign_in": "Sign in", "sign_up": "Create account"}[form]
    [button] = [button for button in screen.app.button if button.label == label]
    button.click()
    screen.draw()


def test_a_visitor_is_told_what_the_app_does_and_sees_nothing_of_it(open_page):
    screen = open_page(None)
    assert "Deep Memory Studio" in screen.words
    assert [tab.label for tab in screen.app.tabs] == ["Sign in", "Sign up"]
    assert "generate" not in screen.keys


@pytest.mark.parametrize("page", ["knowledge_base.py", "search.py", "account.py"])
def test_no_page_opens_without_a_sign_in(open_page, page):
    screen = open_page(None, page)
    assert "Sign in" in [tab.label for tab in screen.app.tabs]
    assert "sign_out" not in screen.keys


def test_a_new_account_is_signed_in_at_once_and_again_with_its_password(open_page, email):
    screen = open_page(None)
    fill(screen, "sign_up", f" {email} ", PASSWORD)
    assert screen.app.button(key="generate")
    again = open_page(None)
    fill(again, "sign_in", email, PASSWORD)
    assert again.app.button(key="generate")
    assert not again.problems


def test_a_wrong_password_is_told_without_a_word_on_whether_there_is_such_an_account(
    open_page, studio, email
):
    studio.accounts.sign_up(email, PASSWORD)
    said = []
    for who in (email, f"not-{email}"):
        screen = open_page(None)
        fill(screen, "sign_in", who, "a wrong password")
        assert "generate" not in screen.keys
        said.append(screen.problems)
    assert said[0] == said[1] != []


@pytest.mark.parametrize(("who", "password"), [("no-email", PASSWORD), (None, "short"), ("", "")])
def test_what_can_be_no_account_is_refused_in_words(open_page, email, who, password):
    screen = open_page(None)
    fill(screen, "sign_up", email if who is None else who, password)
    assert len(screen.problems) == 1
    assert "generate" not in screen.keys


def test_the_demo_is_offered_on_the_embedded_database_and_one_press_signs_in(
    open_page, studio, supabase_stack, monkeypatch
):
    assert "demo" not in open_page(None).keys  # a hosted one has none
    monkeypatch.setattr(studio, "local_supabase", supabase_stack)
    screen = open_page(None).press("demo")
    assert screen.app.button(key="generate")


def test_whoever_signs_out_is_shown_the_sign_in_page(open_page, workspace):
    screen = open_page(workspace, "account.py").press("sign_out")
    assert "Sign in" in [tab.label for tab in screen.app.tabs]
    assert workspace.user.identity.email not in screen.words
