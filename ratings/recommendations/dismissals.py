"""Films that a person calls not interesting: remembered, held against their neighbours a little, taken back at will."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from movies.models import Movie
from ratings.models import NotInteresting

if TYPE_CHECKING:
    from users.models import User


def refuse(user: User, movie_id: int) -> None:
    """Let the film be one that the person does not want recommended, whatever it was."""
    NotInteresting.objects.bulk_create(
        [NotInteresting(user=user, movie_id=movie_id, said_at=int(time.time()))], ignore_conflicts=True
    )


def allow(user_id: int, *movie_ids: Any) -> None:
    """Let the films be recommended again; or they have been rated, which says more than a refusal did."""
    NotInteresting.objects.filter(user_id=user_id, movie_id__in=movie_ids).delete()


def refused(user_id: int):
    """The films that the person does not want recommended, the latest first."""
    said = NotInteresting.objects.filter(user_id=user_id).order_by("-said_at", "movie_id")
    ids = list(said.values_list("movie_id", flat=True))
    movies = Movie.objects.seen_by(user_id).in_bulk(ids)
    return [movies[id] for id in ids]
