"""What the bot says of the list unasked: “Have you seen it?”, and the day a film comes out; each once, by day."""

import time
from datetime import UTC, date, datetime, timedelta

import pytest

from movies.models import Movie
from ratings.models import Rating, ReleaseDate, ReleaseReading, WatchlistEntry
from ratings.tasks import remind_of_watchlists
from tests.helpers.watchlist import wanted_by
from users import countries
from users.models import User

pytestmark = pytest.mark.django_db

DAY_SECONDS = 86_400


@pytest.fixture(autouse=True)
def by_day(monkeypatch):
    """It is daytime everywhere."""
    monkeypatch.setattr(countries, "FIRST_HOUR", 0)
    monkeypatch.setattr(countries, "LAST_HOUR", 24)


@pytest.fixture
def user(anna):
    anna.send("/start")
    return User.objects.create(pk=anna.id, language="en")


def want(user, movie_id, picked_days_ago=None, release_date="1999-03-31"):
    picked = None if picked_days_ago is None else int(time.time() - picked_days_ago * DAY_SECONDS)
    Movie.objects.get_or_create(
        pk=movie_id, defaults={"title": f"Film {movie_id}", "details_at": 1, "release_date": release_date}
    )
    return WatchlistEntry.objects.create(user=user, movie_id=movie_id, added_at=1, picked_at=picked)


def said(person):
    """What the bot said unasked."""
    asked = ("Kinoteka", "written to your TMDb account")
    return [one for one in person.chat if one.from_bot and not any(words in one.words for words in asked)]


def is_silent(sandbox):
    return sandbox.telegram.calls_of("sendMessage")[-1].params.get("disable_notification") in (True, "true", "True")


def press(person, message, handle, data):
    query = person.press(message, data=data)
    handle()
    return query.answer


# --- Have you seen it?


@pytest.mark.parametrize(("days", "questions"), [(2.9, 0), (3.1, 1), (13, 1), (15, 0), (None, 0)])
def test_the_question_comes_three_days_after_a_film_was_picked(anna, user, days, questions):
    want(user, 603, days)
    remind_of_watchlists()
    assert ["Have you seen “Film 603”" in message.words for message in said(anna)] == [True] * questions


def test_the_question_comes_once_and_silently_and_another_film_waits_a_day(anna, user, sandbox):
    want(user, 603, 3.5)
    want(user, 604, 4)
    for _run in range(3):
        remind_of_watchlists()
    (question,) = said(anna)
    assert "Film 603" in question.words
    assert is_silent(sandbox)
    WatchlistEntry.objects.filter(movie_id=603).update(asked_at=int(time.time()) - DAY_SECONDS)
    remind_of_watchlists()
    assert "Film 604" in said(anna)[-1].words
    remind_of_watchlists()
    assert len(said(anna)) == 2


def test_a_rating_answers_the_question(anna, user, handle):
    want(user, 603, 4)
    remind_of_watchlists()
    press(anna, said(anna)[0], handle, "rate:603:8")
    assert Rating.objects.get().value == 8
    assert wanted_by(anna.id) == []


def test_not_yet_keeps_the_film_and_closes_the_question(anna, user, handle):
    want(user, 603, 4)
    remind_of_watchlists()
    question = said(anna)[0]
    assert "stays" in press(anna, question, handle, "notyet:603").text
    assert not question.buttons
    assert wanted_by(anna.id) == [603]


def test_questions_can_be_switched_off_where_they_are_asked_and_on_in_settings(anna, user, handle, ask):
    want(user, 603, 4)
    want(user, 604, 4)
    remind_of_watchlists()
    assert "/settings" in press(anna, said(anna)[0], handle, "asks:off").text
    WatchlistEntry.objects.update(asked_at=None)
    remind_of_watchlists()
    assert len(said(anna)) == 1
    settings = ask("/settings")
    press(anna, settings, handle, "asks:on")
    assert settings.button(data="asks:off")
    remind_of_watchlists()
    assert "Have you seen" in said(anna)[-1].words


def test_nobody_is_asked_at_night_or_after_blocking_the_bot(anna, user, monkeypatch):
    want(user, 603, 4)
    monkeypatch.setattr(countries, "LAST_HOUR", 0)
    remind_of_watchlists()
    assert said(anna) == []
    monkeypatch.setattr(countries, "LAST_HOUR", 24)
    anna.block()
    remind_of_watchlists()
    user.refresh_from_db()
    assert user.blocked_at
    assert said(anna) == []


def test_it_is_day_where_the_person_probably_lives():
    noon_in_london = datetime(2026, 11, 29, 12, tzinfo=UTC).timestamp()
    assert countries.local_time("RU", noon_in_london).hour == 15
    assert countries.local_time("US", noon_in_london).hour == 6


# --- Releases


def coming(sandbox, *releases, movie_id=900):
    soon = date.today() + timedelta(days=9)
    return sandbox.tmdb.add_film(movie_id, title_en="Soon", release_date=soon.isoformat(), releases=list(releases))


def today_in(country):
    return countries.local_time(country, time.time()).date().isoformat()


@pytest.mark.parametrize(("kind", "words"), [(3, "In cinemas from today"), (2, "In cinemas"), (4, "Out online today")])
def test_who_waits_for_a_film_is_told_on_its_day_once_and_silently(anna, user, sandbox, kind, words):
    coming(sandbox, ("US", kind, today_in("US")))
    want(user, 900, release_date=date.today() + timedelta(days=9))
    for _run in range(3):
        remind_of_watchlists()
    (told,) = said(anna)
    assert words in told.words
    assert "Film 900" in told.words
    assert is_silent(sandbox)
    assert len(sandbox.tmdb.requests_of("/movie/900/release_dates")) == 1


@pytest.mark.parametrize("releases", [[("US", 1, 0)], [("US", 5, 0)], [("RU", 3, 0)], [("US", 3, 1)], [("US", 3, -1)]])
def test_other_releases_are_not_told(anna, user, sandbox, releases):
    day = countries.local_time("US", time.time()).date()
    coming(sandbox, *((country, kind, (day + timedelta(days=n)).isoformat()) for country, kind, n in releases))
    want(user, 900, release_date=date.today() + timedelta(days=9))
    remind_of_watchlists()
    assert said(anna) == []


def test_the_country_is_that_of_the_language_until_another_is_chosen(anna, user, sandbox, handle, ask):
    coming(sandbox, ("FR", 3, today_in("FR")))
    want(user, 900, release_date=date.today() + timedelta(days=9))
    settings = ask("/settings")
    assert "USA" in settings.button(data="country").text
    press(anna, settings, handle, "country")
    press(anna, settings, handle, "country:FR")
    assert "France" in settings.button(data="country").text
    remind_of_watchlists()
    assert "In cinemas from today" in said(anna)[-1].words


def test_releases_can_be_switched_off(anna, user, sandbox, handle):
    coming(sandbox, ("US", 3, today_in("US")))
    want(user, 900, release_date=date.today() + timedelta(days=9))
    remind_of_watchlists()
    press(anna, said(anna)[0], handle, "releases:off")
    WatchlistEntry.objects.update(release_told_at=None)
    remind_of_watchlists()
    assert len(said(anna)) == 1


def test_a_day_that_tmdb_moves_is_read_the_next_day(anna, user, sandbox):
    film = coming(sandbox, ("US", 3, "2031-01-01"))
    want(user, 900, release_date=date.today() + timedelta(days=9))
    remind_of_watchlists()
    film.releases = [("US", 3, today_in("US"))]
    remind_of_watchlists()
    assert said(anna) == []
    ReleaseReading.objects.update(read_at=int(time.time()) - DAY_SECONDS)
    remind_of_watchlists()
    assert len(said(anna)) == 1


def test_old_films_are_not_asked_about(user, sandbox):
    want(user, 603)
    remind_of_watchlists()
    assert not sandbox.tmdb.requests_of("/movie/603/release_dates")


def test_tmdb_away_means_later_and_a_film_that_is_gone_has_no_dates(anna, user, sandbox):
    coming(sandbox, ("US", 3, today_in("US")))
    want(user, 900, release_date=date.today() + timedelta(days=9))
    sandbox.tmdb.fail(r"/release_dates$", 503, times=None)
    remind_of_watchlists()
    assert not ReleaseReading.objects.exists()
    sandbox.tmdb.faults.clear()
    sandbox.tmdb.gone(900)
    remind_of_watchlists()
    assert ReleaseReading.objects.exists()
    assert not ReleaseDate.objects.exists()


def test_what_telegram_did_not_take_is_sent_later(anna, user, sandbox):
    want(user, 603, 4)
    sandbox.telegram.fail("sendMessage", 429, retry_after=3600, times=1)
    remind_of_watchlists()
    assert said(anna) == []
    remind_of_watchlists()
    assert len(said(anna)) == 1
