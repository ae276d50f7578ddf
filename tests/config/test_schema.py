"""The tables as any client of the database meets them: plain SQL, the contract's columns and nothing else."""

from contextlib import suppress

import pytest
from django.db import IntegrityError, connection, transaction

from movies.models import Movie, PosterStatus
from ratings.models import Rating, WatchlistEntry
from users.models import User

pytestmark = pytest.mark.django_db(transaction=True)


def execute(sql, *params):
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return cursor.fetchall() if cursor.description else None


def insert(table, **row):
    places = ", ".join(["%s"] * len(row))
    execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({places})", *row.values())


def refused(table, **row):
    with suppress(IntegrityError), transaction.atomic():
        insert(table, **row)
        return False
    return True


def test_a_film_of_nothing_but_the_contracts_columns_can_be_written():
    insert("movies", id=603, title="Матрица", release_date="1999-03-31", poster_path="/m.jpg", poster_status=0)
    movie = Movie.objects.get()
    assert movie.year == 1999
    assert list(Movie.objects.awaiting_download()) == [movie]


def test_texts_that_are_missing_may_be_null_and_read_as_empty():
    missing = ("original_title", "overview", "poster_path", "telegram_file_id", "local_path")
    insert("movies", id=603, title="Матрица", poster_status=-1, **dict.fromkeys(missing))
    insert("users", telegram_user_id=1, tmdb_session_id=None)
    movie = Movie.objects.get()
    assert [getattr(movie, field) for field in missing] == [""] * len(missing)
    assert not User.objects.get().connected
    assert not User.objects.connected()
    assert Movie.objects.requeue_posters() == 0
    assert Movie.objects.get().poster_status == PosterStatus.NONE


def test_the_year_is_generated_by_the_database_and_unknown_without_a_date():
    insert("movies", id=1, title="x")
    insert("movies", id=2, title="x", release_date="1895-12-28")
    assert dict(execute("SELECT id, year FROM movies")) == {1: None, 2: 1895}


@pytest.mark.parametrize("rating", [0, 0.4, 7.3, 10.5, 11, -1])
def test_a_rating_that_tmdb_cannot_hold_is_refused(rating):
    insert("movies", id=603, title="x")
    insert("users", telegram_user_id=7_000_000_001)
    row = {"telegram_user_id": 7_000_000_001, "movie_id": 603, "rated_at": 1, "source": "tmdb", "normalized_rating": 5}
    assert refused("user_movie_ratings", **row, tmdb_rating=rating)


@pytest.mark.parametrize("rating", [0.5, 1, 7.5, 10, None])
def test_a_rating_that_tmdb_can_hold_is_taken_exactly(rating):
    insert("movies", id=603, title="x")
    insert("users", telegram_user_id=7_000_000_001)
    row = {"telegram_user_id": 7_000_000_001, "movie_id": 603, "rated_at": 1, "source": "tmdb", "normalized_rating": 5}
    insert("user_movie_ratings", **row, tmdb_rating=rating)
    assert Rating.objects.get().tmdb_rating == rating


@pytest.mark.parametrize(
    ("table", "row"),
    [
        ("movies", {"id": 1, "title": "x", "poster_status": 3}),
        ("movies", {"id": 1, "title": "x", "poster_status": 2}),
        ("movies", {"id": 1, "title": "x", "poster_status": 2, "telegram_file_id": None}),
        ("movies", {"id": 1, "title": "x", "poster_status": 0, "local_path": "1.jpg"}),
        ("users", {"telegram_user_id": 1, "sync_status": 5}),
    ],
)
def test_a_state_that_makes_no_sense_is_refused(table, row):
    assert refused(table, **row)


def test_a_person_rates_a_film_once_by_the_primary_key():
    insert("movies", id=603, title="x")
    insert("users", telegram_user_id=1)
    row = {"telegram_user_id": 1, "movie_id": 603, "rated_at": 1, "source": "manual", "normalized_rating": 5}
    insert("user_movie_ratings", **row)
    assert refused("user_movie_ratings", **row)


def test_a_film_is_once_on_a_list_by_the_primary_key():
    insert("movies", id=603, title="x")
    insert("users", telegram_user_id=1)
    insert("watchlist", telegram_user_id=1, movie_id=603)
    assert refused("watchlist", telegram_user_id=1, movie_id=603)
    entry = WatchlistEntry.objects.get()
    assert (entry.added_at, entry.tmdb_account_id) == (0, None)


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("user_movie_ratings", "telegram_user_id"),
        ("user_movie_ratings", "movie_id"),
        ("watchlist", "telegram_user_id"),
        ("watchlist", "movie_id"),
        ("movies", "poster_status"),
        ("movies", "telegram_file_id"),
    ],
)
def test_what_the_workers_look_for_has_an_index(table, column):
    with connection.cursor() as cursor:
        constraints = connection.introspection.get_constraints(cursor, table).values()
    assert any(c["index"] and c["columns"][:1] == [column] for c in constraints)
