"""The queries behind a card: one of them, compiled once, with the same rows as Django's own."""

from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from movies.catalogue import find_movies, movie_in_table, numbered, numbered_or_called
from movies.models import Movie, PosterStatus
from ratings.models import Rating, normalize
from users.models import User

pytestmark = pytest.mark.django_db


@pytest.fixture
def films():
    for id, title, votes in ((12, "Матрица", 5), (550, "12", 90), (551, "Двенадцать", 7), (1007, "10071007", 1)):
        known = {"details_at": 1, "poster_path": "/p.jpg", "poster_status": PosterStatus.TELEGRAM}
        Movie.objects.create(
            id=id, title=title, search_text=title.lower(), vote_count=votes, release_date="1999-03-31",
            telegram_file_id=f"file-{id}", **known,
        )  # fmt: skip
    for person, value in ((7_000_000_001, Decimal("7.5")), (7_000_000_002, Decimal("0.5"))):
        user = User.objects.create(pk=person)
        Rating.objects.create(user=user, movie_id=12, tmdb_rating=value, normalized_rating=normalize(value), rated_at=1)


def everything(movies):
    fields = [field.attname for field in Movie._meta.concrete_fields]
    return [[getattr(movie, name) for name in (*fields, "mine")] for movie in movies]


@pytest.mark.parametrize("viewer", [7_000_000_001, 7_000_000_002, 7_000_000_003])
@pytest.mark.parametrize("id", [12, 550, 99])
def test_a_compiled_query_finds_what_django_finds(films, viewer, id):
    found = movie_in_table(id, viewer)
    assert everything([found] if found else []) == everything(numbered(viewer, id))
    in_order = list(numbered_or_called(viewer, id, str(id)))
    by_number = find_movies(str(id), viewer).movies if found else []
    assert sorted(map(repr, everything(by_number))) == sorted(map(repr, everything(in_order if found else [])))


def test_a_card_costs_one_query(films):
    find_movies("12", 7_000_000_001)
    for text in ("12", "550"):
        with CaptureQueriesContext(
            connection,
        ) as queries:
            found = find_movies(text, 7_000_000_001).movies
        assert len(queries) == 1
        assert found[0].pk == int(text)
    with CaptureQueriesContext(connection) as queries:
        assert movie_in_table(12, 7_000_000_001).mine == Decimal("7.5")
    assert len(queries) == 1
