"""Ratings come in from TMDb: all of them, each film asked for once, the person told by one message."""

import time
from contextlib import suppress
from decimal import Decimal

import pytest
from django.core.management import CommandError, call_command
from django_q.signals import pre_enqueue

from movies.models import Movie, PosterStatus
from ratings.models import Import, Rating
from ratings.tasks import DAY_SECONDS, import_ratings, queue_daily_imports
from tests.helpers.imports import asked_for, at_tmdb, know, linked, rate, sync, table_of, work
from users.models import SyncStatus, User

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def anna(sandbox, transactional_db):
    """A user with an empty account at TMDb, linked and queued."""
    return linked(sandbox, sandbox.telegram.person("Анна"), "anna")


@pytest.mark.parametrize("size", [0, 1, 20, 21, 45, 61])
def test_every_rating_of_an_account_comes_in(sandbox, anna, size):
    rate(anna.account, sandbox.tmdb.add_films(size))
    work(anna)
    assert table_of(anna) == at_tmdb(anna.account)
    assert (anna.sync_status, anna.ratings_count, anna.sync_error) == (SyncStatus.IMPORTED, size, "")
    assert anna.last_sync_at
    assert Movie.objects.filter(ratings__user=anna).exclude(details_at=None).count() == size


def test_each_film_is_asked_for_once_and_not_at_all_the_second_time(sandbox, anna):
    rate(anna.account, sandbox.tmdb.add_films(45))
    work(anna)
    assert asked_for(sandbox, anna.account.ratings) == 45
    fields = [field.attname for field in Rating._meta.concrete_fields if field.attname != "seen_in_pass"]
    before = list(Rating.objects.order_by("movie").values_list(*fields))
    sandbox.tmdb.forget_requests()
    sync(anna)
    assert asked_for(sandbox, anna.account.ratings) == 0
    assert anna.ratings_count == 45
    assert list(Rating.objects.order_by("movie").values_list(*fields)) == before


def test_a_rating_keeps_its_time_until_its_value_changes(sandbox, anna):
    rate(anna.account, sandbox.tmdb.add_films(2))
    first, second = anna.account.ratings
    work(anna)
    Rating.objects.update(rated_at=1000)
    anna.account.rate(second, 9.5)
    sync(anna)
    assert Rating.objects.get(movie=first).rated_at == 1000
    assert Rating.objects.get(movie=second).rated_at > 1000
    assert Rating.objects.get(movie=second).tmdb_rating == Decimal("9.5")


@pytest.mark.parametrize("session", ["", None])
@pytest.mark.parametrize("begin", [import_ratings, lambda: call_command("import_ratings")])
def test_an_import_of_somebody_without_a_session_ends_with_the_reason(sandbox, anna, session, begin):
    User.objects.update(tmdb_session_id=session, sync_status=SyncStatus.QUEUED)
    with suppress(CommandError):
        begin()
    anna.refresh_from_db()
    assert anna.sync_status == SyncStatus.FAILED
    assert "/connect" in anna.sync_error
    assert Import.objects.get().error == anna.sync_error


def test_the_least_rating_counts_as_one_for_similarity(sandbox, anna):
    anna.account.rate(603, 0.5)
    work(anna)
    rating = Rating.objects.get()
    assert (rating.tmdb_rating, rating.normalized_rating, rating.source) == (Decimal("0.5"), Decimal("1"), "tmdb")


def test_posters_are_queued_and_their_worker_is_called(sandbox, anna):
    sandbox.tmdb.add_film(1001, title_en="With a poster", overview_ru="…")
    sandbox.tmdb.add_film(1002, title_en="Without", poster=None, overview_ru="…")
    rate(anna.account, [1001, 1002])
    called = []

    def note(task, **signal):
        called.append(task["func"])

    pre_enqueue.connect(note)
    work(anna)
    pre_enqueue.disconnect(note)
    assert set(called) == {"posters.tasks.download_posters"}
    assert Movie.objects.get(pk=1001).poster_status == PosterStatus.WAITING
    assert Movie.objects.get(pk=1002).poster_status == PosterStatus.NONE


def test_a_film_that_tmdb_no_longer_has_stays_as_its_list_row_told_and_is_named(sandbox, anna):
    rate(anna.account, [603, 604])
    sandbox.tmdb.gone(604)
    work(anna)
    movie = Movie.objects.get(pk=604)
    assert movie.title
    assert movie.details_at is None
    assert anna.ratings_count == 2
    assert anna.sync_status == SyncStatus.IMPORTED
    assert f"{movie.title} (на TMDb его больше нет)" in anna.person.chat[-1].text
    assert "404" in movie.details_error
    sandbox.tmdb.forget_requests()
    sync(anna)
    assert asked_for(sandbox, anna.account.ratings) == 0


def test_films_with_gaps_come_in(sandbox, anna):
    sandbox.tmdb.add_film(1, title_en="Bare", poster=None, release_date="", runtime=0)
    rate(anna.account, [1])
    work(anna)
    movie = Movie.objects.get()
    assert (movie.title, movie.release_date, movie.runtime, movie.poster_path) == ("Bare", None, None, "")


def test_one_message_shows_how_the_import_goes_and_ends(sandbox, anna):
    rate(anna.account, sandbox.tmdb.add_films(45))
    User.objects.filter(pk=anna.pk).queue_import()
    sandbox.telegram.calls.clear()
    work(anna)
    message = anna.person.chat[-1]
    assert message.from_bot
    assert "45" in message.text
    assert len(sandbox.telegram.calls_of("sendMessage")) == 1


def test_the_end_of_an_import_names_the_highest_and_the_lowest_and_leads_on(sandbox, anna):
    for film, value in ((603, 10), (604, 7), (605, 0.5)):
        anna.account.rate(film, value)
    work(anna)
    message = anna.person.chat[-1]
    assert message.text == (
        "Готово! Загрузил 3 оценки из TMDb. Выше всех — «Матрица» (10), ниже всех — «Матрица: Революция» (0.5)."
    )
    assert [button.data for row in message.buttons for button in row] == ["do:recommend", "do:stats", "do:match"]


def test_a_later_import_says_only_what_it_changed(sandbox, anna):
    rate(anna.account, [603, 604, 605])
    work(anna)
    sync(anna)
    assert anna.person.chat[-1].text == "Новых оценок нет."
    rate(anna.account, [603, 604, 605, 11, 12])
    anna.account.rate(604, 3)
    sync(anna)
    assert anna.person.chat[-1].text == "Добавились 2 оценки, 1 изменилась."


def test_an_empty_account_leads_to_the_first_ratings(sandbox, anna):
    work(anna)
    message = anna.person.chat[-1]
    assert message.text == "В вашем аккаунте TMDb пока нет оценок. Начнём здесь?"
    assert message.buttons[0][0].data == "do:recommend"


def test_who_reads_english_is_told_english_titles(sandbox, anna):
    User.objects.filter(pk=anna.pk).update(language="en")
    anna.account.rate(603, 10)
    anna.account.rate(604, 2)
    sandbox.tmdb.gone(604)
    work(anna)
    text = anna.person.chat[-1].text
    assert "The highest is “The Matrix” (10), the lowest “The Matrix Reloaded” (2)." in text
    assert "· The Matrix Reloaded" in text


def test_the_message_of_the_chat_is_the_one_that_is_edited(sandbox, anna):
    from config.bot.router import bot

    rate(anna.account, sandbox.tmdb.add_films(45))
    message_id = bot.send_message(anna.pk, "queued").message_id
    import_ratings(anna.pk, message_id)
    (message,) = [message for message in anna.person.chat if message.from_bot]
    assert message.id == message_id
    assert "45" in message.text
    assert Import.objects.get().reported_at


# --- Large accounts


def test_two_thousand_ratings_of_known_films_cost_their_pages_only(sandbox, anna):
    films = sandbox.tmdb.add_films(2000)
    know(films)
    rate(anna.account, films)
    work(anna)
    assert table_of(anna) == at_tmdb(anna.account)
    # 100 pages, both ends once more, one page of the watchlist, and what goes with the films that she likes best
    assert len(sandbox.tmdb.requests) == 102 + 1 + 20


@pytest.mark.parametrize(("size", "unreachable"), [(12_000, 0), (20_050, 50)])
def test_ratings_beyond_five_hundred_pages_are_read_from_the_other_end(sandbox, anna, size, unreachable):
    films = sandbox.tmdb.add_films(size)
    know(films)
    rate(anna.account, films)
    work(anna)
    assert anna.sync_status == SyncStatus.IMPORTED
    assert anna.ratings_count == len(table_of(anna)) == size - unreachable
    run = Import.objects.get()
    assert run.beyond_api_limit == unreachable
    assert run.complete == (not unreachable)
    assert ("50" in anna.person.chat[-1].text) == bool(unreachable)


# --- By the clock


@pytest.fixture
def clock(monkeypatch):
    """clock.pass_by(seconds): as if that time had passed, as far as the days of an import go."""

    class Clock:
        def __init__(self):
            self.ahead, self.time = 0, time.time

        def __call__(self):
            return self.time() + self.ahead

        def pass_by(self, seconds):
            self.ahead += seconds

    clock = Clock()
    monkeypatch.setattr("ratings.tasks.time.time", clock)
    return clock


def a_day_later(clock, user):
    clock.pass_by(DAY_SECONDS)
    queue_daily_imports()
    work()
    user.refresh_from_db()


def test_everybody_is_imported_once_a_day_each_at_their_hour(sandbox, transactional_db, clock):
    people = [
        linked(sandbox, sandbox.telegram.person(f"P{n}", id=8_000_000_000 + n * 7919), f"p{n}") for n in range(12)
    ]
    work()
    clock.pass_by(-clock() % DAY_SECONDS)  # to midnight
    hours = {}
    for hour in range(72):
        clock.pass_by(3600)
        queue_daily_imports()
        for user in User.objects.awaiting_import():
            hours.setdefault(user.pk, []).append(hour)
        work()
    for user in people:
        # the first days it may wait for twelve hours to pass since the import by hand
        assert [hour for hour in hours[user.pk] if hour >= 48] == [48 + user.pk % DAY_SECONDS // 3600]
    assert len({times[-1] for times in hours.values()}) > 4


def test_a_day_without_changes_costs_one_request_and_no_words(sandbox, anna, clock):
    rate(anna.account, sandbox.tmdb.add_films(100))
    work(anna)
    messages = len(anna.person.chat)
    sandbox.tmdb.forget_requests()
    a_day_later(clock, anna)
    assert len(sandbox.tmdb.requests_of("/account/*/rated/movies")) == 1
    assert asked_for(sandbox, anna.account.ratings) == 0
    assert (anna.sync_status, anna.ratings_count) == (SyncStatus.IMPORTED, 100)
    assert len(anna.person.chat) == messages


def test_a_few_new_ratings_cost_one_page_and_their_films(sandbox, anna, clock):
    films = sandbox.tmdb.add_films(105)
    rate(anna.account, films[:100])
    work(anna)
    rate(anna.account, films[100:])
    sandbox.tmdb.forget_requests()
    a_day_later(clock, anna)
    assert len(sandbox.tmdb.requests_of("/account/*/rated/movies")) == 1
    # what TMDb recommended before has been read already
    assert all(asked_for(sandbox, [film]) <= 1 for film in films[100:])
    assert not Movie.objects.filter(pk__in=films[100:], details_at=None).exists()
    assert table_of(anna) == at_tmdb(anna.account)
    assert anna.ratings_count == 105
    a_day_later(clock, anna)
    assert len(sandbox.tmdb.requests_of("/account/*/rated/movies")) == 2


@pytest.mark.parametrize("new", [0, 1, 20, 21])
def test_a_rating_that_went_is_seen_the_next_day(sandbox, anna, clock, new):
    films = sandbox.tmdb.add_films(150)
    rate(anna.account, films[:100])
    work(anna)
    anna.account.unrate(films[3])
    rate(anna.account, films[100 : 100 + new])
    a_day_later(clock, anna)
    assert table_of(anna) == at_tmdb(anna.account)


def test_an_old_film_rated_anew_is_seen_within_a_week_and_by_sync_at_once(sandbox, anna, clock):
    films = sandbox.tmdb.add_films(60)
    rate(anna.account, films)
    work(anna)
    anna.account.rate(films[3], 10)
    a_day_later(clock, anna)
    assert table_of(anna) != at_tmdb(anna.account)
    for _day in range(7):
        a_day_later(clock, anna)
    assert table_of(anna) == at_tmdb(anna.account)
    anna.account.rate(films[4], 10)
    sync(anna)
    assert table_of(anna) == at_tmdb(anna.account)


def test_a_sync_that_joins_a_daily_import_reads_everything(sandbox, anna, clock):
    films = sandbox.tmdb.add_films(60)
    rate(anna.account, films)
    work(anna)
    anna.account.rate(films[3], 10)
    clock.pass_by(DAY_SECONDS)
    queue_daily_imports()
    sync(anna)
    assert table_of(anna) == at_tmdb(anna.account)
    assert Import.objects.latest("pk").reported_at


def test_a_session_that_ended_is_told_by_the_daily_import_once(sandbox, anna, clock):
    rate(anna.account, [603])
    work(anna)
    sandbox.tmdb.revoke(anna.account)
    a_day_later(clock, anna)
    assert anna.sync_status == SyncStatus.FAILED
    told = len(anna.person.chat)
    assert "/connect" in anna.person.chat[-1].words
    a_day_later(clock, anna)
    assert len(anna.person.chat) == told


def test_past_imports_are_not_kept_for_ever(sandbox, anna):
    for _time in range(15):
        sync(anna)
    assert Import.objects.count() == 10
