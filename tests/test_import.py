"""Ratings come in from TMDb: all of them, each film asked for once, the person told by one message."""

from decimal import Decimal

import pytest
from django_q.models import OrmQ

from movies.models import Movie, PosterStatus
from ratings.models import DetailsFailure, Import, Rating
from ratings.tasks import import_ratings
from tests.imports import at_tmdb, linked, rate, sync, table_of, work
from users.models import SyncStatus, User

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def anna(sandbox, transactional_db):
    """Somebody with an empty account at TMDb, linked and queued."""
    return linked(sandbox, sandbox.telegram.person("Анна"), "anna")


@pytest.mark.parametrize("size", [0, 1, 20, 21, 45, 61])
def test_every_rating_of_an_account_comes_in(sandbox, anna, size):
    rate(anna.account, sandbox.tmdb.add_films(size))
    work(anna)
    assert table_of(anna) == at_tmdb(anna.account)
    assert (anna.sync_status, anna.ratings_count, anna.sync_error) == (SyncStatus.IMPORTED, size, "")
    assert anna.last_sync_at
    assert Movie.objects.exclude(details_at=None).count() == size


def test_each_film_is_asked_for_once_and_not_at_all_the_second_time(sandbox, anna):
    rate(anna.account, sandbox.tmdb.add_films(45))
    work(anna)
    assert len(sandbox.tmdb.requests_of("/movie/*")) == 45
    before = list(Rating.objects.values_list())
    sandbox.tmdb.forget_requests()
    sync(anna)
    assert sandbox.tmdb.requests_of("/movie/*") == []
    assert anna.ratings_count == 45
    marks = [field.attname for field in Rating._meta.concrete_fields].index("seen_in_crawl")
    assert [row[:marks] for row in Rating.objects.values_list()] == [row[:marks] for row in before]


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


def test_the_least_rating_counts_as_one_for_similarity(sandbox, anna):
    anna.account.rate(603, 0.5)
    work(anna)
    rating = Rating.objects.get()
    assert (rating.tmdb_rating, rating.normalized_rating, rating.source) == (Decimal("0.5"), Decimal("1"), "tmdb")


def test_posters_are_queued_and_their_worker_is_called(sandbox, anna):
    sandbox.tmdb.add_film(1001, title_en="With a poster", overview_ru="…")
    sandbox.tmdb.add_film(1002, title_en="Without", poster=None, overview_ru="…")
    rate(anna.account, [1001, 1002])
    work(anna)
    assert Movie.objects.get(pk=1001).poster_status == PosterStatus.WAITING
    assert Movie.objects.get(pk=1002).poster_status == PosterStatus.NONE
    assert "posters.tasks.download_posters" in [task.func() for task in OrmQ.objects.all()]


def test_a_film_that_tmdb_no_longer_has_stays_as_its_list_row_told_and_is_named(sandbox, anna):
    rate(anna.account, [603, 604])
    sandbox.tmdb.gone(604)
    work(anna)
    movie = Movie.objects.get(pk=604)
    assert movie.title
    assert movie.details_at is None
    assert anna.ratings_count == 2
    assert anna.sync_status == SyncStatus.IMPORTED
    assert movie.title in anna.person.chat[-1].text
    assert DetailsFailure.objects.get().movie_id == 604
    sandbox.tmdb.forget_requests()
    sync(anna)
    assert sandbox.tmdb.requests_of("/movie/*") == []


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


def test_the_message_of_the_chat_is_the_one_that_is_edited(sandbox, anna):
    from config.bot import bot

    rate(anna.account, sandbox.tmdb.add_films(45))
    message_id = bot.send_message(anna.pk, "queued").message_id
    import_ratings(anna.pk, message_id)
    (message,) = [message for message in anna.person.chat if message.from_bot]
    assert message.id == message_id
    assert "45" in message.text
    assert Import.objects.get().told_at
