"""What we know of films is read again between three and five months after it was last read."""

import datetime
import threading
import time

import pytest
from django.core.management import CommandError, call_command

from movies import refresh, tasks
from movies.catalogue import fetch_movie
from movies.models import Movie, PosterStatus
from movies.saving import save_movies
from movies.tmdb import TMDb
from ratings.models import Rating
from users.models import User

pytestmark = pytest.mark.django_db(transaction=True)
MONTH = 30 * refresh.DAY_SECONDS


def known(sandbox, movie_id, months, **fields):
    """A film whose details were read so many months ago."""
    save_movies([fetch_movie(movie_id, TMDb())])
    age_of(movie_id, months, **fields)
    sandbox.tmdb.forget_requests()
    return Movie.objects.get(pk=movie_id)


def age_of(movie_id, months, **fields):
    fields = {"details_tried_at": 0, **fields}
    Movie.objects.filter(pk=movie_id).update(details_at=int(time.time() - months * MONTH), **fields)


def read(sandbox):
    """The ids of the films that were asked for, in order."""
    return [int(seen.path.rsplit("/", 1)[1]) for seen in sandbox.tmdb.requests_of("/movie/[0-9]*")]


def test_a_film_is_read_again_after_three_months_and_not_before(sandbox):
    known(sandbox, 603, 3.1)
    known(sandbox, 550, 2.9)
    tasks.refresh_movies()
    assert read(sandbox) == [603]
    assert Movie.objects.get(pk=603).details_at > time.time() - 60
    tasks.refresh_movies()
    assert read(sandbox) == [603]


def test_everything_that_changed_is_updated(sandbox):
    before = known(sandbox, 603, 4)
    sandbox.tmdb.change(
        603,
        title_ru="Матрица: заново",
        overview_ru="Другое описание.",
        release_date="2001-02-03",
        vote_average=1.5,
        vote_count=77,
        runtime=99,
        poster="/another603.jpg",
    )
    Movie.objects.filter(pk=603).update(poster_status=PosterStatus.TELEGRAM, telegram_file_id="old")
    tasks.refresh_movies()
    movie = Movie.objects.get(pk=603)
    assert (movie.title, movie.overview) == ("Матрица: заново", "Другое описание.")
    assert (movie.release_date, movie.year) == (datetime.date(2001, 2, 3), 2001)
    assert (movie.vote_average, movie.vote_count, movie.runtime) == (1.5, 77, 99)
    assert movie.poster_path != before.poster_path
    assert (movie.poster_status, movie.telegram_file_id) == (PosterStatus.WAITING, "old")


def test_a_film_that_did_not_change_keeps_its_poster(sandbox):
    known(sandbox, 603, 4, poster_status=PosterStatus.TELEGRAM, telegram_file_id="kept")
    tasks.refresh_movies()
    movie = Movie.objects.get(pk=603)
    assert (movie.poster_status, movie.telegram_file_id) == (PosterStatus.TELEGRAM, "kept")


def test_a_film_that_is_gone_from_tmdb_is_kept_with_its_ratings_and_poster(sandbox):
    movie = known(sandbox, 603, 4, poster_status=PosterStatus.TELEGRAM, telegram_file_id="kept")
    anna = User.objects.create(pk=501)
    Rating.objects.create(user=anna, movie=movie, tmdb_rating=8, normalized_rating=8, rated_at=1)
    sandbox.tmdb.gone(603)
    assert "1 gone" in tasks.refresh_movies()
    movie.refresh_from_db()
    assert (movie.title, movie.telegram_file_id, movie.ratings.count()) == ("Матрица", "kept", 1)
    tasks.refresh_movies()
    assert read(sandbox) == [603]


def test_a_film_that_fails_goes_to_the_back_and_holds_up_no_other(sandbox):
    known(sandbox, 603, 4.9)
    known(sandbox, 550, 3.5)
    sandbox.tmdb.fail("^/3/movie/603$", status=500, times=None)
    for _ in range(3):
        tasks.refresh_movies(limit=1)
    assert list(dict.fromkeys(read(sandbox))) == [603, 550]
    sandbox.faults.clear()
    Movie.objects.update(details_tried_at=0)
    tasks.refresh_movies()
    assert Movie.objects.get(pk=603).details_at > time.time() - 60


def test_a_tmdb_that_is_down_stops_the_run_and_loses_nothing(sandbox):
    for movie_id in sandbox.tmdb.add_films(10):
        known(sandbox, movie_id, 4)
    sandbox.tmdb.fail("^/3/movie/", status=503, times=None)
    assert "TMDb does not answer" in tasks.refresh_movies(limit=10)
    assert len(set(read(sandbox))) == refresh.MAX_CONSECUTIVE_FAILURES
    assert Movie.objects.exclude(title="").count() == 10


def test_a_wrong_key_stops_the_run_at_once(sandbox, settings):
    known(sandbox, 603, 4)
    known(sandbox, 550, 4)
    settings.TMDB_API_KEY = "0" * 32
    assert "TMDB_API_KEY" in tasks.refresh_movies(limit=2)
    assert len(read(sandbox)) == 1


def test_films_known_from_a_list_row_only_get_their_details(sandbox):
    Movie.objects.create(pk=603, title="The Matrix")
    tasks.refresh_movies()
    movie = Movie.objects.get(pk=603)
    assert (movie.title, movie.runtime) == ("Матрица", 136)


def test_a_film_that_an_operator_wants_read_again_is_read_first(sandbox):
    known(sandbox, 603, 4)
    known(sandbox, 550, 0)
    Movie.objects.filter(pk=550).reread_details()
    tasks.refresh_movies(limit=1)
    assert read(sandbox) == [550]


def test_a_hundred_thousand_films_of_one_day_are_all_read_again_before_they_are_five_months_old(sandbox):
    films, oldest = 100_000, 90 * 24
    left, hour = films, oldest
    while left > 0:
        late = left if hour >= 135 * 24 else 0
        left -= max(-(-films // refresh.SPREAD_HOURS), min(late, -(-films // refresh.CATCH_UP_HOURS)))
        hour += 1
    assert hour < 150 * 24
    assert films / refresh.CATCH_UP_HOURS < 3600  # a few each hour, by TMDb's measure of forty a second


def test_an_hours_share_is_a_few_films(sandbox):
    Movie.objects.bulk_create(
        Movie(pk=2_000_000 + n, title="x", details_at=int(time.time() - 4 * MONTH)) for n in range(2400)
    )
    assert len(refresh.due_movies()) == 2
    Movie.objects.update(details_at=int(time.time() - 4.6 * MONTH))
    assert len(refresh.due_movies()) == 8


# --- The command


def test_the_command_shows_counts_and_ends_with_a_status(sandbox, capsys):
    known(sandbox, 603, 4)
    call_command("refresh_movies")
    assert "Films: 1 read, 0 gone from TMDb, 0 failed." in capsys.readouterr().out
    age_of(603, 4)
    sandbox.tmdb.fail("^/3/movie/603$", status=500, times=None)
    with pytest.raises(CommandError):
        call_command("refresh_movies")


def test_two_at_once_read_each_film_once(sandbox):
    ids = sandbox.tmdb.add_films(20)
    for movie_id in ids:
        known(sandbox, movie_id, 4)
    films = refresh.due_movies(limit=20)
    for run in (refresh.Refresh(threading.Event()), refresh.Refresh(threading.Event())):
        run.run(films)
    assert sorted(read(sandbox)) == ids
