"""Whatever TMDb, Telegram, the person or the operator do in the middle of an import, it ends right."""

import json
import logging
import signal
import threading

import pytest
from django.conf import settings
from django.db import connections

from config.database import redis_client
from config.jobs.enqueue import async_task
from config.models import Lease
from movies import details
from movies.models import Movie
from movies.tasks import read_details
from ratings.models import Import, Rating
from ratings.tasks import import_ratings
from ratings.tmdb_sync import engine, limits
from ratings.tmdb_sync.engine import import_queued
from ratings.tmdb_sync.user_import import begin
from tests.conftest import wait_until
from tests.helpers.imports import asked_for, at_tmdb, hurry, linked, rate, sync, table_of, work
from users.disconnect import disconnect, forget
from users.models import SyncStatus, User

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("hurried")]

PAGES = r"/rated/movies$"
FILMS = r"^/3/movie/\d+$"
FAULTS = {
    "429": {"status": 429},
    "429 with Retry-After": {"status": 429, "retry_after": 0},
    "500": {"status": 500},
    "502": {"status": 502},
    "503": {"status": 503},
    "504": {"status": 504},
    "HTML": {"status": 200, "body": "<h1>It works!</h1>", "content_type": "text/html"},
    "garbage": {"status": 200, "body": b"\xff\xfe{]"},
    "another answer": {"status": 200, "body": {"success": True}},
    "a list": {"status": 200, "body": []},
    "truncated": {"truncate": 40},
    "dropped": {"drop": "before"},
    "dropped after the work": {"drop": "after"},
    "slow": {"delay": 0.3},
}


@pytest.fixture
def anna(sandbox, transactional_db):
    """A user with an empty account at TMDb, linked and queued."""
    return linked(sandbox, sandbox.telegram.person("Анна"), "anna")


@pytest.fixture
def hurried(monkeypatch):
    hurry(monkeypatch)


def assert_all_is_in(user):
    user.refresh_from_db()
    assert table_of(user) == at_tmdb(user.account)
    assert (user.sync_status, user.ratings_count) == (SyncStatus.IMPORTED, len(user.account.ratings))


def films_of(user):
    return Movie.objects.filter(ratings__user=user)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("where", [PAGES, FILMS])
def test_a_passing_fault_leaves_no_trace(sandbox, anna, where, fault):
    rate(anna.account, sandbox.tmdb.add_films(65))
    sandbox.tmdb.fail(where, times=3, **FAULTS[fault])
    work(anna)
    assert_all_is_in(anna)
    assert not films_of(anna).filter(details_at=None).exists()
    assert not films_of(anna).exclude(details_error="").exists()


@pytest.mark.parametrize("fault", ["500", "HTML", "dropped"])
def test_while_tmdb_is_away_the_import_waits_says_so_and_goes_on_by_itself(sandbox, anna, fault):
    from config.bot.router import bot

    rate(anna.account, sandbox.tmdb.add_films(65))
    message_id = bot.send_message(anna.pk, "queued").message_id
    sandbox.tmdb.fail(r"^/3/", times=None, **FAULTS[fault])
    for _minute in range(3):
        import_ratings(anna.pk, message_id)
    anna.refresh_from_db()
    assert anna.sync_status == SyncStatus.QUEUED
    assert Import.objects.get().failing_since
    assert anna.person.chat[-1].id == message_id
    waiting = anna.person.chat[-1].text
    sandbox.faults.clear()
    work()
    assert_all_is_in(anna)
    assert anna.person.chat[-1].text != waiting
    assert len([message for message in anna.person.chat if message.from_bot]) == 1


def test_where_tmdb_refuses_connections_the_import_waits(sandbox, anna, settings):
    rate(anna.account, sandbox.tmdb.add_films(5))
    settings.TMDB_API_URL = "http://127.0.0.1:9/3"
    import_ratings()
    anna.refresh_from_db()
    assert anna.sync_status == SyncStatus.QUEUED
    settings.TMDB_API_URL = sandbox.tmdb_api_url
    work()
    assert_all_is_in(anna)


def test_an_outage_in_the_middle_costs_nothing_that_has_come(sandbox, anna):
    rate(anna.account, sandbox.tmdb.add_films(200))
    down_from(sandbox, request=60)
    import_ratings()
    anna.refresh_from_db()
    assert anna.sync_status == SyncStatus.QUEUED
    known = Movie.objects.filter(ratings__user=anna).exclude(details_at=None).count()
    assert known > 0
    sandbox.faults.clear()
    sandbox.tmdb.forget_requests()
    work()
    assert_all_is_in(anna)
    answered = [asked for film in anna.account.ratings for asked in sandbox.tmdb.requests_of(f"/movie/{film}")]
    assert len([asked for asked in answered if asked.status == 200]) == 200 - known


def down_from(sandbox, request):
    """TMDb answers so many requests, then none until the faults are cleared."""
    at_request(sandbox, request, lambda: sandbox.tmdb.fail(r"^/3/", status=503, times=None))


def at_request(sandbox, number, happens):
    """Something happens, once, as TMDb gets so many requests."""
    answer, waiting = sandbox.tmdb._answer, [happens]

    def answer_and_act(request):
        if len(sandbox.tmdb.requests) >= number and waiting:
            waiting.pop()()
            connections.close_all()  # this is the sandbox's thread
        return answer(request)

    sandbox.tmdb._answer = answer_and_act


def test_a_page_that_fails_for_an_hour_is_waited_for_and_the_others_are_not_read_again(sandbox, anna, monkeypatch):
    rate(anna.account, sandbox.tmdb.add_films(100))
    fail_page(sandbox, monkeypatch, 3)
    for _minute in range(3):
        import_ratings()
    anna.refresh_from_db()
    assert anna.sync_status == SyncStatus.QUEUED
    assert len(table_of(anna)) == 80
    monkeypatch.undo()
    sandbox.tmdb.forget_requests()
    work()
    assert_all_is_in(anna)
    pages = [seen.query["page"] for seen in sandbox.tmdb.requests_of("/account/*/rated/movies")]
    assert sorted(pages) == ["1", "3", "5"]  # the missing one, and both ends once more


def fail_page(sandbox, monkeypatch, number):
    read = sandbox.tmdb._rated_page

    def refuse(account, request):
        if request.query["page"] == str(number):
            raise ZeroDivisionError
        return read(account, request)

    monkeypatch.setattr(sandbox.tmdb, "_rated_page", refuse)


def test_a_page_that_fails_for_ever_is_done_without_and_nothing_is_removed(sandbox, anna, monkeypatch):
    rate(anna.account, sandbox.tmdb.add_films(100))
    work(anna)
    gone = list(anna.account.ratings)[0]
    anna.account.unrate(gone)
    fail_page(sandbox, monkeypatch, 3)
    monkeypatch.setattr(limits, "GIVE_UP_PAGE_SECONDS", -1)
    sync(anna)
    assert anna.sync_status == SyncStatus.IMPORTED
    run = Import.objects.latest("pk")
    assert not run.complete
    assert run.reader_state["missing"] == [3]
    assert gone in table_of(anna)
    assert anna.ratings_count == len(table_of(anna)) == 100


@pytest.mark.parametrize("fault", ["500", "garbage", "another answer", "dropped"])
def test_a_film_that_fails_for_ever_is_named_and_asked_for_again_later(sandbox, anna, fault):
    films = sandbox.tmdb.add_films(30)
    rate(anna.account, films)
    sandbox.tmdb.fail(rf"^/3/movie/{films[7]}$", times=None, **FAULTS[fault])
    work(anna)
    assert_all_is_in(anna)
    title = Movie.objects.get(pk=films[7]).title
    assert title in anna.person.chat[-1].text
    run = Import.objects.get()
    assert (run.failed, list(run.names["failed"])) == (1, [str(films[7])])
    Movie.objects.update(details_tried_at=1)  # some time passes
    sync(anna)
    assert title not in anna.person.chat[-1].text  # not due yet
    sandbox.faults.clear()
    Movie.objects.update(details_next_try_at=0)
    read_details()
    assert Movie.objects.get(pk=films[7]).details_at
    assert not films_of(anna).exclude(details_error="").exists()


def test_films_that_all_fail_hold_up_no_import_for_ever(sandbox, anna):
    rate(anna.account, sandbox.tmdb.add_films(30))
    sandbox.tmdb.fail(FILMS, status=500, times=None)
    work(anna)
    assert_all_is_in(anna)
    assert films_of(anna).exclude(details_error="").count() == Import.objects.get().failed == 30


def test_a_film_that_hangs_is_left_for_later(sandbox, anna):
    films = sandbox.tmdb.add_films(3)
    rate(anna.account, films)
    sandbox.tmdb.fail(rf"^/3/movie/{films[1]}$", delay=3, times=None)
    for _slice in range(3):
        import_queued(0.5)
    assert_all_is_in(anna)
    assert films_of(anna).exclude(details_error="").get().pk == films[1]


@pytest.mark.parametrize(
    "extra",
    [
        {"title": "ы" * 2000, "overview": "ъ" * 20000},
        {"title": None},
        {"title": None, "original_title": None},
        {"title": "a\0b", "overview": "a\0b"},
        {"unknown": {"field": [1]}, "id_": 5},
        {"runtime": "long", "vote_average": 99, "popularity": -1, "vote_count": 1e30},
        {"release_date": "2020-13-45", "poster_path": 7},
        {"overview": {"not": "text"}, "genre_ids": None},
    ],
)
def test_an_odd_film_comes_in_with_the_others(sandbox, anna, extra):
    films = sandbox.tmdb.add_films(25)
    rate(anna.account, films)
    sandbox.tmdb.films[films[3]].extra = extra
    work(anna)
    assert_all_is_in(anna)
    assert len(anna.person.chat[-1].text) <= 4096


@pytest.mark.parametrize("value", [0, 11, 7.3, -1, None, True, "8", 10**30, 0.25])
def test_a_rating_that_cannot_be_is_left_out_and_named(sandbox, anna, value):
    rate(anna.account, [603, 604])
    anna.account.ratings[604] = value
    work(anna)
    assert list(table_of(anna)) == [603]
    assert (anna.sync_status, anna.ratings_count) == (SyncStatus.IMPORTED, 1)
    assert list(Import.objects.get().names["left_out"]) == ["604"]
    assert "Матрица: Перезагрузка" in anna.person.chat[-1].text


@pytest.mark.parametrize("field", ["total_results", "total_pages"])
@pytest.mark.parametrize("value", [2**31, 10**20])
def test_a_count_that_no_column_holds_delays_that_user_alone(sandbox, anna, hurried, field, value):
    rate(anna.account, [603])
    other = linked(sandbox, sandbox.telegram.person("Борис"), "boris")
    rate(other.account, [604])
    body = {"page": 1, "results": [], "total_pages": 1, "total_results": 0} | {field: value}
    sandbox.tmdb.fail(rf"^/3/account/{anna.account.id}/rated/movies", 200, times=None, body=json.dumps(body))
    import_ratings()
    other.refresh_from_db()
    assert (other.sync_status, list(table_of(other))) == (SyncStatus.IMPORTED, [604])
    sandbox.tmdb.faults.clear()
    work(anna)
    assert list(table_of(anna)) == [603]


def test_half_a_character_in_a_title_stops_nothing(sandbox, anna):
    rate(anna.account, [603, 604])
    body = r'{"id": 603, "title": "\ud800 half", "overview": "\udfff"}'
    sandbox.tmdb.fail("^/3/movie/603$", status=200, body=body, times=None)
    work(anna)
    assert_all_is_in(anna)
    assert "half" in Movie.objects.get(pk=603).title


def test_a_rating_that_became_impossible_removes_nothing(sandbox, anna):
    rate(anna.account, [603, 604])
    work(anna)
    before = table_of(anna)
    anna.account.ratings[604] = 0
    sync(anna)
    assert table_of(anna) == before
    assert anna.ratings_count == 2


def test_rows_that_are_no_films_are_passed_over(sandbox, anna):
    rate(anna.account, [603, 604])
    answer = {"page": 1, "total_pages": 1, "total_results": 4}
    rows = [{"id": 603, "title": "Матрица", "rating": 8.0}, "odd", {"id": -5, "rating": 3}, {"rating": 7}, None]
    sandbox.tmdb.fail(PAGES, status=200, body={**answer, "results": rows})
    work(anna)
    assert list(table_of(anna)) == [603]
    assert anna.sync_status == SyncStatus.IMPORTED
    assert not Import.objects.get().complete


def test_what_tmdb_counts_but_never_lists_keeps_no_rating_that_is_gone(sandbox, anna):
    films = sandbox.tmdb.add_films(45)
    rate(anna.account, films)
    for film in films[:3]:
        sandbox.tmdb.hide_from_pages(film)
    work(anna)
    assert anna.ratings_count == 42
    anna.account.unrate(films[10])
    sync(anna)
    assert set(table_of(anna)) == set(films[3:]) - {films[10]}

    sandbox.tmdb.hide_from_pages(films[20])  # one of ours is merely left out: nothing is removed
    anna.account.unrate(films[30])
    for _time in range(2):
        sync(anna)
        assert set(table_of(anna)) == set(films[3:]) - {films[10]}
    sandbox.tmdb.films[films[20]].hidden = False
    sync(anna)
    assert set(table_of(anna)) == set(films[3:]) - {films[10], films[30]}


def test_rows_left_out_of_the_pages_are_not_removed(sandbox, anna):
    rate(anna.account, sandbox.tmdb.add_films(45))
    work(anna)
    before = table_of(anna)
    sandbox.tmdb.hide_from_pages(next(iter(before)))
    sync(anna)
    assert table_of(anna) == before
    assert anna.ratings_count == 45


# --- The account does not stand still


def while_reading(sandbox, monkeypatch, **steps):
    """Change the account as its pages go out: page_2=function is called just after page 2 was read first."""
    read = sandbox.tmdb._rated_page

    def read_and_change(account, request):
        response = read(account, request)
        if step := steps.pop(f"page_{request.query['page']}", None):
            step()
            connections.close_all()  # this is the sandbox's thread
        return response

    monkeypatch.setattr(sandbox.tmdb, "_rated_page", read_and_change)


@pytest.mark.parametrize("size", [21, 45, 100])
@pytest.mark.parametrize("page", [1, 2])
@pytest.mark.parametrize("first_gone", [0, 15, 20])
def test_a_rating_taken_back_and_another_made_while_pages_are_read_lose_none(
    sandbox, anna, monkeypatch, size, page, first_gone
):
    films = sandbox.tmdb.add_films(size + 1)
    rate(anna.account, films[:size])

    def change():
        anna.account.unrate(films[first_gone])
        anna.account.rate(films[size], 5)

    while_reading(sandbox, monkeypatch, **{f"page_{page}": change})
    work(anna)
    still_there = at_tmdb(anna.account).keys() - {films[size]}
    assert still_there <= table_of(anna).keys()
    sync(anna)
    assert_all_is_in(anna)


def test_ratings_changed_while_pages_are_read_come_at_the_latest_with_the_next_import(sandbox, anna, monkeypatch):
    films = sandbox.tmdb.add_films(60)
    rate(anna.account, films)
    while_reading(sandbox, monkeypatch, page_2=lambda: anna.account.rate(films[25], 10))
    work(anna)
    sync(anna)
    assert_all_is_in(anna)


def test_an_account_that_never_stands_still_loses_nothing_and_nothing_is_removed(sandbox, anna, monkeypatch):
    films = sandbox.tmdb.add_films(200)
    rate(anna.account, films[:50])
    work(anna)
    more = iter(films[50:])
    read = sandbox.tmdb._rated_page

    def read_and_rate(account, request):
        account.rate(next(more), 6)
        return read(account, request)

    monkeypatch.setattr(sandbox.tmdb, "_rated_page", read_and_rate)
    sync(anna)
    assert anna.sync_status == SyncStatus.IMPORTED
    assert set(films[:50]) <= set(table_of(anna))
    assert not Import.objects.latest("pk").complete
    monkeypatch.undo()
    sync(anna)
    assert_all_is_in(anna)


def test_a_film_on_two_pages_is_counted_once(sandbox, anna, monkeypatch):
    films = sandbox.tmdb.add_films(40)
    rate(anna.account, films)
    while_reading(sandbox, monkeypatch, page_1=lambda: put_first(anna.account, films[30]))
    work(anna)
    assert_all_is_in(anna)
    assert Import.objects.get().added == 40


def put_first(account, film):
    account.ratings = {film: account.ratings.pop(film), **account.ratings}


# --- The person


def test_a_session_revoked_in_the_middle_asks_once_to_connect_again(sandbox, anna, monkeypatch):
    rate(anna.account, sandbox.tmdb.add_films(100))
    while_reading(sandbox, monkeypatch, page_5=lambda: sandbox.tmdb.revoke(anna.account))
    work(anna)
    assert anna.sync_status == SyncStatus.FAILED
    assert "session" in anna.sync_error
    assert len(table_of(anna)) >= 20
    import_ratings()
    (message,) = [message for message in anna.person.chat if "/connect" in message.words]
    anna.connect(anna.account.id, sandbox.tmdb.session_for(anna.account))
    work(anna)
    assert_all_is_in(anna)


def test_a_session_that_cannot_be_decrypted_is_the_persons_to_renew(sandbox, anna):
    User.objects.filter(pk=anna.pk).update(tmdb_session_id="encrypted with a lost key")
    work(anna)
    assert anna.sync_status == SyncStatus.FAILED
    assert "SESSION_ENCRYPTION_KEYS" in anna.sync_error
    assert "/connect" in anna.person.chat[-1].words


def test_a_wrong_key_is_the_operators_affair_and_logged_once(sandbox, anna, settings, caplog):
    rate(anna.account, [603])
    settings.TMDB_API_KEY = "0" * 32
    with caplog.at_level(logging.ERROR):
        for _minute in range(3):
            import_ratings()
    anna.refresh_from_db()
    assert anna.sync_status == SyncStatus.QUEUED
    assert len([record for record in caplog.records if "TMDB_API_KEY" in record.getMessage()]) == 1
    settings.TMDB_API_KEY = sandbox.tmdb_key
    work()
    assert_all_is_in(anna)


def test_who_disconnects_in_the_middle_keeps_what_came_and_gets_no_more(sandbox, anna, monkeypatch):
    rate(anna.account, sandbox.tmdb.add_films(100))
    while_reading(sandbox, monkeypatch, page_3=lambda: disconnect(anna.pk))
    work(anna)
    assert anna.sync_status == SyncStatus.NOT_CONNECTED
    assert not Import.objects.running().exists()
    kept = anna.ratings.count()
    import_ratings()
    assert anna.ratings.count() == kept


@pytest.mark.parametrize("requests", [2, 4, 30, 100])
def test_who_is_forgotten_in_the_middle_stays_forgotten(sandbox, anna, requests):
    rate(anna.account, sandbox.tmdb.add_films(100))
    boris = linked(sandbox, sandbox.telegram.person("Борис"), "boris")
    rate(boris.account, list(anna.account.ratings)[50:])
    at_request(sandbox, requests, lambda: forget(anna.pk))
    work()
    assert list(User.objects.values_list("pk", flat=True)) == [boris.pk]
    assert set(Rating.objects.values_list("user", flat=True)) == {boris.pk}
    assert_all_is_in(boris)


def test_who_links_another_account_in_the_middle_gets_that_one(sandbox, anna, monkeypatch):
    films = sandbox.tmdb.add_films(120)
    rate(anna.account, films[:100])
    other = sandbox.tmdb.add_account("other")
    rate(other, films[80:])
    session = sandbox.tmdb.session_for(other)
    while_reading(sandbox, monkeypatch, page_3=lambda: User.objects.get(pk=anna.pk).connect(other.id, session))
    work(anna)
    anna.account = other
    work(anna)
    assert_all_is_in(anna)


def test_a_blocked_bot_is_no_error_of_the_import(sandbox, anna):
    rate(anna.account, [603])
    anna.person.block()
    work(anna)
    assert_all_is_in(anna)
    assert anna.blocked_at
    calls = len(sandbox.telegram.calls)
    import_ratings()
    assert len(sandbox.telegram.calls) == calls


def test_a_message_that_telegram_did_not_take_is_told_later(sandbox, anna):
    rate(anna.account, [603])
    sandbox.telegram.fail("sendMessage", status=429, retry_after=30, times=1)
    import_ratings(anna.pk)
    assert_all_is_in(anna)
    assert not Import.objects.get().reported_at
    import_ratings()
    assert Import.objects.get().reported_at
    assert len([message for message in anna.person.chat if message.from_bot]) == 1


def test_a_message_the_person_deleted_is_replaced_by_the_outcome(sandbox, anna):
    from config.bot.router import bot

    rate(anna.account, [603])
    message = bot.send_message(anna.pk, "queued")
    bot.delete_message(anna.pk, message.message_id)
    import_ratings(anna.pk, message.message_id)
    (told,) = [message for message in anna.person.chat if message.from_bot]
    assert told.id != message.message_id


def test_a_second_sync_joins_the_first_and_its_message_takes_over(sandbox, anna):
    from config.bot.router import bot

    rate(anna.account, sandbox.tmdb.add_films(45))
    first, second = (bot.send_message(anna.pk, "queued").message_id for _time in range(2))
    begin(anna)
    Import.objects.update(message_id=first)
    import_ratings(anna.pk, second)
    assert_all_is_in(anna)
    assert Import.objects.count() == 1
    assert [message.id for message in anna.person.chat if message.from_bot] == [second]


def test_who_joins_a_daily_import_that_is_over_at_once_hears_what_came(sandbox, anna):
    from config.bot.router import bot

    rate(anna.account, [603])
    begin(anna, scheduled=True)
    import_ratings()
    assert [message for message in anna.person.chat if message.from_bot] == []
    message = bot.send_message(anna.pk, "queued")
    import_ratings(anna.pk, message.message_id)
    (told,) = [message for message in anna.person.chat if message.from_bot]
    assert told.id == message.message_id
    assert "Загрузил 1 оценку" in told.text


def test_a_message_that_comes_after_all_is_told_goes(sandbox, anna):
    from config.bot.router import bot

    rate(anna.account, [603])
    work(anna)
    told = anna.person.chat[-1]
    late = bot.send_message(anna.pk, "queued").message_id
    import_ratings(anna.pk, late)
    assert [message.id for message in anna.person.chat if message.from_bot] == [told.id]


# --- The process


def test_who_is_queued_is_found_in_the_table_though_the_broker_lost_the_task(sandbox, anna):
    rate(anna.account, [603])
    import_ratings()
    assert_all_is_in(anna)


@pytest.mark.parametrize("requests", [1, 2, 5, 12, 40, 90])
def test_kill_9_at_any_moment_loses_and_doubles_nothing(sandbox, anna, start, monkeypatch, requests):
    monkeypatch.undo()
    rate(anna.account, sandbox.tmdb.add_films(100))
    sandbox.tmdb.latency = 0.02
    process = start("import_ratings", "--user", str(anna.pk))
    wait_until(lambda: len(sandbox.tmdb.requests) >= requests)
    process.kill()
    sandbox.tmdb.latency = 0
    anna.refresh_from_db()
    assert anna.sync_status == SyncStatus.QUEUED
    forget_lease()
    work()
    assert_all_is_in(anna)
    assert Import.objects.count() == 1
    assert asked_for(sandbox, anna.account.ratings) <= 100 + details.MAX_CLAIMED + details.MAX_BATCH


def forget_lease():
    """Thirty seconds pass, and a dead process's lease with them."""
    if settings.REDIS_URL:
        redis_client().delete(f"lease:{engine.LEASE}", f"lease:{details.LEASE}")
    Lease.objects.update(expires_at=0)
    Movie.objects.update(details_next_try_at=0)  # a claim has run out, too


def test_two_engines_at_once_ask_for_nothing_twice(sandbox, anna, start):
    rate(anna.account, sandbox.tmdb.add_films(150))
    sandbox.tmdb.latency = 0.01
    commands = [start("import_ratings", "--all") for _engine in range(2)]
    assert [command.wait() for command in commands] == [0, 0]
    assert_all_is_in(anna)
    assert asked_for(sandbox, anna.account.ratings) == 150
    assert len(sandbox.tmdb.requests_of("/account/*/rated/movies")) == 10


def test_ctrl_c_ends_the_command_and_the_next_run_goes_on(sandbox, anna, start):
    rate(anna.account, sandbox.tmdb.add_films(150))
    sandbox.tmdb.latency = 0.03
    process = start("import_ratings", "--all")
    wait_until(lambda: asked_for(sandbox, anna.account.ratings) > 20)
    assert process.terminate(signal.SIGINT) == 130
    assert "go on" in process.output
    sandbox.tmdb.latency = 0
    process = start("import_ratings")
    assert process.wait() == 0, process.output
    assert_all_is_in(anna)
    assert asked_for(sandbox, anna.account.ratings) == 150


def test_a_worker_told_to_stop_does_and_the_next_goes_on(sandbox, anna, start):
    rate(anna.account, sandbox.tmdb.add_films(150))
    sandbox.tmdb.latency = 0.05
    worker = start("qcluster")
    async_task("ratings.tasks.import_ratings", anna.pk)
    wait_until(lambda: asked_for(sandbox, anna.account.ratings) > 20)
    worker.terminate()
    anna.refresh_from_db()
    assert anna.sync_status == SyncStatus.QUEUED
    sandbox.tmdb.latency = 0
    start("qcluster")
    wait_until(lambda: User.objects.get(pk=anna.pk).sync_status == SyncStatus.IMPORTED)
    assert_all_is_in(anna)
    assert asked_for(sandbox, anna.account.ratings) == 150


def test_the_command_says_whose_import_failed_and_exits_with_an_error(sandbox, anna, start):
    boris = linked(sandbox, sandbox.telegram.person("Борис"), "boris")
    rate(anna.account, [603])
    sandbox.tmdb.revoke(boris.account)
    process = start("import_ratings", "--all")
    assert process.wait() != 0
    assert f"{boris.pk}: failed" in process.output
    assert f"{anna.pk}: 1 ratings" in process.output
    assert "Traceback" not in process.output
    assert boris.session_id not in process.output


@pytest.mark.parametrize("arguments", [["--user", "12345"], ["--user", "x"], ["--user", "1", "--all"]])
def test_the_command_refuses_what_makes_no_sense(sandbox, transactional_db, start, arguments):
    process = start("import_ratings", *arguments)
    assert process.wait() != 0
    assert "Traceback" not in process.output


def test_the_command_ends_where_the_key_is_refused(sandbox, anna, start):
    process = start("import_ratings", "--all", TMDB_API_KEY="0" * 32)
    assert process.wait() != 0
    assert "TMDB_API_KEY" in process.output
    anna.refresh_from_db()
    assert anna.sync_status == SyncStatus.QUEUED


# --- Many people


def test_people_who_share_films_have_each_asked_for_once(sandbox, transactional_db):
    films = sandbox.tmdb.add_films(80)
    people = [linked(sandbox, sandbox.telegram.person(f"P{n}"), f"p{n}") for n in range(10)]
    for number, user in enumerate(people):
        rate(user.account, films[:60] + films[60 + 2 * number : 62 + 2 * number])
    work()
    for user in people:
        assert_all_is_in(user)
    assert all(asked_for(sandbox, [film]) == 1 for film in films)


def test_one_with_many_ratings_does_not_hold_up_one_with_few(sandbox, transactional_db):
    films = sandbox.tmdb.add_films(630)
    many = linked(sandbox, sandbox.telegram.person("Many"), "many")
    few = linked(sandbox, sandbox.telegram.person("Few"), "few")
    rate(many.account, films[:600])
    rate(few.account, films[600:])
    sandbox.tmdb.latency = 0.005
    work()
    last = {
        user.pk: max(index for index, film in enumerate(asked_films(sandbox)) if film in user.account.ratings)
        for user in (many, few)
    }
    assert last[few.pk] < 0.25 * last[many.pk]


def asked_films(sandbox):
    return [int(seen.path.rsplit("/", 1)[1]) for seen in sandbox.tmdb.requests_of("/movie/*[0-9]")]


def worker_beside():
    def run():
        work()
        connections.close_all()

    worker = threading.Thread(target=run)
    worker.start()
    return worker


def test_who_is_queued_while_others_are_imported_joins_them(sandbox, anna):
    rate(anna.account, sandbox.tmdb.add_films(300))
    sandbox.tmdb.latency = 0.02
    worker = worker_beside()
    wait_until(lambda: asked_for(sandbox, anna.account.ratings) > 20)
    boris = linked(sandbox, sandbox.telegram.person("Борис"), "boris")
    boris.account.rate(603, 8)
    assert import_ratings(boris.pk) == "already running elsewhere"
    wait_until(lambda: User.objects.get(pk=boris.pk).sync_status == SyncStatus.IMPORTED)
    assert User.objects.get(pk=anna.pk).sync_status == SyncStatus.QUEUED
    worker.join()
    assert_all_is_in(anna)
    assert_all_is_in(boris)


def test_no_import_makes_a_person_in_the_chat_wait(sandbox, anna, settings):
    from movies.catalogue import get_movie

    settings.TMDB_REQUESTS_PER_SECOND = 20
    rate(anna.account, sandbox.tmdb.add_films(60))
    worker = worker_beside()
    wait_until(lambda: asked_for(sandbox, anna.account.ratings) > 5)
    sandbox.tmdb.forget_requests()
    assert get_movie(603).pk == 603
    place = [seen.path for seen in sandbox.tmdb.requests].index("/3/movie/603")
    assert place <= 2  # one slot may have been taken already, and one be reserved
    worker.join()
    assert_all_is_in(anna)


def test_no_secret_reaches_the_log(sandbox, anna, caplog):
    rate(anna.account, sandbox.tmdb.add_films(30))
    sandbox.tmdb.fail(PAGES, status=500, times=6)
    sandbox.tmdb.fail(FILMS, drop="before", times=6)
    with caplog.at_level(logging.DEBUG):
        work(anna)
    text = caplog.text + json.dumps(list(Import.objects.values("last_error", "error", "names")))
    assert anna.session_id not in text
    assert sandbox.tmdb_key not in text
