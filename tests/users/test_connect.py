"""Linking a TMDb account in the chat."""

import time
from urllib.parse import parse_qs, urlsplit

import pytest
from django.core.cache import cache

from config.database import redis_client
from tests.conftest import queued
from users.key_rotation import Run, rotate
from users.models import RequestToken, SessionToRevoke, SyncStatus, User
from users.tasks import revoke_sessions

pytestmark = pytest.mark.django_db


def tap(person, message, handle, text="Done"):
    query = person.press(message, text=text)
    handle()
    return query.answer


def token_in(question):
    return question.button(text="Done").data.partition(":")[2]


def test_connect_sends_a_link_to_tmdbs_page_and_a_button_to_confirm(ask, sandbox, settings):
    question = ask("/connect")
    address = question.button(text="Open TMDb").url
    parts = urlsplit(address)
    token = token_in(question)
    assert token in sandbox.tmdb.tokens
    assert address.startswith(f"{settings.TMDB_WEB_URL}/authenticate/{token}?")
    assert parse_qs(parts.query) == {"redirect_to": ["https://t.me/kinoteka_sandbox_bot?start=tmdb"]}


def test_the_button_is_named_as_agreed_in_russian(sandbox, handle):
    oleg = sandbox.telegram.person("Олег", language_code="ru")
    oleg.send("/connect")
    handle()
    assert oleg.chat[-1].button(text="Готово").data.startswith("approved:")


def test_who_has_approved_is_linked_and_the_import_is_queued(ask, anna, sandbox, handle):
    question = ask("/connect")
    sandbox.tmdb.approve(token_in(question), "demo")
    assert tap(anna, question, handle).text == "Linked!"
    user = User.objects.get()
    assert (user.pk, user.tmdb_account_id) == (anna.id, sandbox.tmdb.account("demo").id)
    assert user.sync_status == SyncStatus.QUEUED
    assert sandbox.tmdb.sessions[user.session_id] is sandbox.tmdb.account("demo")
    assert len(queued()) == 1
    assert question.buttons == []
    assert "I will read your ratings" in anna.chat[-1].text


def test_the_session_is_encrypted_at_rest(ask, anna, sandbox, handle):
    question = ask("/connect")
    sandbox.tmdb.approve(token_in(question), "demo")
    tap(anna, question, handle)
    (session,) = sandbox.tmdb.sessions
    assert session not in User.objects.get().tmdb_session_id


@pytest.mark.parametrize("answer", [(401, 17), (422, 41)])
def test_who_has_not_approved_yet_is_told_and_may_go_on(ask, anna, sandbox, handle, answer):
    sandbox.tmdb.not_approved = answer
    question = ask("/connect")
    told = tap(anna, question, handle)
    assert "do not see your approval yet" in told.text
    assert told.show_alert
    sandbox.tmdb.approve(token_in(question), "demo")
    assert tap(anna, question, handle).text == "Linked!"


def test_a_denied_approval_is_told(ask, anna, sandbox, handle):
    question = ask("/connect")
    sandbox.tmdb.deny(token_in(question))
    assert "/connect again" in tap(anna, question, handle).text
    assert not User.objects.get().connected


def test_a_link_that_is_too_old_is_told(ask, anna, sandbox, handle):
    question = ask("/connect")
    sandbox.tmdb.tokens[token_in(question)].expires_at = 0
    assert "/connect again" in tap(anna, question, handle).text


def test_a_second_press_on_the_button_changes_nothing(ask, anna, sandbox, handle):
    question = ask("/connect")
    sandbox.tmdb.approve(token_in(question), "demo")
    first, second = anna.press(question, text="Done"), anna.press(question, text="Done")
    handle()
    assert (first.answer.text, second.answer.text) == ("Linked!", "Your TMDb account is linked.")
    assert len(sandbox.tmdb.sessions) == 1


def test_the_redirect_finishes_the_link_without_a_token_in_the_address(ask, anna, sandbox, handle):
    question = ask("/connect")
    sandbox.tmdb.approve(token_in(question), "demo")
    anna.open("https://t.me/kinoteka_sandbox_bot?start=tmdb")
    handle()
    assert User.objects.get().connected


def test_the_redirect_without_an_approval_says_so(ask, anna, handle):
    assert "has not had your approval" in ask("/start tmdb").text
    ask("/connect")
    assert "has not had your approval" in ask("/start tmdb").text


def test_a_link_that_was_begun_outlives_an_emptied_redis_and_a_new_key(ask, anna, sandbox, handle, settings):
    question = ask("/connect")
    cache.clear()
    if settings.REDIS_URL:
        redis_client().flushdb()
    settings.SESSION_ENCRYPTION_KEYS = ["a new key", *settings.SESSION_ENCRYPTION_KEYS]
    rotate(Run())
    sandbox.tmdb.approve(token_in(question), "demo")
    assert tap(anna, question, handle).text == "Linked!"
    assert not RequestToken.objects.exists()


def test_links_that_were_begun_are_encrypted_few_and_forgotten_after_an_hour(ask, anna, sandbox, handle):
    questions = [ask("/connect") for _time in range(7)]
    assert RequestToken.objects.count() == 5
    stored = "".join(RequestToken.objects.values_list("token", flat=True))
    assert not any(token_in(question) in stored for question in questions)
    assert RequestToken.objects.latest("pk").expires_at <= time.time() + 3600
    revoke_sessions()
    assert RequestToken.objects.count() == 5
    RequestToken.objects.update(expires_at=int(time.time()))
    sandbox.tmdb.approve(token_in(questions[-1]), "demo")
    assert "no longer works" in tap(anna, questions[-1], handle).text
    revoke_sessions()
    assert not RequestToken.objects.exists()


def test_who_is_forgotten_has_begun_no_link(ask, anna, handle):
    ask("/connect")
    anna.send("/forget")
    handle()
    tap(anna, anna.chat[-1], handle, "Delete everything")
    assert not RequestToken.objects.exists()


def test_somebody_elses_token_links_nobody(ask, anna, sandbox, handle):
    """An attacker sends a victim a button or a link with the attacker's token: the victim's chat stays the victim's."""
    boris = sandbox.telegram.person("Boris", language_code="en")
    boris.send("/connect")
    handle()
    sandbox.tmdb.approve(token_in(boris.chat[-1]), "demo")
    question = ask("/connect")
    button = question.button(text="Done")
    button.raw["callback_data"] = f"approved:{token_in(boris.chat[-1])}"
    assert "no longer works" in tap(anna, question, handle).text
    anna.send(f"/start {token_in(boris.chat[-1])}")
    anna.open("https://t.me/kinoteka_sandbox_bot?start=tmdb")
    handle()
    assert not User.objects.get(pk=anna.id).connected


def test_who_is_linked_is_told_so(ask, anna, sandbox, handle):
    question = ask("/connect")
    sandbox.tmdb.approve(token_in(question), "demo")
    tap(anna, question, handle)
    assert "already linked" in ask("/connect").text


def test_who_links_again_has_the_old_session_ended(ask, anna, sandbox, handle):
    for account in ("demo", "empty"):
        question = ask("/connect again")
        sandbox.tmdb.approve(token_in(question), account)
        tap(anna, question, handle)
    assert [whose.username for whose in sandbox.tmdb.sessions.values()] == ["empty"]
    assert SessionToRevoke.objects.count() == 0


def test_a_session_that_tmdb_took_back_or_nobody_can_read_is_no_obstacle_to_a_new_link(ask, anna, sandbox, handle):
    User.objects.create(
        pk=anna.id,
        tmdb_account_id=1,
        tmdb_session_id="encrypted with a key that is lost",
        sync_status=SyncStatus.FAILED,
    )
    question = ask("/connect")
    sandbox.tmdb.approve(token_in(question), "demo")
    assert tap(anna, question, handle).text == "Linked!"
    assert User.objects.get().session_id in sandbox.tmdb.sessions


def test_a_session_whose_account_cannot_be_read_is_ended(ask, anna, sandbox, handle, monkeypatch):
    monkeypatch.setattr("movies.tmdb.time.sleep", lambda seconds: None)
    question = ask("/connect")
    sandbox.tmdb.approve(token_in(question), "demo")
    sandbox.tmdb.fail("^/3/account$", 503, times=None)
    assert "TMDb is not answering" in tap(anna, question, handle).text
    assert not User.objects.get().connected
    assert sandbox.tmdb.sessions == {}


def test_while_tmdb_is_down_connect_says_so(ask, sandbox):
    sandbox.tmdb.fail("^/3/authentication/", 503, times=None)
    assert "TMDb is not answering" in ask("/connect").text


def test_a_group_is_no_place_to_link(anna, sandbox, handle):
    group = sandbox.telegram.group("Film club", [anna])
    for text in ("/connect", "/sync"):
        asked = anna.send(text, chat=group)
        handle()
        said = anna.wait(chat=group, after=asked)
        assert "privately" in said.text
        assert said.buttons[0][0].url == "https://t.me/kinoteka_sandbox_bot"
    assert sandbox.tmdb.tokens == {}


def test_sync_without_a_link_says_what_to_do(ask):
    assert "/connect" in ask("/sync").text


def test_no_token_session_or_key_is_logged(ask, anna, sandbox, handle, caplog):
    caplog.set_level("DEBUG")
    question = ask("/connect")
    token = token_in(question)
    tap(anna, question, handle)
    sandbox.tmdb.fail("^/3/authentication/session/new", 503)
    tap(anna, question, handle)
    sandbox.tmdb.approve(token, "demo")
    tap(anna, question, handle)
    (session,) = sandbox.tmdb.sessions
    for secret in (token, session, sandbox.tmdb_key, sandbox.telegram_token):
        assert secret not in caplog.text
