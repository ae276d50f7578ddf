"""The one query behind a card, written in SQL: the same rows as the ORM's."""

from collections.abc import Iterable
from decimal import Decimal

import pytest
from django.db import connection
from django.db.models import Q
from django.test.utils import CaptureQueriesContext

from movies.catalogue import find_movies, get_local_movie
from movies.models import Movie, PosterStatus
from ratings.models import Rating, WatchlistEntry, normalize
from users.models import User

pytestmark = pytest.mark.django_db


@pytest.fixture
def movies() -> None:
    for id, title, votes in ((12, "Матрица", 5), (550, "12", 90), (551, "Двенадцать", 7), (1007, "10071007", 1)):
        known = {"details_at": 1, "poster_path": "/p.jpg", "poster_status": PosterStatus.TELEGRAM}
        Movie.objects.create(
            id=id, title=title, search_text=title.lower(), vote_count=votes, release_date="1999-03-31",
            telegram_file_id=f"file-{id}", **known,
        )  # fmt: skip
    for user_id, value in ((7_000_000_001, Decimal("7.5")), (7_000_000_002, Decimal("0.5"))):
        user = User.objects.create(pk=user_id)
        Rating.objects.create(user=user, movie_id=12, tmdb_rating=value, normalized_rating=normalize(value), rated_at=1)
    WatchlistEntry.objects.create(user=user, movie_id=12)
    WatchlistEntry.objects.create(user=user, movie_id=550)


def values_of(movies: Iterable[Movie]) -> list[list[object]]:
    fields = [field.attname for field in Movie._meta.concrete_fields]
    return [[getattr(movie, name) for name in (*fields, "user_rating", "on_watchlist")] for movie in movies]


@pytest.mark.parametrize("user_id", [7_000_000_001, 7_000_000_002, 7_000_000_003, None])
@pytest.mark.parametrize("id", [12, 550, 99])
def test_the_query_of_a_card_finds_what_django_finds(movies: None, user_id: int | None, id: int) -> None:
    found = get_local_movie(id, user_id)
    everything = Movie.objects.with_user_rating(user_id)
    assert values_of([found] if found else []) == values_of(everything.filter(pk=id))
    by_number = find_movies(str(id), user_id).movies if found else []
    expected = everything.filter(Q(pk=id) | Q(title=str(id))) if found else []
    assert sorted(map(repr, values_of(by_number))) == sorted(map(repr, values_of(expected)))


def test_a_rating_is_an_exact_decimal(movies: None) -> None:
    movie = get_local_movie(12, 7_000_000_001)
    assert movie is not None
    rating = movie.user_rating
    assert isinstance(rating, Decimal)
    assert rating == Decimal("7.5")


def test_a_card_costs_one_query(movies: None) -> None:
    find_movies("12", 7_000_000_001)
    for text in ("12", "550"):
        with CaptureQueriesContext(connection) as queries:
            found = find_movies(text, 7_000_000_001).movies
        assert len(queries) == 1
        assert found[0].pk == int(text)
    with CaptureQueriesContext(connection) as queries:
        movie = get_local_movie(12, 7_000_000_001)
    assert movie is not None
    assert movie.user_rating == Decimal("7.5")
    assert len(queries) == 1
