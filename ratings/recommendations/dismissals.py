"""Movies hidden from a user's recommendations until rated: dismissed as "not interesting", or seen without a rating."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from movies.models import Movie
from ratings.models import DismissedMovie

if TYPE_CHECKING:
    from users.models import User


def dismiss(user: User, movie_id: int, seen: bool = False) -> None:
    """Do not recommend the movie to the user any more; no error where it is dismissed already."""
    row = DismissedMovie(user=user, movie_id=movie_id, dismissed_at=int(time.time()), seen=seen)
    DismissedMovie.objects.bulk_create(
        [row], update_conflicts=True, unique_fields=["user", "movie"], update_fields=["seen"]
    )


def mark_seen(user: User, movie_id: int) -> None:
    """The user has seen the movie and may not want to rate it: it says nothing of their taste."""
    dismiss(user, movie_id, seen=True)


def undismiss(user_id: int, *movie_ids: int) -> None:
    """Let the movies be recommended again; a rating undismisses too, since it says more."""
    DismissedMovie.objects.filter(user_id=user_id, movie_id__in=movie_ids).delete()


def dismissed_movies(user_id: int) -> list[Movie]:
    """The user's dismissed movies, the latest first."""
    rows = DismissedMovie.objects.filter(user_id=user_id).order_by("-dismissed_at", "movie_id")
    movie_ids = list(rows.values_list("movie_id", flat=True))
    movies = Movie.objects.with_user_rating(user_id).in_bulk(movie_ids)
    return [movies[movie_id] for movie_id in movie_ids]
