"""What TMDb's answers mean: only its own JSON says something about a session, a film or a value."""

from decimal import Decimal

import pytest

from config.monitoring.secret import Secret
from movies.catalogue import get_movie
from movies.models import Movie
from movies.tmdb import (
    BadRequest,
    KeyRefused,
    NotApproved,
    NotFound,
    SessionRefused,
    TMDb,
    TMDbError,
    TokenInvalid,
    Unavailable,
)
from ratings.models import PendingWrite, Rating
from ratings.rate import rate
from ratings.tasks import import_ratings, write_ratings
from tests.helpers.imports import hurry, linked, work
from users.disconnect import disconnect
from users.models import SessionToRevoke, SyncStatus, User
from users.tasks import revoke_sessions

pytestmark = pytest.mark.django_db(transaction=True)

SESSION = Secret("5e5510" * 6)
CALLS = {
    "GET /movie": lambda tmdb: tmdb.movie(603),
    "GET /search": lambda tmdb: tmdb.search("Матрица"),
    "GET /find": lambda tmdb: tmdb.find("tt0133093"),
    "GET /recommendations": lambda tmdb: tmdb.recommendations(603),
    "GET /authentication": lambda tmdb: tmdb.check_key(),
    "GET /authentication/token/new": lambda tmdb: tmdb.request_token(),
    "POST /authentication/session/new": lambda tmdb: tmdb.new_session("70ke0"),
    "DELETE /authentication/session": lambda tmdb: tmdb.end_session(SESSION),
    "GET /account": lambda tmdb: tmdb.account(SESSION),
    "GET /rated": lambda tmdb: tmdb.rated_movies(21_000_001, SESSION),
    "POST /rating": lambda tmdb: tmdb.rate(603, Decimal("7.5"), SESSION),
    "DELETE /rating": lambda tmdb: tmdb.unrate(603, SESSION),
}
CHANGES = [name for name in CALLS if name.startswith(("POST", "DELETE"))]
NOT_TMDBS = {
    "a firewall's page": "<html><h1>403 Forbidden</h1>nginx</html>",
    "JSON of something else": {"message": "Forbidden", "code": 7},
    "a gateway's own code": {"status_code": 403, "error": "Forbidden"},
    "a code that is no number": {"success": False, "status_code": "34"},
    "a code that is true": {"success": False, "status_code": True},
    "no code": {"success": False, "status_message": "Session denied."},
    "a list": [34],
    "nothing": "",
}


@pytest.fixture
def tmdb(sandbox, settings):
    settings.TMDB_REQUESTS_PER_SECOND = 0
    client = TMDb(background=False)
    client.attempts = 1
    return client


def error_of(call, tmdb):
    with pytest.raises(TMDbError) as caught:
        call(tmdb)
    return type(caught.value)


@pytest.mark.parametrize("status", [302, 400, 401, 403, 404, 422])
def test_a_status_without_tmdbs_own_body_is_nothing_but_unavailable(sandbox, tmdb, status):
    for body in NOT_TMDBS.values():
        sandbox.faults.clear()
        sandbox.tmdb.fail("^/3/", status=status, body=body, times=None)
        assert {name: error_of(call, tmdb) for name, call in CALLS.items()} == dict.fromkeys(CALLS, Unavailable)


@pytest.mark.parametrize("call", CALLS)
def test_success_false_with_200_is_no_success(sandbox, tmdb, call):
    sandbox.tmdb.fail("^/3/", status=200, body={"success": False}, times=None)
    assert error_of(CALLS[call], tmdb) is Unavailable


@pytest.mark.parametrize("call", CHANGES)
@pytest.mark.parametrize("body", [{}, {"ok": True}, {"status_code": 200}, {"success": "yes"}])
def test_a_change_is_made_where_tmdb_says_so_and_not_by_a_200(sandbox, tmdb, call, body):
    sandbox.tmdb.fail("^/3/", status=200, body=body, times=None)
    assert error_of(CALLS[call], tmdb) is Unavailable


@pytest.mark.parametrize("body", [{"status_code": 1}, {"success": True}, {"success": True, "status_code": 12}])
def test_every_form_of_tmdbs_yes_is_one(sandbox, tmdb, body):
    sandbox.tmdb.fail("^/3/", status=201, body=body, times=None)
    CALLS["POST /rating"](tmdb)


@pytest.mark.parametrize(
    ("call", "code", "error"),
    [
        ("GET /movie", 34, NotFound),
        ("GET /movie", 6, NotFound),
        ("GET /search", 22, BadRequest),
        ("GET /movie", 7, KeyRefused),
        ("GET /movie", 10, KeyRefused),
        ("GET /movie", 3, KeyRefused),
        ("GET /account", 3, SessionRefused),
        ("GET /rated", 7, KeyRefused),
        ("GET /rated", 45, SessionRefused),
        ("GET /rated", 9, Unavailable),
        ("GET /rated", 11, Unavailable),
        ("POST /rating", 3, SessionRefused),
        ("POST /rating", 36, SessionRefused),
        ("POST /rating", 34, NotFound),
        ("POST /rating", 18, BadRequest),
        ("POST /authentication/session/new", 33, TokenInvalid),
        ("POST /authentication/session/new", 6, TokenInvalid),
        ("POST /authentication/session/new", 17, NotApproved),
        ("POST /authentication/session/new", 41, NotApproved),
        ("POST /authentication/session/new", 7, KeyRefused),
        ("POST /authentication/session/new", 43, Unavailable),
        ("GET /movie", 999, Unavailable),
    ],
)
@pytest.mark.parametrize("status", [None, 200])
def test_tmdbs_own_code_says_what_is_wrong_whatever_the_status(sandbox, tmdb, call, code, error, status):
    body = {"success": False, "status_code": code, "status_message": "…"}
    sandbox.tmdb.fail("^/3/", status=status or 401, body=body, times=None)
    assert error_of(CALLS[call], tmdb) is error


@pytest.mark.parametrize("code", [3, 6, 34, 37])
def test_a_session_that_is_over_needs_no_end(sandbox, tmdb, code):
    sandbox.tmdb.fail("^/3/", code=code, times=None)
    tmdb.end_session(SESSION)


@pytest.mark.parametrize("call", ["GET /search", "GET /recommendations", "GET /find"])
@pytest.mark.parametrize("body", [{}, {"success": True}, {"results": None, "movie_results": None}])
def test_a_list_that_is_none_is_no_empty_list(sandbox, tmdb, call, body):
    sandbox.tmdb.fail("^/3/", status=200, body=body, times=None)
    assert issubclass(error_of(CALLS[call], tmdb), Unavailable)


# --- What follows from it


@pytest.fixture
def linked_anna(sandbox, monkeypatch):
    hurry(monkeypatch)
    user = linked(sandbox, sandbox.telegram.person("Анна"), "anna")
    user.account.rate(603, 7)
    work(user)
    return user


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_a_firewall_breaks_no_link_and_loses_no_rating(sandbox, linked_anna, status):
    messages = len(linked_anna.person.chat)
    rate(linked_anna, 603, Decimal("9.5"))
    sandbox.tmdb.firewall(status=status)
    write_ratings()
    User.objects.filter(pk=linked_anna.pk).queue_import()
    for _run in range(3):
        import_ratings()
    linked_anna.refresh_from_db()
    assert linked_anna.sync_status == SyncStatus.QUEUED
    assert PendingWrite.objects.get().rating == Decimal("9.5")
    assert "/connect" not in "".join(message.text for message in linked_anna.person.chat[messages:])
    sandbox.faults.clear()
    work(linked_anna)
    PendingWrite.objects.update(next_try_at=0)
    write_ratings()
    assert linked_anna.account.ratings[603] == 9.5
    assert Rating.objects.get().tmdb_rating == Decimal("9.5")


@pytest.mark.parametrize("status", [200, 401, 403, 404])
def test_a_session_waits_until_tmdb_itself_has_ended_it(sandbox, linked_anna, status):
    sandbox.tmdb.firewall(status=status)
    assert not disconnect(linked_anna.pk)
    assert SessionToRevoke.objects.count() == 1
    sandbox.faults.clear()
    SessionToRevoke.objects.update(next_try_at=0)
    revoke_sessions()
    assert not SessionToRevoke.objects.exists()
    assert linked_anna.account not in sandbox.tmdb.sessions.values()


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_no_film_is_called_gone_by_a_firewall(sandbox, status):
    sandbox.tmdb.firewall(status=status)
    with pytest.raises(Unavailable):
        get_movie(603)
    assert not Movie.objects.exists()


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_who_has_approved_while_a_firewall_answers_may_press_done_again(sandbox, anna, ask, handle, status):
    message = ask("/connect")
    token = next(iter(sandbox.tmdb.tokens))
    sandbox.tmdb.approve(token, "demo")
    sandbox.tmdb.firewall(status=status)
    query = anna.press(message, "Done")
    handle()
    assert "is not answering" in query.answer.text
    sandbox.faults.clear()
    anna.press(message, "Done")
    handle()
    assert User.objects.get(pk=anna.id).connected
