"""Rating a movie in the chat, or deleting the rating: the row, and the pending write to TMDb."""

from __future__ import annotations

import re
import time
from decimal import Decimal

from django.db import transaction

from config.jobs.enqueue import async_task
from movies.cards import OUT_OF_TEN
from ratings.models import HALF_POINTS, PendingWrite, Rating, Source, normalize
from ratings.recommendations.dismissals import undismiss
from ratings.watchlist.entries import take_off
from users.models import User

POINTS = re.compile(rf"([0-9]{{1,2}})(?:[.,]([05])?0*)?(?:{OUT_OF_TEN})?", re.ASCII)


def points_in(text: str) -> Decimal | None:
    """The rating in a typed text: 8, 7.5, "7,5", 8/10; None for what is no rating of 0.5-10 in half points."""
    found = POINTS.fullmatch(text.strip())
    value = Decimal(f"{found[1]}.{found[2] or 0}") if found else None
    return value if value in HALF_POINTS else None


@transaction.atomic
def rate(user: User, movie_id: int, value: Decimal) -> bool:
    """Set the user's rating of the movie to `value`, 0.5-10 in half points, and queue it for TMDb if they want that.

    What is rated has been seen: it is taken off the list of films to see. Returns whether it was on it.
    """
    user = User.objects.lock(user.pk) or user
    old = Rating.objects.filter(user=user, movie_id=movie_id).first()
    new = Rating(
        user=user,
        movie_id=movie_id,
        manual_rating=value,
        normalized_rating=normalize(Decimal(value)),
        rated_at=old.rated_at if old and old.value == value else int(time.time()),
        source=Source.MANUAL,
    )
    new.tmdb_rating = old.tmdb_rating if old else base_of_pending(user, movie_id)
    Rating.objects.bulk_create(
        [new],
        update_conflicts=True,
        unique_fields=["user", "movie"],
        update_fields=["manual_rating", "normalized_rating", "rated_at", "source"],
    )
    undismiss(user.pk, movie_id)
    queue_write(user, movie_id, value, new.tmdb_rating)
    return bool(take_off(user, [movie_id]))


@transaction.atomic
def take_back(user: User, movie_id: int) -> bool:
    """Delete the user's rating of the movie, at TMDb too if they want that; returns whether they had one."""
    user = User.objects.lock(user.pk) or user
    old = Rating.objects.filter(user=user, movie_id=movie_id).first()
    if old is None:
        return False
    Rating.objects.filter(user=user, movie_id=movie_id).delete()
    queue_write(user, movie_id, None, old.tmdb_rating)
    return True


def base_of_pending(user: User, movie_id: int) -> Decimal | None:
    """What TMDb holds of a rating that was deleted here and is not yet deleted there; None where it holds none."""
    return PendingWrite.objects.filter(user=user, movie_id=movie_id).values_list("base", flat=True).first()


def queue_write(user: User, movie_id: int, value: Decimal | None, base: Decimal | None) -> None:
    """Queue the end state for TMDb, in place of an earlier pending write, and wake the worker.

    `base` is the value TMDb holds. Nothing is queued for a user who is not connected or does not want it.
    """
    if not (user.connected and user.writes_ratings):
        PendingWrite.objects.filter(user=user, movie_id=movie_id).delete()
        return
    PendingWrite.objects.bulk_create(
        [PendingWrite(user=user, movie_id=movie_id, rating=value, base=base)],
        update_conflicts=True,
        unique_fields=["user", "movie"],
        update_fields=["rating", "base", "attempts", "next_try_at", "error"],
    )
    transaction.on_commit(lambda: async_task("ratings.tasks.write_ratings", user.pk, save=False))
