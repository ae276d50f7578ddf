"""A film that TMDb has held under two ids is one film here, too, for everybody who has rated it."""

import pytest

import ratings.tasks
from movies import tasks
from movies.catalogue import get_movie
from movies.models import Movie, PosterStatus
from ratings.files import importer
from ratings.models import DismissedMovie, FileChange, FileImport, Rating
from ratings.watchlist.models import WatchlistEntry
from tests.helpers.imports import linked, sync, table_of, work
from users.models import User

pytestmark = pytest.mark.django_db(transaction=True)
OLD, NEW = 9001, 238


@pytest.fixture
def twins(sandbox):
    """The Godfather under its own id and a second one, known here by its details; the poster of the second is up."""
    sandbox.tmdb.add_film(OLD, title_ru="Крёстный отец", title_en="The Godfather", imdb_id="tt0068646")
    Movie.objects.create(
        pk=OLD, title="x", poster_status=PosterStatus.TELEGRAM, telegram_file_id="photo", width=1, height=2
    )
    Movie.objects.filter(pk=OLD).update(details_at=0, imdb_id="tt0068646")


def rating(user_id, movie_id, value, at=1):
    user, _created = User.objects.get_or_create(pk=user_id)
    Rating.objects.create(user=user, movie_id=movie_id, tmdb_rating=value, normalized_rating=value, rated_at=at)
    return user


def test_ratings_and_poster_follow_to_the_successor(sandbox, twins):
    anna = rating(501, OLD, 8)
    DismissedMovie.objects.create(user=anna, movie_id=OLD, dismissed_at=1)
    WatchlistEntry.objects.create(user=anna, movie_id=OLD, added_at=5)
    sandbox.tmdb.merge(OLD, NEW)
    tasks.read_details()
    assert list(Rating.objects.values_list("user_id", "movie_id", "tmdb_rating")) == [(501, NEW, 8)]
    assert list(DismissedMovie.objects.values_list("movie_id", flat=True)) == [NEW]
    assert list(WatchlistEntry.objects.values_list("movie_id", "added_at")) == [(NEW, 5)]
    movie = Movie.objects.get()
    assert (movie.pk, movie.telegram_file_id, movie.title) == (NEW, "photo", "Крёстный отец")
    assert get_movie(OLD).pk == NEW


def test_a_film_that_is_gone_follows_its_imdb_id(sandbox, twins):
    rating(501, OLD, 8)
    sandbox.tmdb.gone(OLD)
    tasks.read_details()
    assert list(Rating.objects.values_list("movie_id", flat=True)) == [NEW]


@pytest.mark.parametrize(("old_at", "new_at", "stays"), [(5, 9, 3), (9, 5, 8)])
def test_who_rated_both_keeps_what_they_said_last(sandbox, twins, old_at, new_at, stays):
    Movie.objects.create(pk=NEW, title="y", details_at=1_900_000_000)
    rating(501, OLD, 8, old_at)
    rating(501, NEW, 3, new_at)
    sandbox.tmdb.merge(OLD, NEW)
    tasks.read_details()
    assert list(Rating.objects.values_list("movie_id", "tmdb_rating")) == [(NEW, stays)]


def test_an_account_that_lists_the_old_id_still_has_the_film_once(sandbox, twins):
    anna = linked(sandbox, sandbox.telegram.person("Анна"), "anna")
    anna.account.rate(OLD, 8)
    work(anna)
    sandbox.tmdb.merge(OLD, NEW)
    Movie.objects.update(details_at=0)
    tasks.read_details()
    for _twice in range(2):
        sync(anna)
        assert table_of(anna) == {NEW: 8}
    anna.account.rate(NEW, 5)
    sync(anna)
    assert table_of(anna) == {NEW: 5}
    assert not Movie.objects.filter(pk=OLD).exists()


def test_a_file_can_be_undone_though_its_film_has_another_id_meanwhile(sandbox, twins):
    anna = rating(501, OLD, 8)
    Rating.objects.update(source="manual", manual_rating=8, tmdb_rating=None)
    files = [FileImport.objects.create(user=anna, telegram_file_id="x", sent_at=1, finished_at=1) for _n in range(2)]
    Movie.objects.create(pk=NEW, title="y", details_at=1_900_000_000)
    for file, movie_id in ((files[0], OLD), (files[1], OLD), (files[1], NEW)):
        FileChange.objects.create(file=file, movie_id=movie_id, after=8)
    sandbox.tmdb.merge(OLD, NEW)
    tasks.read_details()
    assert sorted(FileChange.objects.values_list("file_id", "movie_id")) == [(file.pk, NEW) for file in files]
    importer.restart(files[0].pk, anna.pk, FileImport.Stage.UNDO)
    ratings.tasks.import_file(files[0].pk)
    assert not Rating.objects.exists()
