"""A person rates a film here, or takes the rating back: the row, and what TMDb has to hear of it."""

from __future__ import annotations

import re
import time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django.db import transaction

from config.jobs.enqueue import async_task
from ratings.models import HALF_POINTS, PendingWrite, Rating, Source, normalize
from ratings.recommendations.dismissals import allow

if TYPE_CHECKING:
    from users.models import User

POINTS = re.compile(r"([0-9]{1,2})(?:[.,]([05])?0*)?(?:\s*/\s*10)?", re.ASCII)


def points_in(text: str) -> Decimal | None:
    """The rating that a person typed: 8, 7.5, "7,5", 8/10; None for what is no rating of 0.5-10 in half points."""
    found = POINTS.fullmatch(text.strip())
    value = found and Decimal(f"{found[1]}.{found[2] or 0}")
    return value if value in HALF_POINTS else None


@transaction.atomic
def rate(user: User, movie_id: int, value: Decimal | int) -> None:
    """Let the person's rating of the film be `value`, whatever it was; TMDb hears of it if they want that."""
    mine: dict[str, Any] = {"user": user, "movie_id": movie_id}
    old = Rating.objects.select_for_update().filter(**mine).first()
    same = old is not None and old.value == value
    new = Rating(
        **mine,
        manual_rating=value,
        normalized_rating=normalize(value),
        rated_at=old.rated_at if old and same else int(time.time()),
        source=Source.MANUAL,
    )
    new.tmdb_rating = old.tmdb_rating if old else base_of_taken_back(mine)
    Rating.objects.bulk_create(
        [new],
        update_conflicts=True,
        unique_fields=["user", "movie"],
        update_fields=["manual_rating", "normalized_rating", "rated_at", "source"],
    )
    allow(user.pk, movie_id)
    tell_tmdb(user, movie_id, value, new.tmdb_rating)


@transaction.atomic
def take_back(user: User, movie_id: int) -> bool:
    """Let the person have no rating of the film; returns whether they had one."""
    old = Rating.objects.select_for_update().filter(user=user, movie_id=movie_id).first()
    if old is None:
        return False
    Rating.objects.filter(user=user, movie_id=movie_id).delete()
    tell_tmdb(user, movie_id, None, old.tmdb_rating)
    return True


def base_of_taken_back(mine: dict[str, Any]) -> Decimal | None:
    """What TMDb still holds of a rating that was taken back here a moment ago; None where it holds none."""
    waiting = PendingWrite.objects.filter(**mine).first()
    return waiting.base if waiting else None


def tell_tmdb(user: User, movie_id: int, value: Decimal | int | None, base: Decimal | None) -> None:
    """Have the end state written to TMDb, in the place of what still waits to be written; ring the worker's bell."""
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
