"""What TMDb contributes while the bot is new: its most voted movies and its recommendations.

The workers ask TMDb, never while a user waits; its answers are reused for months. Each job runs under a lock, ends
when `stop` is set, and postpones what TMDb fails at, so that one movie holds up no other.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import Count, Exists, OuterRef

from config.jobs.enqueue import StopEvent
from config.jobs.locks import lock
from config.moments import ahead, lately
from movies.models import Movie
from movies.parsing import parse_movies
from movies.saving import save_movies
from movies.tmdb import BadRequest, KeyRefused, NotFound, TMDb, TMDbError
from ratings.models import Rating, TMDbRecommendation, TMDbRecommendationFetch, TrainingRun
from ratings.recommendations.recommender import COLD_START_POOL, MAX_USERS_FOR_TMDB, TMDB_PLACES
from users.models import User

if TYPE_CHECKING:
    from django.db.models import QuerySet

log = logging.getLogger(__name__)

MIN_LIKED_RATING = 8  # from which a movie counts as liked
FETCH_TTL_SECONDS = 120 * 86_400  # until TMDb is asked for a movie's recommendations again
ERROR_RETRY_SECONDS = 3600  # until one at which TMDb failed is
MOST_VOTED_ID = 0  # movie id under which TMDbRecommendationFetch records the fetch of the most voted movies
MOST_VOTED_PAGES = 3  # sixty movies
MAX_ERRORS_IN_A_ROW = 3  # after which TMDb is taken to be down
MAX_LIKED_MOVIES = 500  # of a run
MAX_BEST_LIKED = 20  # of a user, for which TMDb is asked before their first recommendations


def fetch_recommendations(seconds: float, stop: StopEvent, user_id: int | None = None) -> int:
    """Fetch TMDb's recommendations for the movies that a user likes best, or else for those that most users like.

    Returns for how many it answered.
    """
    fetched = errors = 0
    deadline = time.monotonic() + seconds
    with lock(f"ratings.ask_tmdb.{user_id}" if user_id else "ratings.ask_tmdb") as acquired:
        movie_ids = best_liked_to_fetch(user_id) if user_id else liked_movies_to_fetch() if has_few_users() else []
        for movie_id in movie_ids if acquired else []:
            if stop.is_set() or time.monotonic() > deadline or errors == MAX_ERRORS_IN_A_ROW:
                break
            try:
                recommended = parse_movies(TMDb().recommendations(movie_id))
            except (NotFound, BadRequest):
                recommended = []
            except KeyRefused as error:  # not caused by this movie
                log.warning("TMDb is not asked for recommendations: %s", error)
                break
            except TMDbError as error:
                log.warning("movie %s: TMDb did not return recommendations: %s", movie_id, error)
                postpone(movie_id)
                errors += 1
                continue
            save_tmdb_recommendations(movie_id, recommended)
            fetched, errors = fetched + 1, 0
    return fetched


def _record_fetch(movie_id: int) -> None:
    """Do not ask for this movie again for FETCH_TTL_SECONDS."""
    values = {"fetched_at": int(time.time()), "next_try_at": 0}
    TMDbRecommendationFetch.objects.update_or_create(pk=movie_id, defaults=values)


def postpone(movie_id: int) -> None:
    """Ask for this movie again in ERROR_RETRY_SECONDS; earlier recommendations stay."""
    values = {"next_try_at": int(time.time()) + ERROR_RETRY_SECONDS}
    TMDbRecommendationFetch.objects.update_or_create(pk=movie_id, defaults=values)


def has_few_users() -> bool:
    """Whether TMDb's recommendations still count."""
    run = TrainingRun.objects.current()
    users = run.total_users if run else User.objects.count()
    return users < MAX_USERS_FOR_TMDB


def liked_movies_to_fetch(limit: int = MAX_LIKED_MOVIES) -> list[int]:
    """Ids of the movies that most users like, of those for which TMDb may be asked now."""
    counted = _liked_and_not_fetched().values("movie_id").annotate(users=Count("user_id"))
    return list(counted.order_by("-users", "movie_id").values_list("movie_id", flat=True)[:limit])


def best_liked_to_fetch(user_id: int) -> list[int]:
    """Ids of the movies that a user likes best, of those for which TMDb may be asked now; none of many users."""
    if not has_few_users():
        return []
    liked = Rating.objects.filter(user_id=user_id, normalized_rating__gte=MIN_LIKED_RATING)
    best = liked.order_by("-normalized_rating", "-rated_at", "movie_id").values_list("movie_id", flat=True)
    movie_ids = list(best[:MAX_BEST_LIKED])
    fetched = set(_recent_fetches().filter(pk__in=movie_ids).values_list("pk", flat=True))
    return [movie_id for movie_id in movie_ids if movie_id not in fetched]


def _liked_and_not_fetched() -> QuerySet[Rating]:
    fetched = _recent_fetches().filter(pk=OuterRef("movie_id"))
    return Rating.objects.filter(~Exists(fetched), normalized_rating__gte=MIN_LIKED_RATING)


def _recent_fetches() -> QuerySet[TMDbRecommendationFetch]:
    """Fetches that are not to be repeated now."""
    postponed = ahead("next_try_at", ERROR_RETRY_SECONDS)
    return TMDbRecommendationFetch.objects.filter(lately("fetched_at", FETCH_TTL_SECONDS) | postponed)


def can_fetch_more(user_id: int) -> bool:
    """Whether TMDb could recommend more to this user: it has not been asked for all the movies they like best."""
    return bool(best_liked_to_fetch(user_id))


def save_tmdb_recommendations(movie_id: int, movies: Sequence[Movie]) -> None:
    """Replace TMDb's recommendations for a movie by these, in this order; unknown movies are saved."""
    movies = [movie for movie in movies if movie.pk != movie_id][:TMDB_PLACES]
    with transaction.atomic():
        # first, since two workers may save the same answer: the second one waits here
        _record_fetch(movie_id)
        save_movies(movies)
        TMDbRecommendation.objects.filter(movie_id=movie_id).delete()
        TMDbRecommendation.objects.bulk_create(
            TMDbRecommendation(movie_id=movie_id, place=place, recommended_id=movie.pk)
            for place, movie in enumerate(movies, 1)
        )


def tmdb_recommendations_for(movie_id: int) -> list[int] | None:
    """Ids of the movies that TMDb recommends for one, in its order; None where it has not been asked lately."""
    fresh = TMDbRecommendationFetch.objects.filter(fetched_at__gt=int(time.time()) - FETCH_TTL_SECONDS)
    if not fresh.filter(pk=movie_id).exists():
        return None
    rows = TMDbRecommendation.objects.filter(movie_id=movie_id).order_by("place")
    return list(rows.values_list("recommended_id", flat=True))


def has_few_movies() -> bool:
    """Whether there are too few movies to offer to a new user, and TMDb may be asked for the most voted now."""
    known = Movie.objects.filter(vote_count__gt=0)[:COLD_START_POOL].count()
    return known < COLD_START_POOL and not _recent_fetches().filter(pk=MOST_VOTED_ID).exists()


def fetch_most_voted(stop: StopEvent) -> int:
    """Save the movies with the most votes at TMDb where the bot has few; returns how many it named."""
    with lock("ratings.fetch_best_known") as acquired:
        if not acquired or not has_few_movies():
            return 0
        try:
            movies = [
                movie
                for page in range(1, MOST_VOTED_PAGES + 1)
                if not stop.is_set()
                for movie in parse_movies(TMDb().most_voted(page))
            ]
        except KeyRefused as error:
            log.warning("TMDb is not asked for its most voted movies: %s", error)
            return 0
        except TMDbError as error:
            log.warning("TMDb did not return its most voted movies: %s", error)
            postpone(MOST_VOTED_ID)
            return 0
        with transaction.atomic():
            _record_fetch(MOST_VOTED_ID)
            save_movies(movies)
    return len(movies)
