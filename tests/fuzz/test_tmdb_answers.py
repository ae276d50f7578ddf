"""TMDb's answers through the client and into the tables: a film, a page, a session, or TMDbError; nothing else."""

import json
from contextlib import suppress

import pytest
from django.core.cache import cache
from hypothesis import given, settings
from hypothesis import strategies as st

from config.bot.replies import keyboard
from config.jobs.run import Run
from movies.cards import buttons, caption, strip_tags, utf16_length
from movies.catalogue import TmdbPolicy, fetch_movie, find_movies, get_movie, similar_movies
from movies.details import DetailsWorker
from movies.models import Movie
from movies.saving import save_movies
from movies.tmdb import TMDb, TMDbError
from ratings.files.matching import Matcher
from ratings.files.rows import Row
from ratings.models import HALF_POINTS, Import, Rating, TMDbRecommendationFetch
from ratings.tasks import import_ratings
from tests.fuzz.mutations import EXAMPLES, JUNK, bounded, most_memory, spoilt
from tests.helpers.imports import hurry
from users.bot import link_account
from users.models import SessionToRevoke, User

pytestmark = pytest.mark.django_db

MOST_MEMORY = 100 * 2**20
FILM = {
    "id": 603, "title": "Матрица", "original_title": "The Matrix", "overview": "Хакер Нео",
    "release_date": "1999-03-31", "runtime": 136, "imdb_id": "tt0133093", "popularity": 85.5,
    "vote_average": 8.2, "vote_count": 26000, "poster_path": "/p96dm7sCMn4VYAStA6siNz30G1r.jpg",
    "adult": False, "genres": [{"id": 28, "name": "боевик"}],
}  # fmt: skip
PAGE = {"page": 1, "results": [FILM | {"rating": 8.5}, FILM | {"id": 604}], "total_pages": 1, "total_results": 2}
FOUND = {"movie_results": [FILM], "tv_results": [], "tv_episode_results": []}
ERROR = {"success": False, "status_code": 34, "status_message": "The resource you requested could not be found."}
TOKEN = {"success": True, "request_token": "f" * 40, "session_id": "a" * 40, "expires_at": "2026-01-01 00:00:00 UTC"}
ACCOUNT = {"id": 548, "username": "anna", "name": ""}
TREES = [FILM, PAGE, FOUND, ERROR, TOKEN, ACCOUNT]

BODIES = st.one_of(
    spoilt(TREES).map(json.dumps),
    spoilt(TREES).map(json.dumps),
    JUNK.map(json.dumps),
    st.text(max_size=50),
    st.sampled_from(["[" * 100_000, '{"a":' * 100_000, "1" * 100_000, '{"id":' + "9" * 5000 + "}", '"\\ud800"']),
).map(lambda text: text.encode("utf-8", "surrogatepass")) | st.binary(max_size=50)
STATUSES = st.sampled_from([200, 200, 200, 200, 201, 204, 301, 400, 401, 403, 404, 422, 500, 503])


ANSWERS = st.lists(st.tuples(STATUSES, BODIES), min_size=1, max_size=4)


def answer_with(sandbox, answers):
    """Have TMDb say these (status, body), one after another, and then that there is no such thing."""
    sandbox.tmdb.faults.clear()
    for status, body in answers:
        sandbox.tmdb.fail("^/3/", status, body=body)
    sandbox.tmdb.fail("^/3/", 404, times=None)


@pytest.fixture
def no_pauses(monkeypatch):
    monkeypatch.setattr("movies.tmdb.time.sleep", lambda seconds: None)
    hurry(monkeypatch)


@bounded
@given(ANSWERS)
def test_any_answer_becomes_a_film_or_an_error_of_tmdbs(sandbox, no_pauses, answers):
    """All that ask TMDb, for the chat, a file or the refresh, get the same answers."""
    before = most_memory()
    cache.clear()
    user, _new = User.objects.get_or_create(pk=7)
    tmdb = TMDb(background=False)

    def similar():
        TMDbRecommendationFetch.objects.all().delete()
        similar_movies(603, user.pk)

    def refreshed():
        Movie.objects.filter(pk=603).update(details_at=1)
        DetailsWorker(Run(limit=1)).work()

    for ask in (
        lambda: find_movies("матрица 1999", user.pk, TmdbPolicy.ALWAYS),
        lambda: get_movie(603, user.pk),
        lambda: save_movies([fetch_movie(603, tmdb)]),
        similar,
        lambda: Matcher(given_up=True).match([Row(title="Матрица", year=1999, imdb_id="tt0133093", tmdb_id=603)]),
        lambda: tmdb.request_token(),
        lambda: link_account(user, "a token"),
        refreshed,
    ):
        answer_with(sandbox, answers)
        with suppress(TMDbError):
            ask()
    for movie in Movie.objects.with_user_rating(user.pk):
        assert utf16_length(strip_tags(caption(movie))) <= 1024
        assert all(len(b.callback_data or "") <= 64 for row in keyboard(*buttons(movie)).keyboard for b in row)
    for model in (Movie, SessionToRevoke):
        model.objects.all().delete()
    assert most_memory() - before < MOST_MEMORY


PAGES = spoilt([PAGE, PAGE | {"total_pages": 2}]).map(lambda page: json.dumps(page).encode("utf-8", "surrogatepass"))


@settings(bounded, max_examples=max(10, EXAMPLES // 10))  # the engine's threads take their time
@given(st.none() | spoilt([ACCOUNT]), st.lists(st.tuples(st.just(200), PAGES), min_size=1, max_size=3))
def test_any_pages_of_ratings_are_imported_or_fail_by_name(sandbox, no_pauses, account, pages):
    user, _new = User.objects.get_or_create(pk=7)
    user.connect(None if account else 548, "a session")
    answer_with(sandbox, ([(200, json.dumps(account).encode())] if account else []) + pages)
    import_ratings(user.pk)
    assert all(rating.value in HALF_POINTS for rating in Rating.objects.all())
    for model in (Import, Rating, Movie):
        model.objects.all().delete()
